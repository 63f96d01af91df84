"""How a slice becomes objects, and the loop that carries it there."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_tablestore.errors import DirtyLimitExceeded, RetryLater, Superseded
from airflow_tablestore.pipeline.claim import UploadLog
from airflow_tablestore.pipeline.contract import Batch, Constant, Limits, Picked, Quiet
from airflow_tablestore.pipeline.dirty import DirtyRecords
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.formats.text import Text
from airflow_tablestore.pipeline.run import Stopped, Work, carry, side_by_side
from airflow_tablestore.pipeline.sinks import objects
from airflow_tablestore.pipeline.sinks.objects import ObjectWriter
from airflow_tablestore.pipeline.store import crc64_of
from airflow_tablestore.pipeline.throttle import Throttle
from airflow_tablestore.pipeline.transforms.columns import Columns
from airflow_tablestore.wire.row import ColumnType
from tests.conformance.exports import PIPELINE, PREFIX
from tests.conformance.folder_store import FolderStore

SCHEMA = pa.schema([("id", pa.int64()), ("s", pa.string())])


def batch(start: int, count: int, text: str = "some text") -> pa.RecordBatch:
    return pa.record_batch([list(range(start, start + count)), [text] * count], schema=SCHEMA)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def writer_at(store: FolderStore, format=None, max_bytes: int = 0, attempt: int = 1) -> ObjectWriter:
    log = UploadLog(store, PREFIX, PIPELINE, 1, 0, attempt)
    return ObjectWriter(store, log, format or Csv(header=False), SCHEMA, lambda n: f"{PREFIX}{n}", max_bytes)


def content(store: FolderStore, upload) -> bytes:
    store.complete(upload.key, upload.upload_id, store.list_parts(upload.key, upload.upload_id))
    return store.get(upload.key)


class Given:
    """A source of batches."""

    def __init__(self, *batches: pa.RecordBatch):
        self._batches = batches

    def schema(self) -> pa.Schema:
        return SCHEMA

    def batches(self):
        return (Batch(b, bytes_read=100) for b in self._batches)


def work(store, source, format=None, transforms=(), allowed=0, stop=None) -> Work:
    limits = Limits()
    return Work(
        source,
        transforms,
        format or Csv(header=False),
        writer_at(store, format),
        DirtyRecords(allowed),
        Throttle(limits),
        Quiet(),
        stop or threading.Event(),
        ("id", "s"),
    )


def test_no_rows_make_no_object(store):
    writer = writer_at(store)

    writer.write(batch(0, 0))

    assert list(writer.finish()) == []
    assert store.requests == []


def test_an_object_has_the_rows_bytes_and_crc64_that_are_reported(store):
    writer = writer_at(store)
    writer.write(batch(0, 3))
    writer.write(batch(3, 2))

    (upload,) = writer.finish()

    data = content(store, upload)
    assert data == b"".join(b"%d,some text\n" % n for n in range(5))
    assert (upload.rows, upload.bytes, upload.crc64) == (5, len(data), crc64_of(data))


def test_large_objects_go_in_parts_and_parts_grow(store, monkeypatch):
    monkeypatch.setattr(objects, "PART_BYTES", 1000)
    monkeypatch.setattr(objects, "PARTS_OF_ONE_SIZE", 2)
    writer = writer_at(store)
    monkeypatch.setattr("airflow_tablestore.pipeline.formats.compression.BLOCK_BYTES", 300)
    writer.write(batch(0, 1000))

    (upload,) = writer.finish()

    sizes = [part.bytes for part in store.list_parts(upload.key, upload.upload_id)]
    assert sizes[:5] == [1000, 1000, 2000, 2000, 3000]
    assert crc64_of(content(store, upload)) == upload.crc64


@pytest.mark.parametrize("format", [Csv(), Parquet(row_group_rows=1000)], ids=["csv", "parquet"])
def test_an_object_that_has_reached_its_size_is_followed_by_the_next(store, format, monkeypatch):
    monkeypatch.setattr(objects, "ROLL_ROWS", 100)
    monkeypatch.setattr("airflow_tablestore.pipeline.formats.compression.BLOCK_BYTES", 500)
    whole = batch(0, 3000)

    one = writer_at(store, format, max_bytes=3000)
    one.write(whole)
    uploads = list(one.finish())
    other = writer_at(store, format, max_bytes=3000)
    for start in range(0, 3000, 7):
        other.write(whole.slice(start, 7))

    assert len(uploads) > 1
    assert sum(u.rows for u in uploads) == 3000
    assert [u.key for u in uploads] == [f"{PREFIX}{n}" for n in range(len(uploads))]
    assert [u.crc64 for u in other.finish()] == [u.crc64 for u in uploads]


def test_aborting_leaves_no_upload(store):
    writer = writer_at(store, max_bytes=10)
    writer.write(batch(0, 10_000))

    writer.abort()

    assert store.pending_uploads() == []


def test_an_abandoned_parquet_object_gets_no_footer(store, monkeypatch):
    monkeypatch.setattr(objects, "PART_BYTES", 1)
    writer = writer_at(store, Parquet(row_group_rows=1))
    writer.write(batch(0, 3))
    sent = store.requests.count(("upload_part", PREFIX + "0"))

    writer.abort()
    del writer
    gc.collect()

    assert sent
    assert store.requests.count(("upload_part", PREFIX + "0")) == sent


def test_a_writer_whose_upload_was_taken_over_stops(store):
    writer = writer_at(store)
    writer.write(batch(0, 1))
    UploadLog(store, PREFIX, PIPELINE, 1, 0, attempt=2).take_over()
    UploadLog(store, PREFIX, PIPELINE, 1, 0, attempt=2).begin(PREFIX + "0")

    with pytest.raises(Superseded):
        writer.finish()


def test_an_upload_aborted_by_nobody_of_ours_may_be_tried_again(store):
    writer = writer_at(store)
    writer.write(batch(0, 1))
    for folder in (store.folder / "uploads").iterdir():
        store._remove(folder)

    with pytest.raises(RetryLater, match="aborted from outside"):
        writer.finish()


def test_a_slice_is_read_changed_and_written(store):
    change = Columns((Picked("s", "text"), Constant(7, ColumnType.INTEGER, "seven"), Picked("id", "id")))

    receipt = carry(work(store, Given(batch(0, 2), batch(2, 1)), transforms=(change,)))

    assert content(store, receipt.objects[0]) == b"some text,7,0\nsome text,7,1\nsome text,7,2\n"
    assert (receipt.rows, receipt.bytes_read, receipt.unfit) == (3, 200, 0)


def test_rows_that_the_format_cannot_hold_are_dirty_records(store):
    source = Given(batch(0, 1), batch(1, 2, "a\nb"), batch(3, 1))

    receipt = carry(work(store, source, Text(), allowed=2))

    assert content(store, receipt.objects[0]) == b"0,some text\n3,some text\n"
    assert (receipt.rows, receipt.unfit) == (2, 2)
    with pytest.raises(DirtyLimitExceeded, match="id=2, s=a"):
        carry(work(store, source, Text(), allowed=1))


def test_a_failed_slice_leaves_no_upload_and_stops_the_others(store):
    stop = threading.Event()

    class Breaking(Given):
        def batches(self):
            yield from super().batches()
            raise RetryLater("the source broke")

    with pytest.raises(RetryLater):
        carry(work(store, Breaking(batch(0, 10)), stop=stop))

    assert store.pending_uploads() == []
    with pytest.raises(Stopped):
        carry(work(store, Given(batch(0, 10)), stop=stop))


def test_side_by_side_raises_the_cause_and_not_the_consequence():
    stop = threading.Event()

    def consequence():
        stop.wait(60)
        raise Stopped

    def cause():
        stop.set()
        raise RetryLater("the cause")

    with pytest.raises(RetryLater, match="the cause"):
        side_by_side([consequence, cause, lambda: 1], 2, stop)


def test_side_by_side_keeps_the_order_of_jobs():
    assert side_by_side([lambda n=n: n for n in range(20)], 4, threading.Event()) == list(range(20))
