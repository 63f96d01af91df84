"""What the emulator answers, byte for byte, against blocks that official parsers have read (tests/vectors)."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.cells import encode_row, read_change, stored_cell
from airflow_tablestore.emulator.tablestore.keys import sort_key
from airflow_tablestore.emulator.tablestore.matrix import matrix
from airflow_tablestore.emulator.tablestore.records import Place, encode_origin, encode_record
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.emulator.tablestore.storage import RowChange
from airflow_tablestore.emulator.tablestore.table import Table, table_of
from airflow_tablestore.wire.plainbuffer import encode_delete, encode_key, encode_put, encode_update
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, Cell, CellOp

VECTORS = Path(__file__).parents[3] / "vectors"
MATRICES = [v for v in json.loads((VECTORS / "matrix.json").read_text()) if "error" not in v["meaning"]]
RECORDS = [
    v
    for v in json.loads((VECTORS / "plainbuffer.json").read_text())
    if v["meaning"]["kind"] == "stream_row" and v["name"] not in ("stream_delete_no_marker", "tunnel_base_row")
]
"""Records of streams; the service's deletions have their mark."""
IN_KEY_ORDER = ("empty_no_rows", "all_types", "nulls", "hundred_rows", "not_entire_primary_keys")
NOW = 1_704_067_200_000
OPS = {
    "put": CellOp.PUT,
    "delete_one_version": CellOp.DELETE_ONE_VERSION,
    "delete_all_versions": CellOp.DELETE_ALL_VERSIONS,
}
KEY_TYPES = {int: pb.INTEGER, str: pb.STRING, bytes: pb.BINARY}

each_matrix = pytest.mark.parametrize("vector", MATRICES, ids=lambda v: v["name"])


def value(item: dict[str, Any]) -> Any:
    match item.get("type"):
        case None | "null":
            return None
        case "integer":
            return int(item["value"])
        case "double":
            return struct.unpack(">d", bytes.fromhex(item["bits"]))[0]
        case "binary":
            return bytes.fromhex(item["value"])
        case _:
            return item["value"]


# ---- matrices


def named(meaning: dict[str, Any]) -> list[tuple[list[tuple[str, Any]], list[tuple[str, Any]]]]:
    """Each row's key and columns, without the columns that it lacks."""
    count = meaning["pk_count"]
    rows = [list(zip(meaning["fields"], map(value, row), strict=True)) for row in meaning["rows"]]
    return [(row[:count], [(name, one) for name, one in row[count:] if one is not None]) for row in rows]


@each_matrix
def test_rows_are_the_matrix_that_official_parsers_read(vector):
    meaning = vector["meaning"]
    hidden = [] if meaning["pk_count"] else [("hidden", 1)]
    fields = [name.encode() for name in meaning["fields"]]
    stored = []
    for key, columns in named(meaning):
        change = read_change(encode_put(tuple(hidden + key), [Cell(*column) for column in columns]))
        stored.append(encode_row(change.key, [stored_cell(cell, NOW) for cell in change.cells]))

    block = matrix(
        stored,
        fields[: meaning["pk_count"]],
        fields[meaning["pk_count"] :],
        has_entire_key=meaning["entire_primary_keys"],
    )

    assert block.hex() == vector["hex"]


@pytest.mark.parametrize("name", IN_KEY_ORDER)
def test_a_range_is_answered_with_that_matrix(name):
    (vector,) = [v for v in MATRICES if v["name"] == name]
    meaning = vector["meaning"]
    rows = named(meaning)
    keys = [(field, type(one)) for field, one in rows[0][0]] if rows else [(meaning["fields"][0], int)]
    if not meaning["entire_primary_keys"]:
        keys, rows = [("hidden", int), *keys], [([("hidden", 1), *key], columns) for key, columns in rows]
    service = Service(None, Clock())
    create(service, keys)
    for key, columns in rows:
        put = pb.PutRowRequest(table_name="t", row=encode_put(tuple(key), [Cell(*column) for column in columns]))
        put.condition.row_existence = pb.IGNORE
        service.answer("PutRow", "demo", put.SerializeToString())

    request = pb.GetRangeRequest(
        table_name="t",
        direction=pb.FORWARD,
        max_versions=1,
        columns_to_get=meaning["fields"],
        inclusive_start_primary_key=encode_key(tuple((field, INF_MIN) for field, _ in keys)),
        exclusive_end_primary_key=encode_key(tuple((field, INF_MAX) for field, _ in keys)),
        data_block_type_hint=pb.DBT_SIMPLE_ROW_MATRIX,
        return_entire_primary_keys=meaning["entire_primary_keys"],
    )
    answer = pb.GetRangeResponse.FromString(service.answer("GetRange", "demo", request.SerializeToString()))
    service.close()

    assert answer.rows.hex() == vector["hex"]


def create(service: Service, keys: list[tuple[str, type]]) -> None:
    request = pb.CreateTableRequest()
    request.table_meta.table_name = "t"
    for name, kind in keys:
        request.table_meta.primary_key.add(name=name, type=KEY_TYPES[kind])
    request.reserved_throughput.capacity_unit.read = 0
    request.table_options.time_to_live, request.table_options.max_versions = -1, 1
    service.answer("CreateTable", "demo", request.SerializeToString())


# ---- records of streams


def table(columns: list[str]) -> Table:
    told = pb.DescribeTableResponse()
    told.table_meta.table_name = "t"
    told.table_meta.primary_key.add(name="pk1", type=pb.STRING)
    told.table_meta.primary_key.add(name="pk2", type=pb.INTEGER)
    told.table_options.max_versions, told.table_options.time_to_live = 5, -1
    told.stream_details.enable_stream = True
    told.stream_details.columns_to_get.extend(columns)
    told.reserved_throughput_details.capacity_unit.read = 0
    return table_of(1, "demo", "t", told.SerializePartialToString(), True)


def cells_of(row: dict[str, Any]) -> list[Cell]:
    return [Cell(c["name"], value(c), c.get("timestamp"), OPS[c.get("op", "put")]) for c in row["cells"]]


def change_of(vector: dict[str, Any], table: Table) -> RowChange:
    """The change that leads to a vector's record."""
    (row,) = vector["meaning"]["rows"]
    key = tuple((part["name"], value(part)) for part in row["primary_key"])
    cells = cells_of(row)
    action, block = {
        "PUT_ROW": lambda: (pb.PUT, encode_put(key, cells)),
        "UPDATE_ROW": lambda: (pb.UPDATE, encode_update(key, cells)),
        "DELETE_ROW": lambda: (pb.DELETE, encode_delete(key)),
    }[vector["meaning"]["action_type"]]()
    change = read_change(block)
    before = None
    for origin in vector["meaning"].get("origin_rows", ()):
        stored = read_change(encode_put(key, cells_of(origin))).cells
        before = [stored_cell(cell, cell.timestamp or 0) for cell in stored]  # in the vector's order
    return RowChange(action, sort_key(change.parts), change.key, change, before, NOW)


@pytest.mark.parametrize("vector", RECORDS, ids=lambda v: v["name"])
def test_a_change_is_the_record_that_official_parsers_read(vector):
    origin = [cell["name"] for row in vector["meaning"].get("origin_rows", ()) for cell in row["cells"]]
    streamed = table(origin)
    change = change_of(vector, streamed)
    told = vector["meaning"]["rows"][0]["sequence_info"]

    record = encode_record(streamed, change, Place(told["epoch"], told["timestamp"], told["row_index"]))
    before = encode_origin(streamed, change)

    assert record.hex() == vector["hex"]
    assert (before and before.hex()) == vector.get("origin_hex")


def test_the_vectors_hold_every_kind_of_change():
    assert len(RECORDS) >= 11
    assert {v["meaning"]["action_type"] for v in RECORDS} == {"PUT_ROW", "UPDATE_ROW", "DELETE_ROW"}
    assert len(MATRICES) >= 10
