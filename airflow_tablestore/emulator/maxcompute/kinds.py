"""MaxCompute's data types: read from DDL, written into schemas, and what each is in Arrow.

A type is a value of its own here, since clients send and expect the text (`array<map<string,decimal(10,2)>>`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.errors import TablestoreError

DEEPEST = 12
"""Levels of nested types; deeper is refused."""
INTEGERS: Mapping[str, int] = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
"""Integer types and their bits."""
PLAIN = frozenset(
    {*INTEGERS}
    | set("float double boolean string binary date datetime timestamp timestamp_ntz json".split())  # noqa: SIM905
    | {"interval_day_time", "interval_year_month"}
)
_LENGTHS = {"varchar": 65535, "char": 255}
_DEFAULT_DECIMAL = (38, 18)
_TOKEN = re.compile(r"\s*(?:(`(?:[^`]|``)+`|\w+)|([<>(),:]))", re.UNICODE)


class NoType(TablestoreError):
    """The text names no data type."""


@dataclass(frozen=True, slots=True)
class DataType:
    """A type. `arguments`: a length, or precision and scale. `parts`: of a container; `fields`: their names."""

    name: str
    arguments: tuple[int, ...] = ()
    parts: tuple[DataType, ...] = ()
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.name == "struct":
            inner = ",".join(f"{name}:{part}" for name, part in zip(self.fields, self.parts, strict=True))
            return f"struct<{inner}>"
        if self.parts:
            return f"{self.name}<{','.join(map(str, self.parts))}>"
        return f"{self.name}({','.join(map(str, self.arguments))})" if self.arguments else self.name

    def arrow(self) -> Any:
        """The Arrow type in which the tunnel carries it.

        Source: pyodps, odps/tunnel/io/types.py.
        """
        import pyarrow as pa

        if self.name == "array":
            return pa.list_(self.parts[0].arrow())
        if self.name == "map":
            return pa.map_(self.parts[0].arrow(), self.parts[1].arrow())
        if self.name == "struct":
            return pa.struct([(name, part.arrow()) for name, part in zip(self.fields, self.parts, strict=True)])
        if self.name == "decimal":
            return pa.decimal128(*self.arguments)
        if self.name == "interval_day_time":
            return pa.struct([("sec", pa.int64()), ("nano", pa.int32())])
        return _plain_arrow()[self.name]


def _plain_arrow() -> Mapping[str, Any]:
    import pyarrow as pa

    return {
        "tinyint": pa.int8(),
        "smallint": pa.int16(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "string": pa.string(),
        "varchar": pa.string(),
        "char": pa.string(),
        "json": pa.string(),
        "binary": pa.binary(),
        "date": pa.date32(),
        "datetime": pa.timestamp("ms"),
        "timestamp": pa.timestamp("ns"),
        "timestamp_ntz": pa.timestamp("ns"),
        "interval_year_month": pa.int64(),
    }


def type_from(text: str) -> DataType:
    """The type that the text names.

    :raises NoType: it names none.
    """
    tokens = _Tokens(text)
    found = tokens.type(0)
    tokens.expect("")
    return found


class _Tokens:
    """A type's text, token by token."""

    def __init__(self, text: str):
        self._text = text
        self._left = self._split()
        self._next = next(self._left)

    def _split(self) -> Iterator[str]:
        at = 0
        text = self._text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise NoType(f"{self._text!r} is no data type.")
            at = found.end()
            yield found[1] or found[2]
        yield ""

    def take(self) -> str:
        taken, self._next = self._next, next(self._left, "")
        return taken

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise NoType(f"{self._text!r} is no data type.")

    def type(self, depth: int) -> DataType:
        if depth > DEEPEST:
            raise NoType(f"{self._text[:60]!r}… is nested too deep.")
        name = self.take().lower()
        if name in PLAIN:
            return DataType(name)
        if name in ("varchar", "char"):
            (length,) = self._numbers(1)
            if not 1 <= length <= _LENGTHS[name]:
                raise NoType(f"The length of {name} is 1 to {_LENGTHS[name]}, not {length}.")
            return DataType(name, (length,))
        if name == "decimal":
            return self._decimal()
        if name in ("array", "map", "struct"):
            return self._container(name, depth)
        raise NoType(f"{self._text!r} is no data type.")

    def _decimal(self) -> DataType:
        if self._next != "(":
            return DataType("decimal", _DEFAULT_DECIMAL)
        numbers = self._numbers(2)
        precision, scale = (*numbers, 0)[:2]
        if not (1 <= precision <= 38 and 0 <= scale <= min(18, precision)):
            raise NoType(f"decimal({precision},{scale}) is out of range: precision to 38, scale to 18.")
        return DataType("decimal", (precision, scale))

    def _numbers(self, most: int) -> tuple[int, ...]:
        self.expect("(")
        found = [self._number()]
        while self._next == "," and len(found) < most:
            self.take()
            found.append(self._number())
        self.expect(")")
        return tuple(found)

    def _number(self) -> int:
        token = self.take()
        if not re.fullmatch("[0-9]{1,6}", token):
            raise NoType(f"{self._text!r} is no data type.")
        return int(token)

    def _container(self, name: str, depth: int) -> DataType:
        self.expect("<")
        parts, fields = [], []
        while True:
            if name == "struct":
                fields.append(self.take().strip("`"))
                self.expect(":")
            parts.append(self.type(depth + 1))
            if self._next != ",":
                break
            self.take()
        self.expect(">")
        wanted = {"array": 1, "map": 2}.get(name, len(parts))
        if len(parts) != wanted:
            raise NoType(f"{name} takes {wanted} types, not {len(parts)}.")
        return DataType(name, (), tuple(parts), tuple(fields))
