"""A value of an object in the type that its author wants in the table, when nothing is lost.

Wider than what an export converts: text of an object is read as the number or the truth value that it spells.
"""

from __future__ import annotations

from airflow_tablestore.errors import RecordError
from airflow_tablestore.pipeline.sources.conversion import converted
from airflow_tablestore.wire.row import INT64_MAX, INT64_MIN, ColumnType, Value, type_of


def retyped(value: Value, to: ColumnType) -> Value:
    """The value in the type of the table's column.

    :raises RecordError: something would be lost.
    """
    kept = _parsed(value, to) if isinstance(value, str) else _narrowed(value, to)
    if kept is None:
        raise RecordError(f"a {type_of(value)} cannot be written as {to} without loss")
    return kept


def _narrowed(value: int | float | bool | bytes, to: ColumnType) -> Value | None:
    if type_of(value) is to:
        return value
    if to is ColumnType.INTEGER and isinstance(value, float):
        is_whole = value.is_integer() and INT64_MIN <= value < -float(INT64_MIN)
        return int(value) if is_whole else None
    return converted(value, to)


def _parsed(text: str, to: ColumnType) -> Value | None:
    """What a text reads as; a binary column gets its UTF-8 bytes, as OTSWriter writes them."""
    try:
        match to:
            case ColumnType.STRING:
                return text
            case ColumnType.BINARY:
                return text.encode()
            case ColumnType.INTEGER:
                number = int(text.strip()) if text.strip().lstrip("+-").isascii() else None
                return number if number is not None and "_" not in text and INT64_MIN <= number <= INT64_MAX else None
            case ColumnType.DOUBLE:
                return None if "_" in text else float(text)
    except (ValueError, OverflowError):
        return None
    return {"true": True, "false": False}.get(text.strip().lower())
