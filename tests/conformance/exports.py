"""Small exports for tests of the publication: uploads as tasks leave them, without a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from airflow_tablestore.pipeline.claim import UploadLog, take_claim
from airflow_tablestore.pipeline.contract import Column, PendingObject, Schema
from airflow_tablestore.pipeline.fence import run_name
from airflow_tablestore.pipeline.layout import MANIFEST, SUCCESS, object_key
from airflow_tablestore.pipeline.manifest import Manifest, OutputColumn, PublishedObject, is_complete, read_manifest
from airflow_tablestore.pipeline.publish import Publication
from airflow_tablestore.pipeline.store import Store, crc64_of
from airflow_tablestore.pipeline.target import WriteMode
from airflow_tablestore.wire.row import ColumnType

PREFIX, PIPELINE = "gps/full/", "gps_full"

SCHEMA = Schema((Column("id", ColumnType.INTEGER, is_key=True),))


def claimed(store: Store, run: str) -> int:
    standing = read_manifest(store, PREFIX)
    return take_claim(store, PREFIX, PIPELINE, run, standing.claim + 1 if standing else 1)


def uploaded(
    store: Store, name: str, claim: int, contents: Mapping[int, bytes], attempt: int = 1
) -> tuple[PendingObject, ...]:
    """One object per split, as each split's task uploads it.

    :param name: what the objects are named after.
    """
    objects = []
    for split, data in contents.items():
        log = UploadLog(store, PREFIX, PIPELINE, claim, split, attempt)
        log.take_over()
        key = object_key(PREFIX, PIPELINE, name, split, 0, 0, ".csv")
        upload_id = log.begin(key)
        store.upload_part(key, upload_id, 1, data)
        objects.append(PendingObject(key, upload_id, rows=len(data), bytes=len(data), crc64=crc64_of(data)))
    return tuple(objects)


def publication(
    run: str, claim: int, uploads: tuple[PendingObject, ...], attempt: int = 1, mode: WriteMode = WriteMode.TRUNCATE
) -> Publication:
    manifest = Manifest(
        PIPELINE,
        run,
        claim,
        "ots_gps_data",
        begin=("INF_MIN",),
        end=("INF_MAX",),
        schema=SCHEMA,
        columns=(OutputColumn("id", "integer", "id"),),
        format={"type": "csv"},
        objects=tuple(PublishedObject(u.key, u.rows, u.bytes, u.crc64, run) for u in uploads),
    )
    return Publication(PREFIX, attempt, manifest, uploads, mode)


def prepared(store: Store, run: str, *contents: bytes, mode: WriteMode = WriteMode.TRUNCATE) -> Publication:
    """A run whose export tasks are done."""
    claim = claimed(store, run)
    name = run_name(store, PREFIX, PIPELINE, run, claim)
    return publication(run, claim, uploaded(store, name, claim, dict(enumerate(contents))), mode=mode)


def again(earlier: Publication, **changes: Any) -> Publication:
    """The next attempt at the same publication."""
    return replace(earlier, attempt=earlier.attempt + 1, **changes)


def visible(store: Any) -> dict[str, bytes]:
    """What a reader by listing sees: every object whose name has no underscore in front."""
    keys = [k for k in store.keys(PREFIX) if not k.removeprefix(PREFIX).startswith("_")]
    return {k.removeprefix(PREFIX): store.get(k) for k in keys}


def assert_published(store: Any, run: str, *contents: bytes) -> None:
    """The prefix holds this run's objects and no others, with both markers, and nothing is left over."""
    manifest = read_manifest(store, PREFIX)
    assert manifest is not None
    assert manifest.run == run
    assert is_complete(store, manifest)
    assert sorted(o.key.removeprefix(PREFIX) for o in manifest.objects) == sorted(visible(store))
    assert sorted(visible(store).values()) == sorted(contents)
    assert store.get(PREFIX + SUCCESS) is not None


def markers(store: Any) -> set[str]:
    return {name for name in (MANIFEST, SUCCESS) if store.get(PREFIX + name) is not None}


class FrozenInside:
    """The store as a publisher sees it that freezes after a step's rank check and before its first change."""

    def __init__(self, store: Any, step: str, meanwhile: Callable[[], object]):
        self._store, self._step, self._meanwhile = store, step, meanwhile
        self._is_armed = self.has_woken = False

    def before(self, step: str) -> None:
        self._is_armed = step == self._step

    def __getattr__(self, verb: str) -> Any:
        act = getattr(self._store, verb)

        def asked(*args: Any) -> Any:
            if self._is_armed and verb in ("put", "delete", "complete"):
                self._is_armed, self.has_woken = False, True
                self._meanwhile()
            return act(*args)

        return asked
