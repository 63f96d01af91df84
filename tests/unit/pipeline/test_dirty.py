"""How dirty records are told."""

from __future__ import annotations

import pytest

from airflow_tablestore.errors import DirtyLimitExceeded
from airflow_tablestore.pipeline.dirty import KEY_CHARACTERS, SAMPLES, DirtyRecords, refuse_dirty, samples_of


def test_a_key_with_control_characters_is_told_in_one_line(caplog):
    dirty = DirtyRecords(1)

    dirty.add("id=a\r\n\x1b[31m06:00:00 all is well", "no reason")

    assert caplog.messages == [r"dirty record id=a\r\n\x1b[31m06:00:00 all is well: no reason"]


def test_a_printable_key_of_any_script_is_told_as_it_is(caplog):
    dirty = DirtyRecords(1)

    dirty.add("id=中文 ✓", "no reason")

    assert caplog.messages == ["dirty record id=中文 ✓: no reason"]


def test_a_long_key_is_cut_in_log_and_error():
    dirty = DirtyRecords(0)

    with pytest.raises(DirtyLimitExceeded) as told:
        dirty.add("k" * 1000, "no reason")

    assert "k" * (KEY_CHARACTERS - 1) + "…:" in str(told.value)


def test_the_samples_are_the_same_in_whatever_order_records_come():
    forwards, backwards = DirtyRecords(1000), DirtyRecords(1000)

    for number in range(100):
        forwards.add(f"id={number:03}", "no reason")
        backwards.add(f"id={99 - number:03}", "no reason")

    assert forwards.samples == backwards.samples
    assert [sample.key for sample in forwards.samples] == [f"id={number:03}" for number in range(SAMPLES)]


def test_samples_of_several_tasks_are_bounded_and_in_order():
    tasks = [DirtyRecords(1000) for _ in range(3)]
    for number in range(90):
        tasks[number % 3].add(f"id={number:03}", "no reason")

    samples = samples_of(task.samples for task in tasks)

    assert [sample.key for sample in samples] == [f"id={number:03}" for number in range(SAMPLES)]


def test_what_is_refused_in_the_end_is_told_with_samples():
    dirty = DirtyRecords(5)
    dirty.add("id=7", "too long")

    with pytest.raises(DirtyLimitExceeded, match=r"6 dirty records, limits.errors allows 5.* id=7: too long"):
        refuse_dirty(6, 5, dirty.samples)
