"""Request messages, whole and with readable texts.

protobuf hands out a string field that is not UTF-8 as bytes, so texts are looked at before anybody uses them.
"""

from __future__ import annotations

from functools import cache
from typing import TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from airflow_tablestore.emulator.tablestore.errors import invalid
from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.message import parse

M = TypeVar("M", bound=Message)


def read(kind: type[M], body: bytes, failure: str) -> M:
    """The message of this kind that the body holds.

    :raises ServiceError: with the text `failure` when it holds none.
    """
    try:
        message = parse(kind, body)
    except ProtocolError:
        raise invalid(failure) from None
    if not _is_readable(message):
        raise invalid(failure)
    return message


def _is_readable(message: Message) -> bool:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            texts = (value,) if isinstance(value, str | bytes) else value
            if not all(isinstance(text, str) for text in texts):
                return False
        elif field.message_type is not None and _holds_text(field.message_type):
            parts = (value,) if isinstance(value, Message) else value
            if any(not _is_readable(part) for part in parts):
                return False
    return True


@cache
def _holds_text(kind: Descriptor) -> bool:
    """Whether a message of this kind can hold a text. No message of the service contains its own kind."""
    return any(
        field.type == FieldDescriptor.TYPE_STRING
        or (field.message_type is not None and _holds_text(field.message_type))
        for field in kind.fields
    )
