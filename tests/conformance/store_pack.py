"""What every object store must do. A store joins in one line of `test_stores.py`."""

from __future__ import annotations

import pytest

from airflow_tablestore.pipeline.store import Store, UploadGone, crc64_of


def what_is_put_is_there(store: Store, at: str) -> None:
    store.put(at + "a b/ä+%", b"some bytes")

    assert store.get(at + "a b/ä+%") == b"some bytes"
    found = store.head(at + "a b/ä+%")
    assert found is not None
    assert (found.key, found.bytes, found.crc64) == (at + "a b/ä+%", 10, crc64_of(b"some bytes"))


def what_is_absent_is_none(store: Store, at: str) -> None:
    assert store.get(at + "none") is None
    assert store.head(at + "none") is None


def an_object_is_read_in_parts(store: Store, at: str) -> None:
    store.put(at + "k", b"0123456789")

    assert store.read(at + "k", 0, 4) == b"0123"
    assert store.read(at + "k", 8, 4) == b"89"
    assert store.read(at + "k", 10, 4) == b""
    assert store.read(at + "none", 0, 4) is None


def put_if_absent_never_overwrites(store: Store, at: str) -> None:
    assert store.put_if_absent(at + "k", b"first")
    assert not store.put_if_absent(at + "k", b"second")

    assert store.get(at + "k") == b"first"


def list_gives_every_key_in_order(store: Store, at: str) -> None:
    for name in ("b", "a/2", "a/1", "ab", "ü & <x>"):
        store.put(at + name, name.encode())
    store.put(at[:-1] + "-beside", b"")

    assert [(o.key, o.bytes) for o in store.list(at)] == [
        (at + name, len(name.encode())) for name in ("a/1", "a/2", "ab", "b", "ü & <x>")
    ]
    assert [o.key for o in store.list(at + "a/")] == [at + "a/1", at + "a/2"]


def deleting_takes_what_is_there_and_what_is_not(store: Store, at: str) -> None:
    store.put(at + "a", b"")
    store.put(at + "b & <c>", b"")

    store.delete([at + "a", at + "never", at + "b & <c>"])
    store.delete([])

    assert list(store.list(at)) == []


def an_upload_is_invisible_until_completed(store: Store, at: str) -> None:
    upload = store.initiate(at + "k")
    big = bytes(range(256)) * 512
    store.upload_part(at + "k", upload, 1, big)
    store.upload_part(at + "k", upload, 2, b"end")

    assert store.head(at + "k") is None
    parts = store.list_parts(at + "k", upload)
    assert [(p.number, p.bytes) for p in parts] == [(1, len(big)), (2, 3)]
    assert store.complete(at + "k", upload, parts) == crc64_of(big + b"end")
    assert store.get(at + "k") == big + b"end"


def completing_replaces_what_stood_there(store: Store, at: str) -> None:
    store.put(at + "k", b"old")
    upload = store.initiate(at + "k")
    part = store.upload_part(at + "k", upload, 1, b"new")

    store.complete(at + "k", upload, [part])

    assert store.get(at + "k") == b"new"


def an_aborted_upload_is_gone(store: Store, at: str) -> None:
    upload = store.initiate(at + "k")
    part = store.upload_part(at + "k", upload, 1, b"x")

    store.abort(at + "k", upload)
    store.abort(at + "k", upload)

    for verb in (
        lambda: store.upload_part(at + "k", upload, 2, b"x"),
        lambda: store.list_parts(at + "k", upload),
        lambda: store.complete(at + "k", upload, [part]),
    ):
        with pytest.raises(UploadGone):
            verb()
    assert store.head(at + "k") is None


def a_completed_upload_is_gone(store: Store, at: str) -> None:
    upload = store.initiate(at + "k")
    part = store.upload_part(at + "k", upload, 1, b"x")
    store.complete(at + "k", upload, [part])

    with pytest.raises(UploadGone):
        store.complete(at + "k", upload, [part])
    store.abort(at + "k", upload)

    assert store.get(at + "k") == b"x"


def two_uploads_of_one_key_do_not_meet(store: Store, at: str) -> None:
    first, second = store.initiate(at + "k"), store.initiate(at + "k")
    one = store.upload_part(at + "k", first, 1, b"one")
    two = store.upload_part(at + "k", second, 1, b"two!")

    store.complete(at + "k", second, [two])
    assert store.get(at + "k") == b"two!"

    store.complete(at + "k", first, [one])
    assert store.get(at + "k") == b"one"


def a_uri_names_the_key(store: Store, at: str) -> None:
    assert store.uri(at + "k").startswith("oss://")
    assert store.uri(at + "k").endswith("/" + at + "k")


CLAIMS = (
    what_is_put_is_there,
    what_is_absent_is_none,
    an_object_is_read_in_parts,
    put_if_absent_never_overwrites,
    list_gives_every_key_in_order,
    deleting_takes_what_is_there_and_what_is_not,
    an_upload_is_invisible_until_completed,
    completing_replaces_what_stood_there,
    an_aborted_upload_is_gone,
    a_completed_upload_is_gone,
    two_uploads_of_one_key_do_not_meet,
    a_uri_names_the_key,
)
