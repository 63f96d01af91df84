"""Incremental windows: how long one takes, in what memory, after how many requests, and what Airflow adds.

Changes are the sample's rows, put by the official SDK into a table with a stream of four shards, while the emulator's
data clock stands in an hour that is due. Whole processes are measured, by the command that users type.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import requests

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.wire.table import update_stream
from tests.bench.measure import Ran, run
from tests.bench.scale import Measured
from tests.system import sample
from tests.system.services import COMMAND, emulator
from tests.system.stack import Stack

HOUR, STEP = timedelta(hours=1), timedelta(minutes=5)
RETENTION_HOURS, SHARDS = 72, 4
BACKLOGS = (1, 24)
"""Hours of changes that nobody has exported before the newest window."""

COLUMNS = "[uid, ts, name, latitude, longitude, speed, moving, mileage, raw]"
SEEKING = ("DescribeStream", "GetShardIterator", "GetStreamRecord")
RUN_SECONDS = 300

Say = Callable[[str], None]


class Changes:
    """A table with a stream. The newest of its changes lie in `[start, start + 1 h)`, which is due."""

    def __init__(self, services: dict[str, Any], folder: Path, table: str):
        self.services, self.folder, self.table = services, folder, table
        self.start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 2 * HOUR
        self._sdk = sample.sdk_client(services["tablestore"])

    def write(self, count: int) -> None:
        """So many changes in the newest hour, in four shards; 2,000 at least, so that each has a key."""
        self._enable(self.start - STEP)
        for part in reversed(range(1, SHARDS)):  # from the right, so that the shard on the left is divided further
            uid = f"user_{count * part // SHARDS // sample.FIXES_PER_UID:04d}"
            self._tell("stream/split", {"table": self.table, "at": {"uid": uid}})
        self._at(self.start)
        sample.load(self._sdk, count, table=self.table)

    def write_backlog(self, hours: int, batch: int) -> int:
        """A batch of changes every five minutes for so many hours, up to the end of the newest; how many in all."""
        begin, batches = self.start + HOUR - hours * HOUR, hours * HOUR // STEP
        self._enable(begin - STEP)
        for turn in range(batches):
            self._at(begin + turn * STEP + timedelta(seconds=30))
            sample.load(self._sdk, batch, table=self.table)
        return batches * batch

    def spec(self, every: str = "1h", start: datetime | None = None) -> Path:
        """An incremental export of the table."""
        path = self.folder / "specs" / f"{self.table}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"pipeline: {self.table}\nkind: incremental\nsource: {{table: {self.table}, columns: {COLUMNS}}}\n"
            f"window: {{every: {every}, lag: 5m}}\nstart: {(start or self.start).isoformat()}\ncatchup: false\n"
            f'sink: {{type: oss, bucket: backup, prefix: "{self.table}/{{window_start:%Y%m%d%H%M}}/"}}\n'
        )
        return path

    def full_spec(self) -> Path:
        """A full export of the same rows and columns."""
        path = self.folder / "full.yaml"
        path.write_text(
            f"pipeline: {self.table}_full\nkind: full_export\nsource: {{table: {self.table}, columns: {COLUMNS}}}\n"
            f"sink: {{type: oss, bucket: backup, prefix: {self.table}_full/}}\n"
        )
        return path

    def run(self, rows: int, spec: Path, *options: str) -> Ran:
        """One run by the command, of which it is known how many rows it must publish."""
        ran = run([*COMMAND, "run", str(spec), "--json", *options], self.services["env"], self.folder)
        published = json.loads(ran.output)["rows"]
        if published != rows:
            raise RuntimeError(f"{published} rows were published, of {rows}")
        return ran

    def requests(self, spec: Path, start: datetime, rows: int) -> Counter[str]:
        """How often each operation is asked for, to export one window."""
        before = self._traffic()["total"]
        self.run(rows, spec, "--window-start", start.isoformat())
        told = self._traffic()
        count = told["total"] - before
        if count > len(told["requests"]):
            raise RuntimeError(f"the emulator has kept {len(told['requests'])} of {count} requests")
        return Counter(one["operation"] for one in told["requests"][-count:])

    def _traffic(self) -> dict[str, Any]:
        url = f"{self.services['tablestore']['endpoint']}/_emulator/requests"
        return dict(requests.get(url, timeout=30).json())

    def _enable(self, moment: datetime) -> None:
        access = self.services["tablestore"]
        names = ("endpoint", "instance", "access_key_id", "access_key_secret")
        self._at(moment)
        sample.create_table(self._sdk, self.table)
        with Client(Endpoint(*(access[name] for name in names))) as client:
            client.send(update_stream(self.table, RETENTION_HOURS))

    def _at(self, moment: datetime) -> None:
        """The clock of data goes on from there."""
        self._tell("clock", {"now": moment.isoformat()})

    def _tell(self, route: str, told: dict[str, Any]) -> None:
        url = f"{self.services['tablestore']['endpoint']}/_emulator/{route}"
        requests.post(url, json=told, timeout=30).raise_for_status()


def measured(
    folder: Path,
    say: Say,
    *,
    few: int = 50_000,
    many: int = 1_000_000,
    batch: int = sample.BATCH,
    rounds: int = 5,
    airflow_runs: int = 20,
) -> Iterator[Measured]:
    """All figures of windows.

    :param few: changes of the window whose time is taken. `many`: of the one whose memory is. `batch`: of every five
        minutes of a backlog.
    :param airflow_runs: runs in Airflow, one after the other; with none that part is left out.
    """
    (folder / "specs").mkdir(parents=True, exist_ok=True)
    with emulator(folder / "data", folder / "emulator.log") as services:
        changes = Changes(services, folder, "bench_few")
        say(f"Writing {few:,} changes ...")
        changes.write(few)
        yield _time(changes, few, rounds)
        yield from _requests_by_backlog(services, folder, batch)
        if airflow_runs:
            say(f"{airflow_runs} runs in Airflow ...")
            yield from _in_airflow(changes, few, airflow_runs)
        changes = Changes(services, folder, "bench_many")
        say(f"Writing {many:,} changes ...")
        changes.write(many)
        yield _memory(changes, many)


def _time(changes: Changes, rows: int, rounds: int) -> Measured:
    window = ("--window-start", changes.start.isoformat(), "--force")
    spec = changes.spec()
    ran = [changes.run(rows, spec, *window) for _ in range(rounds)]
    seconds, cpu = ([getattr(one, name) for one in ran] for name in ("seconds", "cpu_seconds"))
    return (
        f"window of {rows:,} changes",
        f"{median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), {median(cpu):.2f} s CPU",
        f"the whole process with its start and imports, to Parquet, published; median of {rounds}",
    )


def _memory(changes: Changes, rows: int) -> Measured:
    window = changes.run(rows, changes.spec(), "--window-start", changes.start.isoformat())
    full = changes.run(rows, changes.full_spec())
    return (
        f"window of {rows:,} changes, memory",
        f"{window.peak_mb:.0f} MB at most; {full.peak_mb:.0f} MB for a full export of the same rows",
        f"whole processes, to Parquet, {SHARDS} shards; they took {window.seconds:.1f} s and {full.seconds:.1f} s",
    )


def _requests_by_backlog(services: dict[str, Any], folder: Path, batch: int) -> Iterator[Measured]:
    """A first window, five minutes long, at the end of each backlog: no boundary is known before."""
    for hours in BACKLOGS:
        changes = Changes(services, folder, f"bench_backlog_{hours}")
        count = changes.write_backlog(hours, batch)
        start = changes.start + HOUR - STEP
        asked = changes.requests(changes.spec("5m"), start, batch)
        told = ", ".join(f"{asked[name]} {name}" for name in SEEKING)
        yield (
            f"requests for a window behind {hours} h of changes",
            told,
            f"the first window ever, of {batch} changes; {count:,} changes in the stream",
        )


def _in_airflow(changes: Changes, rows: int, runs: int) -> Iterator[Measured]:
    """Runs of the window by hand, one after the other; `start` lies ahead, so that the schedule adds none."""
    spec = changes.spec(start=datetime.now(UTC) + timedelta(days=2))
    loader = (
        '"""Airflow DAGs."""\nfrom airflow_tablestore.factory import load_specs\nglobals().update(load_specs("."))\n'
    )
    (spec.parent / "pipelines.py").write_text(loader)
    home = changes.folder / "airflow"
    home.mkdir()
    asked = {
        "window_start": changes.start.isoformat(),
        "window_end": (changes.start + HOUR).isoformat(),
        "force": True,
    }
    waited, ours, engine = [], [], []
    with Stack(home, spec.parent, changes.services["env"]) as stack:
        stack.wait_healthy([changes.table])
        for _ in range(runs):
            run_after, began, ended, summary = _run(stack, changes.table, asked)
            if summary["rows"] != rows:
                raise RuntimeError(f"{summary['rows']} rows were published, of {rows}")
            waited.append((began - run_after).total_seconds())
            ours.append((ended - began).total_seconds())
            engine.append(float(summary["seconds"]))
    whole = [before + after for before, after in zip(waited, ours, strict=True)]
    how = f"{runs} runs of {rows:,} changes by hand, one after the other; LocalExecutor, SQLite, PARALLELISM 4"
    for name, seconds in (
        ("run_after to published, in Airflow", whole),
        ("of it, until the task began: Airflow", waited),
        ("of it, the task: DAG file, imports, window", ours),
        ("of that, the window itself", engine),
    ):
        yield name, f"p50 {median(seconds):.2f} s, p95 {_p95(seconds):.2f} s", how


def _run(stack: Stack, dag_id: str, conf: dict[str, Any]) -> tuple[datetime, datetime, datetime, dict[str, Any]]:
    """When a run was to begin, when its task began and ended, and what the task tells of it."""
    run_id = stack.trigger(dag_id, conf)
    until = time.monotonic() + RUN_SECONDS
    while (state := stack.run_state(dag_id, run_id)) not in ("success", "failed"):
        if time.monotonic() > until:
            raise RuntimeError(f"run {run_id} is {state} after {RUN_SECONDS} s; logs: {stack.home}")
        time.sleep(0.2)
    if state == "failed":
        raise RuntimeError(f"run {run_id} failed; logs: {stack.home}")
    run_after = stack.api("GET", f"dags/{dag_id}/dagRuns/{run_id}")["run_after"]
    (task,) = stack.task_instances(dag_id, run_id)
    moments = (datetime.fromisoformat(moment) for moment in (run_after, task["start_date"], task["end_date"]))
    return *moments, stack.xcom(dag_id, run_id, task["task_id"])  # type: ignore[return-value]


def _p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
