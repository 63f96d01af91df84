"""Rows as matrix blocks: GetRange where it is asked for them, and BulkExport."""

from __future__ import annotations

import itertools

import pytest

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.emulator.tablestore.validation import Limits
from airflow_tablestore.wire.matrix import Matrix, decode_matrix, encode_matrix
from airflow_tablestore.wire.plainbuffer import decode_rows, encode_key, encode_put
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, Cell

KEYS = ("p", "q", "r")
ROWS = (
    ("a", -1, b"\x00", {"text": "Köln", "n": -(2**63)}),
    ("a", 2, b"", {"flag": False, "half": -0.5, "raw": b"\xff\x00"}),
    ("b", 0, b"x", {}),
    ("ç", 2**63 - 1, b"", {"text": "", "flag": True, "n": 7, "half": 1e300, "raw": b""}),
)
WHOLE = ("flag", "half", "n", "raw", "text")


def made(limits: Limits | None = None) -> Service:
    service = Service(None, Clock(), limits)
    request = pb.CreateTableRequest()
    request.table_meta.table_name = "t"
    for name, kind in zip(KEYS, (pb.STRING, pb.INTEGER, pb.BINARY), strict=True):
        request.table_meta.primary_key.add(name=name, type=kind)
    request.reserved_throughput.capacity_unit.read = 0
    request.table_options.time_to_live, request.table_options.max_versions = -1, 3
    service.answer("CreateTable", "demo", request.SerializeToString())
    for p, q, r, columns in ROWS:
        cells = [Cell(name, value) for name, value in columns.items()]
        put = pb.PutRowRequest(table_name="t", row=encode_put((("p", p), ("q", q), ("r", r)), cells))
        put.condition.row_existence = pb.IGNORE
        service.answer("PutRow", "demo", put.SerializeToString())
    return service


@pytest.fixture
def service():
    service = made()
    yield service
    service.close()


def bounds() -> dict[str, bytes]:
    return {
        "inclusive_start_primary_key": encode_key(tuple((name, INF_MIN) for name in KEYS)),
        "exclusive_end_primary_key": encode_key(tuple((name, INF_MAX) for name in KEYS)),
    }


def get_range(service: Service, **options) -> pb.GetRangeResponse:
    settings = {"direction": pb.FORWARD, "max_versions": 1, "data_block_type_hint": pb.DBT_SIMPLE_ROW_MATRIX}
    request = pb.GetRangeRequest(table_name="t", **{**bounds(), **settings, **options})
    return pb.GetRangeResponse.FromString(service.answer("GetRange", "demo", request.SerializeToString()))


def export(service: Service, **options) -> pb.BulkExportResponse:
    request = pb.BulkExportRequest(table_name="t", **{**bounds(), **options})
    return pb.BulkExportResponse.FromString(service.answer("BulkExport", "demo", request.SerializeToString()))


def expected(fields: tuple[str, ...], rows=ROWS) -> Matrix:
    values = tuple((p, q, r, *(columns.get(name) for name in fields)) for p, q, r, columns in rows)
    return Matrix((*KEYS, *fields), 3, values)


def test_a_range_is_a_matrix_of_every_column_that_a_row_has(service):
    answer = get_range(service)

    assert answer.data_block_type == pb.DBT_SIMPLE_ROW_MATRIX
    assert decode_matrix(answer.rows) == expected(WHOLE)
    assert answer.rows == encode_matrix(expected(WHOLE))
    assert not answer.HasField("next_start_primary_key")


def test_a_range_may_be_read_backward_and_in_pages(service):
    end, start = bounds().values()
    following, found = start, []
    while following:
        answer = get_range(
            service,
            direction=pb.BACKWARD,
            limit=3,
            inclusive_start_primary_key=following,
            exclusive_end_primary_key=end,
            columns_to_get=["text", "p"],
        )
        found += decode_matrix(answer.rows).rows
        following = answer.next_start_primary_key

    assert tuple(found) == tuple(reversed(expected(("text",)).rows))


def test_named_columns_are_the_fields_in_the_order_of_their_names_in_the_request(service):
    answer = get_range(service, columns_to_get=["text", "q", "absent", "n", "text"])

    assert decode_matrix(answer.rows) == expected(("text", "absent", "n"))


def test_of_the_key_only_named_columns_are_shown_where_that_is_asked_for(service):
    answer = get_range(service, columns_to_get=["q", "n"], return_entire_primary_keys=False)

    rows = tuple((q, columns.get("n")) for _, q, _, columns in ROWS)
    assert decode_matrix(answer.rows) == Matrix(("q", "n"), 1, rows, has_entire_key=False)


def test_no_rows_are_a_matrix_too(service):
    answer = get_range(service, columns_to_get=["absent"])

    assert decode_matrix(answer.rows) == Matrix((*KEYS, "absent"), 3, ())


@pytest.mark.parametrize("options", [{"max_versions": 2}, {"data_block_type_hint": pb.DBT_PLAIN_BUFFER}])
def test_where_versions_are_wanted_plain_rows_come(service, options):
    answer = get_range(service, **options)

    assert answer.data_block_type == pb.DBT_PLAIN_BUFFER
    assert [row.key[0][1] for row in decode_rows(answer.rows)] == [row[0] for row in ROWS]


def test_a_row_in_parts_comes_as_plain_rows():
    service = made(Limits(range_bytes=60))

    answers = list(itertools.islice(parts(service), 50))
    service.close()

    assert pb.DBT_PLAIN_BUFFER in {answer.data_block_type for answer in answers}
    found: dict[str, object] = {}
    for answer in answers:
        if answer.data_block_type == pb.DBT_PLAIN_BUFFER:
            rows = [(row.key, {cell.name: cell.value for cell in row.cells}) for row in decode_rows(answer.rows)]
        else:
            block = decode_matrix(answer.rows)
            rows = [
                (
                    tuple(zip(KEYS, row, strict=False)),
                    {name: v for name, v in zip(block.fields[3:], row[3:], strict=True) if v is not None},
                )
                for row in block.rows
            ]
        for key, cells in rows:
            found.setdefault(key, {}).update(cells)
    assert found == {(("p", p), ("q", q), ("r", r)): columns for p, q, r, columns in ROWS}


def parts(service: Service):
    following, token = bounds()["inclusive_start_primary_key"], b""
    while following:
        answer = get_range(service, inclusive_start_primary_key=following, token=token or None)
        yield answer
        following, token = answer.next_start_primary_key, answer.next_token


def test_an_export_is_a_matrix_by_itself(service):
    answer = export(service)

    assert answer.data_block_type == pb.DBT_SIMPLE_ROW_MATRIX
    assert decode_matrix(answer.rows) == expected(WHOLE)


def test_an_export_may_be_of_plain_rows(service):
    answer = export(service, data_block_type_hint=pb.DBT_PLAIN_BUFFER, columns_to_get=["text"])

    assert [row.key[0][1] for row in decode_rows(answer.rows)] == ["a", "ç"]


def test_an_export_goes_on_where_it_stopped_and_never_parts_a_row():
    service = made(Limits(range_bytes=60))
    following, found = bounds()["inclusive_start_primary_key"], []

    while following:
        answer = export(service, inclusive_start_primary_key=following, columns_to_get=[*WHOLE, "p"])
        found += decode_matrix(answer.rows).rows
        following = answer.next_start_primary_key
    service.close()

    assert tuple(found) == expected(WHOLE).rows
