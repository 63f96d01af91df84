"""A stream into another table of Tablestore: what lint refuses, and what a spec becomes."""

from __future__ import annotations

import pytest

from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.tunnel.copy_target import TableCopy, Versions
from airflow_tablestore.spec import load, parse
from airflow_tablestore.spec.build_stream import stream
from airflow_tablestore.spec.explain import story

SPEC = """\
pipeline: copy
kind: stream
source: {table: orders, tunnel: copy}
run: {workers: 2}
%ssink: {type: tablestore, table: %s}
"""


def problems(sink="orders_copy", more=""):
    return [(p.path, p.message, p.hint) for p in parse(SPEC % (more, sink)).problems]


def built(sink="orders_copy", more=""):
    document = parse(SPEC % (more, sink))
    assert document.spec is not None, document.problems
    return stream(document.spec).target


def test_the_shortest_spec_copies_everything_with_its_versions():
    assert built() == TableCopy("orders_copy", None, Versions.KEEP, False, 200, Limits(threads=4), 2)


def test_columns_versions_and_limits_are_those_of_the_spec():
    more = "limits: {rows_per_second: 100, mbps: 8, threads: 2, errors: 3}\n"

    target = built("c, columns: [a, {name: v, as: w}], versions: new, create_table: true, batch_rows: 50", more)

    limits = Limits(errors=3, rows_per_second=100, mbps=8, threads=2)
    assert target == TableCopy("c", {"a": "a", "v": "w"}, Versions.NEW, True, 50, limits, 2)


@pytest.mark.parametrize(
    ("sink", "more", "path", "told"),
    [
        ("orders", "", "sink.table", "it would be told its own changes"),
        ("c, columns: [{name: v, type: integer}]", "", "sink.columns[0].type", "a copied value keeps its type"),
        ("c, columns: [a, {name: b, as: a}]", "", "sink.columns[1]", "names 'a' twice"),
        ("c, versions: old", "", "sink.versions", "'old'"),
        ("c, batch_rows: 500", "", "sink.batch_rows", "200"),
        ("c, write: put", "", "sink.write", "unknown key"),
        ("c", "limits: {memory_mb: 100}\n", "limits.memory_mb", "does not keep to it"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(sink, more, path, told):
    assert [(at, told in message) for at, message, _ in problems(sink, more)] == [(path, True)]


def test_a_table_of_the_same_name_over_another_connection_is_another_one():
    assert problems("orders, connection: tablestore_far") == []


def test_objects_still_keep_to_no_rate():
    oss = "pipeline: p\nkind: stream\nsource: {table: t, tunnel: n}\nlimits: {mbps: 8}\n"

    (problem,) = parse(oss + "sink: {type: oss, bucket: backup, prefix: p/}\n").problems

    assert problem.path == "limits.mbps"


def test_the_gallerys_copy_is_told_back(request):
    spec = load(str(request.config.rootpath / "dags/specs/gps_copy.yaml"))

    told = " ".join(story(spec))

    assert "carries puts, updates and deletes out on table 'ots_gps_copy'" in told
    assert "It writes at most 5000 rows per second." in told
    assert "ends in the same table, which may show earlier states meanwhile" in told
