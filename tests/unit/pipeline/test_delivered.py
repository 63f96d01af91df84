"""What was delivered, by key and on disk: what went in comes out, and what nobody asked for is counted."""

import math
from datetime import date
from decimal import Decimal

import pytest

from airflow_tablestore.pipeline.delivery.delivered import Delivered


@pytest.fixture
def delivered(tmp_path):
    kept = Delivered(tmp_path, ["id", "part"])
    yield kept
    kept.close()


def test_records_come_back_by_their_key_in_the_order_in_which_they_came(delivered):
    delivered.add([{"id": 1, "part": "a", "v": 1}, {"id": 1, "part": "b", "v": 2}])
    delivered.add([{"id": 1, "part": "a", "v": 3}])

    assert [one["v"] for one in delivered.of((1, b"a"))] == [1, 3]
    assert delivered.of((2, "a")) == []
    assert delivered.left() == 1


def test_values_stay_what_they_are_as_far_as_they_are_compared(delivered):
    record = {"id": 2**63 - 1, "part": "Ö\x00'", "f": 0.1, "b": False, "gone": None, "d": Decimal("1.0"), "t": date.max}

    delivered.add([record, {**record, "f": math.nan}])
    first, second = delivered.of((2**63 - 1, "Ö\x00'"))

    assert first == {"id": 2**63 - 1, "part": "Ö\x00'", "f": 0.1, "b": False, "d": True, "t": True}
    assert math.isnan(second["f"])


def test_without_a_key_nothing_is_kept(tmp_path):
    kept = Delivered(tmp_path, [])

    kept.add([{"v": 1}])

    assert kept.left() == 0
    kept.close()
