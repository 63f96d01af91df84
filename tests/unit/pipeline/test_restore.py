"""A restore in memory: what is refused before anything is written, and what becomes of every row."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_tablestore.errors import DirtyLimitExceeded, ProtocolError, Rejected, RetryLater, SpecError, StartOver
from airflow_tablestore.pipeline.contract import Column, Constant, Limits, Picked
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.jsonl import JsonLines
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.formats.read_format import ReadFormat
from airflow_tablestore.pipeline.full_export.export import FullExport, ObjectTarget, Services, TableSelection, WriteMode
from airflow_tablestore.pipeline.full_export.export import run as export
from airflow_tablestore.pipeline.restore.job import (
    Nulls,
    PlainSource,
    PublishedSource,
    Restore,
    RowMode,
    RowTarget,
    Written,
)
from airflow_tablestore.pipeline.restore.plan import PartReport, RestorePart, RestorePlan
from airflow_tablestore.pipeline.restore.restore import RestoreServices, finish, plan, run, survey, write_part
from airflow_tablestore.pipeline.sinks.tablestore import RowWriter
from airflow_tablestore.wire.row import ColumnType, Row
from airflow_tablestore.wire.table import KeyColumn
from tests.conformance.memory_store import MemoryStore
from tests.conformance.memory_table import MemoryTable, numbered, row
from tests.conformance.written_table import ID, WrittenTable

PREFIX = "gps/full/"


def published(rows: list[Row], *, mode: WriteMode = WriteMode.TRUNCATE, store: MemoryStore | None = None, run="r1"):
    store = store or MemoryStore()
    target = ObjectTarget("fake", PREFIX, Csv(), mode, max_object_bytes=40)
    export(FullExport("gps_full", TableSelection("t"), target), Services(MemoryTable(rows), store), run=run)
    return store


def restore(**changes) -> Restore:
    return replace(Restore("back", PublishedSource(PREFIX), RowTarget("copy")), **changes)


def objects_of(store: MemoryStore) -> list[str]:
    return [one.key for one in store.list(PREFIX) if one.key.endswith(".csv")]


def test_every_row_of_an_export_comes_back():
    store, table = published(numbered(7, text="x")), WrittenTable()

    report = run(restore(), RestoreServices(table, store))

    assert table.rows == {(("id", n),): {"n": n, "text": "x"} for n in range(7)}
    assert (report.rows, report.written, report.dirty, report.run) == (7, 7, 0, "r1")


@pytest.mark.parametrize("mode", list(RowMode))
def test_a_row_that_has_only_a_key_survives(mode):
    store, table = published([row((("id", 1),)), row((("id", 2),), n=2)]), WrittenTable()

    run(restore(target=RowTarget("copy", mode)), RestoreServices(table, store))

    assert table.rows == {(("id", 1),): {}, (("id", 2),): {"n": 2}}


def test_an_update_leaves_other_columns_and_a_put_does_not():
    store = published([row((("id", 1),), n=2), row((("id", 2),))])
    updated, put = WrittenTable(), WrittenTable()
    for table in (updated, put):
        table.rows = {(("id", 1),): {"n": 1, "kept": "k"}, (("id", 2),): {"kept": "k"}}

    run(restore(target=RowTarget("copy", RowMode.UPDATE)), RestoreServices(updated, store))
    run(restore(), RestoreServices(put, store))

    assert updated.rows == {(("id", 1),): {"n": 2, "kept": "k"}, (("id", 2),): {"kept": "k"}}
    assert put.rows == {(("id", 1),): {"n": 2}, (("id", 2),): {}}


def test_an_update_deletes_the_column_of_a_null_when_it_shall():
    rows = [row((("id", 1),), n=2, text="x"), row((("id", 2),), n=3), row((("id", 3),))]
    store, table = published(rows), WrittenTable()
    table.rows = {(("id", 2),): {"text": "old", "kept": "k"}}
    target = RowTarget("copy", RowMode.UPDATE, nulls=Nulls.DELETE)

    report = run(restore(target=target), RestoreServices(table, store))

    assert table.rows == {
        (("id", 1),): {"n": 2, "text": "x"},
        (("id", 2),): {"n": 3, "kept": "k"},
        (("id", 3),): {},
    }
    assert (report.rows, report.written, report.dirty) == (3, 3, 0)


def test_a_refused_row_that_only_deletes_is_dirty_once():
    store, table = published([row((("id", 1),), n=2), row((("id", 2),))]), WrittenTable()
    table.answers = {(("id", 2),): ["OTSInvalidPK", "OTSInvalidPK"]}
    target = RowTarget("copy", RowMode.UPDATE, nulls=Nulls.DELETE)

    report = run(restore(target=target, limits=Limits(errors=1)), RestoreServices(table, store))

    assert (report.written, report.dirty, list(table.rows)) == (1, 1, [(("id", 1),)])


@pytest.mark.parametrize("format", [Csv(), Csv(header=False), JsonLines(), Parquet()], ids=lambda one: one.suffix)
def test_columns_are_picked_renamed_typed_and_joined_by_constants(format):
    store, table = MemoryStore(), WrittenTable(None)
    target = ObjectTarget("fake", PREFIX, format)
    wanted = FullExport("gps_full", TableSelection("t"), target)
    export(wanted, Services(MemoryTable(numbered(3, text="7", more="m")), store), run="r1")
    columns = (
        Written("text", "number", ColumnType.INTEGER),
        Written("id", "key", ColumnType.STRING),
        Constant("cn", ColumnType.STRING, "region"),
    )

    run(restore(target=RowTarget("copy", creates=True, columns=columns)), RestoreServices(table, store))

    assert table.keys == (KeyColumn("key", ColumnType.STRING),)
    assert table.rows == {(("key", str(n)),): {"number": 7, "region": "cn"} for n in range(3)}


def test_a_value_that_would_lose_something_is_dirty(caplog):
    store, table = published([row((("id", 1),), text="7"), row((("id", 2),), text="seven")]), WrittenTable()
    columns = (Written("id", "id"), Written("text", "n", ColumnType.INTEGER))

    target = RowTarget("copy", columns=columns)
    report = run(restore(target=target, limits=Limits(errors=1)), RestoreServices(table, store))

    assert (report.written, report.dirty, table.rows) == (1, 1, {(("id", 1),): {"n": 7}})
    assert "column 'n': a string cannot be written as integer without loss" in caplog.text


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (RowTarget("copy", columns=(Written("id", "id"), Written("nn", "n"))), "have no column 'nn'"),
        (RowTarget("copy", columns=(Written("n", "n"),)), "nothing is written into the key column id"),
        (RowTarget("copy", columns=(Written("id", "id"), Written("id", "b"))), "column 'id' is written twice"),
        (RowTarget("copy", columns=(Written("id", "a"),)), "has the key id .integer., and the rows have a"),
        (RowTarget("copy", primary_key=("id", "x")), "nothing is written into the key column x"),
        (RowTarget("copy", primary_key=("n", "id")), "has the key id .integer., and the rows have n .integer., id"),
        (RowTarget("copy", primary_key=("score",)), "'score' is double, which no key column can be"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_columns_that_cannot_be_written_are_refused(target, told):
    store, table = published([row((("id", 1),), n=2, score=0.5)]), WrittenTable()

    with pytest.raises(SpecError, match=told):
        run(restore(target=target), RestoreServices(table, store))

    assert table.rows == {}


def test_a_missing_table_is_made_with_the_exports_key():
    store, table = published(numbered(3)), WrittenTable(None)

    run(restore(target=RowTarget("copy", creates=True)), RestoreServices(table, store))

    assert table.keys == ID
    assert len(table.rows) == 3


def test_a_survey_makes_no_table_and_writes_no_row():
    store, table = published(numbered(3)), WrittenTable(None)

    planned = survey(restore(target=RowTarget("copy", creates=True)), RestoreServices(table, store))

    assert planned.is_new
    assert planned.found.rows == 3
    assert (table.keys, table.rows) == (None, {})


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (None, "no table 'copy'"),
        ((KeyColumn("id", ColumnType.STRING),), "id .string., and the rows have id .integer."),
        ((*ID, KeyColumn("b", ColumnType.STRING)), "has the key id .integer., b .string."),
        ((KeyColumn("id", ColumnType.INTEGER, is_auto_increment=True),), "auto-increment"),
    ],
)
def test_a_table_of_another_key_is_refused(keys, told):
    store, table = published(numbered(3)), WrittenTable(keys)

    with pytest.raises(SpecError, match=told):
        run(restore(), RestoreServices(table, store))

    assert table.rows == {}


def without(store: MemoryStore, name: str) -> None:
    store.delete([PREFIX + name])


def with_other_manifest(store: MemoryStore) -> None:
    store.put(PREFIX + "_manifest.json", b'{"some": "json"}')


def with_newer_manifest(store: MemoryStore) -> None:
    document = json.loads(store.get(PREFIX + "_manifest.json") or b"")
    store.put(PREFIX + "_manifest.json", json.dumps({**document, "version": 99}).encode())


def with_other_success(store: MemoryStore) -> None:
    store.put(PREFIX + "_SUCCESS", b'{"run": "r9", "claim": 9}\n')


def with_a_missing_object(store: MemoryStore) -> None:
    store.delete(objects_of(store)[:1])


def with_a_cut_object(store: MemoryStore) -> None:
    key = objects_of(store)[0]
    store.put(key, (store.get(key) or b"")[:-1])


def with_a_changed_object(store: MemoryStore) -> None:
    key = objects_of(store)[0]
    store.put(key, (store.get(key) or b"")[:-2] + b"9\n")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda store: without(store, "_manifest.json"), "no export is published there"),
        (lambda store: without(store, "_SUCCESS"), "has no _SUCCESS"),
        (with_other_success, "_SUCCESS of another run"),
        (with_other_manifest, "no manifest that airflow-tablestore wrote"),
        (with_newer_manifest, "has version 99"),
        (with_a_missing_object, "is missing"),
        (with_a_cut_object, "bytes instead of"),
        (with_a_changed_object, "the CRC64 .* instead of"),
    ],
)
def test_an_export_that_is_not_whole_is_refused_before_any_row_is_written(damage, told):
    store, table = published(numbered(20)), WrittenTable(None)
    damage(store)

    with pytest.raises((SpecError, ProtocolError), match=told):
        run(restore(target=RowTarget("copy", creates=True)), RestoreServices(table, store))

    assert (table.keys, table.rows) == (None, {})


def test_an_object_that_changes_after_the_plan_is_not_written():
    store, table = published(numbered(20)), WrittenTable()
    services = RestoreServices(table, store)
    planned = plan(restore(), services)
    for key in objects_of(store):
        store.put(key, (store.get(key) or b"").replace(b"1", b"2"))

    with pytest.raises(StartOver, match="changed since the restore was planned"):
        write_part(restore(), services, planned, planned.parts[0])

    assert table.rows == {}


def test_of_several_appended_exports_one_must_be_chosen():
    store = published(numbered(2), mode=WriteMode.APPEND)
    published(numbered(3), mode=WriteMode.APPEND, store=store, run="r2")
    table = WrittenTable()

    with pytest.raises(SpecError, match="r1, r2"):
        run(restore(), RestoreServices(table, store))
    report = run(restore(source=PublishedSource(PREFIX, "r1")), RestoreServices(table, store))

    assert (report.rows, len(table.rows)) == (2, 2)


@pytest.mark.parametrize("format", [Csv(), Csv(header=False), JsonLines(), Parquet()], ids=lambda one: one.suffix)
def test_renamed_columns_get_their_names_back_and_constants_are_left_out(format):
    store, table = MemoryStore(), WrittenTable()
    columns = (Constant("x", ColumnType.STRING, "made"), Picked("n", "number"), Picked("id", "key"), Picked("n", "n"))
    export(
        FullExport("gps_full", TableSelection("t", columns=columns), ObjectTarget("fake", PREFIX, format)),
        Services(MemoryTable(numbered(5, text="x")), store),
        run="r1",
    )

    run(restore(), RestoreServices(table, store))

    assert table.rows == {(("id", n),): {"n": n} for n in range(5)}


def test_an_export_without_its_key_is_refused():
    store, table = MemoryStore(), WrittenTable()
    target = ObjectTarget("fake", PREFIX, Csv())
    wanted = FullExport("gps_full", TableSelection("t", columns=(Picked("n", "n"),)), target)
    export(wanted, Services(MemoryTable(numbered(5)), store), run="r1")

    with pytest.raises(SpecError, match="lacks the key column id"):
        run(restore(), RestoreServices(table, store))


def test_a_row_that_is_busy_is_sent_again_alone():
    store, table = published(numbered(5)), WrittenTable()
    table.answers = {(("id", 2),): ["OTSRowOperationConflict", "OTSServerBusy"]}

    report = run(restore(), RestoreServices(table, store))

    assert len(table.rows) == report.written == 5
    assert table.batches[1:] == [[(("id", 2),)]] * 2


def test_a_row_that_the_service_refuses_is_dirty_and_named(caplog):
    store, table = published(numbered(5)), WrittenTable()
    table.answers = {(("id", 2),): ["OTSOutOfRowSizeLimit"]}

    report = run(restore(limits=Limits(errors=1)), RestoreServices(table, store))

    assert (report.written, report.dirty) == (4, 1)
    assert "id=2" in caplog.text
    assert "OTSOutOfRowSizeLimit" in caplog.text


def test_more_dirty_rows_than_allowed_end_the_restore():
    store, table = published(numbered(5)), WrittenTable()
    table.answers = {(("id", 2),): ["OTSInvalidPK"]}

    with pytest.raises(DirtyLimitExceeded, match="OTSInvalidPK"):
        run(restore(), RestoreServices(table, store))


def test_a_refusal_that_is_about_no_row_ends_the_restore_at_once():
    store, table = published(numbered(5)), WrittenTable()
    table.answers = {(("id", 2),): ["OTSObjectNotExist"]}

    with pytest.raises(Rejected, match="OTSObjectNotExist"):
        run(restore(limits=Limits(errors=99)), RestoreServices(table, store))


def test_a_restore_done_twice_leaves_the_same_table():
    store, table = published(numbered(20)), WrittenTable()

    run(restore(), RestoreServices(table, store))
    once = dict(table.rows)
    run(restore(), RestoreServices(table, store))

    assert table.rows == once


def test_a_batch_has_at_most_the_rows_that_are_asked_for():
    store, table = published(numbered(20)), WrittenTable()

    run(restore(target=RowTarget("copy", batch_rows=3)), RestoreServices(table, store))

    assert sorted(map(len, table.batches)) == [2, 3, 3, 3, 3, 3, 3]


def plain(text: bytes, format: ReadFormat, **limits: int) -> tuple[WrittenTable, Restore, RestoreServices]:
    store, table = MemoryStore(), WrittenTable()
    store.put("raw/a.csv", text)
    columns = (Column("id", ColumnType.INTEGER), Column("text", ColumnType.STRING))
    source = PlainSource(("raw/*.csv",), format, columns)
    return table, restore(source=source, limits=Limits(**limits)), RestoreServices(table, store)


def test_a_batch_has_at_most_the_bytes_that_are_asked_for():
    store, table = published(numbered(20, text="x" * 100)), WrittenTable()

    run(restore(target=RowTarget("copy", batch_bytes=400)), RestoreServices(table, store))

    assert max(map(len, table.batches)) == 2
    assert len(table.rows) == 20


def test_a_row_is_sent_again_as_often_as_the_author_says():
    store, table = published(numbered(2)), WrittenTable()
    table.answers = {(("id", 1),): ["OTSServerBusy"] * 3}

    with pytest.raises(RetryLater, match="OTSServerBusy"):
        run(restore(target=RowTarget("copy", max_retries=2)), RestoreServices(table, store))
    assert len(table.batches) == 3

    table.answers = {(("id", 1),): ["OTSServerBusy"] * 3}
    assert run(restore(target=RowTarget("copy", max_retries=3)), RestoreServices(table, store)).written == 2


def test_requests_are_as_far_apart_as_the_author_says():
    pauses: list[float] = []

    class Hearing(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout or 0)
            return False

    table = WrittenTable()
    target = RowTarget("copy", batch_rows=1, requests_per_second=4)
    writer = RowWriter(table, target, lambda key, reason: None, in_flight=1, stop=Hearing(), tasks=2)
    for one in numbered(4):
        writer.write(one)
    writer.finish()

    assert len(table.rows) == 4
    assert pauses[-1] > 1.5


def test_rows_of_plain_objects_make_a_table_of_the_key_that_is_named():
    _, wanted, services = plain(b"1,a\n2,b\n", ReadFormat("csv"))
    table = WrittenTable(None)
    target = RowTarget("copy", creates=True, primary_key=("text", "id"))

    run(replace(wanted, target=target), RestoreServices(table, services.store))

    assert table.keys == (KeyColumn("text", ColumnType.STRING), KeyColumn("id", ColumnType.INTEGER))
    assert sorted(table.rows) == [(("text", "a"), ("id", 1)), (("text", "b"), ("id", 2))]


def test_a_parquet_object_of_other_columns_than_the_manifest_lists_is_told():
    store, table = MemoryStore(), WrittenTable()
    for prefix, rows in (("a/", numbered(3)), ("b/", [row((("other", n),), more="x") for n in range(3)])):
        target = ObjectTarget("fake", prefix, Parquet())
        keys = ID if prefix == "a/" else (KeyColumn("other", ColumnType.INTEGER),)
        export(FullExport("p", TableSelection("t"), target), Services(MemoryTable(rows, keys=keys), store), run="r1")
    (key,) = [one.key for one in store.list("a/") if one.key.endswith(".parquet")]
    (other,) = [one.key for one in store.list("b/") if one.key.endswith(".parquet")]
    store.put(key, store.get(other) or b"")
    document = json.loads(store.get("a/_manifest.json") or b"")
    found = store.head(key)
    document["objects"][0].update(bytes=found.bytes, crc64=str(found.crc64))
    store.put("a/_manifest.json", json.dumps(document).encode())

    with pytest.raises((ProtocolError, SpecError), match="there is no column 'id'"):
        run(restore(source=PublishedSource("a/")), RestoreServices(table, store))

    assert table.rows == {}


def test_null_and_the_empty_string_stay_apart():
    table, wanted, services = plain(b'1,\n2,""\n3,"a ""b""\nc"\r\n4, \n', ReadFormat("csv"))

    run(wanted, services)

    assert [cells for _, cells in sorted(table.rows.items())] == [{}, {"text": ""}, {"text": 'a "b"\nc'}, {"text": " "}]


def test_columns_of_a_file_with_a_header_are_found_by_name():
    table, wanted, services = plain(b"\xef\xbb\xbftext,more,id\nx,y,1\n", ReadFormat("csv", header=True))

    run(wanted, services)

    assert table.rows == {(("id", 1),): {"text": "x"}}


def test_a_row_that_cannot_be_read_is_dirty_and_the_others_are_written(caplog):
    table, wanted, services = plain(b"1,a\n\nx,b\n,c\n3\n4,d\n", ReadFormat("csv"), errors=3)

    report = run(wanted, services)

    assert sorted(table.rows) == [(("id", 1),), (("id", 4),)]
    assert (report.rows, report.written, report.dirty) == (5, 2, 3)
    assert "column 'id' holds no integer" in caplog.text
    assert "key column 'id' is null" in caplog.text
    assert "1 values instead of 2" in caplog.text


def test_of_a_key_that_comes_twice_the_last_row_stays():
    text = b"".join(b"%d,%d\n" % (n % 3, n) for n in range(50))
    table, wanted, services = plain(text, ReadFormat("csv"), threads=4)

    run(wanted, services)

    assert table.rows == {(("id", 0),): {"text": "48"}, (("id", 1),): {"text": "49"}, (("id", 2),): {"text": "47"}}


def test_a_quote_that_never_ends_is_told():
    _, wanted, services = plain(b'1,"a\n2,b\n', ReadFormat("csv"))

    with pytest.raises(ProtocolError, match="never closed"):
        run(wanted, services)


def test_a_cut_archive_is_told():
    _, wanted, services = plain(b"\x1f\x8b\x08\x00", ReadFormat("csv", compression="gzip"))

    with pytest.raises(ProtocolError, match="cut or damaged"):
        run(wanted, services)


def test_a_pattern_without_objects_is_told():
    _, wanted, services = plain(b"", ReadFormat("csv"))
    wanted = replace(wanted, source=PlainSource(("other/*",), ReadFormat("csv"), ()))

    with pytest.raises(SpecError, match="no object matches"):
        run(wanted, services)


def test_a_part_without_a_report_is_not_done():
    store, table = published(numbered(20)), WrittenTable()
    services = RestoreServices(table, store)
    planned = plan(restore(), services)

    with pytest.raises(StartOver, match="part 0"):
        finish(restore(), planned, [])


def test_counts_that_do_not_agree_are_told():
    store, table = published(numbered(20)), WrittenTable()
    services = RestoreServices(table, store)
    planned = plan(restore(), services)
    report = write_part(restore(), services, planned, planned.parts[0])

    with pytest.raises(ProtocolError, match="20 rows were to be restored"):
        finish(restore(), planned, [replace(report, written=19)])


def test_parts_and_reports_pass_through_json():
    store, table = published(numbered(20)), WrittenTable()
    services = RestoreServices(table, store)
    planned = plan(restore(), services)
    part = planned.parts[0]
    report = write_part(restore(), services, planned, part)

    assert RestorePart.from_json(json.loads(json.dumps(part.to_json()))) == part
    head = json.loads(json.dumps(planned.head_json()))
    assert RestorePlan.from_json(head, [one.to_json() for one in planned.parts]) == planned
    again = PartReport.from_json(json.loads(json.dumps(report.to_json())))
    assert replace(again, seconds=0) == replace(report, seconds=0)


def test_nothing_is_left_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    run(restore(), RestoreServices(WrittenTable(), published(numbered(20))))

    assert list(Path(tmp_path).iterdir()) == []
