"""Rows wider than a page, put together again.

A page may end inside a row; the next one then goes on under the same key with the cells that were missing. So the last
row of such a page is held back until the next page shows whether it is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pyarrow as pa

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.decode import Decoded, Stray
from airflow_tablestore.wire.table import RangePage

Decode = Callable[[bytes | memoryview], Decoded]


def whole_rows(pages: Iterable[RangePage], decode: Decode, keys: int) -> Iterator[tuple[RangePage, Decoded]]:
    """Each page with its rows, none of which goes on in the next. A page may be left without rows.

    :param keys: how many of the first columns are the key.
    """
    held: Decoded | None = None
    for page in pages:
        decoded = decode(page.rows)
        if held is not None:
            decoded = _joined(held, decoded, keys)
            held = None
        if page.next_token and page.next_key is not None and decoded.records.num_rows:
            last = decoded.records.num_rows - 1
            decoded, held = _part(decoded, 0, last), _part(decoded, last, last + 1)
        yield page, decoded
    if held is not None:
        raise ProtocolError("a range ended inside a row")


def _joined(held: Decoded, decoded: Decoded, keys: int) -> Decoded:
    """A row held back in front of a page's rows; one with the page's first row when both have one key."""
    is_same = decoded.records.num_rows > 0 and all(
        held.records.column(i)[0].as_py() == decoded.records.column(i)[0].as_py() for i in range(keys)
    )
    if not is_same:
        records = pa.Table.from_batches([held.records, decoded.records]).combine_chunks().to_batches()[0]
        return Decoded(
            records,
            (*held.conflicts, *_moved(decoded.conflicts, 1)),
            (*held.others, *_moved(decoded.others, 1)),
        )
    arrays = []
    for one, other in zip(held.records.columns, decoded.records.columns, strict=True):
        first = one if one[0].is_valid else other.slice(0, 1)
        arrays.append(pa.concat_arrays([first, other.slice(1)]))
    records = pa.RecordBatch.from_arrays(arrays, schema=decoded.records.schema)
    return Decoded(records, (*held.conflicts, *decoded.conflicts), (*held.others, *decoded.others))


def _part(decoded: Decoded, start: int, end: int) -> Decoded:
    return Decoded(
        decoded.records.slice(start, end - start),
        tuple(_moved((s for s in decoded.conflicts if start <= s.row < end), -start)),
        tuple(_moved((s for s in decoded.others if start <= s.row < end), -start)),
    )


def _moved(strays: Iterable[Stray], by: int) -> list[Stray]:
    return [replace(stray, row=stray.row + by) for stray in strays]
