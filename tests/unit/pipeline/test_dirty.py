"""How dirty records are told."""

from __future__ import annotations

import pytest

from airflow_tablestore.errors import DirtyLimitExceeded
from airflow_tablestore.pipeline.dirty import KEY_CHARACTERS, DirtyRecords


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
