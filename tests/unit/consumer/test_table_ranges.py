"""What an author may write as a range or a split, what it becomes, and how one is walked."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest

from airflow_tablestore.consumer.table import KeyRange, compare_keys, cut_at, cut_by_size, full_range, pages, show_key
from airflow_tablestore.errors import ProtocolError, SpecError
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, ColumnType
from airflow_tablestore.wire.table import KeyColumn, RangePage, RangeRead, SplitPoints, TableDescription

TABLE = TableDescription(
    "people",
    (
        KeyColumn("city", ColumnType.STRING),
        KeyColumn("id", ColumnType.INTEGER),
        KeyColumn("photo", ColumnType.BINARY),
    ),
)
ONE_KEY = TableDescription("events", (KeyColumn("id", ColumnType.INTEGER),))


def parts(key):
    return tuple(value for _, value in key)


def written(begin, end, table=TABLE):
    made = full_range(table, begin, end)
    return parts(made.begin), parts(made.end), made.is_backward


MIN, MAX = INF_MIN, INF_MAX


@pytest.mark.parametrize(
    ("begin", "end", "first", "last", "is_backward"),
    [
        ((), (), (MIN, MIN, MIN), (MAX, MAX, MAX), False),
        ((MIN,), (MAX,), (MIN, MIN, MIN), (MAX, MAX, MAX), False),
        ((MAX,), (MIN,), (MAX, MAX, MAX), (MIN, MIN, MIN), True),
        ((MAX,), (), (MAX, MAX, MAX), (MIN, MIN, MIN), True),
        ((), (MIN,), (MAX, MAX, MAX), (MIN, MIN, MIN), True),
        (("a",), ("b",), ("a", MIN, MIN), ("b", MAX, MAX), False),
        (("b",), ("a",), ("b", MAX, MAX), ("a", MIN, MIN), True),
        (("a",), ("a",), ("a", MIN, MIN), ("a", MAX, MAX), False),
        (("a", 5), ("a", 5), ("a", 5, MIN), ("a", 5, MAX), False),
        (("a", 5), ("a",), ("a", 5, MIN), ("a", MAX, MAX), False),
        (("a",), ("a", 5), ("a", MIN, MIN), ("a", 5, MAX), False),
        (("a", MAX), ("a",), ("a", MAX, MAX), ("a", MIN, MIN), True),
        (("a",), ("a", MIN), ("a", MAX, MAX), ("a", MIN, MIN), True),
        (("a", 5, b"\x01"), ("a", 5, b"\x02"), ("a", 5, b"\x01"), ("a", 5, b"\x02"), False),
        (("a", 5, b"\x02"), ("a", 5, b"\x01"), ("a", 5, b"\x02"), ("a", 5, b"\x01"), True),
        ((MIN, 5), ("b",), (MIN, MIN, MIN), ("b", MAX, MAX), False),
        (("a",), (), ("a", MIN, MIN), (MAX, MAX, MAX), False),
    ],
)
def test_parts_that_are_left_out_make_the_range_as_wide_as_it_can_be(begin, end, first, last, is_backward):
    assert written(begin, end) == (first, last, is_backward)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (("a", 5, b""), ("a", 5, b"")),
        ((MIN,), (MIN,)),
        ((MAX,), (MAX,)),
        ((MIN, 5), (MIN, 7)),
    ],
)
def test_a_range_that_holds_no_row_is_refused(begin, end):
    with pytest.raises(SpecError, match="holds no row of people"):
        written(begin, end)


def test_a_full_equal_key_of_one_column_is_refused():
    with pytest.raises(SpecError, match=r"from \[7\] to \[7\] holds no row"):
        written((7,), (7,), ONE_KEY)


@pytest.mark.parametrize(
    ("begin", "told"),
    [
        ((5,), "'city' of people is of type string; '5' is not"),
        (("a", "5"), "'id' of people is of type integer; '5' is not (write a whole number without quotes)"),
        (("a", True), "'id' of people is of type integer; 'True' is not"),
        (("a", 1.5), "'id' of people is of type integer; '1.5' is not"),
        (("a", 2**63), "an integer of Tablestore has 64 bits"),
        (("a", 1, "x"), "'photo' of people is of type binary"),
        (("\ud800",), "surrogate"),
        (
            ("a", 1, b"", 2),
            "4 key parts are given, but the key of people has 3: city (string), id (integer), photo (bin",
        ),
    ],
)
def test_a_part_that_does_not_fit_is_told_with_its_column_and_type(begin, told):
    with pytest.raises(SpecError) as refusal:
        written(begin, ())

    assert told in str(refusal.value)
    assert refusal.value.problems[0].path == "range.begin"


def test_all_problems_of_a_range_are_told_at_once():
    with pytest.raises(SpecError) as refusal:
        written((5, "x"), ("a", b""))

    assert [problem.path for problem in refusal.value.problems] == ["range.begin", "range.begin", "range.end"]


# ---- split points of the author


def cut(begin, end, points, table=TABLE):
    return [(parts(r.begin)[:2], parts(r.end)[:2]) for r in cut_at(table, full_range(table, begin, end), points)]


def test_a_range_is_cut_before_each_point():
    assert cut((), (), ["f", ("m", 5), "t"]) == [
        ((MIN, MIN), ("f", MIN)),
        (("f", MIN), ("m", 5)),
        (("m", 5), ("t", MIN)),
        (("t", MIN), (MAX, MAX)),
    ]


def test_a_backward_range_is_cut_in_its_direction():
    assert cut((MAX,), ("b",), ["t", "f"]) == [
        ((MAX, MAX), ("t", MIN)),
        (("t", MIN), ("f", MIN)),
        (("f", MIN), ("b", MIN)),
    ]


def test_no_point_leaves_the_range_whole():
    whole = full_range(TABLE)

    assert cut_at(TABLE, whole, []) == [whole]


@pytest.mark.parametrize(
    ("points", "told"),
    [
        (["f", "f"], "ascending order, each once"),
        (["m", "f"], "ascending order, each once"),
        (["a"], "not inside the range from city=a, id=INF_MIN"),
        (["z"], "not inside the range"),
        ([5], "'city' of people is of type string"),
        ([1.5], "'city' of people is of type string"),
        ([MIN], "write a value, not INF"),
        ([("f", MAX)], "write a value, not INF"),
        ([()], "write a value, not INF"),
        ([("f", 1, b"", 2)], "4 key parts"),
    ],
)
def test_a_point_that_breaks_a_rule_is_told(points, told):
    with pytest.raises(SpecError) as refusal:
        cut(("a",), ("p",), points)

    assert told in str(refusal.value)
    assert refusal.value.problems[0].path == f"split[{len(points) - 1}]"


def test_points_of_a_backward_range_descend():
    with pytest.raises(SpecError, match="descending order"):
        cut((MAX,), (MIN,), ["f", "t"])


# ---- split points of the service


def ids(*values):
    return SplitPoints(ONE_KEY.keys, tuple((("id", value),) for value in values))


def cut_ids(begin, end, split):
    whole = full_range(ONE_KEY, begin, end)
    return [(*parts(r.begin), *parts(r.end), size) for r, size in cut_by_size(ONE_KEY, whole, split, 100)]


def test_a_table_is_cut_at_every_point_of_the_service():
    assert cut_ids((), (), ids(10, 20)) == [(MIN, 10, 100), (10, 20, 100), (20, MAX, 50)]


def test_points_outside_a_range_are_dropped_and_its_ends_taken_for_half():
    assert cut_ids((5,), (25,), ids(0, 5, 10, 20, 25, 30)) == [(5, 10, 100), (10, 20, 100), (20, 25, 100)]
    assert cut_ids((6,), (24,), ids(0, 5, 10, 20, 25, 30)) == [(6, 10, 50), (10, 20, 100), (20, 24, 50)]


def test_a_backward_range_takes_the_points_downwards():
    assert cut_ids((MAX,), (5,), ids(10, 20)) == [(MAX, 20, 50), (20, 10, 100), (10, 5, 50)]


def test_points_in_any_order_and_twice_do_no_harm():
    assert cut_ids((), (), ids(20, 10, 20)) == cut_ids((), (), ids(10, 20))


@pytest.mark.parametrize("point", [(("id", "ten"),), (("other", 10),), (("id", 10), ("more", 1))])
def test_points_that_are_no_keys_of_the_table_are_refused(point):
    with pytest.raises(ProtocolError, match="no key of this table"):
        cut_by_size(ONE_KEY, full_range(ONE_KEY), SplitPoints(ONE_KEY.keys, (point,)), 100)


# ---- order and words


def test_text_is_ordered_by_its_bytes():
    ordered = ["", "A", "Z", "a", "é", "\u20ac", "\uffff", "\U0001f600"]

    assert sorted(ordered, key=str.encode) == ordered
    assert all(compare_keys((("k", a),), (("k", b),)) == -1 for a, b in itertools.pairwise(ordered))


def test_a_key_is_shown_short_and_printable():
    key = (("city", "Köln\n" + "x" * 90), ("id", INF_MIN), ("photo", b"\xff\x00"))

    shown = show_key(key)

    assert shown.startswith("city=")
    assert "\n" not in shown
    assert shown.endswith("…, id=INF_MIN, photo=ff00")


# ---- reading to the end


class Pages:
    """A sender whose answers are scripted; it keeps what was asked."""

    def __init__(self, *answers: RangePage):
        self.answers: Iterable[RangePage] = iter(answers)
        self.asked: list[table_pb2.GetRangeRequest] = []

    def send(self, call):
        self.asked.append(table_pb2.GetRangeRequest.FromString(call.body))
        return next(self.answers)


def key(value):
    return (("id", value),)


def read(begin=INF_MIN, end=INF_MAX, is_backward=False, **more):
    return RangeRead("events", key(begin), key(end), is_backward, **more)


def test_pages_go_on_where_the_service_says():
    service = Pages(RangePage(b"1", key(5)), RangePage(b"2", key(9), b"in 9"), RangePage(b"3", key(9), b"in 9, later"))
    service.answers = iter([*service.answers, RangePage(b"4")])

    found = [page.rows for page in pages(service, read(columns=("a",), limit=3))]

    assert found == [b"1", b"2", b"3", b"4"]
    assert [request.token for request in service.asked] == [b"", b"", b"in 9", b"in 9, later"]
    assert all(request.limit == 3 and request.columns_to_get == ["a"] for request in service.asked)


def test_an_empty_page_is_not_the_end():
    service = Pages(RangePage(b"", key(5)), RangePage(b"2"))

    assert [page.rows for page in pages(service, read())] == [b"", b"2"]


def test_a_page_that_reaches_the_end_of_the_range_is_the_last():
    service = Pages(RangePage(b"1", key(9)))

    assert [page.rows for page in pages(service, read(end=9))] == [b"1"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (read(begin=5), key(5)),
        (read(begin=5), key(4)),
        (read(begin=5, end=INF_MIN, is_backward=True), key(6)),
        (read(begin=5, token=b"t"), key(4)),
    ],
)
def test_a_service_that_goes_back_is_not_followed(asked, told):
    with pytest.raises(ProtocolError, match="where it has been already"):
        list(pages(Pages(RangePage(b"1", told), RangePage(b"2")), asked))


def test_the_same_place_in_the_same_row_is_not_read_for_ever():
    service = Pages(RangePage(b"1", key(5), b"t"), RangePage(b"2", key(5), b"t"))

    with pytest.raises(ProtocolError, match="where it has been already"):
        list(pages(service, read()))


def test_a_plan_still_offers_the_range():
    from airflow_tablestore.pipeline.full_export import plan

    assert plan.KeyRange is KeyRange
