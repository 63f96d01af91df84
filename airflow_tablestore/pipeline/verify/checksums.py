"""Rows as fingerprints, and fingerprints as the checksum of a key range.

A checksum does not depend on the order of its rows, so a table in the order of its keys and objects in any order are
laid beside each other with one number for each range. It is a sum, not an exclusive or: a row that stands twice does
not cancel itself out.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from hashlib import blake2b
from typing import Any

from airflow_tablestore.consumer.table import KeyRange, compare_keys
from airflow_tablestore.wire.row import PrimaryKey, Value

DIGEST_BYTES = 16
_WRAP = 1 << (8 * DIGEST_BYTES)


def fingerprint(key: PrimaryKey, cells: Mapping[str, Value]) -> bytes:
    """Equal rows have equal ones, whatever the order of their cells; types differ as values do (1, 1.0, "1", true)."""
    text = repr((key, sorted(cells.items(), key=_name)))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


def cell_marks(cells: Mapping[str, Value]) -> dict[str, int]:
    """A short mark of each cell, to tell which of them differ once the rows are known to."""
    return {name: zlib.crc32(repr(value).encode("utf-8", "surrogatepass")) for name, value in cells.items()}


def _name(cell: tuple[str, Value]) -> str:
    return cell[0]


@dataclass(slots=True)
class Tally:
    """So many rows, and their checksum."""

    rows: int = 0
    sum: int = 0

    def add(self, found: bytes) -> None:
        self.rows += 1
        self.sum = (self.sum + int.from_bytes(found, "big")) % _WRAP


class Spans:
    """Key ranges that follow each other without a gap, in one direction, and which of them a key is in.

    A key outside of all of them counts to the nearest one.
    """

    def __init__(self, ranges: Sequence[KeyRange]):
        self.ranges = tuple(ranges)
        onward = -1 if self.ranges[0].is_backward else 1
        self._at: Callable[[PrimaryKey], Any] = cmp_to_key(lambda one, other: compare_keys(one, other) * onward)
        self._begins = [self._at(one.begin) for one in self.ranges]
        self._last = 0

    def __len__(self) -> int:
        return len(self.ranges)

    def of(self, key: PrimaryKey) -> int:
        """The number of the range. Rows of an object mostly follow each other, so the last one is tried first."""
        if len(self._begins) == 1:
            return 0
        place, last = self._at(key), self._last
        is_behind = not place < self._begins[last]
        if is_behind and (last + 1 == len(self._begins) or place < self._begins[last + 1]):
            return last
        self._last = max(0, bisect_right(self._begins, place) - 1)
        return self._last


def tallies(count: int) -> list[Tally]:
    """An empty tally for each range."""
    return [Tally() for _ in range(count)]


def differing(one: Iterable[Tally], other: Iterable[Tally]) -> frozenset[int]:
    """The numbers of the ranges that are not the same on both sides."""
    return frozenset(number for number, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
