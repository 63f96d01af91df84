"""`kind: stream`: what lint refuses, and what a spec becomes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_tablestore.spec import load, parse
from airflow_tablestore.spec.build_stream import stream
from airflow_tablestore.spec.explain import story
from airflow_tablestore.wire.tunnel import StartFlag, TunnelType

SPEC = """\
pipeline: events
kind: stream
source: {table: events, tunnel: t%s}
sink: {type: oss, bucket: backup, prefix: "{table}/{pipeline}/"%s}
"""


def problems(source="", sink="", more=""):
    return [(p.path, p.message, p.is_warning) for p in parse(SPEC % (source, sink) + more).problems]


def built(source="", sink="", more=""):
    document = parse(SPEC % (source, sink) + more)
    assert document.spec is not None, document.problems
    return stream(document.spec)


def test_the_shortest_spec_drains_what_is_there_with_one_worker():
    drain = built()

    assert (drain.wanted.table, drain.wanted.name, drain.wanted.type) == ("events", "t", TunnelType.STREAM)
    assert (drain.until_caught_up, drain.at_most_seconds, drain.creates) == (True, None, False)
    assert drain.target.prefix == "events/events/"
    assert problems() == []


def test_what_the_author_says_reaches_the_drain():
    more = "run: {until: at_most, at_most: 10m, workers: 2, flush: 30s}\nlimits: {errors: 3}\n"
    drain = built(", create_tunnel: true, tunnel_start: earliest", ", max_file_mb: 2", more)

    assert (drain.creates, drain.wanted.flag) == (True, StartFlag.EARLIEST)
    assert (drain.until_caught_up, drain.at_most_seconds, drain.flush_seconds) == (False, 600, 30)
    assert (drain.limits.errors, drain.target.max_object_bytes) == (3, 2 * 1024 * 1024)


def test_a_bounded_tunnel_has_times():
    drain = built(", create_tunnel: true, tunnel_start: 2026-11-20T00:00:00Z, tunnel_end: 2026-11-21T00:00:00Z")

    assert (drain.wanted.start, drain.wanted.end) == (
        datetime(2026, 11, 20, tzinfo=UTC),
        datetime(2026, 11, 21, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("continuous", "continuous"),
        ("'@continuous'", "continuous"),
        ("on_data", "on_data"),
        ("on-data", "on_data"),
        ("none", None),
        ("'*/5 * * * *'", "*/5 * * * *"),
    ],
)
def test_a_stream_runs_by_the_clock_on_data_or_continuously(written, meant):
    document = parse(SPEC % ("", "") + f"schedule: {written}\n")

    assert not document.problems
    assert document.spec.schedule == meant
    assert type(document.spec)(**document.spec.to_mapping()) == document.spec


def test_other_kinds_have_no_schedules_that_wait_for_data():
    text = "pipeline: p\nkind: full_export\nsource: {table: t}\nsink: {type: oss, bucket: backup, prefix: p/}\n"

    assert [p.path for p in parse(text + "schedule: on_data\n").problems] == ["schedule"]


@pytest.mark.parametrize(
    ("source", "more", "path"),
    [
        ("", "schedule: on_data\nstart: 2026-11-20T00:00:00Z\n", "start"),
        (", create_tunnel: true, tunnel_type: BaseData", "schedule: continuous\n", "schedule"),
        (", create_tunnel: true, tunnel_end: 2026-11-21T00:00:00Z", "schedule: continuous\n", "schedule"),
    ],
)
def test_a_schedule_that_is_not_meant_is_a_warning(source, more, path):
    assert [(p, warns) for p, _, warns in problems(source, "", more)] == [(path, True)]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("schedule: on_data\n", "It runs when the tunnel has something that nobody has read"),
        ("schedule: continuous\nrun: {at_most: 3m}\n", "each first waits for data, 3m at most"),
        ("schedule: continuous\n", "each first waits for data, 10m at most"),
        ("schedule: '@daily'\n", "It runs at '@daily' (UTC)"),
    ],
)
def test_the_story_begins_with_when_it_runs(more, told):
    assert told in story(parse(SPEC % ("", "") + more).spec)[0]


@pytest.mark.parametrize("type_", ["kafka", "datahub"])
def test_sinks_that_are_not_built_are_refused_by_name(type_):
    text = (SPEC % ("", "")).replace("type: oss", f"type: {type_}")
    assert f"'{type_}' is no sink of a stream in this version" in [p.message for p in parse(text).problems]


@pytest.mark.parametrize("limit", ["mbps: 80", "rows_per_second: 5", "workers: 2", "threads: 2", "memory_mb: 100"])
def test_limits_that_a_stream_does_not_keep_to_are_refused(limit):
    ((path, message, _),) = problems(more=f"limits: {{{limit}}}\n")

    assert path == f"limits.{limit.partition(':')[0]}"
    assert "does not keep to it" in message


@pytest.mark.parametrize(
    ("source", "sink", "more", "path"),
    [
        ("", ", write_mode: truncate", "", "sink.write_mode"),
        ("", ", truncate_foreign: true", "", "sink.truncate_foreign"),
        ("", ", max_file_mb: 17", "", "sink.max_file_mb"),
        ("", "", "run: {until: at_most}\n", "run.at_most"),
        (", tunnel_type: Deltas", "", "", "source.tunnel_type"),
        (", create_tunnel: true, tunnel_start: yesterday", "", "", "source.tunnel_start"),
        (", create_tunnel: true, tunnel_start: 2026-11-20T00:00:00", "", "", "source.tunnel_start"),
        (", create_tunnel: true, tunnel_type: BaseData, tunnel_start: earliest", "", "", "source.tunnel_start"),
        (
            ", create_tunnel: true, tunnel_start: 2026-11-20T00:00:00Z, tunnel_end: 2026-11-20T00:00:00Z",
            "",
            "",
            "source.tunnel_end",
        ),
        (", columns: [a]", "", "", "source.columns"),
    ],
)
def test_what_cannot_be_is_an_error_at_its_place(source, sink, more, path):
    assert [(p, warns) for p, _, warns in problems(source, sink, more)] == [(path, False)]


def test_a_time_in_the_prefix_is_refused():
    text = (SPEC % ("", "")).replace("{table}/", "{run_date:%Y}/")

    assert [p.path for p in parse(text).problems] == ["sink.prefix"]


def test_what_has_no_effect_is_a_warning():
    assert [(p, warns) for p, _, warns in problems(", tunnel_type: BaseData")] == [("source.tunnel_type", True)]


def test_the_example_is_told_in_words(request):
    spec = load(str(request.config.rootpath / "dags/specs/gps_stream.yaml"))

    told = " ".join(story(spec))

    assert "2 workers drain tunnel 'gps_stream'" in told
    assert "_channels/done/" in told
