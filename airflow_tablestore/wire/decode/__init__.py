"""Blocks of rows as columns: the one interface of every decoder.

A decoder knows which columns it shall fill and their types. What fits goes into Arrow arrays; what does not (another
type, an unknown column) goes into short lists beside them, so that the policy (fail, count, keep in `_other`) is not
the decoder's business and the fast path stays columnar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

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
    """Turns PlainBuffer blocks into columns; keep one between blocks, it may remember what it saw."""

    def decode(self, block: bytes | memoryview) -> Decoded:
        """The block's rows.

        :raises ProtocolError: the bytes are no valid block (shape, type, checksum, a second version of a cell).
        """
        ...


def decoder(wanted: Sequence[Wanted]) -> Decoder:
    """A decoder for these columns: at present the plain one."""
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
