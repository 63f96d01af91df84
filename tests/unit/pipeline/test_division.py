"""How a range is divided into splits and slices."""

from __future__ import annotations

from itertools import pairwise

import pytest

from airflow_tablestore.errors import Rejected, SpecError
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.full_export.division import MIB, MOST_SLICES, MOST_SLICES_IN_ALL, divide
from airflow_tablestore.pipeline.selection import TableSelection
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.table import SplitPoints
from tests.conformance.memory_table import MemoryTable


def points(*numbers: int):
    return [(("id", number),) for number in numbers]


def splits(table: MemoryTable, **how):
    limits = Limits(workers=how.pop("workers", 0), threads=how.pop("threads", 1))
    most = how.pop("most_splits", 1024)
    return divide(table, TableSelection("t", **how), table.description, limits=limits, most_splits=most)


def ends(made):
    """Where each split begins, and where the last one ends."""
    return [str(s.slices[0].range.begin[0][1]) for s in made] + [str(made[-1].slices[-1].range.end[0][1])]


def assert_without_gap(made):
    slices = [part.range for split in made for part in split.slices]
    assert all(one.end == other.begin for one, other in pairwise(slices))


def test_a_small_table_is_one_split():
    made = splits(MemoryTable([]))

    assert len(made) == 1
    assert made[0].label == "1/1: the start to the end"


def test_about_a_gibibyte_is_a_split_with_slices_inside():
    made = splits(MemoryTable([], points=points(*range(1, 12))))

    assert [len(s.slices) for s in made] == [4, 4, 4]
    assert made[1].label == "2/3: 4 to 8"
    assert_without_gap(made)


def test_the_author_says_how_many_tasks():
    made = splits(MemoryTable([], points=points(*range(1, 12))), tasks=5)

    assert len(made) == 5
    assert all(2 <= len(s.slices) <= 3 for s in made)
    assert_without_gap(made)


def test_workers_say_it_too_and_the_source_goes_first():
    table = MemoryTable([], points=points(1, 2, 3, 4, 5))

    assert len(splits(table, workers=3)) == 3
    assert len(splits(table, workers=3, tasks=2)) == 2


def test_more_tasks_than_the_service_cuts_are_as_many_as_it_cuts():
    assert len(splits(MemoryTable([], points=points(1, 2)), tasks=7)) == 3


def test_the_authors_points_begin_splits():
    made = splits(MemoryTable([], points=points(5, 15)), points=(10, 20))

    assert ends(made) == ["Bound.INF_MIN", "10", "20", "Bound.INF_MAX"]
    assert [len(s.slices) for s in made] == [2, 2, 1]
    assert_without_gap(made)


def test_a_point_outside_the_range_is_refused():
    with pytest.raises(SpecError, match="inside"):
        splits(MemoryTable([]), points=(10,), begin=(20,))


def test_points_outside_the_range_do_not_cut_it():
    made = splits(MemoryTable([], points=points(1, 5, 9)), begin=(2,), end=(8,), tasks=9)

    assert ends(made) == ["2", "5", "8"]


def test_a_backward_range_is_divided_in_its_direction():
    made = splits(MemoryTable([], points=points(1, 5, 9)), begin=(8,), end=(2,), tasks=9)

    assert ends(made) == ["8", "5", "2"]
    assert all(part.range.is_backward for s in made for part in s.slices)


def test_no_more_splits_than_airflow_maps():
    made = splits(MemoryTable([], points=points(*range(1, 4000))), most_splits=100)

    assert len(made) <= 100
    assert all(len(s.slices) <= MOST_SLICES for s in made)
    assert_without_gap(made)


def test_slices_of_a_huge_split_are_put_together():
    made = splits(MemoryTable([], points=points(*range(1, 1000))), tasks=1)

    assert len(made) == 1
    assert len(made[0].slices) <= MOST_SLICES
    assert_without_gap(made)


class SizedTable(MemoryTable):
    """Holds so many rows of a mebibyte each, and is cut where the asked size says."""

    def __init__(self, mebibytes: int):
        super().__init__([])
        self._mebibytes = mebibytes

    def send(self, call):
        if call.operation != "ComputeSplitPointsBySize":
            return super().send(call)
        asked = table_pb2.ComputeSplitPointsBySizeRequest.FromString(call.body)
        step = asked.split_size * asked.split_size_unit_in_byte // MIB
        return SplitPoints(self.description.keys, tuple(points(*range(step, self._mebibytes, step))))


def estimated(made) -> int:
    return sum(part.estimated_bytes for split in made for part in split.slices)


@pytest.mark.parametrize("how", [{}, {"points": (1, 2)}, {"tasks": 3}, {"begin": (0,)}])
def test_the_estimate_of_a_small_table_is_small(how):
    made = splits(SizedTable(4), **how)

    assert 2 * MIB <= estimated(made) <= 6 * MIB


def test_the_estimate_of_a_large_table_is_about_its_size():
    made = splits(SizedTable(10_000), points=(100, 5000))

    assert 9_000 * MIB <= estimated(made) <= 11_000 * MIB


def test_an_estimate_that_would_be_a_guess_is_left_out():
    made = splits(SizedTable(100), points=tuple(range(1, 100)))

    assert len(made) == 100
    assert estimated(made) == 0


@pytest.mark.parametrize(("mebibytes", "slices"), [(40, 1), (100, 1), (150, 2), (300, 4), (700, 4), (1000, 4)])
def test_each_thread_has_a_slice_of_a_small_table(mebibytes, slices):
    made = splits(SizedTable(mebibytes), threads=4)

    assert [len(split.slices) for split in made] == [slices]
    assert_without_gap(made)
    assert ends(made) == ["Bound.INF_MIN", "Bound.INF_MAX"]


def test_the_slices_for_threads_are_about_alike():
    made = splits(SizedTable(400), threads=4)

    sizes = [part.estimated_bytes // MIB for split in made for part in split.slices]
    assert min(sizes) >= 64
    assert max(sizes) <= 2 * min(sizes)


def test_threads_divide_what_an_author_has_divided_too():
    made = splits(SizedTable(400), points=(200,), threads=2)

    assert [len(split.slices) for split in made] == [2, 2]
    assert_without_gap(made)


@pytest.mark.slow
def test_the_slices_of_a_plan_stay_few_enough_to_travel():
    made = splits(MemoryTable([], points=points(*range(1, 5000))), tasks=1024)

    assert len(made) == 1024
    assert sum(len(s.slices) for s in made) <= MOST_SLICES_IN_ALL
    assert_without_gap(made)


def test_a_service_that_does_not_cut_gives_one_split_and_says_so(caplog):
    made = splits(MemoryTable([], points=None), tasks=4)

    assert len(made) == 1
    assert "read as one piece" in caplog.text


def test_any_other_refusal_is_an_error():
    class Missing(MemoryTable):
        def _split(self, body):
            raise Rejected("no such table", operation="ComputeSplitPointsBySize", code="OTSObjectNotExist", status=404)

    with pytest.raises(Rejected):
        splits(Missing([]))
