"""Which columns an export has, decided before data flow.

Attribute columns of Tablestore are not declared, and one column may hold several types. So the first run reads a few
rows from several places of the table and pins what it saw; the manifest keeps that for every later run. Key columns
come first, then those that the table's description names, then the others by name.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_tablestore.consumer.table import KeyRange, Sender, pages
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.contract import OTHER_COLUMN, Column, Schema
from airflow_tablestore.pipeline.selection import TableSelection, Unknown
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.row import ColumnType, PrimaryKey, type_of
from airflow_tablestore.wire.table import RangeRead, TableDescription

SAMPLED_PLACES, SAMPLED_ROWS = 8, 200
"""Eight short requests: enough to meet columns that only some kinds of rows have, too few to be felt."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A pinned schema, and what its author should hear about it. `sampled_rows` is 0 when nothing had to be read."""

    schema: Schema
    warnings: tuple[str, ...] = ()
    sampled_rows: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """The types that were seen, by attribute column, with how many cells had them."""

    rows: int
    types: Mapping[str, Counter[ColumnType]]


def pin_schema(
    sender: Sender,
    selection: TableSelection,
    description: TableDescription,
    ranges: Sequence[KeyRange],
    earlier: Schema | None = None,
) -> Pinned:
    """The columns of this run and of those that follow it.

    :param ranges: the table's slices, from the starts of which samples are taken.
    :param earlier: the schema of the standing manifest; its types are kept.
    :raises SpecError: a column that the table does not seem to have, or a declared type that a key column cannot have.
    """
    keys = _keys(selection, description)
    earlier = earlier if earlier and _keys_agree(earlier, keys) else None
    known = _known_types(selection, description, earlier)
    picked = selection.picked
    if picked is not None:
        wanted = [name for name in picked if name not in {key.name for key in keys}]
        is_enough = all(name in known for name in wanted)
    else:
        is_enough = earlier is not None and not earlier.is_picked
        wanted = []
    sample = Sample(0, {}) if is_enough else read_sample(sender, selection.table, ranges)
    names = wanted if picked is not None else _all_names(known, sample, earlier if is_enough else None, description)
    columns, warnings, problems = [*keys], [], []
    for name in names:
        if name in known:
            columns.append(Column(name, known[name], is_declared=name in selection.types))
        elif name in sample.types:
            kind, warning = _majority(name, sample)
            columns.append(Column(name, kind))
            warnings += [warning] if warning else []
        elif sample.rows:
            problems.append(_unseen(name, sample, [k.name for k in keys], known))
        else:
            columns.append(Column(name, ColumnType.STRING))
            warnings.append(f"the table has no rows to look at: column '{name}' is taken for a string")
    keeps_others = picked is None and selection.unknown is Unknown.OTHER
    if keeps_others and any(column.name == OTHER_COLUMN for column in columns):
        problems.append(
            Problem(
                f"the table has a column named {OTHER_COLUMN}, which is our name for unknown columns",
                "choose unknown_columns: drop or fail, or name the columns and rename this one",
                path="source.unknown_columns",
            )
        )
    if problems:
        raise SpecError(problems)
    return Pinned(Schema(tuple(columns), keeps_others, picked is not None), tuple(warnings), sample.rows)


def read_sample(sender: Sender, table: str, ranges: Sequence[KeyRange]) -> Sample:
    """The first rows of some of the ranges, evenly chosen, with all their columns: one request each.

    A row wider than a page takes one for each of its pages. One that several ranges hold counts once.
    """
    step = max(1, -(-len(ranges) // SAMPLED_PLACES))
    rows, types, seen = 0, dict[str, Counter[ColumnType]](), set[PrimaryKey]()
    for span in ranges[::step]:
        earlier = frozenset(seen)
        read = RangeRead(table, span.begin, span.end, span.is_backward, limit=SAMPLED_ROWS)
        unfinished: PrimaryKey | None = None
        for page in pages(sender, read):
            found = [row for row in decode_rows(page.rows) if row.key not in earlier]
            seen.update(row.key for row in found)
            rows += len(found) if unfinished is None else 0
            for cell in (cell for row in found if unfinished in (None, row.key) for cell in row.cells):
                if cell.value is not None:
                    types.setdefault(cell.name, Counter())[type_of(cell.value)] += 1
            if not page.next_token or unfinished not in (None, page.next_key):
                break
            unfinished = page.next_key
    return Sample(rows, types)


def _keys(selection: TableSelection, description: TableDescription) -> list[Column]:
    wrong = [
        Problem(
            f"key column '{key.name}' of {description.name} is {key.type}, not {selection.types[key.name]}",
            "leave out its type",
            path="source.columns",
        )
        for key in description.keys
        if selection.types.get(key.name, key.type) is not key.type
    ]
    if wrong:
        raise SpecError(wrong)
    return [Column(key.name, key.type, is_key=True) for key in description.keys]


def _known_types(
    selection: TableSelection, description: TableDescription, earlier: Schema | None
) -> dict[str, ColumnType]:
    """Attribute types by who has the say: the author, then the earlier runs, then the table's description."""
    before = {c.name: c.type for c in earlier.columns if not c.is_key} if earlier else {}
    keys = {key.name for key in description.keys}
    known = {**dict(description.defined), **before, **selection.types}
    return {name: kind for name, kind in known.items() if name not in keys}


def _keys_agree(earlier: Schema, keys: Sequence[Column]) -> bool:
    """Whether the earlier schema is of this table, and not of one that stood there before it."""
    return [(c.name, c.type) for c in earlier.columns if c.is_key] == [(c.name, c.type) for c in keys]


def _all_names(
    known: Mapping[str, ColumnType], sample: Sample, reused: Schema | None, description: TableDescription
) -> list[str]:
    if reused is not None:
        earlier = [column.name for column in reused.columns if not column.is_key]
        return [*earlier, *(name for name in sorted(known) if name not in set(earlier))]
    keys = {key.name for key in description.keys}
    first = [name for name, _ in description.defined if name not in keys]
    return [*first, *sorted((known.keys() | sample.types.keys()) - set(first))]


def _majority(name: str, sample: Sample) -> tuple[ColumnType, str]:
    """The type that most cells of a column have (the first of ColumnType's order in a tie), and a warning."""
    counts = sample.types[name]
    order = list(ColumnType)
    kind = max(counts, key=lambda kind: (counts[kind], -order.index(kind)))
    if len(counts) == 1:
        return kind, ""
    seen = ", ".join(f"{one} ({counts[one]})" for one in sorted(counts, key=order.index))
    return kind, (
        f"column '{name}' holds {seen} in {sample.rows} sampled rows and is pinned as {kind}: rows in which it has "
        f"another type are dirty records. Declare a type under source.columns, as {{name: {name}, type: string}}"
    )


def _unseen(name: str, sample: Sample, keys: Sequence[str], known: Mapping[str, ColumnType]) -> Problem:
    candidates = [*keys, *known, *sample.types]
    near = difflib.get_close_matches(name, candidates, n=1)
    return Problem(
        f"none of {sample.rows} sampled rows has the column '{name}'"
        + (f"; did you mean '{near[0]}'?" if near else ""),
        f"if only few rows have it, declare its type: {{name: {name}, type: string}}",
        path="source.columns",
    )
