"""Publishers and exporters that are outranked and do not know it yet: what they leave, what they must not touch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from airflow_tablestore.errors import RetryLater, StartOver, Superseded
from airflow_tablestore.pipeline.claim import UploadLog
from airflow_tablestore.pipeline.contract import PendingObject
from airflow_tablestore.pipeline.layout import SUCCESS
from airflow_tablestore.pipeline.publish import Publication, publish_objects
from airflow_tablestore.pipeline.store import Part
from airflow_tablestore.pipeline.target import WriteMode
from tests.conformance.exports import (
    PIPELINE,
    PREFIX,
    FrozenInside,
    again,
    assert_published,
    claimed,
    markers,
    prepared,
    publication,
    uploaded,
)
from tests.conformance.folder_store import FolderStore


class Crash(Exception):
    """Stands for the end of a process."""


class FullStore(FolderStore):
    """A store that takes no more objects, though uploads can be begun."""

    def put(self, key: str, data: bytes) -> None:
        raise RetryLater("no", operation="PutObject")


def crashing_at(step: str):
    def before(name: str) -> None:
        if name == step:
            raise Crash(step)

    return before


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.mark.parametrize("older_returns_at", ["set_manifest_aside", "remove_manifest", "complete_uploads"])
def test_an_older_publisher_puts_no_success_beside_a_publication_on_its_way(store, older_returns_at):
    publish_objects(store, prepared(store, "r1", b"old"))
    older, newer = prepared(store, "r2", b"older"), prepared(store, "r3", b"a", b"b", b"c")
    completions = []

    def older_returns(step: str) -> None:
        if step == older_returns_at and not completions:
            with pytest.raises(Superseded):
                publish_objects(store, older)
        if step == "complete_uploads":
            completions.append(step)
            if len(completions) == 2:
                raise Crash(step)

    with pytest.raises(Crash):
        publish_objects(store, newer, older_returns)

    assert markers(store) == set()


def test_publication_aborts_uploads_that_an_outranked_attempt_began_late(store):
    claim = claimed(store, "r1")
    late = UploadLog(store, PREFIX, PIPELINE, claim, 0, attempt=1)
    UploadLog(store, PREFIX, PIPELINE, claim, 0, attempt=2).take_over()
    late.begin(PREFIX + "late")
    uploads = uploaded(store, "r1", claim, {0: b"a"}, attempt=2)

    publish_objects(store, publication("r1", claim, uploads))

    assert store.pending_uploads() == []
    assert_published(store, "r1", b"a")


def test_publication_leaves_a_split_alone_that_is_being_exported_again(store):
    first = prepared(store, "r1", b"a", b"b")
    claim = first.manifest.claim
    redone: list[PendingObject] = []

    def exported_again(step: str) -> None:
        if step == "clear_pending":
            redone.extend(uploaded(store, "r1", claim, {1: b"b again"}, attempt=2))

    publish_objects(store, first, exported_again)
    publish_objects(store, publication("r1", claim, (first.uploads[0], *redone), attempt=2))

    assert_published(store, "r1", b"a", b"b again")
    assert store.pending_uploads() == []


def test_an_upload_that_cannot_be_recorded_is_aborted(tmp_path):
    store = FullStore(tmp_path)

    with pytest.raises(RetryLater):
        UploadLog(store, PREFIX, PIPELINE, claim=1, split=0, attempt=1).begin(PREFIX + "k")

    assert store.pending_uploads() == []


def test_a_publisher_frozen_inside_its_deletion_spares_a_run_published_again(store):
    publish_objects(store, prepared(store, "r1", b"old"))
    sleeper, later = prepared(store, "r2", b"sleeper"), prepared(store, "r1", b"r1 again")
    frozen = FrozenInside(store, "delete_replaced", lambda: publish_objects(store, later))

    with pytest.raises(Superseded):
        publish_objects(frozen, sleeper, frozen.before)

    assert_published(store, "r1", b"r1 again")


def test_a_publisher_frozen_inside_its_deletion_spares_a_run_that_comes_later_still(store):
    publish_objects(store, prepared(store, "r1", b"old"))

    def meanwhile() -> None:
        for run in ("r3", "r4", "r1"):
            publish_objects(store, prepared(store, run, run.encode()))

    frozen = FrozenInside(store, "delete_replaced", meanwhile)
    with pytest.raises(Superseded):
        publish_objects(frozen, prepared(store, "r2", b"sleeper"), frozen.before)

    assert_published(store, "r1", b"r1")


def test_objects_that_somebody_may_still_delete_are_not_made_again(store):
    first = prepared(store, "r1", b"a", b"b")
    claim = first.manifest.claim
    publish_objects(store, first)
    publish_objects(store, publication("r1", claim, first.uploads[:1], attempt=2))
    redone = uploaded(store, "r1", claim, {1: b"b again"}, attempt=2)

    with pytest.raises(StartOver, match="Clear the task 'plan'"):
        publish_objects(store, publication("r1", claim, (first.uploads[0], *redone), attempt=3))

    assert_published(store, "r1", b"a")


class FrozenRestoring(FolderStore):
    """A store whose user freezes before it makes `_SUCCESS` stand."""

    def __init__(self, folder: Path, meanwhile: Callable[[], object]):
        super().__init__(folder)
        self._meanwhile: Callable[[], object] | None = meanwhile

    def put(self, key: str, data: bytes) -> None:
        self._freeze(key)
        super().put(key, data)

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> int:
        self._freeze(key)
        return super().complete(key, upload_id, parts)

    def _freeze(self, key: str) -> None:
        if key == PREFIX + SUCCESS and self._meanwhile:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()


def test_a_marker_put_back_late_does_not_stand_beside_a_third_publishers_work(store, tmp_path):
    publish_objects(store, prepared(store, "r1", b"old"))
    sleeper, second, third = prepared(store, "r2", b"2"), prepared(store, "r3", b"3"), prepared(store, "r4", b"4")

    def third_stops_halfway() -> None:
        with pytest.raises(Crash):
            publish_objects(store, third, crashing_at("write_manifest"))

    restoring = FrozenRestoring(tmp_path, third_stops_halfway)
    frozen = FrozenInside(restoring, "remove_success", lambda: publish_objects(store, second))
    with pytest.raises(Superseded):
        publish_objects(frozen, sleeper, frozen.before)

    assert third.uploads[0].key in store.keys(PREFIX)
    assert markers(store) == set()
    publish_objects(store, again(third))
    assert_published(store, "r4", b"4")
    assert store.pending_uploads() == []


def test_append_loses_nothing_when_a_sleeper_deletes_the_manifest_set_aside(store):
    publish_objects(store, prepared(store, "r1", b"1", mode=WriteMode.APPEND))
    sleeper = prepared(store, "r2", b"2", mode=WriteMode.APPEND)
    third: list[Publication] = []

    def third_stops_halfway() -> None:
        third.append(prepared(store, "r3", b"3", mode=WriteMode.APPEND))
        with pytest.raises(Crash):
            publish_objects(store, third[0], crashing_at("complete_uploads"))

    frozen = FrozenInside(store, "delete_previous_manifest", third_stops_halfway)
    with pytest.raises(Superseded):
        publish_objects(frozen, sleeper, frozen.before)
    publish_objects(store, again(third[0]))

    assert_published(store, "r3", b"1", b"2", b"3")
