"""What no change has touched stays columns; what comes out is the same as row by row."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.pipeline.contract import Column, Limits, Report, Schema
from airflow_tablestore.pipeline.fold import rows as fold
from airflow_tablestore.pipeline.fold.chain import chain
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.fold.rows import FoldedRows, materials
from airflow_tablestore.pipeline.fold.sieve import Sieve
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.formats.reading import FieldType, columns_of
from airflow_tablestore.pipeline.manifest import OutputColumn, PublishedObject, read_manifest
from airflow_tablestore.pipeline.snapshot.snapshot import Snapshot, SnapshotServices, run
from airflow_tablestore.pipeline.store import crc64_of
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.wire.row import ColumnType, Row
from tests.conformance.memory_store import MemoryStore
from tests.integration.snapshotting import ATTRIBUTE, KEY, changed, moment, put_base, put_published, put_window

COLUMNS = (
    OutputColumn("id", "integer", "id"),
    OutputColumn("text", "string", "text"),
    OutputColumn("_other", "json", None),
)
KINDS = (pa.int64(), pa.string(), pa.string())
KEY_OF_BASE = "base/full/part.parquet"
OTHERS = '{"more":1,"still":"x"}'


def table_of(rows: list[tuple[Any, ...]]) -> pa.Table:
    """Rows of id, text, _other."""
    columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), KINDS, strict=True)]
    return pa.table(columns, [column.name for column in COLUMNS])


def put_parquet_base(store: MemoryStore, table: pa.Table, listed: int | None = None) -> None:
    """A base of these rows; its manifest lists so many of them."""
    buffer, rows = io.BytesIO(), table.num_rows
    pq.write_table(table, buffer)
    data = buffer.getvalue()
    store.put(KEY_OF_BASE, data)
    put_base(
        store,
        [],
        schema=Schema((KEY, ATTRIBUTE), keeps_others=True),
        columns=COLUMNS,
        format=Parquet().describe(),
        objects=(PublishedObject(KEY_OF_BASE, rows if listed is None else listed, len(data), crc64_of(data), "f"),),
    )


def folded(store: MemoryStore, folder: Any, refuse: Any = lambda key, reason: None) -> FoldedRows:
    return FoldedRows(
        store, materials(store, chain(store, PointInTime("base/", "changes/", moment(5)))), refuse, folder
    )


def ids(piece: pa.RecordBatch | Row) -> list[int]:
    return [piece.key[0][1]] if isinstance(piece, Row) else piece.column("id").to_pylist()  # type: ignore[list-item]


def snapshot_of(store: MemoryStore) -> tuple[Report, list[bytes]]:
    """A snapshot as csv, and its lines in order."""
    target = ObjectTarget("fake", "out/", Csv(header=False))
    source = PointInTime("base/", "changes/", moment(5))
    report = run(Snapshot("snap", source, target, Limits(threads=1)), SnapshotServices(store, store), run="r")
    objects = [store.get(one.key) or b"" for one in store.list("out/") if one.key.endswith(".csv")]
    return report, sorted(b"".join(objects).splitlines())


def test_untouched_rows_come_as_columns_and_touched_ones_as_rows(tmp_path):
    store = MemoryStore()
    put_parquet_base(store, table_of([(id_, "base", None) for id_ in range(10)]))
    put_window(store, 0, [changed(3, "new", 2), changed(12, "new", 2)])

    pieces = list(folded(store, tmp_path).pieces())

    assert [id_ for one in pieces if isinstance(one, pa.RecordBatch) for id_ in ids(one)] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert sorted(id_ for one in pieces if isinstance(one, Row) for id_ in ids(one)) == [3, 12]


@pytest.mark.parametrize("bits", [8, 64, 1 << 20])
def test_keys_that_the_sieve_holds_by_chance_are_untouched_all_the_same(tmp_path, monkeypatch, bits):
    monkeypatch.setattr(fold, "Sieve", partial(Sieve, bits))
    store = MemoryStore()
    put_parquet_base(store, table_of([(id_, f"base {id_}", None) for id_ in range(50)]))
    put_window(store, 0, [changed(id_, "new", 2) for id_ in range(0, 50, 7)])

    rows = {row.key[0][1]: row.cells[0].value for row in folded(store, tmp_path)}
    pieces = list(folded(store, tmp_path).pieces())

    assert rows == {id_: f"base {id_}" if id_ % 7 else "new" for id_ in range(50)}
    assert sorted(id_ for one in pieces for id_ in ids(one)) == list(range(50))


def test_a_snapshot_of_columns_holds_what_one_of_lines_holds():
    rows = [(id_, None if id_ % 3 else f"t{id_}", OTHERS if id_ % 4 == 1 else None) for id_ in range(20)]
    lines = [f"{id_},{text or ''},{_quoted(other)}\n".encode() for id_, text, other in rows]
    made = []
    for put in (
        partial(put_parquet_base, table=table_of(rows)),
        partial(put_base, rows=lines, schema=Schema((KEY, ATTRIBUTE), keeps_others=True), columns=COLUMNS),
    ):
        store = MemoryStore()
        put(store)
        put_window(store, 0, [changed(2, "new", 2), changed(5, "new", 2), changed(30, "new", 2)])
        report, found = snapshot_of(store)
        made.append((found, report.rows, report.others))

    assert made[0] == made[1]
    assert made[0][1:] == (21, 10)


def test_a_column_of_the_table_that_is_named_as_ours_is_data():
    store = MemoryStore()
    put_parquet_base(store, table_of([(1, "a", "hello"), (2, "b", None)]))
    schema = Schema((KEY, ATTRIBUTE, Column("_other", ColumnType.STRING)))
    columns = (*COLUMNS[:2], OutputColumn("_other", "string", "_other"))
    manifest = read_manifest(store, "base/full/")
    assert manifest is not None
    put_published(store, "base/full/", replace(manifest, schema=schema, columns=columns))
    put_window(store, 0, [])

    report, lines = snapshot_of(store)

    assert lines == [b"1,a,hello", b"2,b,"]
    assert report.others == 0


def test_a_text_that_is_none_is_told_with_its_object(tmp_path):
    store = MemoryStore()
    broken = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
    put_parquet_base(store, table_of([(1, "a", None)]).set_column(1, "text", broken))
    put_window(store, 0, [])

    with pytest.raises(ProtocolError, match=f"{KEY_OF_BASE} is cut or damaged"):
        list(folded(store, tmp_path).pieces())
    with pytest.raises(ProtocolError, match=f"{KEY_OF_BASE} is cut or damaged"):
        list(folded(store, tmp_path))


def test_a_batch_of_columns_is_no_larger_than_a_row_group(tmp_path):
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table({"id": list(range(100))}), path, row_group_size=10)

    batches = list(columns_of(path, [FieldType("id", ColumnType.INTEGER)], "here", 1000))

    assert [batch.num_rows for batch in batches] == [10] * 10


def _quoted(text: str | None) -> str:
    return "" if text is None else '"' + text.replace('"', '""') + '"'


def test_a_row_without_a_key_is_dirty_and_named_among_columns(tmp_path):
    store, refused = MemoryStore(), []
    put_parquet_base(store, table_of([(0, "a", None), (None, "b", None), (2, "c", None)]))
    put_window(store, 0, [])

    rows = folded(store, tmp_path, lambda key, reason: refused.append((key, reason)))

    assert [id_ for one in rows.pieces() for id_ in ids(one)] == [0, 2]
    assert rows.dirty == 1
    assert refused == [(f"oss://fake/{KEY_OF_BASE} row 2", "key column 'id' is null")]


def test_an_object_of_columns_with_other_rows_than_its_manifest_says_is_refused(tmp_path):
    store = MemoryStore()
    put_parquet_base(store, table_of([(0, "a", None), (1, "b", None)]), listed=3)
    put_window(store, 0, [])

    with pytest.raises(ProtocolError, match="has 2 rows, and its manifest says 3"):
        list(folded(store, tmp_path).pieces())


def test_a_sieve_never_denies_a_key_that_was_added():
    keys = [(id_, f"k{id_}", bytes([id_ % 256])) for id_ in range(2000)]
    sieve = Sieve(1 << 14)
    for key in keys[::2]:
        sieve.add(key)

    held = sieve.held(list(zip(*keys, strict=True)))

    assert all(held[::2])
    assert not all(held)
    assert [key in sieve for key in keys] == held.tolist()
