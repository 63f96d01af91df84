"""`sink: {type: maxcompute}`: what is refused, what is warned of, and what a run gets from it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.contract import OverLength
from airflow_tablestore.pipeline.target import BlockCompression, TableTarget
from airflow_tablestore.pipeline.window import Window
from airflow_tablestore.spec.build import full_export, incremental
from airflow_tablestore.spec.explain import story
from airflow_tablestore.spec.kinds.full_export import FullExportSpec
from airflow_tablestore.spec.load import parse
from airflow_tablestore.spec.maxcompute_sink import split_partition

MOMENT = datetime(2026, 11, 21, 4, 22, tzinfo=UTC)


def spec(**sink):
    return FullExportSpec(pipeline="gps", source={"table": "gps"}, sink={"type": "maxcompute", "table": "gps"} | sink)


def test_the_target_has_what_the_author_wrote():
    written = spec(
        partition="pt={run_date:%Y%m%d},hm={run_date:%H%M}",
        columns=["a", "b"],
        truncate=True,
        create_table=True,
        over_length="null",
        pre_sql="select 1",
        post_sql=["select 2", "select 3"],
        compress="LZ4",
    )

    target = full_export(written, run_date=MOMENT).target

    partition = (("pt", "20261121"), ("hm", "0422"))
    after = ("select 2", "select 3")
    assert target == TableTarget(
        "gps", partition, ("a", "b"), True, True, OverLength.NULL, ("select 1",), after, BlockCompression.LZ4
    )
    assert full_export(spec(), run_date=MOMENT).target.compression is BlockCompression.ZSTD


@pytest.mark.parametrize(
    ("sink", "told"),
    [
        ({"table": "other.gps"}, "write the project under 'project'"),
        ({"table": "gps; drop"}, "is no name of a table"),
        ({"project": "a b"}, "is no name of a project"),
        ({"partition": "20261121"}, "is no partition"),
        ({"partition": "pt="}, "is no partition"),
        ({"partition": "pt=1,PT=2"}, "names a partition column twice"),
        ({"partition": "pt={event_time:%Y}"}, "cannot depend on the row"),
        ({"partition": "pt={window_start:%Y}"}, "is not known here"),
        ({"columns": []}, "must not be empty"),
        ({"columns": ["a b"]}, "is no name of a column"),
        ({"over_length": "cut"}, "must be one of fail, truncate, null"),
        ({"compress": "gzip"}, "must be one of none, zlib, zstd, lz4, snappy"),
        ({"prefix": "gps/"}, "it belongs to another type of 'sink'"),
        ({"truncat": True}, "did you mean 'truncate'?"),
    ],
)
def test_what_cannot_be_is_told(sink, told):
    with pytest.raises(SpecError) as raised:
        spec(**sink)

    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("pt=20261121", [("pt", "20261121")]),
        ("pt='20261121', hm=\"0400\"", [("pt", "20261121"), ("hm", "0400")]),
        ("pt=1/hm=2", [("pt", "1"), ("hm", "2")]),
        ("pt={run_date:%Y/%m/%d},hm=2", [("pt", "{run_date:%Y/%m/%d}"), ("hm", "2")]),
    ],
)
def test_a_partition_is_names_and_values(text, pairs):
    assert split_partition(text) == pairs


def test_adding_rows_is_warned_of():
    assert [one.path for one in spec().warnings()] == ["sink.truncate"]
    assert list(spec(truncate=True).warnings()) == []


def test_the_story_says_where_rows_go_and_how():
    told = " ".join(story(spec(partition="pt={run_date:%Y%m%d}", truncate=True, create_table=True)))

    assert "'gps', partition pt={run_date:%Y%m%d}, of the connection's project" in told
    assert "in the place of what is there" in told
    assert "made when it is missing" in told


PERSON = """
pipeline: person_changes
kind: incremental
source:
  table: person
  mode: multi_version
  export_sequence_info: true
  max_retries: 30
status_table: {table: TableStoreStreamReaderStatusTable}
start: 2026-11-20T00:00:00+08:00
sink:
  type: maxcompute
  table: person
  partition: "pt={window_start:%Y%m%d},hm={window_start:%H%M}"
  columns: [id, colname, version, colvalue, optype, sequenceinfo]
  truncate: true
"""


def test_a_tables_loads_are_on_record_beside_the_source_or_where_the_author_says():
    plain = spec()
    elsewhere = FullExportSpec(**plain.to_mapping() | {"status_table": {"connection": "ledger", "table": "records"}})

    assert plain.connections()["status_table"] == plain.source.connection
    assert elsewhere.connections()["status_table"] == "ledger"
    assert full_export(elsewhere, run_date=MOMENT, instance="demo").status_table == "records"
    assert any("'records' over connection 'ledger'" in told for told in story(elsewhere))


def test_objects_need_no_status_table():
    sink = {"type": "oss", "bucket": "exports", "prefix": "gps/", "format": "csv"}

    with pytest.raises(SpecError, match="objects have their manifest beside them"):
        FullExportSpec(pipeline="gps", source={"table": "gps"}, sink=sink, status_table="records")


def test_every_change_of_every_cell_goes_into_six_columns():
    person = parse(PERSON).spec
    first = Window(datetime(2026, 11, 21, 4, tzinfo=UTC), datetime(2026, 11, 21, 4, 5, tzinfo=UTC))

    target = incremental(person, instance="demo").target(first)

    assert isinstance(target, TableTarget)
    assert target.partition == (("pt", "20261121"), ("hm", "0400"))
    assert target.columns == ("id", "colname", "version", "colvalue", "optype", "sequenceinfo")
    assert person.connections()["sink"] == "maxcompute_default"


@pytest.mark.parametrize(
    ("partition", "told"),
    [
        ('partition: "pt={window_start:%Y%m%d}"', "share the partition 'pt=20261119', so the second would replace"),
        ("partition: pt=all", "share the partition 'pt=all'"),
        ("", "share the table, so the second would replace the first"),
    ],
)
def test_windows_that_would_replace_each_other_are_refused(partition, told):
    text = PERSON.replace('partition: "pt={window_start:%Y%m%d},hm={window_start:%H%M}"', partition)

    problems = parse(text).problems

    assert told in str(problems[0])
    assert "put {window_start:%Y%m%d%H%M} into it" in problems[0].hint
    assert not [one for one in parse(text.replace("truncate: true", "")).problems if not one.is_warning]
