"""Which of the columns in objects are written, under which names and types, and which of them are the key.

The author's choice (`sink.columns`, `sink.primary_key`) laid over what a manifest or a source tells. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.contract import Constant
from airflow_tablestore.pipeline.restore.job import RowTarget, Written
from airflow_tablestore.pipeline.sources.objects import Found, ReadColumn
from airflow_tablestore.wire.row import ColumnType
from airflow_tablestore.wire.table import KeyColumn

KEY_TYPES = (ColumnType.INTEGER, ColumnType.STRING, ColumnType.BINARY)


def chosen(found: Found, target: RowTarget) -> Found:
    """What is found, with the author's columns and key.

    :raises SpecError: a column that the objects lack, one that is named twice, or a key that cannot be one.
    """
    if target.columns is not None:
        found = _picked(found, target.columns)
    if target.primary_key:
        found = replace(found, keys=_keys(found, target.primary_key))
    elif target.columns is not None and found.keys:
        _refuse_without(found, [key.name for key in found.keys], "sink.columns")
    return found


def _picked(found: Found, wanted: Sequence[Written | Constant]) -> Found:
    known = {one.field.name: one for one in found.columns if one.to}
    problems, by_name = [], dict[str, Written]()
    for one in wanted:
        if isinstance(one, Constant):
            continue
        if one.name not in known:
            hint = f"they have {', '.join(known)}"
            problems.append(Problem(f"the objects have no column '{one.name}'", hint, "sink.columns"))
        elif by_name.setdefault(one.name, one) is not one:
            problems.append(Problem(f"column '{one.name}' is written twice", "name it once", "sink.columns"))
    if problems:
        raise SpecError(problems)
    columns = tuple(_as_written(one, by_name.get(one.field.name)) for one in found.columns)
    names = {one.field.name: one for one in columns if one.to}
    keys = tuple(
        KeyColumn(held.to or "", held.type or key.type) if (held := _of_key(columns, known, key)) else key
        for key in found.keys
    )
    constants = tuple(one for one in wanted if isinstance(one, Constant))
    order = [one.name for one in wanted if isinstance(one, Written)]
    if found.format.kind in ("jsonl", "parquet"):
        columns = tuple(names[name] for name in order)
    return replace(found, columns=columns, keys=keys, constants=constants)


def _as_written(column: ReadColumn, wanted: Written | None) -> ReadColumn:
    if wanted is None:
        return replace(column, to="")
    is_same = wanted.type is None or wanted.type is column.field.type
    return replace(column, to=wanted.to, type=None if is_same else wanted.type)


def _of_key(columns: Sequence[ReadColumn], known: dict[str, ReadColumn], key: KeyColumn) -> ReadColumn | None:
    """The column that holds this part of the export's key now; None when it is not written."""
    return next((one for one in columns if one.to and known[one.field.name].to == key.name), None)


def _keys(found: Found, names: Sequence[str]) -> tuple[KeyColumn, ...]:
    _refuse_without(found, names, "sink.primary_key")
    types = {one.to: one.type or one.field.type for one in found.columns if one.to}
    types.update({one.to: one.type for one in found.constants})
    wrong = [name for name in names if types[name] not in KEY_TYPES]
    if wrong:
        told = f"'{wrong[0]}' is {types[wrong[0]]}, which no key column can be"
        raise SpecError([Problem(told, "a key column is integer, string or binary", "sink.primary_key")])
    return tuple(KeyColumn(name, types[name]) for name in names)


def _refuse_without(found: Found, names: Sequence[str], path: str) -> None:
    written = {one.to for one in found.columns if one.to} | {one.to for one in found.constants}
    missing = [name for name in names if name not in written]
    if missing:
        told = f"nothing is written into the key column {', '.join(missing)}"
        raise SpecError([Problem(told, f"written are {', '.join(sorted(written))}", path)])
