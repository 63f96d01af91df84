"""Which keys a reader covers, and how it walks over them.

Key ranges as an author writes them become ranges of full keys; ranges are cut at the author's points or the service's,
without a gap and without an overlap; `pages` reads one range to its end. How ranges become tasks is decided in
`pipeline`, decoding is left to `wire.decode`.

Keys are ordered as the service orders them: part by part, INF_MIN before every value and INF_MAX after it, integers by
value, strings and binaries by their bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, TypeVar

from airflow_tablestore.errors import Problem, ProtocolError, Rejected, SpecError
from airflow_tablestore.wire.call import Call, Room
from airflow_tablestore.wire.row import (
    INF_MAX,
    INF_MIN,
    INT64_MAX,
    INT64_MIN,
    AutoIncrement,
    Bound,
    ColumnType,
    KeyValue,
    PrimaryKey,
)
from airflow_tablestore.wire.table import (
    Form,
    KeyColumn,
    RangePage,
    RangeRead,
    SplitPoints,
    TableDescription,
    bulk_export,
    get_range,
)

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The rows from `begin` (included) to `end` (excluded), read in that direction; begin > end reads backwards.

    Both are full keys; INF_MIN and INF_MAX stand for parts that the author left open.
    """

    begin: PrimaryKey
    end: PrimaryKey
    is_backward: bool = False


class Sender(Protocol):
    """What can send a call: the client, or a fake."""

    def send(self, call: Call[T]) -> T: ...


class Forms:
    """The forms in which the rows of one table may be asked for. Ranges that share it learn of a refusal once.

    :param wanted: the best first; PLAIN, which is never refused, is the last one in any case.
    """

    def __init__(self, *wanted: Form):
        self._left = [form for form in wanted if form is not Form.PLAIN]

    def best(self, read: RangeRead) -> Form:
        """How the rows of this page are to be asked for."""
        return next((form for form in self._left if read.can_be(form)), Form.PLAIN)

    def refuse(self, form: Form) -> None:
        """Not to be asked for again. For any number of threads."""
        self._left = [one for one in self._left if one is not form]


def pages(sender: Sender, read: RangeRead, forms: Forms | None = None, room: Room | None = None) -> Iterator[RangePage]:
    """The pages of a range, to its end. Every page holds at most `read.limit` rows (0: the service's own bound).

    A row that is wider than a page goes on in the next one, under the same key. A form that the service refuses, or
    whose matrix may hide cells, is not asked for again; what is refused for another reason is refused in every form.
    :param forms: in which rows may come; None: PlainBuffer.
    :param room: where pages are put, so that the rows of one are gone when the next is asked for; None: they stay.
    :raises ProtocolError: the service goes on where it has been already, so that reading would never end.
    """
    forms = Forms() if forms is None else forms
    while True:
        page = _page(sender, read, forms, room)
        yield page
        if page.next_key is None:
            return
        onward = -1 if read.is_backward else 1
        order = compare_keys(page.next_key, read.begin) * onward
        if order < 0 or (order == 0 and page.next_token in (b"", read.token)):
            place = show_key(page.next_key)
            raise ProtocolError(f"GetRange of {read.table}: the service goes on at {place}, where it has been already")
        if not page.next_token and compare_keys(page.next_key, read.end) * onward >= 0:
            return
        read = replace(read, begin=page.next_key, token=page.next_token)


def _page(sender: Sender, read: RangeRead, forms: Forms, room: Room | None) -> RangePage:
    while (form := forms.best(read)) is not Form.PLAIN:
        asked = replace(read, form=form)
        try:
            call = bulk_export(asked) if form is Form.BULK else get_range(asked)
            page = sender.send(replace(call, room=room))
            if page.shows(read):
                return page
            reason = "a matrix lacked columns that were asked for"
        except Rejected as error:
            reason = str(error)
        _log.info("%s: rows are not asked for by %s again: %s", read.table, form.value, reason)
        forms.refuse(form)
    return sender.send(replace(get_range(read), room=room))


# ---- the order of keys


def compare_keys(one: PrimaryKey, other: PrimaryKey) -> int:
    """-1, 0 or 1, as `one` stands before, at or after `other` in a table's order. Both have the same columns."""
    first, second = _order(one), _order(other)
    return (first > second) - (first < second)


def show_key(key: PrimaryKey) -> str:
    """A key for people: `uid=user_1, time=INF_MIN`; long values are cut."""
    return ", ".join(f"{name}={_show(value)}" for name, value in key)


def _order(key: PrimaryKey) -> tuple[tuple[int, str, Any], ...]:
    return tuple(_rank(value) for _, value in key)


def _rank(value: KeyValue) -> tuple[int, str, Any]:
    """Python orders text by code points, which is the order of its UTF-8 bytes. A column never mixes types; that they
    are ordered here all the same keeps a broken peer from breaking us."""
    if isinstance(value, Bound):
        return (0, "", None) if value is INF_MIN else (2, "", None)
    return (1, type(value).__name__, value)


def _show(value: KeyValue) -> str:
    if isinstance(value, Bound | AutoIncrement):
        return str(value.value)
    text = value.hex() if isinstance(value, bytes) else str(value)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= 40 else text[:39] + "…"


# ---- the range that an author wrote


def full_range(table: TableDescription, begin: Sequence[KeyValue] = (), end: Sequence[KeyValue] = ()) -> KeyRange:
    """The range between two keys of which only the first parts may be given; nothing given is the whole table.

    Parts that are left out are filled so that the range is as wide as it can be: `begin` with INF_MIN and `end` with
    INF_MAX, or the reverse when `begin` stands after `end` and the range is read backwards. Equal keys that are not
    full mean all rows with these first parts, forwards.
    :raises SpecError: a part of another type than its key column, too many parts, or a range that holds no row.
    """
    problems = [*_problems(table, "range.begin", begin), *_problems(table, "range.end", end)]
    if problems:
        raise SpecError(problems)
    shared = min(len(begin), len(end))
    given_order = _compare_parts(begin[:shared], end[:shared])
    candidates = {-1: (False,), 0: (False, True), 1: (True,)}[given_order]
    for is_backward in candidates:
        low, high = (INF_MAX, INF_MIN) if is_backward else (INF_MIN, INF_MAX)
        first, last = _filled(table.keys, begin, low), _filled(table.keys, end, high)
        if compare_keys(first, last) == (1 if is_backward else -1):
            return KeyRange(first, last, is_backward)
    raise SpecError(
        [
            Problem(
                f"the range from [{_show_parts(begin)}] to [{_show_parts(end)}] holds no row of {table.name}",
                "`end` is not included: name the key after the last one, or leave out its last parts",
                path="range",
            )
        ]
    )


def _filled(keys: Sequence[KeyColumn], parts: Sequence[KeyValue], rest: Bound) -> PrimaryKey:
    """A full key. What follows an INF decides nothing, so it is made the same INF."""
    full: list[tuple[str, KeyValue]] = []
    for position, column in enumerate(keys):
        if full and isinstance(full[-1][1], Bound):
            full.append((column.name, full[-1][1]))
        else:
            full.append((column.name, parts[position] if position < len(parts) else rest))
    return tuple(full)


def _compare_parts(one: Sequence[KeyValue], other: Sequence[KeyValue]) -> int:
    return compare_keys(tuple(("", part) for part in one), tuple(("", part) for part in other))


# ---- cutting a range


def cut_at(
    table: TableDescription, whole: KeyRange, points: Sequence[KeyValue | tuple[KeyValue, ...]]
) -> list[KeyRange]:
    """The range, cut before each of the author's points, in its direction.

    A point is a value of the first key column, or a list of values of the first few; INF is no point. Points follow
    each other in the direction of the range and stand inside it.
    :raises SpecError: every point that breaks a rule.
    """
    problems: list[Problem] = []
    cuts: list[PrimaryKey] = []
    for number, point in enumerate(points):
        path = f"split[{number}]"
        parts = tuple(point) if isinstance(point, list | tuple) else (point,)
        wrong = list(_problems(table, path, parts))
        if not parts or any(isinstance(part, Bound) for part in parts):
            wrong.append(Problem("a split point names a place between rows", "write a value, not INF", path=path))
        if not wrong:
            cut = _filled(table.keys, parts, INF_MIN)
            wrong = list(_misplaced(whole, cut, cuts, path, parts))
            cuts.extend([] if wrong else [cut])
        problems.extend(wrong)
    if problems:
        raise SpecError(problems)
    return _cut(whole, cuts)


def _misplaced(
    whole: KeyRange, cut: PrimaryKey, earlier: Sequence[PrimaryKey], path: str, parts: Sequence[KeyValue]
) -> Iterator[Problem]:
    onward = -1 if whole.is_backward else 1
    if not _is_inside(whole, cut):
        place = f"from {show_key(whole.begin)} to {show_key(whole.end)}"
        yield Problem(f"the split point [{_show_parts(parts)}] is not inside the range {place}", path=path)
    elif earlier and compare_keys(cut, earlier[-1]) != onward:
        order = "descending" if whole.is_backward else "ascending"
        hint = f"write the points in {order} order, each once"
        yield Problem(f"the split point [{_show_parts(parts)}] does not follow the one before it", hint, path=path)


def cut_by_size(
    table: TableDescription, whole: KeyRange, split: SplitPoints, split_bytes: int
) -> list[tuple[KeyRange, int]]:
    """The range, cut at those of the service's points that are inside it, in its direction; with estimated bytes.

    A part from point to point holds about `split_bytes`, for which the points were asked; one that ends elsewhere is
    taken for half of that.
    :raises ProtocolError: points that are no keys of this table.
    """
    for point in split.points:
        names, values = [name for name, _ in point], [value for _, value in point]
        if names != [column.name for column in table.keys] or any(_problems(table, "", values)):
            raise ProtocolError(f"ComputeSplitPointsBySize of {table.name}: {show_key(point)} is no key of this table")
    known = {_order(point): point for point in split.points}
    inside = [known[order] for order in sorted(known, reverse=whole.is_backward) if _is_inside(whole, known[order])]
    ends = known.keys() | {_order(_filled(table.keys, (), INF_MIN))}
    return [
        (part, split_bytes if _order(part.begin) in ends and _order(part.end) in ends else split_bytes // 2)
        for part in _cut(whole, inside)
    ]


def _is_inside(whole: KeyRange, point: PrimaryKey) -> bool:
    onward = -1 if whole.is_backward else 1
    return compare_keys(whole.begin, point) == -onward and compare_keys(point, whole.end) == -onward


def _cut(whole: KeyRange, cuts: Iterable[PrimaryKey]) -> list[KeyRange]:
    """The parts between the cuts. Each begins at the very key at which the one before it ends."""
    return [KeyRange(begin, end, whole.is_backward) for begin, end in pairwise([whole.begin, *cuts, whole.end])]


# ---- what fits a key column

_PYTHON_TYPES = {ColumnType.INTEGER: int, ColumnType.STRING: str, ColumnType.BINARY: bytes}
_HINTS = {
    ColumnType.INTEGER: "write a whole number without quotes",
    ColumnType.STRING: "write text, a number in quotes",
    ColumnType.BINARY: "write the bytes as !!binary and base64",
}


def _problems(table: TableDescription, path: str, parts: Sequence[KeyValue]) -> Iterator[Problem]:
    """What is wrong with the first parts of a key of this table."""
    if len(parts) > len(table.keys):
        columns = ", ".join(f"{column.name} ({column.type.value})" for column in table.keys)
        told = f"{len(parts)} key parts are given, but the key of {table.name} has {len(table.keys)}: {columns}"
        yield Problem(told, "leave out what is too much", path=path)
        return
    for column, part in zip(table.keys, parts, strict=False):
        if isinstance(part, Bound):
            continue
        told = f"the key column '{column.name}' of {table.name} is of type {column.type.value}; {_show(part)!r} is not"
        if isinstance(part, bool) or not isinstance(part, _PYTHON_TYPES[column.type]):
            yield Problem(told, _HINTS[column.type], path=path)
        elif isinstance(part, int) and not INT64_MIN <= part <= INT64_MAX:
            yield Problem(told, "an integer of Tablestore has 64 bits", path=path)
        elif isinstance(part, str) and not _is_text(part):
            yield Problem(told, "half of a surrogate pair is no text", path=path)


def _is_text(part: str) -> bool:
    try:
        part.encode()
    except UnicodeEncodeError:
        return False
    return True


def _show_parts(parts: Sequence[KeyValue]) -> str:
    return ", ".join(_show(part) for part in parts)
