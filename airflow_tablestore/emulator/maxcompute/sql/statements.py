"""Statements as values: what a text asks for. Nothing is carried out here and no table is looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_tablestore.emulator.maxcompute.columns import Column
from airflow_tablestore.emulator.maxcompute.errors import meaning_failure, parse_failure
from airflow_tablestore.emulator.maxcompute.kinds import DataType, NoType, type_from
from airflow_tablestore.emulator.maxcompute.sql.tokens import END, NUMBER, STRING, Reader, tokens_of
from airflow_tablestore.emulator.maxcompute.tables import Definition


@dataclass(frozen=True, slots=True)
class Name:
    """A table's name; `project` is empty where the statement names none."""

    project: str
    table: str

    def __str__(self) -> str:
        return f"{self.project}.{self.table}" if self.project else self.table


Spec = dict[str, str]


@dataclass(frozen=True, slots=True)
class CreateTable:
    name: Name
    definition: Definition | None
    is_lenient: bool
    like: Name | None = None
    query: str = ""


@dataclass(frozen=True, slots=True)
class DropTable:
    name: Name
    is_lenient: bool


@dataclass(frozen=True, slots=True)
class AddPartitions:
    name: Name
    specs: tuple[Spec, ...]
    is_lenient: bool


@dataclass(frozen=True, slots=True)
class DropPartitions:
    name: Name
    specs: tuple[Spec, ...]
    is_lenient: bool


@dataclass(frozen=True, slots=True)
class Truncate:
    name: Name
    specs: tuple[Spec, ...]


@dataclass(frozen=True, slots=True)
class AddColumns:
    name: Name
    columns: tuple[Column, ...]
    is_lenient: bool


@dataclass(frozen=True, slots=True)
class Alter:
    """Changes of a table that are none of its columns; None is no change."""

    name: Name
    comment: str | None = None
    lifecycle_days: int | None = None
    properties: dict[str, str] = field(default_factory=dict)
    new_name: str = ""


@dataclass(frozen=True, slots=True)
class ShowPartitions:
    name: Name


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows of a query into a table. A value None in `spec` is a partition column that the rows name."""

    name: Name
    is_overwrite: bool
    spec: dict[str, str | None]
    columns: tuple[str, ...]
    query: str


@dataclass(frozen=True, slots=True)
class Select:
    query: str


Statement = (
    CreateTable
    | DropTable
    | AddPartitions
    | DropPartitions
    | Truncate
    | AddColumns
    | Alter
    | ShowPartitions
    | Insert
    | Select
)


def statement_from(text: str) -> Statement | None:
    """What the text asks for; None when there is nothing but SET statements.

    :raises SqlFailure: it cannot be understood.
    """
    reader = Reader(text, tokens_of(text))
    while reader.takes("SET"):
        while reader.next.kind != END and not reader.takes(";"):
            reader.take()
    if reader.next.kind == END:
        return None
    found = _statement(reader)
    reader.end()
    return found


def _statement(reader: Reader) -> Statement:
    if reader.next.is_word("SELECT", "WITH", "VALUES", "FROM") or reader.next.text == "(":
        return Select(reader.rest())
    for words, parse in _STATEMENTS:
        if reader.takes(*words):
            found: Statement = parse(reader)
            return found
    raise parse_failure(f"the emulator does not know statements that begin with {reader.next.text[:40]!r}")


def _create(reader: Reader) -> CreateTable:
    is_lenient = reader.takes("IF", "NOT", "EXISTS")
    name = table_name(reader)
    if reader.takes("LIKE"):
        like = table_name(reader)
        _options(reader)
        return CreateTable(name, None, is_lenient, like=like)
    columns: list[Column] = []
    key: list[str] = []
    if reader.next.text == "(":
        for part in reader.list(lambda: _column_or_key(reader)):
            if isinstance(part, Column):
                columns.append(part)
            else:
                key = part
    options = _options(reader)
    query = reader.rest() if reader.takes("AS") else ""
    if not columns and not query:
        raise reader.failure("the columns")
    definition = Definition(tuple(columns), primary_key=tuple(key), **options)
    return CreateTable(name, definition, is_lenient, query=query)


def _options(reader: Reader) -> dict[str, Any]:
    """What follows the columns of a new table."""
    found: dict[str, Any] = {}
    while True:
        if reader.takes("COMMENT"):
            found["comment"] = reader.string()
        elif reader.takes("PARTITIONED", "BY"):
            found["partition_columns"] = tuple(reader.list(lambda: _column(reader)))
        elif reader.takes("TBLPROPERTIES"):
            found["properties"] = tuple(reader.list(lambda: _property(reader)))
        elif reader.takes("LIFECYCLE"):
            found["lifecycle_days"] = reader.number()
        elif reader.takes("STORED", "AS"):
            reader.name()
        else:
            return found


def _column_or_key(reader: Reader) -> Column | list[str]:
    if reader.takes("PRIMARY", "KEY"):
        return reader.list(reader.name)
    return _column(reader)


def _column(reader: Reader) -> Column:
    name, kind = reader.name(), _type(reader)
    is_nullable, comment = True, ""
    while True:
        if reader.takes("NOT", "NULL"):
            is_nullable = False
        elif reader.takes("COMMENT"):
            comment = reader.string()
        elif not reader.takes("NULL"):
            return Column(name.lower(), kind, is_nullable, comment)


def _type(reader: Reader) -> DataType:
    """A type goes on for as long as its brackets are open."""
    start, depth, end = reader.next.start, 0, reader.next.end
    while True:
        token = reader.take()
        depth += token.text.count("<") + token.text.count("(") - token.text.count(">") - token.text.count(")")
        end = token.end
        goes_on = depth > 0 or reader.next.text == "<" or (reader.next.text == "(" and depth == 0)
        if token.kind == END or not goes_on:
            break
    try:
        return type_from(reader.statement[start:end])
    except NoType as error:
        raise parse_failure(str(error)) from error


def _property(reader: Reader) -> tuple[str, str]:
    name = reader.string()
    reader.expect("=")
    return name, _literal(reader)


def _literal(reader: Reader) -> str:
    if reader.next.kind not in (STRING, NUMBER):
        raise reader.failure("a value")
    return reader.take().text


def _drop(reader: Reader) -> DropTable:
    is_lenient = reader.takes("IF", "EXISTS")
    found = DropTable(table_name(reader), is_lenient)
    reader.takes("PURGE")
    return found


def _alter(reader: Reader) -> Statement:
    name = table_name(reader)
    if reader.takes("ADD", "COLUMNS") or reader.takes("ADD", "COLUMN"):
        is_lenient = reader.takes("IF", "NOT", "EXISTS")
        return AddColumns(name, tuple(reader.list(lambda: _column(reader))), is_lenient)
    if reader.takes("ADD"):
        is_lenient = reader.takes("IF", "NOT", "EXISTS")
        return AddPartitions(name, _specs(reader), is_lenient)
    if reader.takes("DROP"):
        is_lenient = reader.takes("IF", "EXISTS")
        return DropPartitions(name, _specs(reader), is_lenient)
    if reader.takes("RENAME", "TO"):
        return Alter(name, new_name=reader.name().lower())
    if reader.takes("SET", "LIFECYCLE"):
        return Alter(name, lifecycle_days=reader.number())
    if reader.takes("SET", "COMMENT"):
        return Alter(name, comment=reader.string())
    if reader.takes("SET", "TBLPROPERTIES"):
        return Alter(name, properties=dict(reader.list(lambda: _property(reader))))
    raise parse_failure(f"the emulator does not know ALTER TABLE … {reader.next.text[:40]}")


def _truncate(reader: Reader) -> Truncate:
    name = table_name(reader)
    return Truncate(name, _specs(reader) if reader.next.is_word("PARTITION") else ())


def _show_partitions(reader: Reader) -> ShowPartitions:
    return ShowPartitions(table_name(reader))


def _insert(reader: Reader) -> Insert:
    is_overwrite = reader.takes("OVERWRITE")
    if not is_overwrite:
        reader.expect("INTO")
    reader.takes("TABLE")
    name = table_name(reader)
    spec = dict(reader.list(lambda: _spec_part(reader))) if reader.takes("PARTITION") else {}
    columns = tuple(reader.list(reader.name)) if reader.next.text == "(" else ()
    return Insert(name, is_overwrite, spec, columns, reader.rest())


_STATEMENTS: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("CREATE", "TABLE"), _create),
    (("DROP", "TABLE"), _drop),
    (("ALTER", "TABLE"), _alter),
    (("TRUNCATE", "TABLE"), _truncate),
    (("SHOW", "PARTITIONS"), _show_partitions),
    (("INSERT",), _insert),
)


def table_name(reader: Reader) -> Name:
    """A name like t, p.t or p.default.t."""
    parts = [reader.name().lower()]
    while reader.takes("."):
        parts.append(reader.name().lower())
    if len(parts) > 3 or (len(parts) == 3 and parts[1] != "default"):
        raise meaning_failure(f"the emulator has no schemas but default: {'.'.join(parts)}")
    return Name(parts[0] if len(parts) > 1 else "", parts[-1])


def _specs(reader: Reader) -> tuple[Spec, ...]:
    found: list[Spec] = []
    while True:
        reader.expect("PARTITION")
        spec = dict(reader.list(lambda: _spec_part(reader)))
        whole = {name: value for name, value in spec.items() if value is not None}
        if len(whole) != len(spec):
            raise reader.failure("a value of each partition column")
        found.append(whole)
        reader.takes(",")
        if not reader.next.is_word("PARTITION"):
            return tuple(found)


def _spec_part(reader: Reader) -> tuple[str, str | None]:
    name = reader.name().lower()
    return name, _literal(reader) if reader.takes("=") else None
