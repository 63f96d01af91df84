"""What is kept, what is let go of and when, without HTTP."""

from __future__ import annotations

import pytest

from airflow_tablestore.emulator.oss import uploads
from airflow_tablestore.emulator.oss.errors import Refusal
from airflow_tablestore.emulator.oss.pieces import INLINE_BYTES
from airflow_tablestore.emulator.oss.rows import NORMAL, Content
from airflow_tablestore.emulator.oss.store import Store
from airflow_tablestore.errors import SpecError

LONG = b"l" * (INLINE_BYTES + 1)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    store.create_bucket("backup")
    yield store
    store.close()


def put(store, key, body):
    spool = store.spool()
    spool.write(body)
    piece = spool.piece()
    stored = store.put("backup", key, Content(NORMAL, "e", [piece], piece.crc), {}, is_new_only=False)
    spool.adopted()
    spool.discard()
    return stored


def files(store):
    return list((store.folder.path("x").parent).iterdir())


def body_of(store, key):
    found = store.find("backup", key)
    with store.read(found, 0, found.size) as reading:
        return b"".join(reading.chunks())


def test_only_long_bodies_are_files(store):
    put(store, "short", LONG[1:])
    assert files(store) == []

    put(store, "long", LONG)

    assert len(files(store)) == 1
    assert body_of(store, "long") == LONG


def test_a_replaced_body_is_removed(store):
    put(store, "object", LONG)
    put(store, "object", b"short")

    assert files(store) == []
    assert body_of(store, "object") == b"short"


def test_a_body_stays_while_it_is_read(store):
    found = put(store, "object", LONG)
    reading = store.read(found, 0, found.size)

    store.delete("backup", ["object"])
    still_there = b"".join(reading.chunks())
    reading.close()

    assert still_there == LONG
    assert files(store) == []


def test_an_object_that_was_replaced_is_not_read_as_the_old_one(store):
    old = put(store, "object", LONG)
    put(store, "object", b"new")

    assert store.read(old, 0, old.size) is None


def test_a_copy_outlives_its_source(store):
    source = put(store, "source", LONG)
    store.copy(source, "backup", "copy", {}, is_new_only=False)

    store.delete("backup", ["source"])
    assert body_of(store, "copy") == LONG
    store.delete("backup", ["copy"])

    assert files(store) == []


def test_a_copy_of_a_gone_source_is_refused(store):
    source = put(store, "source", LONG)
    store.delete("backup", ["source"])

    with pytest.raises(Refusal):
        store.copy(source, "backup", "copy", {}, is_new_only=False)


def test_a_refused_body_leaves_no_file(store):
    upload = uploads.begin(store, "backup", "object", {}, is_new_only=False)
    uploads.abort(store, "backup", "object", upload.id)
    spool = store.spool()
    spool.write(LONG)

    with pytest.raises(Refusal):
        uploads.put_part(store, "backup", "object", upload.id, 1, spool.piece())
    spool.discard()

    assert files(store) == []


def test_parts_that_are_replaced_left_out_or_aborted_are_removed(store):
    upload = uploads.begin(store, "backup", "object", {}, is_new_only=False)

    def part(number, body):
        spool = store.spool()
        spool.write(body)
        kept = uploads.put_part(store, "backup", "object", upload.id, number, spool.piece())
        spool.adopted()
        return uploads.ListedPart(number, kept.etag)

    part(1, LONG)
    first, _ = part(1, LONG + b"1"), part(2, LONG)
    assert len(files(store)) == 2
    uploads.complete(store, "backup", "object", upload.id, [first], is_new_only=False)

    assert len(files(store)) == 1
    assert body_of(store, "object") == LONG + b"1"


def test_what_nobody_names_is_swept_at_the_start(store, tmp_path):
    put(store, "object", LONG)
    spool = store.spool()
    spool.write(LONG)  # and the process dies here
    store.close()

    again = Store(tmp_path)

    assert again.swept == 1
    assert body_of(again, "object") == LONG
    again.close()


def test_a_store_of_another_version_is_refused(store, tmp_path):
    with store.database.writing() as connection:
        connection.execute("PRAGMA user_version = 99")
    store.close()

    with pytest.raises(SpecError, match="another version"):
        Store(tmp_path)


@pytest.mark.parametrize("name", ["ab", "-ab", "ab-", "Ab1", "a_b", "a" * 64, "a.b"])
def test_a_bad_bucket_name_is_refused(store, name):
    with pytest.raises(Refusal) as refusal:
        store.create_bucket(name)

    assert refusal.value.code == "InvalidBucketName"
