"""A stream into a table of MaxCompute: what lint refuses, and what a spec becomes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_tablestore.pipeline.tunnel.table_target import Pick, TableMode
from airflow_tablestore.spec import parse
from airflow_tablestore.spec.build_stream import stream
from airflow_tablestore.spec.explain import story
from airflow_tablestore.wire.row import ColumnType

SPEC = """\
pipeline: events
kind: stream
timezone: Asia/Shanghai
source: {table: events, tunnel: t%s}
sink: {type: maxcompute, table: events%s}
"""
BOTH = ", create_tunnel: true, tunnel_type: BaseAndStream"
LATE = datetime(2026, 11, 20, 16, 30, tzinfo=UTC)


def problems(sink="", source=""):
    return [(p.path, p.message, p.is_warning) for p in parse(SPEC % (source, sink)).problems]


def built(sink="", source=""):
    document = parse(SPEC % (source, sink))
    assert document.spec is not None, document.problems
    return stream(document.spec).target


def micros(moment):
    return int(moment.timestamp() * 1_000_000)


def test_the_shortest_spec_adds_changes_to_a_table_by_name():
    target = built()

    assert (target.table, target.mode, target.columns, target.partitions.names) == (
        "events",
        TableMode.STREAM,
        None,
        (),
    )
    assert (target.max_bytes, target.slots, target.creates) == (16 * 1024 * 1024, 1, False)


def test_the_example_of_the_spec_language_holds():
    sink = ', mode: stream, partition: "pt={event_time:%Y%m%d}", base_partition: "pt=base"'

    assert problems(sink, BOTH) == []
    assert built(sink, BOTH).partitions.of(None) == (("pt", "base"),)


@pytest.mark.parametrize(
    ("template", "moment", "values"),
    [
        ("pt={event_time:%Y%m%d}", LATE, (("pt", "20261121"),)),
        ("pt={event_time:%Y%m%d},hm={event_time:%H%M}", LATE.replace(minute=59), (("pt", "20261121"), ("hm", "0059"))),
        ("pt={event_time:%H%M%S}", LATE.replace(second=7), (("pt", "003007"),)),
        ("pt={table},who={pipeline}", LATE, (("pt", "events"), ("who", "events"))),
    ],
)
def test_a_change_goes_into_the_partition_of_its_time_in_the_specs_zone(template, moment, values):
    assert built(f', partition: "{template}"').partitions.of(micros(moment)) == values


def test_columns_are_picked_by_name_with_their_names_in_the_table():
    target = built(", columns: [id, sequence, {name: v, as: value, type: integer}, cells.time]")

    assert target.columns == (
        Pick("id", "id"),
        Pick("sequence", "sequence"),
        Pick("v", "value", ColumnType.INTEGER),
        Pick("cells.time", "time"),
    )


@pytest.mark.parametrize(
    ("sink", "source", "path", "told"),
    [
        (", mode: batch", "", "sink.mode", "a stream is not loaded in batches"),
        (', partition: "pt={run_date:%Y}"', "", "sink.partition", "the placeholder {run_date} is not known here"),
        (', partition: "pt={event_tim}"', "", "sink.partition", "the placeholder {event_tim} is not known here"),
        (
            ', partition: pt=1, base_partition: "pt={event_time}"',
            "",
            "sink.base_partition",
            "the placeholder {event_time} is not known here",
        ),
        (
            ', partition: "pt={event_time:%Y}"',
            BOTH,
            "sink.base_partition",
            "is missing: the rows of the table have no time and so no partition",
        ),
        (", base_partition: pt=base", "", "sink.partition", "is missing beside base_partition"),
        (
            ", partition: pt=1, base_partition: ds=1",
            "",
            "sink.base_partition",
            "names other partition columns than partition does",
        ),
        (
            ', mode: upsert, partition: "pt={event_time:%Y}"',
            "",
            "sink.partition",
            "cannot depend on the time of a change: a key has one row, in one partition",
        ),
        (", mode: upsert, slots: 2", "", "sink.slots", "has no meaning with mode: upsert"),
        (
            ", mode: upsert, columns: [id, before]",
            "",
            "sink.columns[1]",
            "'before' tells of one change, and an upserted row has no place for it",
        ),
        (
            ", mode: upsert, create_table: true",
            "",
            "sink.columns",
            "is missing: a table that is made for upserts needs its columns named",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(sink, source, path, told):
    assert (path, told, False) in problems(sink, source)


def test_columns_without_a_sequence_are_warned_of():
    assert problems(", columns: [id]") == [
        ("sink.columns", "has no 'sequence': what comes twice after a crash cannot be told apart", True)
    ]
    assert problems(", columns: [id], mode: upsert") == []


@pytest.mark.parametrize("mode", ["stream", "upsert"])
def test_a_batch_takes_no_mode_of_streams(mode):
    text = f"pipeline: p\nkind: full_export\nsource: {{table: t}}\nsink: {{type: maxcompute, table: t, mode: {mode}}}\n"

    assert [(p.path, p.hint) for p in parse(text).problems] == [("sink.mode", "write kind: stream, or leave mode out")]


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("stream", "After a crash some come twice, with the same key and sequence."),
        ("upsert", "the row is read from the source, which is billed."),
    ],
)
def test_the_story_says_what_a_crash_means(mode, told):
    document = parse(SPEC % ("", f", mode: {mode}"))

    assert told in " ".join(story(document.spec))
    assert type(document.spec)(**document.spec.to_mapping()) == document.spec
