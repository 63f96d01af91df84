"""Full exports into MaxCompute over the real protocols; read back with pyodps and beside the network.

The oracle is the rows that the table was made of, never what the engine reports.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest
from odps import ODPS

from airflow_tablestore.emulator import LocalCloud
from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET
from airflow_tablestore.errors import DirtyLimitExceeded, Rejected, RetryLater, SpecError, StartOver, Superseded
from airflow_tablestore.pipeline.contract import Limits, OverLength
from airflow_tablestore.pipeline.full_export.export import Services, export_split, plan, publish, run
from airflow_tablestore.pipeline.loads import Loads
from airflow_tablestore.pipeline.sinks.arrow_body import framed
from airflow_tablestore.pipeline.table_upload import claim_of
from airflow_tablestore.pipeline.target import BlockCompression
from airflow_tablestore.pipeline.warehouse import Partition
from airflow_tablestore.wire.row import ColumnType
from tests.conformance.memory_stream import MemoryStream
from tests.conformance.memory_table import MemoryTable, row
from tests.integration.loading import CHANGING, PARTITION, ROWS, export, table, warehouse

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PLACE = Partition("t", PARTITION)


@pytest.fixture(scope="module")
def served():
    with LocalCloud() as cloud:
        yield cloud


@pytest.fixture
def cloud(served):
    served.faults.clear()
    served.sql("drop table if exists t")
    served.sql("create table t (id bigint, n bigint, text string) partitioned by (pt string)")
    return served


def opened(cloud, text="x", **settings):
    at = cloud.maxcompute
    return Services(table(text), warehouse(at.endpoint, at.project, sleep=lambda seconds: None, **settings))


def rows_of(*texts):
    return sorted((number, number, text) for text in texts for number in range(ROWS))


def found(cloud):
    return sorted((row["id"], row["n"], row["text"]) for row in cloud.maxcompute_rows("t"))


def exported(cloud, services, loaded):
    planned = plan(loaded, services, run="r")
    return planned, [export_split(loaded, services, planned.head, split, attempt=1) for split in planned.splits]


def test_pyodps_reads_what_was_exported(cloud):
    report = run(export(), opened(cloud), run="r1")

    at = cloud.maxcompute
    odps = ODPS(DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, project=at.project, endpoint=at.endpoint)
    with odps.execute_sql("select count(*) from t where pt = '20261121'").open_reader(tunnel=True) as reader:
        assert [record[0] for record in reader] == [ROWS]
    with odps.get_table("t").open_reader(partition="pt=20261121") as reader:
        assert sorted(tuple(record.values[:3]) for record in reader) == rows_of("x")
    assert (report.rows, report.dirty) == (ROWS, 0)
    assert report.manifest == f"maxcompute://{at.project}/t/pt=20261121"


@pytest.mark.parametrize("compression", list(BlockCompression))
def test_compressed_blocks_are_the_same_rows(cloud, compression):
    run(export(compression=compression), opened(cloud), run="r1")

    assert found(cloud) == rows_of("x")


def test_truncate_replaces_and_its_absence_adds(cloud):
    run(export(), opened(cloud, "a"), run="r1")
    run(export(), opened(cloud, "b"), run="r2")
    replaced = found(cloud)
    run(export(truncates=False), opened(cloud, "c"), run="r3")

    assert replaced == rows_of("b")
    assert found(cloud) == rows_of("b", "c")


def test_a_missing_table_is_made_when_asked(cloud):
    cloud.sql("drop table t")

    with pytest.raises(SpecError, match="create_table: true"):
        run(export(creates=False), opened(cloud), run="r1")
    run(export(), opened(cloud), run="r1")

    assert found(cloud) == rows_of("x")


@pytest.mark.parametrize("partition", [(), (("day", "1"),), (("pt", "1"), ("hm", "2"))])
def test_a_partition_that_does_not_fit_is_refused_before_reading(cloud, partition):
    services = opened(cloud)

    with pytest.raises(SpecError, match="pt=…"):
        run(export(partition=partition), services, run="r1")

    assert services.client.asked == []


def test_columns_go_by_order_when_they_are_named(cloud):
    cloud.sql("create table if not exists renamed (a string, b bigint, c bigint)")

    run(export(table="renamed", partition=(), columns=("b", "c", "a")), opened(cloud), run="r1")

    rows = cloud.maxcompute_rows("renamed")
    assert sorted((row["b"], row["c"], row["a"]) for row in rows) == rows_of("x")


def test_a_column_that_the_table_lacks_is_named(cloud):
    cloud.sql("create table if not exists poor (id bigint)")

    with pytest.raises(SpecError, match=r"no column 'n'[\s\S]*no column 'text'"):
        run(export(table="poor", partition=()), opened(cloud), run="r1")


def test_rows_that_do_not_fit_are_dirty_and_nothing_is_published(cloud):
    cloud.sql("drop table t")
    cloud.sql("create table t (id tinyint, n bigint, text varchar(2)) partitioned by (pt string)")

    with pytest.raises(DirtyLimitExceeded, match=r"VARCHAR\(2\)"):
        run(export(), opened(cloud, "long"), run="r1")
    run(export(), opened(cloud, "ok"), run="r2")

    assert found(cloud) == rows_of("ok")


@pytest.mark.parametrize(("over", "there"), [(OverLength.TRUNCATE, "lo"), (OverLength.NULL, None)])
def test_text_that_is_too_long_is_cut_or_null_by_choice(cloud, over, there):
    cloud.sql("drop table t")
    cloud.sql("create table t (id bigint, n bigint, text varchar(2)) partitioned by (pt string)")

    report = run(export(over_length=over), opened(cloud, "long"), run="r1")

    assert found(cloud) == rows_of(there)
    assert report.dirty == 0


def test_a_partition_of_several_levels_is_made_and_replaced_alone(cloud):
    cloud.sql("drop table if exists levels")
    cloud.sql("create table levels (id bigint, n bigint, text string) partitioned by (pt string, hm string)")
    places = [(("pt", "1"), ("hm", hm)) for hm in ("00", "05")]
    for place, text in zip(places, "ab", strict=True):
        run(export(table="levels", partition=place), opened(cloud, text), run=text)

    run(export(table="levels", partition=places[1]), opened(cloud, "c"), run="c")

    rows = [cloud.maxcompute_rows("levels", f"pt=1,hm={hm}") for hm in ("00", "05")]
    assert [{row["text"] for row in one} for one in rows] == [{"a"}, {"c"}]
    assert [len(one) for one in rows] == [ROWS, ROWS]


# ---- faults


def test_a_commit_whose_answer_was_lost_is_settled_by_the_sessions_status(cloud):
    services, loaded = opened(cloud), export()
    planned, reports = exported(cloud, services, loaded)

    class Unanswered(type(services.store)):
        def commit(self, *args):
            super().commit(*args)
            raise RetryLater("lost", operation="CommitUpload")

    lossy = Services(services.client, Unanswered(services.store.endpoint))
    publish(loaded, lossy, planned.head, reports, attempt=1)
    publish(loaded, services, planned.head, reports, attempt=2)

    assert found(cloud) == rows_of("x")


def test_a_commit_that_did_not_happen_is_made_by_the_next_attempt(cloud):
    run(export(), opened(cloud, "old"), run="r1")
    services, loaded = opened(cloud), export()
    planned, reports = exported(cloud, services, loaded)
    cloud.faults.add("error", service="maxcompute", operation="CommitUpload", code="ServiceUnavailable", count=20)

    with pytest.raises(RetryLater):
        publish(loaded, services, planned.head, reports, attempt=1)
    between = found(cloud)
    cloud.faults.clear()
    publish(loaded, services, planned.head, reports, attempt=2)

    assert between == rows_of("old")
    assert found(cloud) == rows_of("x")


def test_an_expired_session_asks_for_the_plan_to_be_cleared(cloud):
    run(export(), opened(cloud, "old"), run="r1")
    services, loaded = opened(cloud), export()
    planned, reports = exported(cloud, services, loaded)
    cloud.advance(25 * 3600)

    with pytest.raises(StartOver, match="Clear the task 'plan' with its downstream"):
        publish(loaded, services, planned.head, reports, attempt=1)
    with pytest.raises(StartOver, match="has expired"):
        export_split(loaded, services, planned.head, planned.splits[0], attempt=2)

    assert found(cloud) == rows_of("old")


def test_exporting_again_after_the_commit_asks_for_the_plan(cloud):
    services, loaded = opened(cloud), export()
    planned, reports = exported(cloud, services, loaded)
    publish(loaded, services, planned.head, reports, attempt=1)

    with pytest.raises(StartOver, match="is committed"):
        export_split(loaded, services, planned.head, planned.splits[0], attempt=2)

    assert found(cloud) == rows_of("x")


def test_a_block_that_a_killed_attempt_left_is_not_published(cloud):
    services, loaded = opened(cloud), export()
    planned = plan(loaded, services, run="r")
    stale = Services(table("stale"), services.store)
    export_split(loaded, stale, planned.head, planned.splits[0], attempt=1)
    reports = [export_split(loaded, services, planned.head, split, attempt=2) for split in planned.splits]

    publish(loaded, services, planned.head, reports, attempt=1)

    assert found(cloud) == rows_of("x")


class Meanwhile:
    """A warehouse beside which something else happens before a verb is carried out: once."""

    def __init__(self, real, verb, act):
        self._real, self._verb, self._act = real, verb, act

    def __getattr__(self, name):
        if name == self._verb and self._act:
            act, self._act = self._act, None
            act()
        return getattr(self._real, name)


def sleeper(cloud, loaded, planned):
    """An attempt that wakes up when its successor has exported."""
    stale = opened(cloud, "stale")
    return lambda: export_split(loaded, stale, planned.head, planned.splits[0], attempt=1)


def exported_again(cloud, loaded, services):
    planned = plan(loaded, services, run="r")
    return planned, [export_split(loaded, services, planned.head, split, attempt=2) for split in planned.splits]


def test_a_block_of_a_sleeper_before_the_last_look_is_not_loaded(cloud):
    services, loaded = opened(cloud), export()
    planned, reports = exported_again(cloud, loaded, services)
    woken = replace(services, store=Meanwhile(services.store, "shape", sleeper(cloud, loaded, planned)))
    export_split(loaded, opened(cloud, "older"), planned.head, planned.splits[1], attempt=1)

    publish(loaded, woken, planned.head, reports, attempt=1)

    assert found(cloud) == rows_of("x")


def test_a_block_of_a_sleeper_behind_the_last_look_is_told_and_replaced(cloud, kept):
    run(export(), opened(cloud, "old"), run="r1")
    services, loaded = recorded(cloud, kept), export()
    planned, reports = exported_again(cloud, loaded, services)
    woken = replace(services, store=Meanwhile(services.store, "commit", sleeper(cloud, loaded, planned)))

    for _ in range(2):
        with pytest.raises(StartOver, match="there twice") as raised:
            publish(loaded, woken, planned.head, reports, attempt=1)
    run(loaded, services, run="r")

    assert raised.value.task == "plan"
    assert found(cloud) == rows_of("x")


def test_a_newer_attempt_than_was_reported_is_not_thrown_away(cloud):
    services, loaded = opened(cloud), export()
    planned, reports = exported(cloud, services, loaded)
    export_split(loaded, services, planned.head, planned.splits[0], attempt=2)

    with pytest.raises(StartOver, match="newer attempt") as raised:
        publish(loaded, services, planned.head, reports, attempt=1)

    assert raised.value.task == "export"
    assert found(cloud) == []


def test_reports_of_an_earlier_plan_are_not_committed(cloud):
    services, loaded = opened(cloud), export()
    _, reports = exported(cloud, services, loaded)
    later = plan(loaded, services, run="r")

    with pytest.raises(StartOver, match="Not exported since the latest plan"):
        publish(loaded, services, later.head, reports, attempt=1)

    assert later.head.claim == claim_of(later.head.name)


def test_a_table_that_changes_between_plan_and_commit_keeps_its_rows(cloud):
    run(export(), opened(cloud, "old"), run="r1")
    services, loaded = opened(cloud), export()
    planned, reports = exported(cloud, services, loaded)
    cloud.sql("alter table t add columns (more string)")

    with pytest.raises(StartOver, match="changed since the run was planned") as raised:
        publish(loaded, services, planned.head, reports, attempt=1)

    assert raised.value.task == "plan"
    assert found(cloud) == rows_of("old")


@pytest.mark.parametrize(
    ("operation", "code", "error", "told"),
    [
        ("CreateUpload", "NoPermission", Rejected, "rights"),
        ("UploadBlock", "NoPermission", Rejected, "rights"),
        ("UploadBlock", "FlowExceeded", RetryLater, "flow quota"),
        ("CreateUpload", "RequestQuotaExceeded", RetryLater, "quota"),
    ],
)
def test_permission_and_quota_are_told_and_leave_the_table_alone(cloud, operation, code, error, told):
    run(export(), opened(cloud, "old"), run="r1")
    cloud.faults.add("error", operation=operation, code=code, count=20)

    with pytest.raises(error, match=told):
        run(export(), opened(cloud), run="r2")

    assert found(cloud) == rows_of("old")


def test_a_block_is_sent_again_when_its_connection_breaks(cloud):
    cloud.faults.add("reset", operation="UploadBlock", count=2)

    run(export(), opened(cloud), run="r1")

    assert found(cloud) == rows_of("x")


def test_a_damaged_block_is_refused(cloud):
    services = opened(cloud)
    upload = services.store.begin(PLACE, replaces=True)

    def damaged():
        return iter([b"".join(framed([b"abcd" * 8]))[:-1] + b"\x00"])

    with pytest.raises(Rejected):
        services.store.put_block(PLACE, upload.id, 0, damaged)


def test_a_table_that_is_dropped_between_plan_and_commit_asks_for_the_plan(cloud):
    services, loaded = opened(cloud), export()
    planned, reports = exported(cloud, services, loaded)
    cloud.sql("drop table t")

    with pytest.raises(StartOver) as raised:
        publish(loaded, services, planned.head, reports, attempt=1)
    run(loaded, services, run="r")

    assert raised.value.task == "plan"
    assert found(cloud) == rows_of("x")


# ---- SQL before and after


def counting(what):
    return (f"insert into journal select '{what}', count(*) from t",)


@pytest.fixture
def journal(cloud):
    cloud.sql("drop table if exists journal")
    cloud.sql("create table journal (what string, n bigint)")
    return lambda: [(row["what"], row["n"]) for row in cloud.maxcompute_rows("journal")]


def test_sql_is_run_before_rows_are_read_and_after_the_commit(cloud, journal):
    run(export(), opened(cloud, "old"), run="r1")

    run(export(truncates=False, pre_sql=counting("before"), post_sql=counting("after")), opened(cloud), run="r2")

    assert journal() == [("before", ROWS), ("after", 2 * ROWS)]


def test_sql_that_fails_before_leaves_the_table_alone(cloud, journal):
    run(export(), opened(cloud, "old"), run="r1")
    services = opened(cloud)

    with pytest.raises(Rejected, match="no_such_table"):
        run(export(pre_sql=(*counting("before"), "insert into no_such_table select 1")), services, run="r2")

    assert journal() == [("before", ROWS)]
    assert found(cloud) == rows_of("old")


def test_sql_that_fails_after_the_commit_is_run_again_by_the_retry(cloud):
    cloud.sql("drop table if exists told")
    services, loaded = opened(cloud), export(truncates=False, post_sql=("insert into told select count(*) from t",))
    planned, reports = exported(cloud, services, loaded)

    with pytest.raises(Rejected, match="told"):
        publish(loaded, services, planned.head, reports, attempt=1)
    cloud.sql("create table told (n bigint)")
    publish(loaded, services, planned.head, reports, attempt=2)

    assert [row["n"] for row in cloud.maxcompute_rows("told")] == [ROWS]
    assert found(cloud) == rows_of("x")


# ---- what is on record


@pytest.fixture
def kept():
    """An instance that the status table is in."""
    return MemoryStream(now=datetime(2026, 11, 21, tzinfo=UTC))


def recorded(cloud, kept, text="x", **settings):
    return replace(opened(cloud, text, **settings), ledger=kept)


def loads(kept):
    return Loads(kept, "status", "demo", "t", "loaded")


def test_a_later_run_keeps_the_columns_that_the_first_has_pinned(cloud, kept):
    run(export(), recorded(cloud, kept), run="r1")
    pinned = loads(kept).schema()
    texts = MemoryTable([row((("id", i),), n="7" if i else 7, text="x") for i in range(ROWS)])

    with pytest.raises(DirtyLimitExceeded, match="column 'n' is integer and the cell is string"):
        run(export(), replace(recorded(cloud, kept), client=texts), run="r2")
    between = loads(kept).schema()
    run(export(), replace(recorded(cloud, kept), client=MemoryTable(texts.rows[1:])), run="r3", repin=True)

    assert {column.name: column.type for column in pinned.columns}["n"] is ColumnType.INTEGER
    assert between == pinned
    assert {column.name: column.type for column in loads(kept).schema().columns}["n"] is ColumnType.STRING


def test_a_plan_that_is_refused_pins_nothing(cloud, kept):
    cloud.sql("create table if not exists poor (id bigint)")

    with pytest.raises(SpecError, match="no column"):
        run(export(table="poor", partition=()), recorded(cloud, kept), run="r1")

    assert loads(kept).schema() is None


def test_a_load_keeps_its_manifest_with_samples_of_dirty_records(cloud, kept):
    cloud.sql("drop table t")
    cloud.sql("create table t (id bigint, n tinyint, text string) partitioned by (pt string)")
    wide = MemoryTable([row((("id", i),), n=1000 if i % 20 == 4 else i, text="x") for i in range(ROWS)])
    lenient = replace(export(), limits=Limits(threads=1, errors=2))

    report = run(lenient, replace(recorded(cloud, kept), client=wide), run="r1")

    load = loads(kept).load("r1")
    assert (load.is_done, load.manifest.rows, load.manifest.dirty) == (True, ROWS - 2, 2)
    assert [(sample.key, sample.reason) for sample in load.manifest.samples] == [
        (f"id={key}", "column 'n' is TINYINT and cannot hold the integer: it is out of range") for key in (24, 4)
    ]
    assert report.samples == load.manifest.samples


def test_a_run_that_adds_rows_adds_them_once(cloud, kept):
    adding = export(truncates=False)
    run(adding, recorded(cloud, kept), run="r1")

    with pytest.raises(SpecError, match="added once more"):
        run(adding, recorded(cloud, kept), run="r1")
    run(adding, recorded(cloud, kept, "y"), run="r2")

    assert found(cloud) == rows_of("x", "y")


@pytest.mark.parametrize("truncates", [True, False])
def test_an_earlier_plan_that_wakes_up_changes_nothing(cloud, kept, truncates):
    services, loaded = recorded(cloud, kept, "stale"), export(truncates=truncates)
    planned, reports = exported(cloud, services, loaded)
    run(loaded, recorded(cloud, kept), run="r")

    with pytest.raises(Superseded, match="another attempt"):
        publish(loaded, services, planned.head, reports, attempt=1)

    assert found(cloud) == rows_of("x")


def test_publishers_that_race_for_one_run_add_its_rows_once(cloud, kept):
    loaded, texts = export(truncates=False), ("a", "b", "c")
    racers = [(recorded(cloud, kept, text), *exported(cloud, recorded(cloud, kept, text), loaded)) for text in texts]
    together = Barrier(len(racers))

    def race(racer):
        services, planned, reports = racer
        together.wait()
        try:
            publish(loaded, services, planned.head, reports, attempt=1)
        except (Superseded, StartOver):
            return False
        return True

    with ThreadPoolExecutor(len(racers)) as threads:
        won = list(threads.map(race, racers))

    assert won.count(True) == 1
    assert found(cloud) == rows_of(texts[won.index(True)])


def test_a_commit_of_which_nobody_knows_is_not_made_twice(cloud, kept):
    services, loaded = recorded(cloud, kept), export(truncates=False)
    planned, reports = exported(cloud, services, loaded)
    cloud.faults.add("error", service="maxcompute", operation="CommitUpload", code="ServiceUnavailable", count=20)
    with pytest.raises(RetryLater):
        publish(loaded, services, planned.head, reports, attempt=1)
    cloud.faults.clear()
    cloud.advance(25 * 3600)

    with pytest.raises(SpecError, match="nobody knows"):
        run(loaded, services, run="r")

    assert found(cloud) == []


# ---- kills


def changes(cloud):
    """How many verbs of a run over an earlier export change something."""
    services, count = opened(cloud), 0

    class Counting:
        def pausing(self, sleep):
            return self

        def __getattr__(self, name):
            nonlocal count
            count += name in CHANGING
            return getattr(services.store, name)

    run(export(), Services(services.client, Counting()), run="r0")
    return count


def test_a_run_killed_around_any_change_leaves_old_or_new_and_is_made_good(cloud):
    count = changes(cloud)
    assert count >= 4
    for nth in range(1, count + 1):
        for when in ([], ["--after"]):
            run(export(), opened(cloud, "old"), run="r1")
            at, name = cloud.maxcompute, f"new{uuid.uuid4().hex[:4]}"
            command = [sys.executable, "-m", "tests.integration.loading", at.endpoint, at.project, name]
            process = subprocess.run([*command, "--nth", str(nth), *when], cwd=ROOT, capture_output=True, timeout=120)

            assert process.returncode == -signal.SIGKILL, process.stderr.decode()[-2000:]
            is_committed = nth == count and when == ["--after"]
            assert found(cloud) == rows_of(name if is_committed else "old"), (nth, when)

            run(export(), opened(cloud, "next"), run="r3")
            assert found(cloud) == rows_of("next")
