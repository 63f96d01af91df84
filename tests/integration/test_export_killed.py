"""Kills, races and sleepers, with real processes: whatever happens, the prefix holds one export, whole.

The oracle is the rows that the table was made of, never what the engine reports.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_tablestore.pipeline.full_export.export import Services, export_split, plan, publish, run
from airflow_tablestore.pipeline.layout import SUCCESS
from airflow_tablestore.pipeline.manifest import is_complete, read_manifest
from airflow_tablestore.pipeline.publish import STEPS, publish_objects
from tests.conformance.exports import PREFIX, again, assert_published, prepared, visible
from tests.conformance.folder_store import FolderStore
from tests.integration.exporting import CHANGING, ROWS, export, table

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120


def rows_of(*runs: str) -> list[bytes]:
    """The lines that these runs' tables make: columns id, n, text and _other."""
    return sorted(f"{number},{number},{name},".encode() for name in runs for number in range(ROWS))


def published_rows(store: FolderStore) -> list[bytes]:
    """What a reader of the manifest finds."""
    manifest = read_manifest(store, PREFIX)
    assert manifest is not None
    assert is_complete(store, manifest)
    assert store.get(PREFIX + SUCCESS) is not None
    return sorted(line for o in manifest.objects for line in (store.get(o.key) or b"").splitlines())


def assert_whole(store: FolderStore, *runs: str) -> None:
    assert published_rows(store) == rows_of(*runs)
    assert sorted(line for data in visible(store).values() for line in data.splitlines()) == rows_of(*runs)


def start(folder: Path, run: str, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.integration.exporting", str(folder), run, *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def changing_requests(folder: Path, mode: str = "truncate") -> int:
    """How many requests of a run over an earlier export change something."""
    store = FolderStore(folder)
    run(export(mode), Services(table("r1"), store), run="r1")
    store.requests.clear()
    run(export(mode), Services(table("r2"), store), run="r2")
    return sum(verb in CHANGING for verb, _ in store.requests)


@pytest.mark.parametrize("mode", ["truncate", "append"])
def test_a_run_killed_before_any_request_is_made_good_by_the_next(tmp_path, mode):
    count = changing_requests(tmp_path / "counted", mode)
    running: list[tuple[int, Path, subprocess.Popen[bytes]]] = []
    kept = ["r1"] if mode == "append" else []

    def settle(nth: int, folder: Path, process: subprocess.Popen[bytes]) -> None:
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == -signal.SIGKILL, f"request {nth}: {errors.decode()[-2000:]}"
        store = FolderStore(folder)
        if store.get(PREFIX + SUCCESS) is not None:
            assert published_rows(store) in (rows_of("r1"), rows_of(*kept, "r2")), f"request {nth}"
        run(export(mode), Services(table("r2"), store), run="r2")
        assert_whole(store, *kept, "r2")
        assert len(store.pending_uploads()) <= 2  # begun, and killed before they were on record

    for nth in range(1, count + 1):
        folder = tmp_path / f"{nth}"
        run(export(mode), Services(table("r1"), FolderStore(folder)), run="r1")
        running.append((nth, folder, start(folder, "r2", "--mode", mode, "--nth", str(nth))))
        if len(running) == 2:
            settle(*running.pop(0))
    for left in running:
        settle(*left)


def in_a_child(act: Callable[[], object]) -> int:
    """Run in a forked process; the exit status as `os.waitpid` gives it."""
    child = os.fork()
    if not child:
        try:
            act()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.parametrize("step", [name for name, _ in STEPS])
def test_a_publisher_killed_before_a_step_is_rolled_forward(tmp_path, step):
    store = FolderStore(tmp_path)
    publish_objects(store, prepared(store, "r1", b"old"))
    second = prepared(store, "r2", b"a", b"b")

    def die(name: str) -> None:
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    status = in_a_child(lambda: publish_objects(store, second, die))
    publish_objects(store, again(second))

    assert os.WTERMSIG(status) == signal.SIGKILL
    assert_published(store, "r2", b"a", b"b")


def stopped(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process has stopped itself."""
    last = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < last:
        if Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T":
            return
        time.sleep(0.05)
    pytest.fail("the process did not stop")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see that a process has stopped")
@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_a_run_that_slept_through_a_later_one_cannot_publish(tmp_path, part):
    count = changing_requests(tmp_path / "counted")
    folder = tmp_path / "store"
    store = FolderStore(folder)
    run(export("truncate"), Services(table("r1"), store), run="r1")
    nth = max(2, round(count * part))

    sleeper = start(folder, "r2", "--nth", str(nth), "--signal", "SIGSTOP")
    stopped(sleeper)
    had_published = store.get(PREFIX + SUCCESS) is not None and published_rows(store) == rows_of("r2")
    run(export("truncate"), Services(table("r3"), store), run="r3")
    sleeper.send_signal(signal.SIGCONT)
    _, errors = sleeper.communicate(timeout=PATIENCE_SECONDS)

    assert had_published or b"Superseded" in errors or b"StartOver" in errors
    assert_whole(store, "r3")


def test_two_runs_at_once_leave_one_export_whole(tmp_path):
    for turn in range(3):
        folder = tmp_path / f"{turn}"
        racing = [start(folder, "r1"), start(folder, "r2")]
        errors = [process.communicate(timeout=PATIENCE_SECONDS)[1] for process in racing]
        winners = [f"r{n}" for n, process in enumerate(racing, 1) if process.returncode == 0]

        assert winners, b"\n".join(errors).decode()
        store = FolderStore(folder)
        manifest = read_manifest(store, PREFIX)
        assert manifest is not None
        assert manifest.run in winners
        assert_whole(store, manifest.run)


def test_tasks_and_one_process_make_the_same_objects(tmp_path):
    one, tasks = FolderStore(tmp_path / "one"), FolderStore(tmp_path / "tasks")
    exported = export("truncate")
    run(exported, Services(table("x"), one), run="r1")

    services = Services(table("x"), tasks)
    planned = plan(exported, services, run="r1")
    reports = [export_split(exported, services, planned.head, split, attempt=1) for split in reversed(planned.splits)]
    publish(exported, services, planned.head, reports, attempt=1)

    assert visible(tasks) == visible(one)
    assert [o.key for o in tasks.list(PREFIX)] == [o.key for o in one.list(PREFIX)]


def test_an_exporter_killed_in_its_split_is_replaced_by_its_next_attempt(tmp_path):
    store = FolderStore(tmp_path)
    exported, services = export("truncate"), Services(table("x"), store)
    planned = plan(exported, services, run="r1")

    class Dying(FolderStore):
        def upload_part(self, *args):
            os.kill(os.getpid(), signal.SIGKILL)

    dying = Services(table("x"), Dying(tmp_path))
    status = in_a_child(lambda: export_split(exported, dying, planned.head, planned.splits[0], attempt=1))
    reports = [export_split(exported, services, planned.head, split, attempt=2) for split in planned.splits]
    publish(exported, services, planned.head, reports, attempt=1)

    assert os.WTERMSIG(status) == signal.SIGKILL
    assert_whole(store, "x")
    assert store.pending_uploads() == []
