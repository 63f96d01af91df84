"""A flame graph of one export: where the CPU time of `airflow-tablestore run` goes, functions of C among it.

Sampled by py-spy from outside, so that what is measured is what users run. Wide is what takes long; frames are stacked
from caller to callee.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.bench import big_table
from tests.bench.measure import ROOT
from tests.system import sample
from tests.system.services import COMMAND, emulator

RATE = 50
"""Samples a second."""


def draw(folder: Path, page: Path, rows: int) -> Path:
    """The graph of an export of so many rows to csv, as `flame.svg` in the folder of the page.

    :raises RuntimeError: the export failed, or py-spy may not look at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    big_table.make(folder / "data", rows)
    spec, drawn = folder / "flame.yaml", page / "flame.svg"
    spec.write_text(
        f"pipeline: bench_flame\nkind: full_export\nsource: {{table: {sample.TABLE}}}\n"
        "sink: {type: oss, bucket: backup, prefix: bench/flame/, format: csv}\n"
    )
    with emulator(folder / "data", folder / "emulator.log") as services:
        spy = str(Path(sys.executable).parent / "py-spy")
        sampler = [spy, "record", "--native", "--function", "--rate", str(RATE)]
        command = [*sampler, "--output", str(drawn), "--", sys.executable, *COMMAND, "run", str(spec), "--json"]
        ran = subprocess.run(command, env={**os.environ, **services["env"]}, capture_output=True, text=True)
    if ran.returncode or not drawn.exists():
        raise RuntimeError(f"no flame graph:\n{ran.stderr[-2000:]}")
    drawn.write_text(_without_places(drawn.read_text()))
    return drawn


def _without_places(graph: str) -> str:
    """File names are of the packages; where they are installed is nobody's business."""
    return re.sub(r"/[\w./-]*/(site-packages/|bin/|lib/)", "", graph.replace(f"{ROOT}/", ""))
