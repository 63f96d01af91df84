"""Snapshots that are killed, frozen out of memory or robbed of an object: what stands is the old one or the new one."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_tablestore.errors import ProtocolError, RetryLater
from airflow_tablestore.pipeline.layout import SUCCESS
from airflow_tablestore.pipeline.manifest import is_complete, read_manifest
from airflow_tablestore.pipeline.snapshot.snapshot import SnapshotServices, run
from tests.conformance.folder_store import FolderStore
from tests.integration.exporting import CHANGING
from tests.integration.snapshotting import PREFIX, put_small_history, snapshot

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def rows_after(windows: int) -> list[bytes]:
    """The rows of the small history once so many windows have passed."""
    return sorted(f"{n},{f'w{n}' if n < windows else 'base'}".encode() for n in range(10))


def published_rows(store: FolderStore) -> list[bytes] | None:
    """What a reader finds; None while neither marker stands."""
    manifest = read_manifest(store, PREFIX)
    if manifest is None or store.get(PREFIX + SUCCESS) is None:
        return None
    assert is_complete(store, manifest)
    return sorted(line for one in manifest.objects for line in (store.get(one.key) or b"").splitlines())


def prepared(folder: Path) -> FolderStore:
    """A store where the first snapshot stands."""
    store = FolderStore(folder)
    put_small_history(store)
    run(snapshot(5), SnapshotServices(store, store), run="r1")
    return store


def worker(*words: str) -> list[str]:
    command = [sys.executable, "-m", "tests.integration.snapshotting", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def test_a_snapshot_killed_before_any_change_leaves_the_old_or_the_new_one(tmp_path):
    store = prepared(tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "counted")
    counted = FolderStore(tmp_path / "counted")
    run(snapshot(10), SnapshotServices(counted, counted), run="r2")
    count = sum(verb in CHANGING for verb, _ in counted.requests)
    for nth in range(1, count + 1):
        shutil.copytree(tmp_path / "old", tmp_path / f"n{nth}")

    signals = worker("killed", str(tmp_path), str(count))

    assert published_rows(store) == rows_after(1)
    assert signals == [str(int(signal.SIGKILL))] * count
    met = []
    for nth in range(1, count + 1):
        left = FolderStore(tmp_path / f"n{nth}")
        met.append(published_rows(left))
        assert met[-1] in (None, rows_after(1), rows_after(2)), f"change {nth}"
        run(snapshot(10), SnapshotServices(left, left), run="r2", attempt=2)
        assert published_rows(left) == rows_after(2), f"change {nth}"
        assert len(left.pending_uploads()) <= 2  # begun, and killed before they were on record
    assert met[0] == rows_after(1)
    assert met[-1] == rows_after(2)


def test_a_snapshot_of_a_snapshot_needs_neither_the_full_export_nor_older_windows(tmp_path):
    store = FolderStore(tmp_path)
    put_small_history(store)
    services = SnapshotServices(store, store)
    run(snapshot(10, "base/first/"), services, run="r1")
    store.delete([*store.keys("base/full/"), *store.keys("changes/0/")])

    report = run(snapshot(15), services, run="r2")

    assert report.rows == 10
    assert published_rows(store) == rows_after(3)


def test_a_snapshot_that_is_made_again_is_not_its_own_base(tmp_path):
    store = prepared(tmp_path)
    (data,) = [key for key in store.keys(PREFIX) if key.endswith(".csv")]
    store.delete([data])

    run(snapshot(5), SnapshotServices(store, store), run="r1")

    assert published_rows(store) == rows_after(1)


@pytest.mark.parametrize("place", ["base/full/o-00000-00-0000.csv", "changes/0/o-00000-00-0000.csv"])
def test_an_object_that_is_gone_is_told_before_anything_is_written(tmp_path, place):
    store = prepared(tmp_path)
    store.delete([place])
    store.requests.clear()

    with pytest.raises(ProtocolError, match=f"oss://fake/{place} is missing.*Nothing was done"):
        run(snapshot(10), SnapshotServices(store, store), run="r2")

    assert not [verb for verb, _ in store.requests if verb in CHANGING]
    assert published_rows(store) == rows_after(1)


def test_an_object_that_is_replaced_while_it_is_read_is_tried_again(tmp_path):
    store = prepared(tmp_path)

    class Replaced(FolderStore):
        def read(self, key, begin, size):
            return b"x" * size

    with pytest.raises(RetryLater, match=r"has changed.*The next attempt begins anew"):
        run(snapshot(10), SnapshotServices(Replaced(tmp_path), store), run="r2")

    assert published_rows(store) == rows_after(1)
    assert store.pending_uploads() == []


def test_a_window_that_is_published_late_is_awaited_by_the_next_attempt(tmp_path):
    store = prepared(tmp_path)
    marker = "changes/1/_SUCCESS"
    late = store.get(marker)
    store.delete([marker])

    with pytest.raises(RetryLater, match=r"no window below .* holds the changes from .* The next attempt looks again"):
        run(snapshot(10), SnapshotServices(store, store), run="r2")
    assert published_rows(store) == rows_after(1)
    store.put(marker, late)
    run(snapshot(10), SnapshotServices(store, store), run="r2", attempt=2)

    assert published_rows(store) == rows_after(2)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="resets and reads VmHWM in /proc")
def test_a_larger_base_takes_no_more_memory(tmp_path):
    peaks = []
    for rows in (5_000, 25_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        folded, peak = map(int, worker("measured", str(folder), str(rows), str(1 << 17)))
        assert folded == rows
        peaks.append(peak)

    few, many = peaks
    assert many - few < 12
