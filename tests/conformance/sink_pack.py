"""What every sink must do with rows. A sink joins in one line of `test_sinks.py`.

The pack knows two verbs: `begin` brings rows as far as they go unseen, `publish` makes them visible. A process that is
killed is one that never comes to its `publish`. The oracle is what the pack has given, never what the engine reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pytest

from airflow_tablestore.errors import DirtyLimitExceeded, TablestoreError
from airflow_tablestore.pipeline.dirty import DirtySample

Given = tuple[int, int | str, str]
"""A row: its key, a number (a text there makes it dirty), and a text."""

OLD: list[Given] = [(key, key, "old") for key in range(7)]
NEW: list[Given] = [(key, -key, f"new, {key}") for key in range(3, 40)]
MIXED: list[Given] = [(1, 1, "fits"), (2, "secret", "does not"), (3, 3, "fits"), (4, "secret", "does not")]


class Begun(Protocol):
    """Rows that are all there and that nobody sees."""

    def again(self) -> None:
        """Bring them once more, as a later attempt of the same run does."""
        ...

    def publish(self) -> tuple[int, int, Sequence[DirtySample]]:
        """How many rows are visible now by this run, how many were dirty, and samples of these."""
        ...


class Sink(Protocol):
    """One place, empty at first."""

    def begin(self, rows: Sequence[Given], run: str, *, adds: bool = False, errors: int = 0) -> Begun:
        """:param adds: beside what is there, and not in its place."""
        ...

    def rows(self) -> list[Given]:
        """What a reader finds, in order."""
        ...


def load(sink: Sink, rows: Sequence[Given], run: str, *, adds: bool = False) -> None:
    sink.begin(rows, run, adds=adds).publish()


def the_rows_given_are_the_rows_found(sink: Sink) -> None:
    rows, dirty, samples = sink.begin(NEW, "r1").publish()

    assert sink.rows() == NEW
    assert (rows, dirty, list(samples)) == (len(NEW), 0, [])


def nothing_is_seen_before_it_is_published(sink: Sink) -> None:
    sink.begin(NEW, "r1")

    assert sink.rows() == []


def a_load_that_was_killed_leaves_what_was_there_and_the_next_is_whole(sink: Sink) -> None:
    load(sink, OLD, "r1")

    sink.begin(NEW, "r2")
    between = sink.rows()
    load(sink, NEW, "r2")

    assert between == OLD
    assert sink.rows() == NEW


def what_is_done_again_counts_once(sink: Sink) -> None:
    begun = sink.begin(NEW, "r1", adds=True)
    begun.again()
    begun.publish()
    begun.publish()

    assert sink.rows() == NEW


def rows_are_added_or_put_in_the_place_of_others(sink: Sink) -> None:
    load(sink, OLD[:3], "r1")
    load(sink, NEW, "r2", adds=True)
    both = sink.rows()
    load(sink, OLD, "r3")

    assert both == OLD[:3] + NEW
    assert sink.rows() == OLD


def an_earlier_plan_that_wakes_up_changes_nothing(sink: Sink) -> None:
    frozen = sink.begin(OLD, "r1")
    load(sink, NEW, "r1")

    with pytest.raises(TablestoreError):
        frozen.publish()

    assert sink.rows() == NEW


def dirty_rows_beyond_the_limit_publish_nothing(sink: Sink) -> None:
    load(sink, OLD, "r1")

    with pytest.raises(DirtyLimitExceeded):
        sink.begin(MIXED, "r2", errors=1).publish()

    assert sink.rows() == OLD


def dirty_rows_within_the_limit_are_told_by_key_and_reason_and_the_others_are_there(sink: Sink) -> None:
    rows, dirty, samples = sink.begin(MIXED, "r1", errors=2).publish()

    assert sink.rows() == [MIXED[0], MIXED[2]]
    assert (rows, dirty, [sample.key for sample in samples]) == (2, 2, ["id=2", "id=4"])
    assert all("'n'" in sample.reason and "secret" not in sample.reason for sample in samples)


def a_load_without_rows_is_a_load(sink: Sink) -> None:
    load(sink, OLD, "r1")
    load(sink, [], "r2", adds=True)
    added = sink.rows()
    load(sink, [], "r3")

    assert added == OLD
    assert sink.rows() == []


CLAIMS = [
    the_rows_given_are_the_rows_found,
    nothing_is_seen_before_it_is_published,
    a_load_that_was_killed_leaves_what_was_there_and_the_next_is_whole,
    what_is_done_again_counts_once,
    rows_are_added_or_put_in_the_place_of_others,
    an_earlier_plan_that_wakes_up_changes_nothing,
    dirty_rows_beyond_the_limit_publish_nothing,
    dirty_rows_within_the_limit_are_told_by_key_and_reason_and_the_others_are_there,
    a_load_without_rows_is_a_load,
]
