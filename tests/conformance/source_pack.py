"""What every source must do, whichever it is. A source joins in one line of `test_sources.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_tablestore.pipeline.contract import Batch, Source

Refuse = Callable[[str, str], None]


@dataclass(frozen=True)
class Case:
    """A source over the records 0 to 9, of which number 4 is dirty.

    `make` gives a new source each time. `id` is the column that numbers the records.
    """

    name: str
    make: Callable[[Refuse], Source]
    make_empty: Callable[[Refuse], Source]
    id: str = "id"


class Refusals(list[tuple[str, str]]):
    """Hears of dirty records and accepts them."""

    def hear(self, key: str, reason: str) -> None:
        self.append((key, reason))


class TooManyDirty(Exception):
    """What ends a run in this pack."""


def numbers(case: Case, batches: Sequence[Batch]) -> list[int]:
    """The record numbers, each once for a run of equal ones."""
    found: list[int] = []
    for batch in batches:
        for number in batch.records.column(case.id).to_pylist():
            if not found or found[-1] != number:
                found.append(number)
    return found


def every_record_comes_once_and_in_order(case: Case) -> None:
    batches = list(case.make(Refusals().hear).batches())

    assert numbers(case, batches) == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def every_batch_has_the_schema_that_was_told(case: Case) -> None:
    source = case.make(Refusals().hear)
    schema = source.schema()

    batches = list(source.batches())

    assert len(batches) > 1
    assert all(batch.records.schema.equals(schema) for batch in batches)
    for batch in batches:
        batch.records.validate(full=True)


def a_dirty_record_is_named_and_the_others_go_on(case: Case) -> None:
    refusals = Refusals()

    batches = list(case.make(refusals.hear).batches())

    assert [key for key, _ in refusals] == ["id=4"]
    assert all(reason for _, reason in refusals)
    assert numbers(case, batches)[-1] == 9


def who_hears_of_a_dirty_record_may_end_the_run(case: Case) -> None:
    def end(key: str, reason: str) -> None:
        raise TooManyDirty

    with pytest.raises(TooManyDirty):
        list(case.make(end).batches())


def what_was_read_is_counted_in_bytes(case: Case) -> None:
    batches = list(case.make(Refusals().hear).batches())

    assert all(batch.bytes_read > 0 for batch in batches)


def reading_twice_gives_the_same(case: Case) -> None:
    def rows() -> list[dict[str, Any]]:
        return [row for batch in case.make(Refusals().hear).batches() for row in batch.records.to_pylist()]

    assert rows() == rows()


def nothing_to_read_is_no_rows(case: Case) -> None:
    source = case.make_empty(Refusals().hear)

    assert sum(batch.records.num_rows for batch in source.batches()) == 0
    assert source.schema().names[0] == case.id


CLAIMS = (
    every_record_comes_once_and_in_order,
    every_batch_has_the_schema_that_was_told,
    a_dirty_record_is_named_and_the_others_go_on,
    who_hears_of_a_dirty_record_may_end_the_run,
    what_was_read_is_counted_in_bytes,
    reading_twice_gives_the_same,
    nothing_to_read_is_no_rows,
)
