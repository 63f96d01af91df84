"""PlainBuffer against bytes of official encoders, in both directions."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire import plainbuffer
from airflow_tablestore.wire.row import AUTO_INCREMENT, INF_MAX, INF_MIN, Cell, CellOp, Row, SequenceInfo

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "plainbuffer.json").read_text())
MARKS = {"inf_min": INF_MIN, "inf_max": INF_MAX, "auto_increment": AUTO_INCREMENT}


def value(item: dict[str, Any]) -> Any:
    if item.get("type") in MARKS:
        return MARKS[item["type"]]
    match item.get("type"):
        case "integer":
            return int(item["value"])
        case "double":
            return struct.unpack(">d", bytes.fromhex(item["bits"]))[0]
        case "binary":
            return bytes.fromhex(item["value"])
        case _:
            return item.get("value")


def row(item: dict[str, Any]) -> Row:
    sequence = item["sequence_info"]
    return Row(
        tuple((part["name"], value(part)) for part in item["primary_key"]),
        tuple(Cell(c["name"], value(c), c.get("timestamp"), CellOp(c["op"])) for c in item["cells"]),
        item["delete_marker"],
        sequence and SequenceInfo(sequence["epoch"], int(sequence["timestamp"]), sequence["row_index"]),
    )


def blocks() -> list[Any]:
    own = [(v["name"], v["hex"], v["meaning"].get("rows"), v) for v in VECTORS]
    changes = [v for v in VECTORS if "origin_hex" in v]
    before = [(v["name"] + "-before", v["origin_hex"], v["meaning"]["origin_rows"], v) for v in changes]
    return [pytest.param(bytes.fromhex(content), rows, v, id=name) for name, content, rows, v in own + before]


def shown(rows: list[Row]) -> str:
    """Unlike equality, repr keeps NaN equal to itself and -0.0 apart from 0.0."""
    return repr(rows)


@pytest.mark.parametrize(("block", "rows", "vector"), blocks())
def test_official_bytes_read_as_their_meaning(block: bytes, rows: Any, vector: dict[str, Any]):
    if "error" in vector["meaning"]:
        with pytest.raises(ProtocolError):
            plainbuffer.decode_rows(block)
        return

    decoded = plainbuffer.decode_rows(block)

    assert shown(decoded) == shown([row(item) for item in rows])
    assert plainbuffer.decode_rows(memoryview(block)) == decoded or "nan" in shown(decoded)
    if vector["meaning"]["kind"] == "primary_key":
        assert plainbuffer.decode_key(block) == decoded[0].key


@pytest.mark.parametrize(("block", "rows", "vector"), blocks())
def test_a_meaning_is_written_as_the_official_bytes(block: bytes, rows: Any, vector: dict[str, Any]):
    if vector.get("one_way") or "error" in vector["meaning"]:
        pytest.skip("not to be written")
    given = [row(item) for item in rows]

    assert plainbuffer.encode_rows(given) == block
    match vector["meaning"]["kind"]:
        case "primary_key":
            assert plainbuffer.encode_key(given[0].key) == block
        case "put_row":
            assert plainbuffer.encode_put(given[0].key, given[0].cells) == block
        case "update_row":
            assert plainbuffer.encode_update(given[0].key, given[0].cells) == block
        case "delete_row":
            assert plainbuffer.encode_delete(given[0].key) == block


@pytest.mark.parametrize(("block", "rows", "vector"), blocks())
def test_no_byte_of_a_block_can_be_lost(block: bytes, rows: Any, vector: dict[str, Any]):
    """A block cut anywhere is refused, except between rows and inside the zeros after the last one."""
    if "error" in vector["meaning"] or len(block) > 600:
        pytest.skip("long or refused anyway")
    given = [row(item) for item in rows]
    ends = {len(plainbuffer.encode_rows(given[:n])) for n in range(len(given) + 1)} | {0}
    ends |= {end for end in range(len(block)) if not any(block[end:])}

    for size in set(range(len(block))) - ends:
        with pytest.raises(ProtocolError):
            plainbuffer.decode_rows(block[:size])
