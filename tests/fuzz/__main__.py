"""Damaged blocks for minutes on end: all decoders must agree, and the C library never read where it must not.

The library is compiled anew with sanitizers, which end the process at the first bad access; the interpreter is started
again with their runtime loaded first. Every block is seeded by its number, so a failure names what repeats it.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from airflow_tablestore import native
from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.decode import Decoded, Decoder, Wanted
from airflow_tablestore.wire.decode.changes import ChangesDecoder, PlainChanges
from airflow_tablestore.wire.decode.lockstep import LockstepDecoder
from airflow_tablestore.wire.decode.native import NativeDecoder
from airflow_tablestore.wire.decode.native_changes import NativeChanges
from airflow_tablestore.wire.decode.plain import PlainDecoder
from airflow_tablestore.wire.matrix import Matrix, encode_matrix
from airflow_tablestore.wire.plainbuffer import checksum, encode_rows
from airflow_tablestore.wire.row import Cell, CellOp, ColumnType, Row, SequenceInfo, Value
from airflow_tablestore.wire.stream import Action
from airflow_tablestore.wire.tunnel_channel import TunnelRecord

SANITIZED = "TABLESTORE_FUZZ_LIBRARY"
SOURCES = tuple(sorted(Path(native.__file__).parent.glob("*.c")))
FLAGS = ("-std=c11", "-O1", "-g", "-shared", "-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TYPES = tuple(ColumnType)
ID = (Wanted("id", ColumnType.INTEGER, is_key=True),)
PAGES = 10
NAMES = ("user", "id", "a", "b", "c", "列", "", "a" * 300)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=0, help="the first block's number")
    options = parser.parse_args()
    library = os.environ.get(SANITIZED)
    if library is None:
        return _again_with_sanitizers()
    native.library_path = lambda: Path(library)  # type: ignore[assignment]
    if native.library() is None:
        print("The sanitized library could not be loaded.", file=sys.stderr)
        return 1
    return _fuzz(options.seconds, options.seed)


def _again_with_sanitizers() -> int:
    compiler = shutil.which("gcc")
    if compiler is None:
        print("make fuzz needs gcc and its sanitizers.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "columns.so")
        subprocess.run([compiler, *FLAGS, "-o", str(library), *map(str, SOURCES)], check=True)
        told = [compiler, "-print-file-name=libasan.so"]
        runtime = subprocess.run(told, check=True, capture_output=True, text=True).stdout.strip()
        environment = {
            **os.environ,
            SANITIZED: str(library),
            "LD_PRELOAD": runtime,
            "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own
            "PYTHONMALLOC": "malloc",  # so that a block ends where its bytes end
        }
        return subprocess.run([sys.executable, "-m", "tests.fuzz", *sys.argv[1:]], env=environment).returncode


def _fuzz(seconds: float, seed: int) -> int:
    until, number, refused = time.monotonic() + seconds, seed, 0
    while time.monotonic() < until:
        chance = random.Random(number)
        wanted = tuple(
            Wanted(name, chance.choice(TYPES), is_key=name in ("user", "id"))
            for name in chance.sample(NAMES, chance.randrange(len(NAMES)))
        )
        plain, others = PlainDecoder(wanted), (NativeDecoder(wanted), LockstepDecoder(wanted, fewest_rows=1))
        for _ in range(20):
            block = _block(chance)
            said = _answer(plain, block)
            refused += said is None
            if any(_answer(other, block) != said for other in others):
                print(f"seed {number}: the decoders disagree about {block.hex()} for {wanted}", file=sys.stderr)
                return 1
        for page in (_page(chance) for _ in range(PAGES)):
            of_stream = chance.random() < 0.5
            decoders = (NativeChanges(ID, of_stream=of_stream), PlainChanges(ID, of_stream=of_stream))
            if len({repr(_changes(decoder, page)) for decoder in decoders}) > 1:
                told = [(record.action.value, record.row.hex()) for record in page]
                print(f"seed {number}: the decoders of changes disagree about {told}", file=sys.stderr)
                return 1
        number += 1
    blocks, pages = (number - seed) * 20, (number - seed) * PAGES
    print(f"{blocks:,} blocks, {refused:,} of them refused by all, and {pages:,} pages of a change log;", end=" ")
    print("no disagreement, no bad access")
    return 0


def _answer(decoder: Decoder, block: bytes) -> tuple[object, ...] | None:
    try:
        decoded: Decoded = decoder.decode(block)
    except ProtocolError:
        return None
    decoded.records.validate(full=True)
    columns = [[_bits(value) for value in column.to_pylist()] for column in decoded.records.columns]
    strays = [[(s.row, s.column, _bits(s.value)) for s in told] for told in (decoded.conflicts, decoded.others)]
    return decoded.records.num_rows, columns, strays


def _changes(decoder: ChangesDecoder, page: Sequence[TunnelRecord]) -> tuple[object, ...] | None:
    try:
        changes = decoder.decode(page)
    except ProtocolError:
        return None
    for batch in (changes.places, changes.cells):
        batch.validate(full=True)
    columns = [*changes.keys, *changes.places.columns, *changes.cells.columns]
    return [[_bits(value) for value in column.to_pylist()] for column in columns], dict(changes.unlike)


def _bits(value: Value | None) -> object:
    return struct.pack("<d", value) if isinstance(value, float) else (type(value), value)


def _block(chance: random.Random) -> bytes:
    make = chance.choice((_rows, _regular_rows, _matrix))
    block = bytearray(make(chance))
    for _ in range(chance.choice((0, 0, 1, 1, 2, 4))):
        at = chance.randrange(len(block) + 1)
        block[at : at + chance.randrange(9)] = chance.randbytes(chance.randrange(9))
    if make is _matrix and chance.random() < 0.8:
        block[-1:] = bytes((checksum(bytes(block[:-1])),))
    return bytes(block[: chance.randrange(len(block) + 1)]) if chance.random() < 0.1 else bytes(block)


def _rows(chance: random.Random) -> bytes:
    rows = []
    for _ in range(chance.randrange(12)):
        key = (("user", chance.choice(("ada", "", "杭州", b"x"))), ("id", chance.randrange(-9, 9)))
        names = chance.sample(NAMES[1:], chance.randrange(len(NAMES)))
        cells = tuple(Cell(name, _value(chance), chance.choice((None, 0, 1, 1 << 62))) for name in names)
        rows.append(Row(key[: chance.randrange(1, 3)], cells))
    return encode_rows(rows)


def _page(chance: random.Random) -> list[TunnelRecord]:
    """Some records of a tunnel, perhaps one of them damaged."""
    page = []
    for number in range(chance.randrange(1, 5)):
        key = (("id", chance.choice((number, -1, "x")) if chance.random() < 0.1 else number),)
        cells = tuple(_changed(name, chance) for name in chance.choices(NAMES[1:], k=chance.randrange(4)))
        place = SequenceInfo(1, chance.randrange(2**62), number) if chance.random() < 0.9 else None
        row = Row(key, cells, chance.random() < 0.2, place)
        page.append(TunnelRecord(chance.choice(list(Action)), encode_rows([row])))
    for _ in range(chance.choice((0, 0, 1, 2))):
        which = chance.randrange(len(page))
        block = bytearray(page[which].row)
        at = chance.randrange(len(block) + 1)
        block[at : at + chance.randrange(9)] = chance.randbytes(chance.randrange(9))
        page[which] = TunnelRecord(page[which].action, bytes(block))
    return page


def _changed(name: str, chance: random.Random) -> Cell:
    op = chance.choice((CellOp.PUT, CellOp.PUT, CellOp.DELETE_ONE_VERSION, CellOp.DELETE_ALL_VERSIONS))
    version = None if op is CellOp.DELETE_ALL_VERSIONS else chance.choice((0, 1, 1 << 62))
    return Cell(name, _value(chance) if op is CellOp.PUT else None, version, op)


def _regular_rows(chance: random.Random) -> bytes:
    """All rows with the same cells, of the same types."""
    kinds = [type(_value(chance)) for _ in range(chance.randrange(4))]
    names = NAMES[2 : 2 + len(kinds)]
    version = chance.choice((None, 0, 1 << 62))
    rows = []
    for number in range(chance.randrange(1, 9)):
        cells = tuple(Cell(name, _value(chance, kind), version) for name, kind in zip(names, kinds, strict=True))
        rows.append(Row((("user", f"ada {number}"), ("id", number)), cells))
    return encode_rows(rows)


def _matrix(chance: random.Random) -> bytes:
    fields: Sequence[str] = chance.sample(NAMES, chance.randrange(len(NAMES)))
    rows = tuple(
        tuple(_value(chance) if chance.random() < 0.8 else None for _ in fields) for _ in range(chance.randrange(8))
    )
    return encode_matrix(Matrix(tuple(fields), chance.randrange(len(fields) + 1), rows))


def _value(chance: random.Random, kind: type | None = None) -> Value:
    choices: tuple[Value, ...] = (
        chance.randrange(-(2**63), 2**63),
        chance.uniform(-1e9, 1e9),
        chance.random() < 0.5,
        "".join(chance.choices("abc, 杭é😀", k=chance.choice((0, 3, 40)))),
        chance.randbytes(chance.choice((0, 3, 40))),
    )
    return chance.choice(choices if kind is None else [one for one in choices if type(one) is kind])


if __name__ == "__main__":
    sys.exit(main())
