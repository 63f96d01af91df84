"""SELECT through DuckDB, over the rows that were uploaded.

The tables that a query names are given to DuckDB as Arrow data; it sees no file and no network. MaxCompute's spelling
is turned into DuckDB's token by token, its types come back from the result's. DuckDB is loaded with the first query.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from airflow_tablestore.emulator.maxcompute.columns import Column, arrow_schema, values_of
from airflow_tablestore.emulator.maxcompute.errors import SqlFailure, meaning_failure, no_table, parse_failure
from airflow_tablestore.emulator.maxcompute.kinds import DataType, NoType, type_from
from airflow_tablestore.emulator.maxcompute.rows import Table
from airflow_tablestore.emulator.maxcompute.sql.tokens import QUOTED, STRING, WORD, Token, tokens_of
from airflow_tablestore.emulator.maxcompute.store import Store

MOST_SECONDS = 120.0
"""How long a query may run."""
MOST_TEXT_ROWS = 10_000
"""Rows of a result's text. Source: the service's limit of READ_TABLE_MAX_ROW."""
_MACROS = (
    "CREATE MACRO nvl(a, b) AS coalesce(a, b)",
    "CREATE MACRO getdate() AS current_timestamp::TIMESTAMP",
    "CREATE MACRO wm_concat(sep, a) AS string_agg(a, sep)",
)
_SIGNS = {"==": "=", "<=>": " IS NOT DISTINCT FROM "}


def select(store: Store, project: str, query: str) -> tuple[tuple[Column, ...], list[Any]]:
    """Columns and record batches of the query's result.

    :raises SqlFailure: it cannot be understood, or names what is not there.
    """
    import pyarrow as pa

    try:
        import duckdb
    except ImportError as error:
        raise meaning_failure("SELECT needs DuckDB: pip install 'airflow-tablestore[emulator]'") from error

    text, tables = _translated(store, project, query)
    # one thread: rows come back in the order in which they were uploaded
    connection = duckdb.connect(":memory:", config={"threads": "1", "memory_limit": "2GB"})
    timer = threading.Timer(MOST_SECONDS, connection.interrupt)
    timer.daemon = True
    try:
        for number, table in enumerate(tables):
            _show(connection, store, project, table, f"rows_{number}")
        for macro in _MACROS:
            connection.execute(macro)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        statements = connection.extract_statements(text)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise parse_failure("one SELECT is expected")
        timer.start()
        relation = connection.sql(text)
        kinds = [str(kind) for kind in relation.types]
        return _result(relation.to_arrow_table(), kinds)
    except duckdb.Error as error:
        raise _failure(error) from error
    except (NoType, pa.ArrowException, OverflowError, RuntimeError, ValueError) as error:
        raise meaning_failure(f"the result has no types of MaxCompute: {error}") from error
    finally:
        timer.cancel()
        connection.close()


def _failure(error: Exception) -> SqlFailure:
    said = str(error).splitlines()[0]
    missing = re.search(r"Table with name (\S+) does not exist", said)
    if missing:
        return no_table(missing[1])
    if "Parser Error" in said:
        return parse_failure(said)
    return meaning_failure(said)


def _translated(store: Store, project: str, query: str) -> tuple[str, list[Table]]:
    """The query for DuckDB, and the tables that it may name."""
    tokens = tokens_of(query)
    out: list[str] = []
    found: dict[int, Table] = {}
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if at and tokens[at - 1].end < token.start:
            out.append(" ")
        table, width = _table_at(store, project, tokens, at)
        if table is not None:
            found[table.id] = table
            out.append(_quoted(table.project) + "." + _quoted(table.name) if width > 1 else _quoted(table.name))
        else:
            out.append(_written(token))
        at += width
    return "".join(out).rstrip("; "), list(found.values())


def _table_at(store: Store, project: str, tokens: Sequence[Token], at: int) -> tuple[Table | None, int]:
    """The table that is named here, and how many tokens name it."""
    parts = [tokens[at]]
    while len(parts) < 5 and at + len(parts) + 1 < len(tokens) and tokens[at + len(parts)].text == ".":
        parts += tokens[at + len(parts) : at + len(parts) + 2]
    if parts[0].kind not in (WORD, QUOTED):
        return None, 1
    words = [part.text.lower() for part in parts[::2]]
    if len(words) >= 3 and words[1] == "default":
        table = store.find(words[0], words[2])
        if table is not None:
            return table, 5
    if len(words) >= 2:
        table = store.find(words[0], words[1])
        if table is not None:
            return table, 3
    is_column = at > 0 and tokens[at - 1].text == "."
    return (None if is_column else store.find(project, words[0])), 1


def _written(token: Token) -> str:
    if token.kind == STRING:
        return "'" + token.text.replace("'", "''") + "'"
    if token.kind == QUOTED:
        return _quoted(token.text)
    return _SIGNS.get(token.text, token.text)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _show(connection: Any, store: Store, project: str, table: Table, name: str) -> None:
    connection.register(name, _rows(store, table))
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(table.project)}")
    query = f"AS SELECT * FROM {name}"  # noqa: S608 - our own name
    connection.execute(f"CREATE VIEW IF NOT EXISTS {_quoted(table.project)}.{_quoted(table.name)} {query}")
    if table.project == project:
        connection.execute(f"CREATE VIEW IF NOT EXISTS main.{_quoted(table.name)} {query}")


def _rows(store: Store, table: Table) -> Any:
    """All rows of a table, with its partition columns."""
    import pyarrow as pa

    definition = table.definition
    parts = []
    schema = arrow_schema(definition.columns)
    for state in store.state(table, definition.columns):
        held = pa.Table.from_batches(state.batches, schema=schema)
        for column, value in zip(definition.partition_columns, state.partition.values, strict=True):
            values = pa.repeat(pa.scalar(value, pa.string()).cast(column.kind.arrow()), held.num_rows)
            held = held.append_column(column.name, values)
        parts.append(held)
    if parts:
        return pa.concat_tables(parts)
    return arrow_schema([*definition.columns, *definition.partition_columns]).empty_table()


def _result(table: Any, kinds: Sequence[str]) -> tuple[tuple[Column, ...], list[Any]]:
    import pyarrow as pa

    columns: list[Column] = []
    arrays = []
    for index, (name, array, kind) in enumerate(zip(table.column_names, table.columns, kinds, strict=True)):
        taken = {column.name for column in columns}
        is_plain = re.fullmatch(r"\w+", name) is not None and not name.isdigit() and name not in taken
        known = type_from(str(_kind(array.type, kind)))  # what clients will read, or no type at all
        column = Column(name if is_plain else f"_c{index}", known)
        columns.append(column)
        arrays.append(array.cast(column.kind.arrow()))
    result = pa.Table.from_arrays(arrays, names=[column.name for column in columns])
    return tuple(columns), result.combine_chunks().to_batches()


def _kind(arrow: Any, duck: str) -> DataType:
    import pyarrow as pa

    if duck in ("HUGEINT", "UBIGINT", "UINTEGER"):
        return type_from("bigint")
    if pa.types.is_decimal(arrow) and arrow.scale > 18:
        return type_from("double")
    if pa.types.is_decimal(arrow):
        return DataType("decimal", (arrow.precision, arrow.scale))
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return DataType("array", (), (_kind(arrow.value_type, ""),))
    if pa.types.is_map(arrow):
        return DataType("map", (), (_kind(arrow.key_type, ""), _kind(arrow.item_type, "")))
    if pa.types.is_struct(arrow):
        fields = [arrow.field(index) for index in range(arrow.num_fields)]
        names = tuple(field.name for field in fields)
        return DataType("struct", (), tuple(_kind(field.type, "") for field in fields), names)
    if pa.types.is_timestamp(arrow):
        return type_from("datetime" if arrow.unit in ("s", "ms") else "timestamp")
    return type_from(_KINDS.get(str(arrow), "string"))


_KINDS = {
    "bool": "boolean",
    "int8": "tinyint",
    "uint8": "smallint",
    "uint16": "int",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "float": "float",
    "double": "double",
    "date32[day]": "date",
    "binary": "binary",
}


def as_csv(columns: Sequence[Column], batches: Sequence[Any]) -> str:
    """The first rows as the service tells them in a result: quoted fields under a line of names, `\\N` for null."""
    lines = [",".join(_field(column.name) for column in columns)]
    for batch in batches:
        if len(lines) > MOST_TEXT_ROWS:
            break
        part = batch.slice(0, MOST_TEXT_ROWS + 1 - len(lines))
        texts = [_texts(array, column) for array, column in zip(part.columns, columns, strict=True)]
        lines += [",".join(row) for row in zip(*texts, strict=True)]
    return "\n".join(lines) + "\n"


def _texts(array: Any, column: Column) -> Iterator[str]:
    import pyarrow as pa

    name = column.kind.name
    if column.kind.parts or name in ("binary", "interval_day_time"):
        batch = pa.RecordBatch.from_arrays([array], names=[column.name])
        held = values_of(batch, [column])[0]
        return ("\\N" if value is None else _field(_nested(value)) for value in held)
    if name == "datetime":
        array = array.cast(pa.timestamp("s"), safe=False)  # told without fractions
    texts = array.cast(pa.string()).to_pylist()
    is_number = name in ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal", "boolean")
    return ("\\N" if text is None else text if is_number else _field(text) for text in texts)


def _nested(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode("ascii")
    return json.dumps(value, default=_nested, ensure_ascii=False)


def _field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
