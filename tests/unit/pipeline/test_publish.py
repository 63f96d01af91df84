"""The publication protocol, step by step, on a store in a folder."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_tablestore.errors import DirtyLimitExceeded, ProtocolError, SpecError, StartOver, Superseded
from airflow_tablestore.pipeline.claim import UploadLog
from airflow_tablestore.pipeline.conflict import conflicting_key
from airflow_tablestore.pipeline.layout import MANIFEST, PREVIOUS, SUCCESS, fence_key
from airflow_tablestore.pipeline.manifest import Manifest, read_manifest
from airflow_tablestore.pipeline.publish import STEPS, publish_objects
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
    visible,
)
from tests.conformance.folder_store import FolderStore

BEFORE_OBJECTS = ("check", "raise_fence", "abort_outranked", "intend")


class Crash(Exception):
    """Stands for the end of a process."""


def crashing_at(step: str, nth: int = 1):
    left = [nth]

    def before(name: str) -> None:
        if name == step:
            left[0] -= 1
            if not left[0]:
                raise Crash(step)

    return before


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def test_nothing_is_visible_before_publication(store):
    prepared(store, "r1", b"a", b"b")

    assert visible(store) == {}
    assert markers(store) == set()


def test_publication_makes_all_objects_visible_under_a_manifest(store):
    published = publish_objects(store, prepared(store, "r1", b"a", b"bb"))

    assert_published(store, "r1", b"a", b"bb")
    assert published == read_manifest(store, PREFIX)
    assert (published.rows, published.total_bytes) == (3, 3)


def test_success_is_written_last(store):
    publish_objects(store, prepared(store, "r1", b"a"))

    made = [key.removeprefix(PREFIX) for verb, key in store.requests if verb == "complete"]

    assert made[-2:] == [MANIFEST, SUCCESS]


def test_truncate_removes_what_the_previous_manifest_lists(store):
    publish_objects(store, prepared(store, "r1", b"old one", b"old two"))

    publish_objects(store, prepared(store, "r2", b"new"))

    assert_published(store, "r2", b"new")
    assert store.get(PREFIX + PREVIOUS) is None


def test_earlier_objects_stand_until_the_new_manifest_does(store):
    publish_objects(store, prepared(store, "r1", b"old"))
    requests = store.requests
    requests.clear()

    publish_objects(store, prepared(store, "r2", b"new"))

    manifest_done = requests.index(("complete", PREFIX + MANIFEST))
    old_deleted = next(i for i, (verb, key) in enumerate(requests) if verb == "delete" and "r1" in key)
    assert manifest_done < old_deleted


def test_foreign_objects_are_named_and_left(store, caplog):
    store.put(PREFIX + "theirs.csv", b"x")

    with caplog.at_level(logging.WARNING):
        publish_objects(store, prepared(store, "r1", b"a"))

    assert store.get(PREFIX + "theirs.csv") == b"x"
    assert "theirs.csv" in caplog.text
    assert "truncate_foreign" in caplog.text


def test_truncate_foreign_removes_them(store):
    store.put(PREFIX + "theirs.csv", b"x")
    store.put("gps/full-beside.csv", b"x")

    publish_objects(store, replace(prepared(store, "r1", b"a"), truncates_foreign=True))

    assert_published(store, "r1", b"a")
    assert store.get("gps/full-beside.csv") == b"x"


def test_append_keeps_the_objects_of_other_runs(store):
    publish_objects(store, prepared(store, "r1", b"one", mode=WriteMode.APPEND))

    published = publish_objects(store, prepared(store, "r2", b"two", mode=WriteMode.APPEND))

    assert_published(store, "r2", b"one", b"two")
    assert [o.run for o in published.objects] == ["r1", "r2"]


def test_append_of_a_rerun_replaces_its_own(store):
    publish_objects(store, prepared(store, "r1", b"one", b"one more", mode=WriteMode.APPEND))
    publish_objects(store, prepared(store, "r2", b"two", mode=WriteMode.APPEND))

    publish_objects(store, prepared(store, "r1", b"one again", mode=WriteMode.APPEND))

    assert_published(store, "r1", b"one again", b"two")


def test_append_waits_for_a_split_exported_again_and_published_halfway(store):
    first = prepared(store, "r1", b"one", mode=WriteMode.APPEND)
    publish_objects(store, first)
    claim = first.manifest.claim
    redone = uploaded(store, "r1", claim, {0: b"one again"}, attempt=2)
    rerun = publication("r1", claim, redone, attempt=2, mode=WriteMode.APPEND)
    with pytest.raises(Crash):
        publish_objects(store, rerun, crashing_at("write_manifest"))
    later = prepared(store, "r2", b"two", mode=WriteMode.APPEND)

    with pytest.raises(StartOver, match=r"Run r1 .* Clear the task 'publish'"):
        publish_objects(store, later)

    publish_objects(store, again(rerun))
    publish_objects(store, again(later))
    assert_published(store, "r2", b"one again", b"two")


def test_append_passes_over_a_rerun_that_stopped_halfway(store):
    publish_objects(store, prepared(store, "r1", b"one", mode=WriteMode.APPEND))
    with pytest.raises(Crash):
        publish_objects(store, prepared(store, "r1", b"again", mode=WriteMode.APPEND), crashing_at("write_manifest"))

    publish_objects(store, prepared(store, "r2", b"two", mode=WriteMode.APPEND))

    assert_published(store, "r2", b"one", b"two")


def test_a_run_published_again_makes_other_keys(store):
    publish_objects(store, prepared(store, "r1", b"old"))
    first = visible(store)

    publish_objects(store, prepared(store, "r1", b"new"))

    assert_published(store, "r1", b"new")
    assert not first.keys() & visible(store).keys()


def test_a_finished_publisher_leaves_no_deletions_to_the_next(store):
    for run in ("r1", "r2", "r3"):
        publish_objects(store, prepared(store, run, b"x"))
    store.requests.clear()

    publish_objects(store, prepared(store, "r4", b"x"))

    deleted = {key for verb, key in store.requests if verb == "delete" and key.endswith(".csv")}
    assert deleted == {f"{PREFIX}{PIPELINE}-r3-00000-00-0000.csv"}


def test_non_conflict_refuses_what_stands_there_and_touches_nothing(store):
    store.put(PREFIX + "theirs.csv", b"x")

    with pytest.raises(SpecError, match=r"theirs\.csv"):
        publish_objects(store, prepared(store, "r1", b"a", mode=WriteMode.NON_CONFLICT))

    assert visible(store) == {"theirs.csv": b"x"}


def test_non_conflict_refuses_an_earlier_export(store):
    publish_objects(store, prepared(store, "r1", b"a"))

    with pytest.raises(SpecError, match="must be empty"):
        publish_objects(store, prepared(store, "r2", b"b", mode=WriteMode.NON_CONFLICT))

    assert_published(store, "r1", b"a")


@pytest.mark.parametrize("step", [name for name, _ in STEPS])
def test_non_conflict_can_be_retried(store, step):
    first = prepared(store, "r1", b"a", mode=WriteMode.NON_CONFLICT)
    with pytest.raises(Crash):
        publish_objects(store, first, crashing_at(step))

    publish_objects(store, again(first))

    assert_published(store, "r1", b"a")


@pytest.mark.parametrize("step", ["complete_uploads", "write_manifest", "write_success"])
def test_non_conflict_passes_over_what_its_own_crash_has_left(store, step):
    with pytest.raises(Crash):
        publish_objects(store, prepared(store, "r1", b"a", mode=WriteMode.NON_CONFLICT), crashing_at(step))

    assert conflicting_key(store, PREFIX, PIPELINE) is None
    publish_objects(store, prepared(store, "r1", b"a again", mode=WriteMode.NON_CONFLICT))

    assert_published(store, "r1", b"a again")


def test_non_conflict_meets_objects_manifests_and_other_pipelines_halves(store):
    with pytest.raises(Crash):
        publish_objects(store, prepared(store, "r1", b"a"), crashing_at("write_success"))

    assert conflicting_key(store, PREFIX, "another") is not None
    publish_objects(store, prepared(store, "r2", b"b"))
    assert conflicting_key(store, PREFIX, PIPELINE) is not None
    assert conflicting_key(store, "empty/", PIPELINE) is None


def test_too_many_dirty_records_publish_nothing(store):
    publish_objects(store, prepared(store, "r1", b"old"))
    late = prepared(store, "r2", b"new")

    with pytest.raises(DirtyLimitExceeded, match="3 dirty records"):
        publish_objects(store, replace(late, manifest=replace(late.manifest, dirty=3), errors=2))

    assert_published(store, "r1", b"old")


@pytest.mark.parametrize("mode", [WriteMode.TRUNCATE, WriteMode.APPEND])
@pytest.mark.parametrize("step", [name for name, _ in STEPS])
def test_a_retry_rolls_forward_from_any_step(store, step, mode):
    publish_objects(store, prepared(store, "r1", b"old", mode=mode))
    second = prepared(store, "r2", b"a", b"b", mode=mode)
    with pytest.raises(Crash):
        publish_objects(store, second, crashing_at(step))

    publish_objects(store, again(second))

    kept = [b"old"] if mode is WriteMode.APPEND else []
    assert_published(store, "r2", b"a", b"b", *kept)
    assert store.pending_uploads() == []
    assert not [key for key in store.keys(PREFIX) if PREVIOUS in key]


@pytest.mark.parametrize("step", BEFORE_OBJECTS)
def test_stopped_before_the_markers_go_the_earlier_export_is_whole(store, step):
    publish_objects(store, prepared(store, "r1", b"old"))

    with pytest.raises(Crash):
        publish_objects(store, prepared(store, "r2", b"new"), crashing_at(step))

    assert_published(store, "r1", b"old")


@pytest.mark.parametrize("step", ["set_manifest_aside", "remove_manifest", "complete_uploads"])
def test_stopped_before_the_first_completion_the_earlier_objects_are_untouched(store, step):
    publish_objects(store, prepared(store, "r1", b"old"))

    with pytest.raises(Crash):
        publish_objects(store, prepared(store, "r2", b"new"), crashing_at(step))

    assert list(visible(store).values()) == [b"old"]
    assert SUCCESS not in markers(store)


def test_stopped_between_completions_neither_marker_stands(store):
    publish_objects(store, prepared(store, "r1", b"old"))

    with pytest.raises(Crash):
        publish_objects(store, prepared(store, "r2", b"a", b"b", b"c"), crashing_at("complete_uploads", 2))

    assert markers(store) == set()


def test_stopped_before_success_the_manifest_stands_alone(store):
    publish_objects(store, prepared(store, "r1", b"old"))

    with pytest.raises(Crash):
        publish_objects(store, prepared(store, "r2", b"new"), crashing_at("write_success"))

    assert markers(store) == {MANIFEST}


@pytest.mark.parametrize("mode", [WriteMode.TRUNCATE, WriteMode.APPEND])
@pytest.mark.parametrize("step", [name for name, _ in STEPS])
def test_a_later_run_cleans_up_after_one_that_was_given_up(store, step, mode):
    publish_objects(store, prepared(store, "r1", b"old", mode=mode))
    with pytest.raises(Crash):
        publish_objects(store, prepared(store, "r2", b"given up", mode=mode), crashing_at(step))

    publish_objects(store, prepared(store, "r3", b"new", mode=mode))

    finished = step in ("write_success", "delete_replaced", "delete_previous_manifest", "clear_pending")
    kept = ([b"old"] + ([b"given up"] if finished else [])) if mode is WriteMode.APPEND else []
    assert_published(store, "r3", b"new", *kept)
    assert store.pending_uploads() == []


def test_a_gone_upload_counts_as_done_when_its_object_stands(store):
    first = prepared(store, "r1", b"a")
    publish_objects(store, first)

    publish_objects(store, again(first))

    assert_published(store, "r1", b"a")


def test_a_gone_upload_with_another_object_names_the_task_to_clear(store):
    first = prepared(store, "r1", b"a")
    publish_objects(store, first)
    store.put(first.uploads[0].key, b"b")

    with pytest.raises(StartOver, match="Clear the task 'export'") as caught:
        publish_objects(store, again(first))

    assert caught.value.task == "export"


def test_a_split_exported_again_after_publication_replaces_its_object(store):
    first = prepared(store, "r1", b"a", b"b")
    publish_objects(store, first)
    claim = first.manifest.claim
    redone = uploaded(store, "r1", claim, {1: b"b again"}, attempt=2)

    publish_objects(store, publication("r1", claim, (first.uploads[0], *redone), attempt=2))

    assert_published(store, "r1", b"a", b"b again")


def test_a_split_exported_again_and_not_published_changes_nothing(store):
    first = prepared(store, "r1", b"a")
    publish_objects(store, first)

    uploaded(store, "r1", first.manifest.claim, {0: b"a again"}, attempt=2)

    assert_published(store, "r1", b"a")


def test_a_cleared_publication_of_an_older_run_asks_to_start_over(store):
    old = prepared(store, "r1", b"old")
    publish_objects(store, old)
    publish_objects(store, prepared(store, "r2", b"new"))

    with pytest.raises(StartOver, match="Clear the task 'plan'"):
        publish_objects(store, again(old))

    assert_published(store, "r2", b"new")


def test_two_executions_of_one_attempt_do_not_both_publish(store):
    first = prepared(store, "r1", b"a")
    with pytest.raises(Crash):
        publish_objects(store, first, crashing_at("intend"))

    with pytest.raises(Superseded):
        publish_objects(store, first)


@pytest.mark.parametrize("step", [name for name, _ in STEPS if name not in ("check", "raise_fence")])
def test_a_publisher_that_slept_through_a_later_run_stops_and_leaves_it_whole(store, step):
    publish_objects(store, prepared(store, "r1", b"old"))
    sleeper = prepared(store, "r2", b"sleeper")

    def later_run(name: str) -> None:
        if name == step and not later:
            later.append(publish_objects(store, prepared(store, "r3", b"new")))

    later: list[Manifest] = []
    with pytest.raises(Superseded):
        publish_objects(store, sleeper, later_run)

    assert_published(store, "r3", b"new")


@pytest.mark.parametrize(
    "verb_key", ["remove_success", "set_manifest_aside", "remove_manifest", "write_manifest", "write_success"]
)
def test_a_publisher_frozen_inside_a_step_cannot_spoil_a_later_run(store, verb_key, monkeypatch):
    publish_objects(store, prepared(store, "r1", b"old"))
    sleeper = prepared(store, "r2", b"sleeper")
    later = prepared(store, "r3", b"new")
    frozen = FrozenInside(store, verb_key, lambda: publish_objects(store, later))

    with pytest.raises(Superseded):
        publish_objects(frozen, sleeper, frozen.before)

    assert frozen.has_woken
    assert_published(store, "r3", b"new")


def test_a_sleeping_attempt_cannot_finish_after_its_successor(store):
    first = prepared(store, "r1", b"a")
    frozen = FrozenInside(store, "write_manifest", lambda: publish_objects(store, again(first)))

    with pytest.raises(Superseded, match="attempt 2"):
        publish_objects(frozen, first, frozen.before)

    assert_published(store, "r1", b"a")


def test_an_exporter_that_slept_through_its_successor_stops(store):
    claim = claimed(store, "r1")

    sleeper = UploadLog(store, PREFIX, PIPELINE, claim, 0, attempt=1)
    first = sleeper.begin(PREFIX + "k")
    successor = UploadLog(store, PREFIX, PIPELINE, claim, 0, attempt=2)
    successor.take_over()
    successor.begin(PREFIX + "k")

    assert len(store.pending_uploads()) == 1
    with pytest.raises(Superseded, match="attempt 2"):
        sleeper.begin(PREFIX + "k2")
    assert first


def test_uploads_of_another_pipeline_are_left_alone(store):
    claim = claimed(store, "r0")
    UploadLog(store, PREFIX, "another", claim, 0, 1).begin(PREFIX + "theirs")

    publish_objects(store, prepared(store, "r1", b"a"))

    assert store.pending_uploads() == [PREFIX + "theirs"]


def test_a_prefix_of_another_pipeline_is_refused(store):
    first = prepared(store, "r1", b"a")
    publish_objects(store, replace(first, manifest=replace(first.manifest, pipeline="another")))

    with pytest.raises(SpecError, match="another"):
        publish_objects(store, prepared(store, "r2", b"b"))


def test_claims_rise_and_outlive_what_was_cleared(store):
    publish_objects(store, prepared(store, "r1", b"a"))
    publish_objects(store, prepared(store, "r2", b"b"))

    assert claimed(store, "r3") == 3
    assert store.get(fence_key(PREFIX, 2, 1)) is not None


def test_a_manifest_of_an_unknown_version_is_refused(store):
    publish_objects(store, prepared(store, "r1", b"a"))
    document = json.loads(store.get(PREFIX + MANIFEST))
    store.put(PREFIX + MANIFEST, json.dumps(document | {"version": 2}).encode())

    with pytest.raises(ProtocolError, match="version 2"):
        read_manifest(store, PREFIX)


def test_a_manifest_reads_back_as_it_was_written(store):
    published = publish_objects(store, prepared(store, "r1", b"a"))

    assert Manifest.from_bytes(published.to_bytes(), "here") == published
