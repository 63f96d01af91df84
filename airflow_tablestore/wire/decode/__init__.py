"""Blocks of rows as columns: the one interface of every decoder.

A decoder knows which columns it shall fill and their types. What fits goes into Arrow arrays; what does not (another
type, an unknown column) goes into short lists beside them, so that the policy (fail, count, keep in `_other`) is not
the decoder's business and the fast path stays columnar.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from airflow_tablestore.errors import SpecError
from airflow_tablestore.wire.row import ColumnType, Value

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Wanted:
    """One column to fill: an attribute, or a part of the primary key."""

    name: str
    type: ColumnType
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class Stray:
    """A cell that has no place in the columns: `row` counts from 0 within its batch."""

    row: int
    column: str
    value: Value


@dataclass(frozen=True, slots=True)
class Decoded:
    """Rows as columns, in the order of the wanted ones; null where a row has no such cell.

    `conflicts` are cells of a wanted column in another type (null in the column), `others` cells of columns that nobody
    wanted. Both are in row order. Parts of the key that nobody wanted are in neither. Nothing wanted: the batch has no
    column but still its number of rows.
    """

    records: pa.RecordBatch
    conflicts: Sequence[Stray] = field(default=())
    others: Sequence[Stray] = field(default=())


class Decoder(Protocol):
    """Turns PlainBuffer or SimpleRowMatrix blocks into columns; keep one between blocks, it may remember."""

    def decode(self, block: bytes | memoryview) -> Decoded:
        """The block's rows.

        :raises ProtocolError: the bytes are no valid block (shape, type, checksum, a second version of a cell).
        """
        ...


BACKENDS = ("native", "numpy", "plain")
"""The decoders, the fastest first."""

BACKEND_VARIABLE = "AIRFLOW_TABLESTORE_DECODER"
"""Names the decoder to use instead of the fastest that is there."""


def backend() -> str:
    """The name of the decoder that this process uses.

    :raises SpecError: the environment names one that there is none of, or that is not on this machine.
    """
    from airflow_tablestore.native import library

    named = os.environ.get(BACKEND_VARIABLE)
    has_numpy = sys.byteorder == "little" and importlib.util.find_spec("numpy") is not None
    if named is None:
        return "native" if library() is not None else "numpy" if has_numpy else "plain"
    if named not in BACKENDS:
        raise SpecError(f"{BACKEND_VARIABLE} is {named!r}; known: {', '.join(BACKENDS)}")
    if named == "numpy" and not has_numpy:
        raise SpecError(f"{BACKEND_VARIABLE} is 'numpy', which is not on this machine")
    return named


def decoder(wanted: Sequence[Wanted]) -> Decoder:
    """A decoder for these columns: the fastest that this machine has, or the one that the environment names.

    :raises SpecError: the same column is wanted twice, or the decoder that is named is not there.
    """
    name = backend()
    if name == "native":
        from airflow_tablestore.wire.decode.native import NativeDecoder

        return NativeDecoder(wanted)
    if name == "numpy":
        from airflow_tablestore.wire.decode.lockstep import LockstepDecoder

        return LockstepDecoder(wanted)
    from airflow_tablestore.wire.decode.plain import PlainDecoder

    return PlainDecoder(wanted)


ARROW_TYPES = {
    ColumnType.INTEGER: "int64",
    ColumnType.DOUBLE: "double",
    ColumnType.BOOLEAN: "bool",
    ColumnType.STRING: "string",
    ColumnType.BINARY: "binary",
}
"""The Arrow type of each Tablestore type, by pyarrow's alias. Nothing is squeezed through another type."""


def arrow_schema(wanted: Sequence[Wanted]) -> pa.Schema:
    """The schema of the records of a decoder."""
    import pyarrow as pa

    return pa.schema([pa.field(one.name, pa.type_for_alias(ARROW_TYPES[one.type])) for one in wanted])
