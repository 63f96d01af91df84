"""The official Go client's scan, where Go is present: `go/main.go`, built once and asked for a turn at a time."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.bench import answers
from tests.bench.pairs import Figure, Took, per_cpu_second, timed
from tests.bench.reading import KROWS, Nothing, Prepared, to_csv

HERE = Path(__file__).parent / "go"
BUILD_SECONDS = 300


def in_memory(folder: Path, pages: int, rounds: int, rows: int = answers.ROWS_PER_PAGE) -> Iterator[Figure]:
    """Answers in memory to csv, against the Go client's GetRange into encoding/csv; nothing where Go is absent."""
    if not shutil.which("go"):
        return
    bodies = list(answers.bodies(pages, rows))
    prepared = folder / "answers"
    prepared.write_bytes(b"".join(struct.pack("<I", len(body)) + body for body in bodies))
    with subprocess.Popen(
        [program(folder), str(prepared)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        versions = process.stdout.readline().strip()
        ours, theirs = [], []
        for number in range(rounds + 1):
            mine = timed(lambda: to_csv(Prepared(bodies), Nothing()))
            print("again", file=process.stdin, flush=True)
            told, seconds, cpu = process.stdout.readline().split()
            if int(told) != pages * rows:
                raise RuntimeError(f"the Go client read {told} rows of {pages * rows}")
            if number:  # the first turn is for warming up
                ours.append(mine)
                theirs.append(Took(float(seconds), float(cpu)))
        process.stdin.close()
    prepared.unlink()
    total = pages * rows / 1000
    how = (
        f"{pages * rows:,} rows; theirs: GetRange into encoding/csv, one thread ({versions}), which checks no checksum"
    )
    yield Figure(
        "answers in memory to csv / Go SDK",
        per_cpu_second(total, ours),
        per_cpu_second(total, theirs),
        KROWS,
        how,
        4,
        6,
    )


def program(folder: Path, package: str = ".") -> str:
    """One of the programs in `go/`, built with its modules beside those of the judges."""
    modules = Path(__file__).parents[2] / ".judges" / "go"
    settings = {
        "GOCACHE": str(modules / "build"),
        "GOMODCACHE": str(modules / "modules"),
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
    }
    target = folder / f"go-{Path(package).name or 'scan'}"
    modules.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(
        ["go", "build", "-o", str(target), package],
        cwd=HERE,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    if built.returncode:
        raise RuntimeError(f"go build failed:\n{built.stderr[-2000:]}")
    return str(target)
