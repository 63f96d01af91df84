"""Changes of rows as columns: one row for each cell that changed, or one for each change with the columns chosen.

Where changes come from, and who hears of dirty records, is in `stream`. Changes with chosen columns are decoded as a
table's rows are, all of a page at once: without its sequence a change is such a row. Only a page with one that is not
(a deleted cell, two versions of a cell) is read change by change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from airflow_tablestore.consumer.table import show_key
from airflow_tablestore.errors import Problem, ProtocolError, SpecError
from airflow_tablestore.pipeline.contract import Column, Schema
from airflow_tablestore.pipeline.sources.conversion import as_string, settled
from airflow_tablestore.wire.decode import ARROW_TYPES, Decoded, Decoder, Wanted, decoder
from airflow_tablestore.wire.decode.changes import ChangesDecoder, Done, changes_decoder, digits, place_texts
from airflow_tablestore.wire.plainbuffer import HEADER, encode_rows, without_sequence
from airflow_tablestore.wire.row import Cell, CellOp, ColumnType, PrimaryKey, Row, SequenceInfo, Value, type_of
from airflow_tablestore.wire.stream import Action, StreamRecord

SEQUENCE_COLUMN = "sequenceinfo"
CELL_COLUMNS = ("colname", "version", "colvalue", "optype")
"""What follows the key in a row about a cell. Source: OTSStreamReader's output, whose columns go by these names."""

Refuse = Callable[[str, str], None]
"""Hears of a dirty record: its key and the reason. May raise to end the run."""


@dataclass(slots=True)
class Counts:
    """What was left out or is incomplete: dirty records, updates that lack some of the chosen columns, and changes of
    which nothing was chosen (deletes among them)."""

    dirty: int = 0
    partial_rows: int = 0
    passed_over: int = 0


def sequence_text(sequence: SequenceInfo, shard: str) -> str:
    """Where a change stands, as text that sorts as the changes of its shard do.

    Source: OTSStreamReader: epoch, microseconds, row index and shard.
    """
    return f"{sequence.epoch:010d}_{sequence.timestamp:020d}_{sequence.row_index:010d}_{shard}"


def value_text(value: Value) -> str:
    """A value as `colvalue` holds it: as csv does, but doubles never have an exponent.

    Source: OTSStreamReader, which writes doubles as plain decimals, whole ones from ten million on without a point.
    """
    if not isinstance(value, float) or not math.isfinite(value):
        return as_string(value)
    plain = format(Decimal(repr(value)), "f")
    return plain.removesuffix(".0") if abs(value) >= 1e7 else plain


# ---- a row for each cell


@dataclass(slots=True)
class CellChanges:
    """Makes rows about cells. The key is all that is pinned; everything else has a type of its own.

    `optype` is `DR` for a deleted row, `U`, `DO` and `DA` for a cell put, a version or all of them deleted. A put
    replaces the whole row, so it is `DR` and a `U` for each cell.
    :raises SpecError: a key column has the name of a column that is added.
    """

    pinned: Schema
    with_sequence: bool
    refuse: Refuse
    counts: Counts = field(default_factory=Counts)
    _decoder: ChangesDecoder = field(init=False)

    def __post_init__(self) -> None:
        refuse_taken_names(self.pinned, (*CELL_COLUMNS, *((SEQUENCE_COLUMN,) if self.with_sequence else ())))
        self._decoder = changes_decoder([Wanted(c.name, c.type, is_key=True) for c in _keys(self.pinned)])

    def schema(self) -> pa.Schema:
        added = [pa.field(name, pa.int64() if name == "version" else pa.string()) for name in CELL_COLUMNS]
        return pa.schema([*_fields(_keys(self.pinned)), *added, *_sequence_field(self.with_sequence)])

    def batch(self, records: Sequence[StreamRecord], shard: str) -> pa.RecordBatch:
        changes = self._decoder.decode(records)
        for key in changes.unlike.values():
            self.counts.dirty += 1
            self.refuse(show_key(key), _unlike(key))
        cells = changes.cells
        record = cells.column("record")
        columns = [
            *(values.take(record) for values in changes.keys),
            cells.column("name"),
            cells.column("version"),
            value_texts(cells),
            _OP_TYPES.take(cells.column("operation")),
        ]
        if self.with_sequence:
            places = pc.binary_join_element_wise(place_texts(changes.places), pa.scalar(shard), "_").take(record)
            columns.append(pc.binary_join_element_wise(places, digits(cells.column("number"), 10), ":"))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema())


_WORDS = {Done.PUT: "U", Done.DELETED_ALL_VERSIONS: "DA", Done.DELETED_ONE_VERSION: "DO", Done.DELETED_ROW: "DR"}
_OP_TYPES = pa.array([_WORDS[Done(code)] if code in _WORDS else None for code in range(max(Done) + 1)], pa.string())


def value_texts(cells: pa.RecordBatch) -> pa.StringArray:
    """The values of `decode.changes.CELLS` as `colvalue` holds them; see `value_text`."""
    texts = cells.column(ColumnType.STRING.value)
    for kind in (ColumnType.INTEGER, ColumnType.BOOLEAN, ColumnType.DOUBLE, ColumnType.BINARY):
        values = cells.column(kind.value)
        if values.null_count == len(values):
            continue
        if kind in (ColumnType.INTEGER, ColumnType.BOOLEAN):
            told = values.cast(pa.string())
        else:
            told = pa.array([None if one is None else value_text(one) for one in values.to_pylist()], pa.string())
        texts = told if texts.null_count == len(texts) else pc.coalesce(texts, told)
    return texts


def _unlike(key: PrimaryKey) -> str:
    """What is wrong with a key of other columns or types than the table's."""
    found = [(name, type_of(value)) for name, value in key if isinstance(value, int | str | bytes)]
    return "its key is not that of the table: " + ", ".join(f"{name} ({kind})" for name, kind in found)


# ---- a row for each change


@dataclass(slots=True)
class RowChanges:
    """Makes one row of each put and update, with the columns that are pinned.

    A column that the change did not put is null. An update that puts some of the columns chosen is counted as partial;
    one that puts none of them is passed over, and so is a delete. A put stands for the whole row, so it is neither; but
    one that puts none of the columns is passed over when the output has no key, for nothing of it would be left.

    :param shows_key: whether the output has a key column.
    :raises SpecError: a column has the name of the one that is added.
    """

    pinned: Schema
    with_sequence: bool
    refuse: Refuse
    shows_key: bool = True
    counts: Counts = field(default_factory=Counts)
    _decoder: Decoder = field(init=False)

    def __post_init__(self) -> None:
        refuse_taken_names(self.pinned, (SEQUENCE_COLUMN,) if self.with_sequence else ())
        self._decoder = decoder([Wanted(c.name, c.type, c.is_key) for c in self.pinned.columns])

    def schema(self) -> pa.Schema:
        return pa.schema([*_fields(self.pinned.columns), *_sequence_field(self.with_sequence)])

    def batch(self, records: Sequence[StreamRecord], shard: str) -> pa.RecordBatch:
        kept = [record for record in records if record.action is not Action.DELETE]
        self.counts.passed_over += len(records) - len(kept)
        decoded = self._decoded(kept)
        rows, reasons = settled(decoded.records, decoded.conflicts, self.pinned.columns)
        if self.with_sequence:
            texts = [sequence_text(record.sequence, shard) for record in kept]
            rows = pa.RecordBatch.from_arrays([*rows.columns, pa.array(texts, pa.string())], schema=self.schema())
        for at, reason in reasons.items():
            self.counts.dirty += 1
            self.refuse(show_key(self._key(rows, at)), reason)
        wanted = self._wanted(rows, kept, reasons)
        return rows if wanted is None else rows.filter(wanted)

    def _decoded(self, records: Sequence[StreamRecord]) -> Decoded:
        try:
            return self._decoder.decode(HEADER + b"".join(without_sequence(record.row) for record in records))
        except ProtocolError:
            # Perhaps only a change that no range read has; what is really damaged is refused here with its own reason.
            plain = [_as_stored(record.decoded()) for record in records]
            return self._decoder.decode(encode_rows(plain))

    def _wanted(
        self, rows: pa.RecordBatch, records: Sequence[StreamRecord], reasons: dict[int, str]
    ) -> pa.BooleanArray | None:
        """Which rows go on; None: all."""
        attributes = [column.name for column in self.pinned.columns if not column.is_key]
        clean = pa.array([at not in reasons for at in range(rows.num_rows)], pa.bool_()) if reasons else None
        if not attributes or not rows.num_rows:
            return clean
        put = reduce(pc.add, (pc.is_valid(rows.column(name)).cast(pa.int32()) for name in attributes))
        is_update = pa.array([record.action is Action.UPDATE for record in records], pa.bool_())
        if clean is not None:
            is_update = pc.and_(is_update, clean)
        is_empty = pc.equal(put, 0)
        is_short = pc.and_(is_update, pc.and_(pc.less(put, len(attributes)), pc.invert(is_empty)))
        if self.shows_key:
            is_empty = pc.and_(is_empty, is_update)
        if clean is not None:
            is_empty = pc.and_(is_empty, clean)
        self.counts.passed_over += _count(is_empty)
        self.counts.partial_rows += _count(is_short)
        return pc.invert(is_empty) if clean is None else pc.and_(clean, pc.invert(is_empty))

    def _key(self, rows: pa.RecordBatch, at: int) -> PrimaryKey:
        return tuple((column.name, rows.column(column.name)[at].as_py()) for column in _keys(self.pinned))


def _count(mask: pa.BooleanArray) -> int:
    return int(pc.sum(mask).as_py() or 0)


def _as_stored(row: Row) -> Row:
    """The change as a row of one version of each cell that it puts: the newest, of equally new ones the last."""
    newest: dict[str, Cell] = {}
    for cell in row.cells:
        if cell.op is CellOp.INCREMENT:
            raise ProtocolError(f"column {cell.name!r}: {cell.op.value} in a stream record")
        before = newest.get(cell.name)
        if cell.op is CellOp.PUT and (before is None or (cell.timestamp or 0) >= (before.timestamp or 0)):
            newest[cell.name] = cell
    return replace(row, cells=tuple(newest.values()), is_delete=False, sequence=None)


# ---- what both share


def refuse_taken_names(pinned: Schema, added: Sequence[str]) -> None:
    """:raises SpecError: a pinned column has the name of one that is added."""
    taken = [column.name for column in pinned.columns if column.name in added]
    if taken:
        raise SpecError(
            [
                Problem(
                    f"the table has a column named '{name}', which is the name of a column that the export adds",
                    "choose single_version_and_update_only and rename it with 'as', or leave out the sequence",
                    path="source.mode",
                )
                for name in taken
            ]
        )


def _keys(pinned: Schema) -> tuple[Column, ...]:
    return tuple(column for column in pinned.columns if column.is_key)


def _fields(columns: Sequence[Column]) -> list[pa.Field]:
    return [pa.field(column.name, pa.type_for_alias(ARROW_TYPES[column.type])) for column in columns]


def _sequence_field(is_wanted: bool) -> list[pa.Field]:
    return [pa.field(SEQUENCE_COLUMN, pa.string())] if is_wanted else []
