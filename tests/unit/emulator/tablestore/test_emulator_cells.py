"""The emulator reads every row that official encoders write, and refuses what is broken."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from airflow_tablestore.emulator.tablestore.cells import (
    DELETE_ALL,
    DELETE_ONE,
    HEADER,
    INCREMENT,
    PUT,
    Change,
    encode_row,
    key_block,
    key_parts,
    key_section,
    read_change,
    stored_cell,
    stored_cells,
    stored_key,
)
from airflow_tablestore.emulator.tablestore.errors import ServiceError

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "plainbuffer.json").read_text())
REQUESTS = [v for v in VECTORS if v["meaning"]["kind"] in ("primary_key", "put_row", "update_row", "delete_row")]
READABLE = [v for v in REQUESTS if "error" not in v["meaning"]]
BROKEN = [v for v in REQUESTS if "error" in v["meaning"]]
OPS = {"put": PUT, "delete_one_version": DELETE_ONE, "delete_all_versions": DELETE_ALL, "increment": INCREMENT}
TYPES = {
    "integer": 0,
    "double": 1,
    "boolean": 2,
    "string": 3,
    "binary": 7,
    "inf_min": 9,
    "inf_max": 10,
    "auto_increment": 11,
}


def names(vector) -> str:
    return vector["name"]


def encoded(told) -> bytes:
    """The value's bytes on the wire, from its meaning."""
    kind, value = told["type"], told.get("value")
    payload = {
        "integer": lambda: struct.pack("<q", int(value)),
        "double": lambda: bytes.fromhex(told["bits"])[::-1],
        "boolean": lambda: bytes([value]),
        "string": lambda: struct.pack("<I", len(value.encode())) + value.encode(),
        "binary": lambda: struct.pack("<I", len(value) // 2) + bytes.fromhex(value),
    }.get(kind, bytes)()
    return bytes([TYPES[kind]]) + payload


def told_cells(change: Change):
    return [(cell.name.decode(), cell.op, cell.timestamp, cell.value) for cell in change.cells]


@pytest.mark.parametrize("vector", READABLE, ids=names)
def test_rows_of_official_encoders_are_understood(vector):
    [row] = vector["meaning"]["rows"]

    change = read_change(bytes.fromhex(vector["hex"]))

    assert [(part.name.decode(), part.type) for part in change.parts] == [
        (part["name"], TYPES[part["type"]]) for part in row["primary_key"]
    ]
    assert change.is_delete == row["delete_marker"]
    assert told_cells(change) == [
        (
            cell["name"],
            OPS[cell["op"]],
            None if cell.get("timestamp") is None else int(cell["timestamp"]),
            encoded(cell) if "type" in cell else b"",
        )
        for cell in row["cells"]
    ]


@pytest.mark.parametrize("vector", BROKEN, ids=names)
def test_broken_rows_of_official_encoders_are_refused(vector):
    with pytest.raises(ServiceError) as caught:
        read_change(bytes.fromhex(vector["hex"]))

    assert caught.value.code == "OTSParameterInvalid"


@pytest.mark.parametrize("vector", [v for v in READABLE if v["meaning"]["kind"] == "primary_key"], ids=names)
def test_keys_are_written_as_official_encoders_write_them(vector):
    block = bytes.fromhex(vector["hex"])

    written = key_block(key_section(read_change(block).parts))

    assert written == (block if not vector.get("one_way") else block.rstrip(b"\0")[: len(written)])


@pytest.mark.parametrize(
    "vector",
    [
        v
        for v in READABLE
        if v["meaning"]["kind"] == "put_row"
        and v["meaning"]["rows"][0]["cells"]
        and all(cell.get("timestamp") is not None for cell in v["meaning"]["rows"][0]["cells"])
    ],
    ids=names,
)
def test_stored_rows_are_the_bytes_that_answers_carry(vector):
    block = bytes.fromhex(vector["hex"])
    change = read_change(block)

    row = encode_row(change.key, [stored_cell(cell, cell.timestamp or 0) for cell in change.cells])

    assert HEADER + row == block


def test_a_stored_row_is_read_back():
    vector = next(
        v for v in READABLE if v["meaning"]["kind"] == "put_row" and len(v["meaning"]["rows"][0]["cells"]) > 2
    )
    change = read_change(bytes.fromhex(vector["hex"]))
    cells = [stored_cell(cell, 7 + index) for index, cell in enumerate(change.cells)]

    row = encode_row(change.key, cells)

    assert stored_key(row) == change.key
    assert key_parts(stored_key(row)) == change.parts
    assert stored_cells(row, len(change.key.wire)) == cells


@pytest.mark.parametrize("vector", READABLE[::5], ids=names)
def test_every_changed_byte_is_noticed(vector):
    block = bytes.fromhex(vector["hex"]).rstrip(b"\0")

    for index in range(len(block)):
        damaged = bytearray(block)
        damaged[index] ^= 0x41
        with pytest.raises(ServiceError):
            read_change(bytes(damaged))


@pytest.mark.parametrize("vector", READABLE[::5], ids=names)
def test_every_cut_row_is_refused(vector):
    block = bytes.fromhex(vector["hex"]).rstrip(b"\0")

    for length in range(len(block)):
        with pytest.raises(ServiceError):
            read_change(block[:length])
