"""Each service's messages against bytes of official encoders, in both directions."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from airflow_tablestore.wire.proto import delivery_pb2, table_pb2, tunnel_pb2

VECTORS = Path(__file__).parents[2] / "vectors"
FILES = {
    "stream_messages.json": table_pb2,
    "tunnel_messages.json": tunnel_pb2,
    "delivery_messages.json": delivery_pb2,
}


def entries() -> list[Any]:
    return [
        pytest.param(FILES[name], entry, id=f"{name.split('_')[0]}-{entry['name']}")
        for name in FILES
        for entry in json.loads((VECTORS / name).read_text())
        if "message" in entry["meaning"] and hasattr(FILES[name], entry["meaning"]["message"])
    ]


def content(entry: dict[str, Any]) -> bytes:
    return bytes.fromhex(entry["hex"])


def fill(message: Message, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        about = message.DESCRIPTOR.fields_by_name[name]
        for one in value if about.label == FieldDescriptor.LABEL_REPEATED else [value]:
            put(message, about, one)


def put(message: Message, about: FieldDescriptor, value: Any) -> None:
    is_repeated = about.label == FieldDescriptor.LABEL_REPEATED
    if about.message_type is not None:
        part = getattr(message, about.name)
        inner = part.add() if is_repeated else part
        inner.SetInParent()
        fill(inner, value)
        return
    if about.enum_type is not None:
        value = about.enum_type.values_by_name[value].number
    elif about.type == FieldDescriptor.TYPE_BYTES:
        value = bytes.fromhex(value["hex"])
    elif about.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64):
        value = int(value)
    if is_repeated:
        getattr(message, about.name).append(value)
    else:
        setattr(message, about.name, value)


def expected(module: Any, entry: dict[str, Any]) -> Message:
    message: Message = getattr(module, entry["meaning"]["message"])()
    fill(message, entry["meaning"]["fields"])
    return message


@pytest.mark.parametrize(("module", "entry"), entries())
def test_bytes_of_an_official_encoder_read_as_their_meaning(module: Any, entry: dict[str, Any]):
    if "error" in entry["meaning"]:
        pytest.skip("a refusal, not a message")
    message = getattr(module, entry["meaning"]["message"])()

    message.ParseFromString(content(entry))

    assert message == expected(module, entry)
    assert not list(unknown_fields(message))


@pytest.mark.parametrize(("module", "entry"), entries())
def test_a_meaning_is_written_as_the_official_bytes(module: Any, entry: dict[str, Any]):
    if "error" in entry["meaning"] or entry.get("one_way"):
        pytest.skip("not to be written")

    assert expected(module, entry).SerializeToString(deterministic=True) == content(entry)


def test_every_message_vector_is_covered():
    named = {
        entry["meaning"].get("message")
        for name in FILES
        for entry in json.loads((VECTORS / name).read_text())
        if "message" in entry["meaning"]
    }

    assert len(entries()) > 90
    assert {name for name in named if not any(hasattr(module, name) for module in FILES.values())} == set()


def test_our_descriptors_live_beside_those_of_the_official_sdk():
    sdk = pytest.importorskip("tablestore.protobuf.table_store_pb2")

    theirs = sdk.Error(code="OTSObjectNotExist", message="gone").SerializeToString()

    assert table_pb2.Error.FromString(theirs).code == "OTSObjectNotExist"
    assert table_pb2.Error.DESCRIPTOR.full_name != sdk.Error.DESCRIPTOR.full_name


def unknown_fields(message: Message) -> Any:
    from google.protobuf.unknown_fields import UnknownFieldSet

    yield from UnknownFieldSet(message)
    for about, value in message.ListFields():
        if about.message_type is not None:
            for inner in value if about.label == FieldDescriptor.LABEL_REPEATED else [value]:
                yield from unknown_fields(inner)
