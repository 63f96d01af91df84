"""Published objects against the table, row by row, with tools that are not ours.

The table is read with the official SDK and the objects with oss2, pyarrow and json. Each side becomes a mapping of
key to row; a difference names the key, both values and the object's pipeline.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oss2
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

Key = tuple[Any, ...]
Cells = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Published:
    """What stands under a prefix: the manifest, and local copies of the objects that it lists."""

    manifest: dict[str, Any]
    files: tuple[Path, ...]
    bytes: int


class Different(Exception):
    """The objects and the table do not hold the same rows."""


def bucket(oss: dict[str, str]) -> oss2.Bucket:
    auth = oss2.Auth(oss["access_key_id"], oss["access_key_secret"])
    return oss2.Bucket(auth, oss["endpoint"], oss["bucket"], is_path_style=True)


def download(store: oss2.Bucket, prefix: str, to: Path) -> Published:
    """Copy a published export to a folder, as a reader would: `_SUCCESS` first, then the manifest, then what it lists.

    :raises Different: no export is published there, or something stands there that the manifest does not list.
    """
    if not store.object_exists(f"{prefix}_SUCCESS"):
        raise Different(f"{prefix}: there is no _SUCCESS")
    manifest = json.loads(store.get_object(f"{prefix}_manifest.json").read())
    listed = {entry["key"]: entry for entry in manifest["objects"]}
    standing = {o.key for o in oss2.ObjectIteratorV2(store, prefix)}
    visible = {key for key in standing if not key[len(prefix) :].startswith("_")}
    if visible != set(listed):
        raise Different(f"{prefix}: {sorted(visible ^ set(listed))[:3]} are not both listed and there")
    to.mkdir(parents=True, exist_ok=True)
    files = []
    for key, entry in sorted(listed.items()):
        file = to / key.removeprefix(prefix)
        store.get_object_to_file(key, str(file))
        if file.stat().st_size != entry["bytes"]:
            raise Different(f"{key}: {file.stat().st_size} bytes, the manifest says {entry['bytes']}")
        files.append(file)
    return Published(manifest, tuple(files), sum(f.stat().st_size for f in files))


def table_rows(client: Any, table: str, key_names: tuple[str, ...]) -> dict[Key, Cells]:
    """Every row of a table, read with the official SDK."""
    from tablestore import INF_MAX, INF_MIN

    found: dict[Key, Cells] = {}
    start: Any = [(name, INF_MIN) for name in key_names]
    end = [(name, INF_MAX) for name in key_names]
    while start:
        _, start, page, _ = client.get_range(table, "FORWARD", start, end, max_version=1)
        for row in page:
            cells = {name: _plain(value) for name, value, _ in row.attribute_columns}
            found[tuple(value for _, value in row.primary_key)] = cells
    return found


def difference(expected: dict[Key, Cells], rows: Iterable[tuple[Key, Cells]], normal: Callable[[Any], Any]) -> str:
    """What differs between the table and an export, in words; "" when nothing does.

    :param normal: how a value of the table looks in this format (a CSV has texts only).
    """
    count = 0
    seen: set[Key] = set()
    for key, cells in rows:
        count += 1
        if key in seen:
            return f"{key} was exported twice"
        seen.add(key)
        if key not in expected:
            return f"{key} is not in the table"
        wanted = {name: normal(value) for name, value in expected[key].items()}
        if not _same(wanted, cells):
            return f"{key}: the table has {wanted}, the export {cells}"
    missing = len(expected) - count
    return f"{missing} of {len(expected)} rows are missing" if missing else ""


def read_parquet(files: Iterable[Path], key_names: tuple[str, ...]) -> Iterator[tuple[Key, Cells]]:
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches():
            yield from keyed(pa.Table.from_batches([batch]).to_pylist(), key_names)


def read_jsonl(files: Iterable[Path], key_names: tuple[str, ...]) -> Iterator[tuple[Key, Cells]]:
    for file in files:
        with _text(file) as lines:
            yield from keyed((json.loads(line) for line in lines), key_names)


def read_csv(files: Iterable[Path], key_names: tuple[str, ...]) -> Iterator[tuple[Key, Cells]]:
    """Rows of CSV files with a header, every value as text; an unquoted empty field is null, a quoted one is "".

    pyarrow's reader, because Python's csv module cannot tell the two apart.
    """
    for file in files:
        with pacsv.open_csv(file, parse_options=pacsv.ParseOptions(newlines_in_values=True)) as head:
            names = head.schema.names
        texts = pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        table = pacsv.read_csv(file, parse_options=pacsv.ParseOptions(newlines_in_values=True), convert_options=texts)
        for record in table.to_pylist():
            key = tuple(int(record[k]) if k == "ts" else record[k] for k in key_names)
            cells = {k: v for k, v in record.items() if k not in key_names and v is not None}
            yield key, _with_others(cells, as_text)


def as_is(value: Any) -> Any:
    return value


def as_json(value: Any) -> Any:
    """A value as JSON lines hold it: bytes as base64, NaN as text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def as_text(value: Any) -> str:
    """A value as CSV holds it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else repr(value)
    return str(value)


def keyed(records: Iterable[Cells], key_names: tuple[str, ...]) -> Iterator[tuple[Key, Cells]]:
    """Records as key and cells; a null is no cell, and what is in `_other` stands where it was in the table."""
    for record in records:
        key = tuple(record[name] for name in key_names)
        cells = {k: v for k, v in record.items() if k not in key_names and v is not None}
        yield key, _with_others(cells, as_is)


def _with_others(cells: Cells, normal: Callable[[Any], Any]) -> Cells:
    others = cells.pop("_other", None)
    if others:
        parsed = json.loads(others) if isinstance(others, str) else others
        cells.update({name: normal(value) for name, value in parsed.items()})
    return cells


def _text(file: Path) -> io.TextIOWrapper:
    if file.suffix == ".gz":
        return io.TextIOWrapper(gzip.GzipFile(file), encoding="utf-8", newline="\n")
    return file.open(encoding="utf-8", newline="\n")


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, bytearray) else value


def _same(wanted: Cells, given: Cells) -> bool:
    if wanted == given:
        return True
    return wanted.keys() == given.keys() and all(_equal(wanted[k], given[k]) for k in wanted)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return True
    return type(a) is type(b) and a == b
