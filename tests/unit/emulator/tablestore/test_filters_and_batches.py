"""Filters that the official clients seldom send, and batches of rows wider than an answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.emulator.tablestore.validation import Limits
from airflow_tablestore.wire.plainbuffer import decode_key, decode_rows, encode_key, encode_put
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, Cell, Row

NOW = 1_700_000_000_000
ANSWER_BYTES = 1000
COLUMNS = {1: "abcd", 2: "", 3: "b", 4: "cdefg"}


@pytest.fixture
def service() -> Iterator[Service]:
    """Rows 1 to 4, whose columns are letters that hold their own name."""
    service = Service(None, Clock(lambda: NOW * 1_000_000), Limits(range_bytes=ANSWER_BYTES))
    request = pb.CreateTableRequest()
    request.table_meta.table_name = "t"
    request.table_meta.primary_key.add(name="p", type=pb.INTEGER)
    request.reserved_throughput.capacity_unit.read = 0
    request.table_options.time_to_live, request.table_options.max_versions = -1, 3
    service.answer("CreateTable", "demo", request.SerializeToString())
    for number, names in COLUMNS.items():
        put(service, number, *[Cell(name, name) for name in names])
    yield service
    service.close()


def put(service: Service, number: int, *cells: Cell) -> None:
    request = pb.PutRowRequest(table_name="t", row=encode_put((("p", number),), cells))
    request.condition.row_existence = pb.IGNORE
    service.answer("PutRow", "demo", request.SerializeToString())


def page(offset: int, limit: int) -> bytes:
    inner = pb.ColumnPaginationFilter(offset=offset, limit=limit).SerializeToString()
    return pb.Filter(type=pb.FT_COLUMN_PAGINATION, filter=inner).SerializeToString()


def is_text(text: str, *, hides_rows_without: bool = True, is_latest_only: bool = True) -> bytes:
    inner = pb.SingleColumnValueFilter(
        comparator=pb.CT_EQUAL,
        column_name="c",
        column_value=b"\x03" + len(text).to_bytes(4, "little") + text.encode(),
        filter_if_missing=hides_rows_without,
        latest_version_only=is_latest_only,
    )
    return pb.Filter(type=pb.FT_SINGLE_COLUMN_VALUE, filter=inner.SerializeToString()).SerializeToString()


def read(service: Service, *, direction=pb.FORWARD, **options) -> Iterator[pb.GetRangeResponse]:
    """Every answer of a range over the whole table."""
    start, end = (INF_MIN, INF_MAX) if direction == pb.FORWARD else (INF_MAX, INF_MIN)
    following, token = encode_key((("p", start),)), b""
    while following:
        request = pb.GetRangeRequest(
            table_name="t",
            direction=direction,
            inclusive_start_primary_key=following,
            exclusive_end_primary_key=encode_key((("p", end),)),
            token=token or None,
            **{"max_versions": 1, **options},
        )
        answer = pb.GetRangeResponse.FromString(service.answer("GetRange", "demo", request.SerializeToString()))
        yield answer
        following, token = answer.next_start_primary_key, answer.next_token


def scan(service: Service, **options) -> dict[int, str]:
    """The names of the columns of each row that is there, in the order of answers."""
    rows = [row for answer in read(service, **options) for row in decode_rows(answer.rows)]
    return {row.key[0][1]: "".join(cell.name for cell in row.cells) for row in rows}


# ---- pages of columns


@pytest.mark.parametrize(
    ("offset", "limit", "expected"),
    [
        (0, 2, {1: "ab", 2: "", 3: "b", 4: "cd"}),
        (1, 2, {1: "bc", 2: "", 3: "", 4: "de"}),
        (4, 9, {1: "", 2: "", 3: "", 4: "g"}),
        (9, 1, {1: "", 2: "", 3: "", 4: ""}),
    ],
)
def test_a_page_of_columns_is_cut_out_of_every_row_of_a_range(service, offset, limit, expected):
    assert scan(service, filter=page(offset, limit)) == expected


def test_pages_of_columns_come_in_pages_of_rows_in_both_directions(service):
    found = scan(service, filter=page(1, 1), limit=1)
    backward = scan(service, filter=page(1, 1), limit=3, direction=pb.BACKWARD)

    assert list(found.items()) == [(1, "b"), (2, ""), (3, ""), (4, "d")]
    assert list(backward.items()) == list(reversed(found.items()))


def test_a_page_counts_the_columns_that_are_read(service):
    assert scan(service, filter=page(1, 1), columns_to_get=["b", "c", "d"]) == {1: "c", 3: "", 4: "d"}


def test_a_page_counts_columns_and_not_versions(service):
    put(service, 5, *[Cell(name, version, NOW + version) for name in "ab" for version in range(3)])

    answers = read(service, filter=page(1, 1), max_versions=3)
    rows = {row.key: row.cells for answer in answers for row in decode_rows(answer.rows)}

    assert [(cell.name, cell.value) for cell in rows[(("p", 5),)]] == [("b", 2), ("b", 1), ("b", 0)]


# ---- the latest version only


@pytest.mark.parametrize(("is_latest_only", "expected"), [(True, {4: "cdefg"}), (False, {4: "cdefg", 5: "c", 6: "c"})])
def test_a_filter_looks_at_the_latest_version_or_at_all(service, is_latest_only, expected):
    put(service, 4, *[Cell(name, "wanted" if name == "c" else name) for name in COLUMNS[4]])
    put(service, 5, Cell("c", "wanted", NOW), Cell("c", "other", NOW + 1))
    put(service, 6, Cell("c", "wanted", NOW), Cell("c", "other", NOW + 1), Cell("c", "newest", NOW + 2))

    found = {}
    for answer in read(service, filter=is_text("wanted", is_latest_only=is_latest_only), max_versions=3):
        for row in decode_rows(answer.rows):
            found[row.key[0][1]] = "".join(dict.fromkeys(cell.name for cell in row.cells))

    assert found == expected


def test_a_filter_sees_only_the_versions_that_are_read(service):
    put(service, 5, Cell("c", "wanted", NOW), Cell("c", "other", NOW + 1))
    old = is_text("wanted", is_latest_only=False)

    assert 5 not in scan(service, filter=old, max_versions=1)
    assert 5 in scan(service, filter=old, max_versions=2)


@pytest.mark.parametrize(
    ("hides", "expected"), [(True, {1: "abcd", 4: "cdefg"}), (False, {n: COLUMNS[n] for n in COLUMNS})]
)
def test_rows_without_the_column_pass_or_do_not(service, hides, expected):
    assert scan(service, filter=is_text("c", hides_rows_without=hides)) == expected


# ---- batches


def batch(service: Service, *numbers: int, tokens: tuple[bytes, ...] = ()) -> list[pb.RowInBatchGetRowResponse]:
    request = pb.BatchGetRowRequest()
    keys = [encode_key((("p", number),)) for number in numbers]
    request.tables.add(table_name="t", primary_key=keys, token=tokens, max_versions=1)
    answer = pb.BatchGetRowResponse.FromString(service.answer("BatchGetRow", "demo", request.SerializeToString()))
    return list(answer.tables[0].rows)


def row_of(result: pb.RowInBatchGetRowResponse) -> Row:
    (row,) = decode_rows(result.row)
    return row


def test_a_row_of_a_batch_that_is_wider_than_an_answer_comes_in_parts(service):
    put(service, 5, *[Cell(f"c{n}", "x" * 300) for n in range(9)])

    (narrow, wide, none) = batch(service, 1, 5, 99)
    names, token, parts = [cell.name for cell in row_of(wide).cells], wide.next_token, 1
    while token:
        (result,) = batch(service, 5, tokens=(token,))
        names += [cell.name for cell in row_of(result).cells]
        token, parts = result.next_token, parts + 1

    assert (narrow.is_ok, [cell.name for cell in row_of(narrow).cells], narrow.HasField("next_token")) == (
        True,
        [*"abcd"],
        False,
    )
    assert (none.is_ok, none.row) == (True, b"")
    assert names == [f"c{n}" for n in range(9)]
    assert parts > 2


def test_each_row_of_a_batch_has_an_answer_of_its_own_size(service):
    for number in range(10, 20):
        put(service, number, Cell("c", "x" * 800))

    results = batch(service, *range(10, 20))

    assert [(row_of(result).key, result.HasField("next_token")) for result in results] == [
        ((("p", number),), False) for number in range(10, 20)
    ]
    assert sum(len(result.row) for result in results) > 8 * ANSWER_BYTES


def test_a_range_goes_on_behind_an_answer_that_is_full(service):
    for number in range(10, 20):
        put(service, number, Cell("c", "x" * 400))

    answers = list(read(service))
    following = [decode_key(answer.next_start_primary_key) for answer in answers if answer.next_start_primary_key]

    assert [row.key[0][1] for answer in answers for row in decode_rows(answer.rows)] == [1, 2, 3, 4, *range(10, 20)]
    assert all(len(answer.rows) <= ANSWER_BYTES + 4 for answer in answers)
    assert len(following) == len(answers) - 1 > 4
