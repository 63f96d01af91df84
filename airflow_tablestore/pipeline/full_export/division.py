"""A table's range, divided: splits for tasks, slices for the threads inside them.

The service says where to cut (ComputeSplitPointsBySize); the author may say it too, or give the number of tasks. About
a gibibyte is a task, a quarter of that a slice; in a smaller task slices are smaller, so that each thread has one.
Where the service does not cut, there is one split of one slice.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import pairwise

from airflow_tablestore.consumer.table import KeyRange, Sender, cut_at, cut_by_size, full_range
from airflow_tablestore.errors import Rejected
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.full_export.plan import Slice, Split
from airflow_tablestore.pipeline.selection import TableSelection
from airflow_tablestore.wire.row import Bound, KeyValue, PrimaryKey
from airflow_tablestore.wire.table import SplitPoints, TableDescription, compute_split_points

log = logging.getLogger(__name__)

MIB = 1 << 20
SPLIT_BYTES, SLICE_BYTES = 1024 * MIB, 256 * MIB
"""A task of a gibibyte takes minutes: long enough to be worth its start, short enough to be worth a retry."""

FINER_BYTES = (64 * MIB, 16 * MIB, 4 * MIB, MIB)
"""What is asked for next when the author wants more tasks than there are slices; the service cuts no finer."""

LEAST_SLICE_BYTES = 64 * MIB
"""A slice makes an object at least: many small ones are what readers of object stores suffer from."""

THREADS_BYTES = 16 * MIB
"""What slices for threads are put together from: a quarter of the smallest, so that they come out about alike."""

MOST_SLICES = 99
"""Of one split: a slice's number has two digits in an object's name."""

MOST_SLICES_IN_ALL = 4096
"""Of a plan: it travels between tasks as one value, and a slice with its two keys takes some 200 bytes of it."""

MOST_MEASURED = 64
"""Slices whose sizes are looked at more closely. More of them are left without an estimate when it would be a guess."""

UNSUPPORTED = frozenset({"OTSUnsupportOperation", "OTSParameterInvalid", "OTSNoPermissionAccess"})


def divide(
    sender: Sender,
    selection: TableSelection,
    description: TableDescription,
    *,
    limits: Limits,
    most_splits: int = 1024,
) -> tuple[Split, ...]:
    """The splits of a selection, in the direction of its range. At least one, at most `most_splits`.

    :param limits: its number of tasks counts where the selection has none of its own.
    :raises SpecError: a range or a split point that does not fit the table.
    """
    whole = full_range(description, selection.begin, selection.end)
    points = _Points(sender, description)
    if selection.points:
        groups = [points.cut(part, SLICE_BYTES) for part in cut_at(description, whole, selection.points)]
    else:
        slices, wanted = points.cut(whole, SLICE_BYTES), selection.tasks or limits.workers
        for finer in FINER_BYTES:
            if len(slices) >= wanted or not points.is_supported:
                break
            slices = points.cut(whole, finer)
        groups = _grouped(slices, wanted or -(-_bytes(slices) // SPLIT_BYTES))
        if wanted > len(groups):
            log.info(
                "%d tasks were asked for; the service cuts %s into %d parts", wanted, description.name, len(groups)
            )
    groups = _clamped(groups, most_splits)
    is_guess = _is_guess([part for group in groups for part in group])
    most = max(1, min(MOST_SLICES, MOST_SLICES_IN_ALL // len(groups)))
    groups = [_few(group, most) for group in groups]
    if sum(map(len, groups)) <= MOST_MEASURED:
        groups = [_for_threads(group, min(threads_for(limits), most), points) for group in groups]
    if is_guess and points.is_supported:
        groups = _measured(groups, points)
    return tuple(Split(number, _label(number, len(groups), group), group) for number, group in enumerate(groups))


MEMORY_BASE_MB, MEMORY_PER_THREAD_MB = 120, 45
"""What the interpreter with pyarrow takes, and what a slice takes on its way: a page, a row group, a part."""


def threads_for(limits: Limits) -> int:
    """How many slices of a split are read at once."""
    if not limits.memory_mb:
        return max(1, limits.threads)
    return max(1, min(limits.threads, (limits.memory_mb - MEMORY_BASE_MB) // MEMORY_PER_THREAD_MB))


class _Points:
    """The service's split points, asked for once per size."""

    def __init__(self, sender: Sender, description: TableDescription):
        self._sender, self._description = sender, description
        self._known: dict[int, SplitPoints] = {}
        self.is_supported = True

    def cut(self, span: KeyRange, size: int) -> tuple[Slice, ...]:
        if self.is_supported and size not in self._known:
            try:
                self._known[size] = self._sender.send(compute_split_points(self._description.name, size))
            except Rejected as error:
                if error.code not in UNSUPPORTED:
                    raise
                self.is_supported = False
                log.warning("%s is read as one piece, because the service does not cut it: %s", span_of(span), error)
        if not self.is_supported:
            return (Slice(span),)
        return tuple(
            Slice(part, estimate) for part, estimate in cut_by_size(self._description, span, self._known[size], size)
        )


def _measured(groups: list[tuple[Slice, ...]], points: _Points) -> list[tuple[Slice, ...]]:
    """The same slices, with estimates of which little is guessed; 0 for all where finding out would take too long.

    What does not reach from one of the service's points to the next is taken for half of the size that was asked for:
    of a small table, and between an author's points, that is nearly all.
    """
    slices = [part for group in groups for part in group]
    few = slices if len(slices) <= MOST_MEASURED else []
    estimates: dict[KeyRange, int] = {}
    for size in FINER_BYTES if few else ():
        cuts = [points.cut(part.range, size) for part in few]
        estimates = {part.range: _bytes(cut) for part, cut in zip(few, cuts, strict=True)}
        if not _is_guess([part for cut in cuts for part in cut]):
            break
    return [tuple(Slice(part.range, estimates.get(part.range, 0)) for part in group) for group in groups]


def _is_guess(slices: Sequence[Slice]) -> bool:
    """Whether more than a quarter of the bytes are those of slices that are smaller than what was asked for."""
    whole = max(part.estimated_bytes for part in slices)
    whole = max(whole, min(size for size in (SLICE_BYTES, *FINER_BYTES) if size >= whole))
    return 4 * sum(part.estimated_bytes for part in slices if part.estimated_bytes < whole) > _bytes(slices)


def span_of(span: KeyRange) -> str:
    """A range for people, by the parts of its keys that say something."""
    return f"{_place(span.begin)} to {_place(span.end)}"


def _bytes(slices: Sequence[Slice]) -> int:
    return sum(part.estimated_bytes for part in slices)


def _grouped(slices: Sequence[Slice], count: int) -> list[tuple[Slice, ...]]:
    """Neighbouring slices together, in `count` groups of about equal bytes; each has at least one."""
    count = max(1, min(count, len(slices)))
    total = _bytes(slices) or len(slices)
    ends, filled = [0], 0.0
    for number, part in enumerate(slices, 1):
        filled += part.estimated_bytes if _bytes(slices) else 1
        groups_left = count - len(ends)
        is_full = filled >= total * len(ends) / count
        if groups_left and (is_full or len(slices) - number == groups_left):
            ends.append(number)
    ends.append(len(slices))
    return [tuple(slices[start:end]) for start, end in pairwise(ends) if start < end]


def _clamped(groups: list[tuple[Slice, ...]], most: int) -> list[tuple[Slice, ...]]:
    """At most so many groups: neighbours are put together."""
    if len(groups) <= most:
        return groups
    log.info("%d splits are more than Airflow maps (%d); neighbours are put together", len(groups), most)
    size = -(-len(groups) // most)
    return [tuple(part for group in groups[i : i + size] for part in group) for i in range(0, len(groups), size)]


def _few(group: tuple[Slice, ...], most: int) -> tuple[Slice, ...]:
    """The same range in slices of at least LEAST_SLICE_BYTES, as far as sizes are known, and at most so many."""
    least = max(LEAST_SLICE_BYTES, -(-_bytes(group) // most))
    made: list[tuple[Slice, ...]] = [()]
    for part in group:
        if made[-1] and _bytes(made[-1]) >= least:
            made.append(())
        made[-1] += (part,)
    if len(made) > 1 and _bytes(made[-1]) < least // 2:
        made[-2:] = [made[-2] + made[-1]]
    return tuple(_one(neighbours) for neighbours in made)


def _for_threads(group: tuple[Slice, ...], threads: int, points: _Points) -> tuple[Slice, ...]:
    """The same range in a slice for each thread, as far as none is smaller than LEAST_SLICE_BYTES.

    What a stream of pages brings is bounded by the service's time for one, and not by this machine: a thread without a
    slice is speed given away.
    """
    if len(group) >= threads:
        return group
    parts = points.cut(_one(group).range, THREADS_BYTES)
    count = min(threads, _bytes(parts) // LEAST_SLICE_BYTES)
    if len(group) >= count:
        return group
    return tuple(_one(neighbours) for neighbours in _grouped(parts, count))


def _one(neighbours: Sequence[Slice]) -> Slice:
    first, last = neighbours[0].range, neighbours[-1].range
    return Slice(KeyRange(first.begin, last.end, first.is_backward), _bytes(neighbours))


def _label(number: int, count: int, group: Sequence[Slice]) -> str:
    return f"{number + 1}/{count}: {span_of(_one(group).range)}"


def _place(key: PrimaryKey) -> str:
    parts: list[str] = []
    for _, value in key:
        if isinstance(value, Bound):
            break
        parts.append(_shown(value))
    return ", ".join(parts) or ("the start" if key and key[0][1] is Bound.INF_MIN else "the end")


def _shown(value: KeyValue) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= 24 else text[:23] + "…"
