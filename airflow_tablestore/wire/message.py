"""Bodies as messages: the one place where protobuf's failures become ours.

protobuf accepts a body that lacks required fields, so a message is whole only after it was asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar, cast

from google.protobuf.message import DecodeError, Message

from airflow_tablestore.errors import ProtocolError

M = TypeVar("M", bound=Message)

_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5
"""How a field's value is written. Source: the protobuf documentation, "Encoding"."""


def parse(kind: type[M], body: bytes) -> M:
    """The message of this kind that the body holds.

    :raises ProtocolError: it holds none, or one without a required field.
    """
    message = kind()
    name = message.DESCRIPTOR.name
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise ProtocolError(f"{len(body)} bytes that are no {name}") from error
    if not message.IsInitialized():
        # every implementation has the method that names the fields, but the type stubs lack it
        missing = cast(Any, message).FindInitializationErrors()
        raise ProtocolError(f"a {name} without {', '.join(missing)}")
    return message


def parse_beside(kind: type[M], body: bytes | memoryview, field: int) -> tuple[M, memoryview]:
    """The message without one large field of bytes, and that field's bytes where they stand in the body.

    To have protobuf read megabytes of rows costs more than to decode them: it copies them in, and out again.
    :raises ProtocolError: as `parse`.
    """
    content = memoryview(body)
    try:
        places = [(start, first, end) for start, first, end, number in _values(content) if number == field]
    except IndexError:  # cut short, or no message: parsing finds the words
        places = []
    if len(places) != 1:
        message = parse(kind, bytes(body))
        return message, memoryview(getattr(message, message.DESCRIPTOR.fields_by_number[field].name))
    start, first, end = places[0]
    empty = bytes((field << 3 | _LENGTH, 0))
    return parse(kind, b"".join((content[:start], empty, content[end:]))), content[first:end]


def _values(content: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Of each field: where it begins, where its value begins and ends, and its number.

    IndexError: the message ends inside a field, or has a field of a form that nobody sends.
    """
    place = 0
    while place < len(content):
        start = place
        tag, place = _varint(content, place)
        form, first = tag & 7, place
        if form == _VARINT:
            _, place = _varint(content, place)
        elif form == _LENGTH:
            size, first = _varint(content, place)
            place = first + size
        elif form in (_EIGHT, _FOUR):
            place += 8 if form == _EIGHT else 4
        else:
            raise IndexError(place)
        if place > len(content):
            raise IndexError(place)
        yield start, first, place, tag >> 3 if form == _LENGTH else 0


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        value |= (content[place] & 0x7F) << shift
        place += 1
        if content[place - 1] < 0x80:
            return value, place
    raise IndexError(place)
