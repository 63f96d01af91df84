"""Bodies as messages: the one place where protobuf's failures become ours.

protobuf accepts a body that lacks required fields, so a message is whole only after it was asked.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from google.protobuf.message import DecodeError, Message

from airflow_tablestore.errors import ProtocolError

M = TypeVar("M", bound=Message)


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
