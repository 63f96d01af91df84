"""Random rows through an export and back: the table that comes out is the one that went in."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from airflow_tablestore.pipeline.contract import Format, Limits
from airflow_tablestore.pipeline.formats.compression import Compression
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.jsonl import JsonLines
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.formats.text import Text
from airflow_tablestore.pipeline.full_export.export import FullExport, ObjectTarget, Services, TableSelection
from airflow_tablestore.pipeline.full_export.export import run as export
from airflow_tablestore.pipeline.restore.job import PublishedSource, Restore, RowTarget
from airflow_tablestore.pipeline.restore.restore import RestoreServices, run
from airflow_tablestore.wire.row import Cell, ColumnType, Row
from airflow_tablestore.wire.table import KeyColumn
from tests.conformance.format_pack import same
from tests.conformance.memory_store import MemoryStore
from tests.conformance.memory_table import MemoryTable
from tests.conformance.written_table import WrittenTable

FORMATS: list[Format] = [
    *(Csv(compression=compression) for compression in Compression),
    Csv(header=False, null=r"\N", delimiter="\t", quote="all"),
    Csv(header=False, null="null", delimiter="1", encoding="UTF-16"),
    Csv(quote="none", encoding="GB18030"),
    *(JsonLines(compression) for compression in Compression),
    Text(),
    Text(header=True, delimiter="||", null="", compression=Compression.ZSTD),
    *(Parquet(kind, row_group_rows=3) for kind in ("zstd", "snappy", "gzip", "lz4", "none")),
]

TEXTS = st.text(max_size=8) | st.sampled_from(["", "null", r"\N", '"', "a,b", "\r", "\n", " a ", "\ufeffx", "||", "1"])
VALUES = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.booleans() | TEXTS | st.binary(max_size=8)
CELLS = st.dictionaries(st.sampled_from(["a", "b", "c", 'ä," x']), VALUES, max_size=4)
KEYS = (
    KeyColumn("id", ColumnType.INTEGER),
    KeyColumn("name", ColumnType.STRING),
    KeyColumn("bin", ColumnType.BINARY),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(TEXTS, st.binary(max_size=3), CELLS), max_size=10), st.sampled_from(FORMATS), st.booleans())
def test_what_was_exported_is_restored_as_it_was(stored, format, has_small_objects):
    rows = [
        Row(
            (("id", number), ("name", name), ("bin", data)),
            tuple(Cell(k, cells[k], 1) for k in sorted(cells)),
        )
        for number, (name, data, cells) in enumerate(stored)
    ]
    store, copy = MemoryStore(), WrittenTable(None)
    target = ObjectTarget("fake", "p/", format, max_object_bytes=64 if has_small_objects else 0)
    exported = export(
        FullExport("e", TableSelection("t"), target, Limits(errors=len(rows))),
        Services(MemoryTable(rows, keys=KEYS), store),
        run="r",
    )

    report = run(Restore("back", PublishedSource("p/"), RowTarget("copy", creates=True)), RestoreServices(copy, store))

    assert report.written == exported.rows == len(copy.rows)
    assert copy.keys == KEYS
    before = {row.key: {cell.name: cell.value for cell in row.cells} for row in rows}
    for key, cells in copy.rows.items():
        assert cells.keys() == before[key].keys()
        assert all(same(cells[name], before[key][name]) for name in cells)
