"""The tunnel's Arrow stream: record batch messages without their schema, in checksummed chunks.

Frame: the chunk size (uint32, big endian), then chunks, each with its CRC32C behind it; last one CRC32C over all of the
payload. Source: tests/vectors/maxcompute.json, made by pyodps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastcrc import crc32

from airflow_tablestore.emulator.maxcompute.errors import Refusal

CHUNK_BYTES = 65536
"""Of answers; requests say their own."""
_SMALLEST_CHUNK = 16


def payload(body: bytes) -> bytes:
    """The messages in the frame.

    :raises Refusal: IncompleteBody, CorruptedDataStream, MalformedDataStream.
    """
    if len(body) < 8:
        raise Refusal("IncompleteBody", "The Arrow stream ends before its first chunk.")
    chunk = int.from_bytes(body[:4], "big")
    if chunk < _SMALLEST_CHUNK:
        raise Refusal("MalformedDataStream", f"The Arrow stream's chunks of {chunk} bytes are too small.")
    total = int.from_bytes(body[-4:], "big")
    view = memoryview(body)[4:-4]
    parts: list[memoryview] = []
    while len(view) >= chunk + 4:
        part, checksum = view[:chunk], int.from_bytes(view[chunk : chunk + 4], "big")
        if crc32.iscsi(bytes(part)) != checksum:
            raise Refusal("CorruptedDataStream", f"The checksum of chunk {len(parts) + 1} is wrong.")
        parts.append(part)
        view = view[chunk + 4 :]
    parts.append(view)
    found = b"".join(parts)
    if crc32.iscsi(found) != total:
        raise Refusal("CorruptedDataStream", "The Arrow stream is cut short, or its checksum is wrong.")
    return found


def framed(messages: Iterable[bytes], chunk: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The frame around the messages, piece by piece."""
    yield chunk.to_bytes(4, "big")
    waiting, total = bytearray(), 0
    for message in messages:
        waiting += message
        total = crc32.iscsi(message, total)
        while len(waiting) >= chunk:
            part = bytes(waiting[:chunk])
            del waiting[:chunk]
            yield part + crc32.iscsi(part).to_bytes(4, "big")
    yield bytes(waiting) + total.to_bytes(4, "big")


def batches(body: bytes, schema: Any) -> Iterator[Any]:
    """The record batches of an Arrow stream whose columns are those of the schema; each is checked whole.

    :raises Refusal: the frame or a message is not right.
    """
    import pyarrow as pa

    messages = payload(body)
    try:
        with pa.ipc.open_stream(pa.py_buffer(schema.serialize().to_pybytes() + messages)) as reader:
            for batch in reader:
                batch.validate(full=True)
                yield batch
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise Refusal("MalformedDataStream", f"The Arrow stream does not fit the table's columns: {error}.") from error
