"""Full exports over the real protocols: rows written by the official SDK, read through our client, published to OSS.

The oracle is what the test wrote; objects are read back with plain libraries.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.errors import DirtyLimitExceeded, Rejected, SpecError
from airflow_tablestore.pipeline.contract import Constant, Limits, Picked, Report
from airflow_tablestore.pipeline.formats.compression import Compression
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.jsonl import JsonLines
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.full_export.export import (
    FullExport,
    ObjectTarget,
    Services,
    TableSelection,
    Unknown,
    WriteMode,
    pinned_schema,
    run,
)
from airflow_tablestore.pipeline.sinks.oss import ObjectStore, OssEndpoint
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, ColumnType

TABLE = "full_export_rows"

WRITTEN: dict[tuple[str, int], dict[str, Any]] = {
    (f"user_{n % 7}", n): {"n": n, "half": n / 2, "flag": n % 2 == 0, "name": f"name, {n}", "raw": bytes([n % 256, 0])}
    for n in range(700)
}
WRITTEN[("bare", 0)] = {}
WRITTEN[("hard", -(2**63))] = {"half": 5e-324, "n": 2**63 - 1, "name": "", "raw": b""}
WRITTEN[("hard", 1)] = {"half": -0.0, "name": "null"}
WRITTEN[("zebra", 1)] = {"n": 1, "surplus": b"no sample meets this"}


@pytest.fixture(scope="module")
def services(emulator: Any) -> Iterator[Services]:
    at, oss = emulator.tablestore, emulator.oss
    _fill(at)
    store = ObjectStore(OssEndpoint(oss.endpoint, oss.access_key_id, oss.access_key_secret), oss.bucket)
    with Client(Endpoint(at.endpoint, at.instance, at.access_key_id, at.access_key_secret)) as client:
        yield Services(client, store)


def _fill(at: Any) -> None:
    from tablestore import (
        BatchWriteRowRequest,
        CapacityUnit,
        Condition,
        OTSClient,
        PutRowItem,
        ReservedThroughput,
        Row,
        RowExistenceExpectation,
        TableInBatchWriteRowItem,
        TableMeta,
        TableOptions,
    )

    sdk = OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)
    meta = TableMeta(TABLE, [("uid", "STRING"), ("ts", "INTEGER")])
    sdk.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
    anyway = Condition(RowExistenceExpectation.IGNORE)
    rows = [
        PutRowItem(
            Row(
                [("uid", uid), ("ts", ts)], [(k, bytearray(v) if isinstance(v, bytes) else v) for k, v in cells.items()]
            ),
            anyway,
        )
        for (uid, ts), cells in WRITTEN.items()
    ]
    for start in range(0, len(rows), 200):
        request = BatchWriteRowRequest()
        request.add(TableInBatchWriteRowItem(TABLE, rows[start : start + 200]))
        assert sdk.batch_write_row(request).is_all_succeed()


def export(format: Any = None, prefix: str = "", limits: Limits | None = None, **how: Any) -> FullExport:
    source = {k: how.pop(k) for k in list(how) if k in TableSelection.__dataclass_fields__}
    target = ObjectTarget("backup", prefix or f"{uuid.uuid4().hex}/", format or Parquet(), **how)
    return FullExport("rows", TableSelection(**({"table": TABLE} | source)), target, limits or Limits())


def done(services: Services, exported: FullExport, name: str = "r1") -> tuple[Report, dict[str, Any], list[bytes]]:
    """The report, the manifest, and the objects that it lists."""
    report = run(exported, services, run=name)
    manifest = json.loads(services.store.get(exported.target.prefix + "_manifest.json") or b"")
    return report, manifest, [services.store.get(entry["key"]) or b"" for entry in manifest["objects"]]


def parquet_rows(objects: list[bytes]) -> list[dict[str, Any]]:
    return [row for data in objects for row in pq.read_table(io.BytesIO(data)).to_pylist()]


def expected(keys: list[tuple[str, int]] | None = None) -> list[dict[str, Any]]:
    """The rows as they read back with all columns, in key order."""
    rows = []
    for uid, ts in sorted(WRITTEN) if keys is None else keys:
        cells = {name: WRITTEN[uid, ts].get(name) for name in ("n", "half", "flag", "name", "raw")}
        rows.append({"uid": uid, "ts": ts, **cells, "_other": OTHER if "surplus" in WRITTEN[uid, ts] else None})
    return rows


OTHER = '{"surplus":{"binary":"bm8gc2FtcGxlIG1lZXRzIHRoaXM="}}'


def comparable(rows: list[dict[str, Any]]) -> list[str]:
    """Rows to be compared to the bit: NaN equals NaN, -0.0 is not 0.0."""
    return [repr(sorted(row.items())) for row in rows]


def test_every_row_is_published_once_to_the_bit(services):
    report, manifest, objects = done(services, export())

    assert comparable(parquet_rows(objects)) == comparable(expected())
    assert report.rows == manifest["rows"] == len(WRITTEN)
    assert report.others == 1
    assert {"name": "uid", "type": "string", "key": True} in manifest["schema"]["columns"]


def test_jsonl_holds_the_same_rows(services):
    _, _, objects = done(services, export(JsonLines(Compression.GZIP)))

    rows = [json.loads(line) for data in objects for line in gzip.decompress(data).decode().splitlines()]

    assert [(r["uid"], r["ts"], r["n"], r["name"]) for r in rows] == [
        (r["uid"], r["ts"], r["n"], r["name"]) for r in expected()
    ]
    assert rows[-1]["_other"] == json.loads(OTHER)
    assert next(r for r in rows if r["ts"] == -(2**63))["half"] == 5e-324


def test_csv_holds_the_same_rows(services):
    columns = (Picked("ts", "when"), Picked("name", "name"), Constant("ots", ColumnType.STRING, "origin"))
    _, manifest, objects = done(services, export(Csv(null="~"), columns=columns))

    lines = [line for data in objects for line in csv.reader(io.StringIO(data.decode(), newline=""))]

    assert lines[0] == ["when", "name", "origin"]
    assert lines[1:] == [[str(r["ts"]), "~" if r["name"] is None else r["name"], "ots"] for r in expected()]
    assert manifest["columns"] == [
        {"name": "when", "type": "integer", "source": "ts"},
        {"name": "name", "type": "string", "source": "name"},
        {"name": "origin", "type": "string", "source": None},
    ]


def test_rows_without_the_picked_columns_are_not_lost(services):
    _, _, objects = done(services, export(columns=(Picked("flag", "flag"),)))

    assert [row["flag"] for row in parquet_rows(objects)] == [row["flag"] for row in expected()]


@pytest.mark.parametrize(
    ("begin", "end", "keys"),
    [
        (("user_2",), ("user_3",), [k for k in sorted(WRITTEN) if k[0] in ("user_2", "user_3")]),
        (("user_2",), ("user_3", INF_MIN), [k for k in sorted(WRITTEN) if k[0] == "user_2"]),
        (("user_2",), ("user_2",), [k for k in sorted(WRITTEN) if k[0] == "user_2"]),
        (("user_2", 100), ("user_2", INF_MAX), [k for k in sorted(WRITTEN) if k[0] == "user_2" and k[1] >= 100]),
        ((INF_MIN,), ("hard", 1), [k for k in sorted(WRITTEN) if k < ("hard", 1)]),
        (("user_1", INF_MAX), ("hard", INF_MAX), [k for k in sorted(WRITTEN)[::-1] if ("hard", 1) < k < ("user_2",)]),
    ],
)
def test_a_range_has_exactly_its_rows_in_its_direction(services, begin, end, keys):
    _, _, objects = done(services, export(begin=begin, end=end))

    rows = [row for data in objects for row in parquet_rows([data])]
    assert [(row["uid"], row["ts"]) for row in rows] == keys


def test_an_empty_range_is_published_without_objects(services):
    report, manifest, objects = done(services, export(begin=("nobody",), end=("nobody0",)))

    assert (report.rows, objects, manifest["objects"]) == (0, [], [])


def test_splits_divide_the_rows_and_lose_none(services):
    _, _, objects = done(services, export(points=("hard", "user_1", "user_5", "user_55")))

    assert len(objects) == 5
    assert [(row["uid"], row["ts"], row["n"]) for row in parquet_rows(objects)] == [
        (row["uid"], row["ts"], row["n"]) for row in expected()
    ]


def test_the_same_run_makes_the_same_objects_again(services):
    _, _, first = done(services, export(points=("user_1", "user_5")))

    _, _, second = done(services, export(points=("user_1", "user_5")))

    assert first == second


def test_files_roll_at_their_size(services):
    _, manifest, objects = done(services, export(Csv(), max_object_bytes=10_000, prefix="rolled/"))

    assert manifest["rows"] == len(WRITTEN)
    assert [entry["key"][-9:] for entry in manifest["objects"]] == [f"-{n:04d}.csv"[-9:] for n in range(len(objects))]


def test_a_later_run_keeps_the_pinned_schema(services):
    prefix = f"{uuid.uuid4().hex}/"
    done(services, export(prefix=prefix, begin=("hard",), end=("hard",)))

    _, manifest, objects = done(services, export(prefix=prefix), name="r2")

    assert [c["name"] for c in manifest["schema"]["columns"]] == ["uid", "ts", "half", "n", "name", "raw"]
    assert all('"flag"' in (row["_other"] or "") for row in parquet_rows(objects) if row["uid"].startswith("user_"))
    assert "flag" in {c.name for c in pinned_schema(export(prefix=prefix), services, repin=True).schema.columns}


def test_append_keeps_earlier_runs(services):
    prefix = f"{uuid.uuid4().hex}/"
    for name, uid in (("r1", "user_1"), ("r2", "user_2"), ("r1", "user_3")):
        appended = export(prefix=prefix, begin=(uid,), end=(uid,), write_mode=WriteMode.APPEND)
        report, _, objects = done(services, appended, name)

    assert {row["uid"] for row in parquet_rows(objects)} == {"user_2", "user_3"}
    assert report.rows == 100


def test_non_conflict_fails_before_reading(services):
    prefix = f"{uuid.uuid4().hex}/"
    services.store.put(prefix + "theirs", b"")

    with pytest.raises(SpecError, match="must be empty"):
        done(services, export(prefix=prefix, write_mode=WriteMode.NON_CONFLICT))

    assert [o.key for o in services.store.list(prefix)] == [prefix + "theirs"]


def test_dirty_records_over_the_limit_publish_nothing(services):
    prefix = f"{uuid.uuid4().hex}/"
    wrong = {"columns": (Picked("name", "name"),), "types": {"name": ColumnType.DOUBLE}}

    with pytest.raises(DirtyLimitExceeded):
        done(services, export(prefix=prefix, **wrong))
    assert not [o.key for o in services.store.list(prefix) if "_pending" not in o.key]

    report, _, _ = done(services, export(prefix=prefix, limits=Limits(errors=10_000), **wrong))
    assert report.rows + report.dirty == len(WRITTEN)
    assert report.dirty == 702


def test_a_missing_table_is_told_at_once(services):
    with pytest.raises(Rejected, match=r"OTSObjectNotExist|does not exist"):
        done(services, export(table="nowhere"))


def test_unknown_columns_can_end_the_run(services):
    from airflow_tablestore.errors import RecordError

    with pytest.raises(RecordError, match="surplus"):
        done(services, export(unknown=Unknown.FAIL))


def test_an_unknown_column_is_refused_before_reading(services):
    with pytest.raises(SpecError, match="did you mean 'name'"):
        done(services, export(columns=(Picked("nane", "nane"),)))


def test_nothing_secret_is_published(services):
    exported = export()
    done(services, exported)

    secret = services.store.endpoint.access_key_secret.encode()
    for found in services.store.list(exported.target.prefix):
        assert secret not in (services.store.get(found.key) or b"")
