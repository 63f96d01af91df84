"""Odd tables, where decoders that were tried before have fallen off a cliff: each shape against the SDK's C parser.

Mixed types, sparse wide rows, long strings, tiny blocks. Columns are those that a run would have pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from airflow_tablestore.wire.decode import Decoder, Wanted
from airflow_tablestore.wire.decode.lockstep import LockstepDecoder
from airflow_tablestore.wire.decode.native import NativeDecoder
from airflow_tablestore.wire.plainbuffer import encode_rows
from airflow_tablestore.wire.row import Cell, ColumnType, Row, Value
from tests.bench.answers import ATTRIBUTES, KEYS, VERSION_MILLIS, WANTED, key_of, values_of
from tests.bench.pairs import Figure, in_turns, per_cpu_second
from tests.bench.reading import KROWS, quiet, sdk_tuples

KEY = tuple(Wanted(name, type, is_key=True) for name, type in KEYS)
NAMES = tuple(name for name, _ in ATTRIBUTES)
WIDE = tuple(f"column_{number:03d}" for number in range(200))
FILLED, LONG_BYTES, FEW_ROWS, MIXED_EVERY = 10, 2048, 10, 20


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of table: what it is called, its columns, the cells of a row, and how many rows a block has."""

    name: str
    wanted: tuple[Wanted, ...]
    cells: Callable[[int], Iterator[tuple[str, Value]]]
    rows_a_block: int

    def blocks(self, rows: int) -> list[bytes]:
        """So many rows, or a few more, as blocks of PlainBuffer."""
        return [
            encode_rows(
                Row(key_of(number), tuple(Cell(name, value, VERSION_MILLIS) for name, value in self.cells(number)))
                for number in range(first, first + self.rows_a_block)
            )
            for first in range(0, rows, self.rows_a_block)
        ]


def _usual(number: int) -> Iterator[tuple[str, Value]]:
    return zip(NAMES, values_of(number), strict=True)


def _mixed(number: int) -> Iterator[tuple[str, Value]]:
    for name, value in _usual(number):
        yield name, str(value) if name == "mileage" and number % MIXED_EVERY == 0 else value


def _sparse(number: int) -> Iterator[tuple[str, Value]]:
    for turn in range(FILLED):
        yield WIDE[(number * 7 + turn * 20) % len(WIDE)], number + turn


def _long(number: int) -> Iterator[tuple[str, Value]]:
    yield "city", f"{number:08d}" * (LONG_BYTES // 8)
    yield "note", f"{number % 97:08d}" * (LONG_BYTES // 8)


SHAPES = (
    Shape(f"mixed types, one row of {MIXED_EVERY}", WANTED, _mixed, 2_000),
    Shape(
        f"sparse wide rows, {FILLED} of {len(WIDE)} columns",
        (*KEY, *(Wanted(name, ColumnType.INTEGER) for name in WIDE)),
        _sparse,
        2_000,
    ),
    Shape(
        "strings of 2 KB",
        (*KEY, Wanted("city", ColumnType.STRING), Wanted("note", ColumnType.STRING)),
        _long,
        500,
    ),
    Shape(f"blocks of {FEW_ROWS} rows", WANTED, _usual, FEW_ROWS),
)


def decoding(rounds: int, rows: int = 10_000) -> Iterator[Figure]:
    """Each shape by the C library and by numpy, which hands what it cannot take to the plain decoder."""
    quiet()
    for shape in SHAPES:
        blocks = shape.blocks(rows)
        count = len(blocks) * shape.rows_a_block / 1000
        turns = in_turns(
            _decoded(NativeDecoder(shape.wanted), blocks),
            _decoded(LockstepDecoder(shape.wanted), blocks),
            lambda blocks=blocks: sdk_tuples(blocks),  # type: ignore[misc]
            rounds=rounds,
        )
        native, numpy, sdk = (per_cpu_second(count, turn) for turn in turns)
        how = f"{count * 1000:,.0f} rows to Arrow; theirs: the official Python SDK's C parser, to tuples"
        yield Figure(f"{shape.name}: C / SDK C", native, sdk, KROWS, how)
        yield Figure(f"{shape.name}: numpy / SDK C", numpy, sdk, KROWS, f"{how}; where no C library is")


def _decoded(decoder: Decoder, blocks: Sequence[bytes]) -> Callable[[], int]:
    return lambda: sum(decoder.decode(block).records.num_rows for block in blocks)
