"""Tunnels: what a record costs the worker, against the official Go worker on the same rows; lag; memory.

Every turn drains a tunnel of its own, for what was drained does not come again. CPU time is the worker's alone: the
emulator is a process of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import requests

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.consumer.tunnel import Settings, TunnelReader, Until
from airflow_tablestore.pipeline.connections import from_environment, maxcompute_endpoint, oss_endpoint
from airflow_tablestore.pipeline.sinks.maxcompute import MaxCompute
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.pipeline.tunnel.drain import drain
from airflow_tablestore.spec.build_stream import stream
from airflow_tablestore.spec.kinds.stream import StreamSpec
from airflow_tablestore.wire.table import update_stream
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType, create_tunnel
from tests.bench import big_table
from tests.bench.golang import program
from tests.bench.measure import python, run
from tests.bench.pairs import Figure, Took, per_cpu_second, timed
from tests.bench.scale import Measured
from tests.system import sample
from tests.system.services import emulator

KRECORDS = "thousand records per CPU second"
SHARDS = 4
LAG_TABLE, STREAM_TABLE = "bench_lag", "bench_stream"
WRITES_APART_SECONDS = 0.1
QUICK = Settings(heartbeat_seconds=1)
"""Workers that share a tunnel are given their channels at heartbeats; a short drain shall not be a wait for these."""

SLOW_SINK_SECONDS = 0.02
"""That a slow sink takes for each batch."""

SINKS: dict[str, dict[str, Any]] = {
    "OSS, parquet": {"type": "oss", "bucket": "backup", "prefix": "bench/stream/", "format": "parquet"},
    "MaxCompute, mode stream": {"type": "maxcompute", "mode": "stream", "table": "bench_changes", "create_table": True},
}

Say = Callable[[str], None]


def measured(
    folder: Path,
    say: Say,
    *,
    rows: int = 500_000,
    changes: int = 200_000,
    writes: int = 200,
    rounds: int = 5,
    has_go: bool | None = None,
) -> Iterator[Figure | Measured]:
    """All figures of tunnels.

    :param rows: of the table whose base data are drained. `changes`: of the stream that two workers share.
    :param writes: rows whose way into the sink is timed, one every tenth of a second.
    :param has_go: whether the Go worker takes part; None: when Go is present.
    """
    folder.mkdir(parents=True, exist_ok=True)
    say(f"Making a table of {rows:,} rows ...")
    big_table.make(folder / "data", rows)
    with emulator(folder / "data", folder / "emulator.log") as services, connected(services) as client:
        if shutil.which("go") if has_go is None else has_go:
            yield _against_go(services, client, folder, rows, rounds)
        say(f"A slow sink for {rows:,} rows ...")
        yield _memory(services, client, folder, rows)
        say(f"{changes:,} changes for one worker, then for two ...")
        yield _two_workers(services, client, folder, changes)
        for sink, text in SINKS.items():
            say(f"{changes:,} changes into {sink} ...")
            yield _into(services, client, folder, sink, text, changes)
        say(f"The lag of {writes} rows ...")
        yield _lag(services, client, writes)


def connected(services: dict[str, Any]) -> Client:
    """A client of the emulator; whoever asks closes it."""
    access = services["tablestore"]
    return Client(Endpoint(*(access[name] for name in ("endpoint", "instance", "access_key_id", "access_key_secret"))))


def drained(client: Client, tunnel: str, pause_seconds: float = 0, settings: Settings | None = None) -> int:
    """The records of a tunnel, each batch made columns and then forgotten: how many there were."""
    count = 0
    with TunnelReader(client, tunnel, settings=settings, until=Until.CAUGHT_UP) as reader:
        for batch in reader:
            count += batch.to_arrow().num_rows
            batch.done()
            if pause_seconds:
                time.sleep(pause_seconds)
    return count


# ---- against the Go worker


def _against_go(services: dict[str, Any], client: Client, folder: Path, rows: int, rounds: int) -> Figure:
    access = services["tablestore"]
    names = ("endpoint", "instance", "access_key_id", "access_key_secret")
    command = [program(folder, "./tunnel"), *(access[name] for name in names)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        versions = process.stdout.readline().strip()
        ours, theirs = [], []
        for turn in range(rounds + 1):
            mine = _base_tunnel(client, f"ours-{turn}")
            took = timed(lambda tunnel=mine: _expect(rows, drained(client, tunnel)))  # type: ignore[misc]
            print(_base_tunnel(client, f"theirs-{turn}"), rows, file=process.stdin, flush=True)
            _, seconds, cpu = process.stdout.readline().split()
            if turn:  # the first turn is for warming up
                ours.append(took)
                theirs.append(Took(float(seconds), float(cpu)))
        process.stdin.close()
    return Figure(
        "tunnel worker into nothing / Go worker",
        per_cpu_second(rows / 1000, ours),
        per_cpu_second(rows / 1000, theirs),
        KRECORDS,
        f"{rows:,} rows of base data from the emulator; ours makes Arrow columns of them; theirs: {versions}",
        at_least=1,
    )


def _base_tunnel(client: Client, name: str) -> str:
    return client.send(create_tunnel(sample.TABLE, name, TunnelType.BASE))


def _expect(rows: int, count: int) -> None:
    if count != rows:
        raise RuntimeError(f"{count} records were drained of {rows}")


# ---- memory


def _memory(services: dict[str, Any], client: Client, folder: Path, rows: int) -> Measured:
    tunnel = _base_tunnel(client, "slow")
    worker = python("-m", "tests.bench.tunnel_worker", json.dumps(services), tunnel, str(SLOW_SINK_SECONDS))
    ran = run(worker, services["env"], folder)
    _expect(rows, json.loads(ran.output)["records"])
    return (
        "tunnel worker, memory with a slow sink",
        f"{ran.peak_mb:.0f} MB",
        f"{rows:,} rows; the sink takes {SLOW_SINK_SECONDS * 1000:.0f} ms for each batch; {ran.seconds:.0f} s; "
        "must stay under 300 MB",
    )


# ---- two workers


def _two_workers(services: dict[str, Any], client: Client, folder: Path, changes: int) -> Figure:
    """One worker drains a tunnel of four channels, then two drain another one with the same records."""
    sdk = sample.sdk_client(services["tablestore"])
    sample.create_table(sdk, STREAM_TABLE)
    client.send(update_stream(STREAM_TABLE, 24))
    for part in reversed(range(1, SHARDS)):  # from the right, so that the shard on the left is divided further
        uid = f"user_{changes * part // SHARDS // sample.FIXES_PER_UID:04d}"
        url = f"{services['tablestore']['endpoint']}/_emulator/stream/split"
        requests.post(url, json={"table": STREAM_TABLE, "at": {"uid": uid}}, timeout=30).raise_for_status()
    sample.load(sdk, changes, table=STREAM_TABLE)
    alone = _workers(services, client, folder, 1, changes)
    together = _workers(services, client, folder, 2, changes)
    clock = f"by the clock {together.seconds:.1f} s for two and {alone.seconds:.1f} s for one"
    return Figure(
        "two tunnel workers / one",
        per_cpu_second(changes / 1000, [together]),
        per_cpu_second(changes / 1000, [alone]),
        KRECORDS,
        f"{changes:,} changes in {SHARDS} channels, whole processes, heartbeats every second; {clock}, with the "
        "emulator on the same cores",
    )


def _workers(services: dict[str, Any], client: Client, folder: Path, count: int, changes: int) -> Took:
    from_the_start = StreamRange(flag=StartFlag.EARLIEST)
    tunnel = client.send(create_tunnel(STREAM_TABLE, f"for-{count}", TunnelType.STREAM, from_the_start))
    command = python("-m", "tests.bench.tunnel_worker", json.dumps(services), tunnel, "0")
    began = time.perf_counter()
    with (folder / "workers.log").open("wb") as log:
        working = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) for _ in range(count)]
        told = [json.loads(process.communicate()[0]) for process in working]
    _expect(changes, sum(one["records"] for one in told))
    return Took(time.perf_counter() - began, sum(one["cpu_seconds"] for one in told))


# ---- into sinks


def _into(
    services: dict[str, Any], client: Client, folder: Path, name: str, sink: dict[str, Any], changes: int
) -> Measured:
    """The same changes as `_two_workers` has, through the whole drain, in this process."""
    source = {"table": STREAM_TABLE, "tunnel": sink["type"], "create_tunnel": True, "tunnel_start": "earliest"}
    spec = StreamSpec.model_validate({"pipeline": "bench", "kind": "stream", "source": source, "sink": sink})
    export = replace(stream(spec), settings=QUICK)
    fields = from_environment(spec.sink.connection, services["env"])
    place: Any
    if spec.sink.type == "oss":
        place = ObjectStore(oss_endpoint(fields), services["oss"]["bucket"])
    else:
        place = MaxCompute(maxcompute_endpoint(fields))
    with closing(place):
        took = timed(lambda: _expect(changes, drain(export, client, place).rows))
    return (
        f"tunnel drained into {name}",
        f"{changes / 1000 / took.cpu_seconds:.1f} {KRECORDS}",
        f"{changes:,} changes in {SHARDS} channels, one worker, {took.seconds:.1f} s by the clock with the emulator on "
        "the same cores",
    )


# ---- lag


def _lag(services: dict[str, Any], client: Client, writes: int) -> Measured:
    """A row's lag is from before its write was asked for to when its batch was handed out."""
    sdk = sample.sdk_client(services["tablestore"])
    sample.create_table(sdk, LAG_TABLE)
    client.send(update_stream(LAG_TABLE, 24))
    latest = StreamRange(flag=StartFlag.LATEST)
    tunnel = client.send(create_tunnel(LAG_TABLE, "lag", TunnelType.STREAM, latest))
    lags: list[float] = []
    with TunnelReader(client, tunnel) as reader:
        writer = threading.Thread(target=_write_slowly, args=(sdk, writes), daemon=True)
        writer.start()
        while len(lags) < writes:
            batch = reader.take(1.0)
            if batch is None:
                continue
            now = time.time()
            lags += [now - dict(row.key)["ts"] / 1e6 for _, row in batch.rows()]
            batch.done()
        writer.join()
    return (
        "tunnel, from a write to its batch",
        f"p50 {median(lags):.2f} s, p95 {quantiles(lags, n=20)[-1]:.2f} s",
        f"{writes} rows, one every {WRITES_APART_SECONDS:.1f} s; the worker's own settings; must stay under 3 s",
    )


def _write_slowly(sdk: Any, writes: int) -> None:
    from tablestore import Condition, Row, RowExistenceExpectation

    for number in range(writes):
        micros = round(datetime.now(UTC).timestamp() * 1e6)
        row = Row([("uid", f"{number:06d}"), ("ts", micros)], [("name", "x")])
        sdk.put_row(LAG_TABLE, row, Condition(RowExistenceExpectation.IGNORE))
        time.sleep(WRITES_APART_SECONDS)
