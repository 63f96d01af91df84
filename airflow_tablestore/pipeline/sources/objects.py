"""Objects with the rows of a table: those of a published full export, or any that match a pattern.

An export is found by its manifest and believed only when it is whole: `_SUCCESS` is of the same run, and each object
has the size and CRC64 that are listed. How their rows are read is in `object_rows`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from airflow_tablestore.errors import Problem, ProtocolError, SpecError
from airflow_tablestore.pipeline.contract import Constant
from airflow_tablestore.pipeline.formats.read_format import ReadFormat
from airflow_tablestore.pipeline.formats.reading import FieldType, described_format
from airflow_tablestore.pipeline.layout import MANIFEST, SUCCESS, is_ours
from airflow_tablestore.pipeline.manifest import Manifest, PublishedObject, read_manifest
from airflow_tablestore.pipeline.markers import success_of
from airflow_tablestore.pipeline.restore.job import PlainSource, PublishedSource
from airflow_tablestore.pipeline.store import ObjectReader, StoredObject
from airflow_tablestore.wire.row import ColumnType, Value
from airflow_tablestore.wire.table import KeyColumn


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One object to read. `rows` is -1 where nobody knows; `crc64` None where the store does not tell it."""

    key: str
    bytes: int
    crc64: int | None
    rows: int = -1

    def to_json(self) -> dict[str, Any]:
        crc = None if self.crc64 is None else str(self.crc64)
        return {"key": self.key, "bytes": self.bytes, "crc64": crc, "rows": self.rows}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ListedObject:
        crc = data["crc64"]
        return cls(data["key"], data["bytes"], None if crc is None else int(crc), data["rows"])


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """One column to read: `field` in the object and `to` in the table; None for `_other`, which holds several.

    `type` is that in the table, when it is another one.
    """

    field: FieldType
    to: str | None
    type: ColumnType | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Objects and what is in them. `keys` are the key columns as the export or the author names them; empty when nobody
    says. `constants` are written into every row beside what it holds."""

    objects: tuple[ListedObject, ...]
    format: ReadFormat
    columns: tuple[ReadColumn, ...]
    keys: tuple[KeyColumn, ...] = ()
    table: str = ""
    run: str = ""
    constants: tuple[Constant, ...] = ()

    @property
    def rows(self) -> int:
        """Of all objects; -1 when nobody knows."""
        return -1 if any(one.rows < 0 for one in self.objects) else sum(one.rows for one in self.objects)

    @property
    def is_columnar(self) -> bool:
        """Whether the objects hold the table's columns as they are, so that nothing need be done row by row."""
        types = {one.to: one.field.type for one in self.columns}
        is_plain = not self.constants and all(one.to != "" and one.type is None for one in self.columns)
        return self.format.kind == "parquet" and is_plain and all(types.get(key.name) is key.type for key in self.keys)

    def to_json(self) -> dict[str, Any]:
        """Everything but the objects."""
        return {
            "format": asdict(self.format),
            "columns": [
                {"name": c.field.name, "type": c.field.type.value, "is_json": c.field.is_json, "to": c.to}
                | ({"as_type": c.type.value} if c.type else {})
                for c in self.columns
            ],
            "constants": [[c.to, c.type.value, _constant_text(c.value)] for c in self.constants],
            "keys": [{"name": key.name, "type": key.type.value} for key in self.keys],
            "table": self.table,
            "run": self.run,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], objects: tuple[ListedObject, ...]) -> Found:
        columns = tuple(
            ReadColumn(
                FieldType(c["name"], ColumnType(c["type"]), c["is_json"]),
                c["to"],
                ColumnType(c["as_type"]) if c.get("as_type") else None,
            )
            for c in data["columns"]
        )
        constants = tuple(
            Constant(base64.b64decode(value) if kind == "binary" and value else value, ColumnType(kind), to)
            for to, kind, value in data.get("constants", ())
        )
        keys = tuple(KeyColumn(key["name"], ColumnType(key["type"])) for key in data["keys"])
        return cls(objects, ReadFormat(**data["format"]), columns, keys, data["table"], data["run"], constants)


def _constant_text(value: Value | None) -> int | float | bool | str | None:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def find(store: ObjectReader, source: PublishedSource | PlainSource) -> Found:
    """The objects that are meant, each known to be there and whole.

    :raises SpecError: there is no export, or one that no table can be restored from; no object matches.
    :raises ProtocolError: a manifest that is not ours; objects that are missing or not those that it lists.
    """
    return _published(store, source) if isinstance(source, PublishedSource) else _plain(store, source)


def _published(store: ObjectReader, source: PublishedSource) -> Found:
    place = store.uri(source.prefix)
    manifest = read_manifest(store, source.prefix)
    if manifest is None:
        hint = "name the prefix that an export has published to, or the objects themselves under source.objects"
        raise SpecError([Problem(f"{place} has no {MANIFEST}: no export is published there", hint, "source.prefix")])
    _refuse_unfinished(store, source, manifest)
    if manifest.windows:
        told = f"{place} holds the changes of windows, not the rows of a table"
        raise SpecError([Problem(told, "name the prefix of a full export", "source.prefix")])
    return published_export(store, source.prefix, manifest, source.run)


def published_export(store: ObjectReader, prefix: str, manifest: Manifest, run: str = "") -> Found:
    """The objects that the manifest of a full export lists, each known to be there and whole.

    :param run: which, when the prefix holds several.
    """
    place = store.uri(prefix)
    format = described_format(manifest.format, [column.name for column in manifest.columns], place)
    objects = _of_run(manifest, run, place)
    listed = tuple(ListedObject(o.key, o.bytes, o.crc64, o.rows) for o in objects)
    refuse_damaged(store, listed, place)
    keys = tuple(KeyColumn(c.name, c.type) for c in manifest.schema.columns if c.is_key)
    columns = _columns(manifest)
    _refuse_without_key(columns, keys, place)
    return Found(listed, format, columns, keys, manifest.table, run or manifest.run)


def _refuse_unfinished(store: ObjectReader, source: PublishedSource, manifest: Manifest) -> None:
    success, place = store.get(source.prefix + SUCCESS), store.uri(source.prefix)
    if success == success_of(manifest):
        return
    told = "has no _SUCCESS" if success is None else "has a _SUCCESS of another run"
    hint = "wait for the export that is being published, or run it again; then restore"
    raise SpecError([Problem(f"{place} {told}: its manifest may list what is not there yet", hint, "source.prefix")])


def _of_run(manifest: Manifest, run: str, place: str) -> tuple[PublishedObject, ...]:
    runs = sorted({o.run for o in manifest.objects})
    if run:
        if run not in runs:
            told = f"{place} holds no run '{run}'"
            raise SpecError([Problem(told, f"its runs are {', '.join(runs) or 'none'}", "source.run")])
        return manifest.of_run(run)
    if len(runs) > 1:
        told = f"{place} holds {len(runs)} exports beside each other, and a key may stand in several"
        raise SpecError([Problem(told, f"choose one with source.run: {', '.join(runs)}", "source.run")])
    return manifest.objects


def refuse_damaged(store: ObjectReader, objects: Sequence[ListedObject], place: str) -> None:
    """:raises ProtocolError: names each object that is missing or another one, the first ten."""
    wrong = [told for one in objects if (told := _difference(one, store.head(one.key), store.uri(one.key)))]
    if wrong:
        more = f"; and {len(wrong) - 10} more" if len(wrong) > 10 else ""
        raise ProtocolError(f"{place} is not what its manifest lists: {'; '.join(wrong[:10])}{more}. Nothing was done.")


def _difference(listed: ListedObject, found: StoredObject | None, uri: str) -> str:
    if found is None:
        return f"{uri} is missing"
    if found.bytes != listed.bytes:
        return f"{uri} has {found.bytes} bytes instead of {listed.bytes}"
    if found.crc64 is not None and found.crc64 != listed.crc64:
        return f"{uri} has the CRC64 {found.crc64} instead of {listed.crc64}"
    return ""


def _columns(manifest: Manifest) -> tuple[ReadColumn, ...]:
    """The columns that hold cells of the table. Constants are left out: the table never had them."""
    columns, seen = [], set[str]()
    for one in manifest.columns:
        if one.type == "json":
            columns.append(ReadColumn(FieldType(one.name, ColumnType.STRING, is_json=True), None))
        elif one.source is not None and one.source not in seen:
            seen.add(one.source)
            columns.append(ReadColumn(FieldType(one.name, ColumnType(one.type)), one.source))
    if manifest.format.get("type") in ("csv", "text"):
        return _with_gaps(manifest, columns)
    return tuple(columns)


def _with_gaps(manifest: Manifest, wanted: Sequence[ReadColumn]) -> tuple[ReadColumn, ...]:
    """Every column of lines, in order; those that are not wanted go to no column ("")."""
    by_name = {one.field.name: one for one in wanted}
    return tuple(by_name.get(c.name, ReadColumn(FieldType(c.name, ColumnType.STRING), "")) for c in manifest.columns)


def _refuse_without_key(columns: Sequence[ReadColumn], keys: Sequence[KeyColumn], place: str) -> None:
    missing = [key.name for key in keys if key.name not in {column.to for column in columns}]
    if missing:
        told = f"the export at {place} lacks the key column {', '.join(missing)}, so no row of it can be written back"
        raise SpecError([Problem(told, "restore from an export with all key columns", "source.prefix")])


def _plain(store: ObjectReader, source: PlainSource) -> Found:
    keys: dict[str, None] = {}
    for pattern in source.patterns:
        prefix = pattern[: min((pattern.index(mark) for mark in "*?[" if mark in pattern), default=len(pattern))]
        found = [one.key for one in store.list(prefix) if fnmatchcase(one.key, pattern) or one.key == pattern]
        found = [key for key in found if not key.endswith("/") and not is_ours(key.rpartition("/")[0] + "/", key)]
        if not found:
            told = f"no object matches {store.uri(pattern)}"
            raise SpecError([Problem(told, "look at the bucket and the pattern", "source.objects")])
        keys.update(dict.fromkeys(found))
    heads = [head for key in sorted(keys) if (head := store.head(key)) is not None]
    listed = tuple(ListedObject(head.key, head.bytes, head.crc64) for head in heads)
    columns = tuple(ReadColumn(FieldType(c.name, c.type), c.name) for c in source.columns)
    return Found(listed, source.format, columns)
