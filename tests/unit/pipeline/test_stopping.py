"""One thread fails, or the process is asked to end: all threads end soon, and nothing new is begun."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_tablestore.errors import Rejected, RetryLater
from airflow_tablestore.pipeline.contract import Limits, Quiet
from airflow_tablestore.pipeline.full_export.export import Services, run
from airflow_tablestore.pipeline.run import side_by_side
from airflow_tablestore.wire.call import Call
from tests.conformance.folder_store import FolderStore
from tests.conformance.memory_table import MemoryTable, numbered
from tests.integration.exporting import export

SOON_SECONDS = 60
"""Nothing here waits for so long, however slow the machine is."""


class HalfBrokenTable(MemoryTable):
    """Refuses a second page once the first one's rows are written; `ranges` counts what is asked for."""

    def __init__(self, written: threading.Event) -> None:
        super().__init__(numbered(40), points=[(("id", 20),)], page_rows=10)
        self.ranges, self._written, self._lock = 0, written, threading.Lock()

    def send(self, call: Call[Any]) -> Any:
        answer = super().send(call)
        if call.operation != "GetRange" or self.asked[-1].limit:
            return answer
        with self._lock:
            self.ranges += 1
            is_first = self.ranges == 1
        if not is_first:
            self._written.wait(SOON_SECONDS)
            raise Rejected("not this one", operation="GetRange", code="OTSNoPermissionAccess")
        return answer


class Written(Quiet):
    """Progress that tells when the first rows are written."""

    def __init__(self) -> None:
        self.first = threading.Event()

    def advance(self, rows: int, bytes_read: int) -> None:
        self.first.set()


def test_a_failure_wakes_threads_that_wait_for_their_share_of_the_rate(tmp_path: Path):
    slow = replace(export("truncate"), limits=Limits(threads=2, rows_per_second=0.001))
    progress = Written()
    services = Services(HalfBrokenTable(progress.first), FolderStore(tmp_path))
    ended: list[BaseException] = []

    def exporting() -> None:
        try:
            run(slow, services, run="r1", progress=progress)
        except Rejected as error:
            ended.append(error)

    thread = threading.Thread(target=exporting, daemon=True)
    thread.start()
    thread.join(SOON_SECONDS)

    assert [str(error) for error in ended] == ["GetRange: not this one"]


def test_an_interrupt_begins_no_further_slice():
    stop, begun = threading.Event(), []

    def slice_of(number: int) -> None:
        begun.append(number)
        stop.wait(SOON_SECONDS)

    def interrupted_while_submitting():
        for number in range(3):
            yield lambda number=number: slice_of(number)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side(interrupted_while_submitting(), 1, stop)

    assert begun == [0]


class BreaksAtTheSecondSlice(MemoryTable):
    """Reads the first slice to its end; what it raises then is given."""

    def __init__(self, broken: BaseException) -> None:
        super().__init__(numbered(40), points=[(("id", 20),)], page_rows=40)
        self.begun, self._broken = 0, broken

    def send(self, call: Call[Any]) -> Any:
        answer = super().send(call)
        if call.operation == "GetRange" and not self.asked[-1].limit:
            self.begun += 1
            if self.begun > 1:
                raise self._broken
        return answer


@pytest.mark.parametrize("broken", [Rejected("broke", operation="GetRange"), KeyboardInterrupt()])
def test_the_finished_slices_of_a_failed_attempt_leave_no_upload(tmp_path: Path, broken: BaseException):
    store = FolderStore(tmp_path)
    one_thread = replace(export("truncate"), limits=Limits(threads=1))

    with pytest.raises(type(broken)):
        run(one_thread, Services(BreaksAtTheSecondSlice(broken), store), run="r1")

    assert [verb for verb, _ in store.requests].count("upload_part") == 1
    assert store.pending_uploads() == []


def test_a_slice_that_begins_after_the_stop_reads_nothing(tmp_path: Path):
    table = HalfBrokenTable(threading.Event())
    one_thread = replace(export("truncate"), limits=Limits(threads=1))

    with pytest.raises(Rejected, match="no room"):
        run(one_thread, Services(table, RefusesUploads(tmp_path)), run="r1")

    assert table.ranges == 1


class RefusesUploads(FolderStore):
    def initiate(self, key: str) -> str:
        raise Rejected("no room", operation="InitiateMultipartUpload", code="QuotaExceeded")


class WaitingTable(MemoryTable):
    """A service that is busy for good; its second slice is refused while the first one waits for another attempt."""

    def __init__(self) -> None:
        super().__init__(numbered(40), points=[(("id", 20),)], page_rows=40)
        self._sleep: Callable[[float], bool | None] = time.sleep
        self._first = threading.Lock()  # held for good by the slice that asks first

    def pausing(self, sleep: Callable[[float], bool | None]) -> WaitingTable:
        self._sleep = sleep
        return self

    def send(self, call: Call[Any]) -> Any:
        answer = super().send(call)
        if call.operation != "GetRange" or self.asked[-1].limit:
            return answer
        if not self._first.acquire(blocking=False):
            raise Rejected("not this one", operation="GetRange", code="OTSNoPermissionAccess")
        self._sleep(SOON_SECONDS)
        raise RetryLater("still busy", operation="GetRange", code="OTSServerBusy")


def test_a_failure_ends_the_wait_for_another_attempt_and_is_the_one_told(tmp_path: Path):
    began = time.monotonic()
    two_threads = replace(export("truncate"), limits=Limits(threads=2))

    with pytest.raises(Rejected, match="not this one"):
        run(two_threads, Services(WaitingTable(), FolderStore(tmp_path)), run="r1")

    assert time.monotonic() - began < SOON_SECONDS / 2
