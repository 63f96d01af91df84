"""A table given back as it was at a moment, from its export and the windows after it; the table's own states judge."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tablestore import Condition, OTSClient, ReturnType, Row, RowExistenceExpectation

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import FAILED, MUST_CHANGE, OK, Session
from airflow_tablestore.client import Client
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.local_cloud import LocalCloud
from airflow_tablestore.pipeline.boundaries import micros_of
from airflow_tablestore.pipeline.connections import from_environment
from airflow_tablestore.pipeline.window import FixedGrid

pytestmark = pytest.mark.slow

FIVE = timedelta(minutes=5)
ANY = Condition(RowExistenceExpectation.IGNORE)
WINDOWS = 4


class History:
    """A table that was changed in four windows and exported in the second; `states` are its rows at moments."""

    def __init__(self, emulator, cloud, folder):
        self.emulator, self.cloud, self.folder = emulator, cloud, folder
        self.start = FixedGrid(FIVE).floor(datetime.now(UTC) - timedelta(minutes=40))
        self.states = {}
        access = cloud.tablestore
        self.client = OTSClient(access.endpoint, access.access_key_id, access.access_key_secret, access.instance)
        self.at(-60)
        cloud.make_table("rides", key={"uid": str, "n": int})
        assert self.shell("stream", "enable", "rides", "--hours", "24")[0] == OK
        self.write()
        self.export_windows()

    def at(self, seconds):
        self.emulator.clock.move_to(micros_of(self.moment(seconds)))

    def moment(self, seconds):
        return self.start + timedelta(seconds=seconds)

    def put(self, uid, n, **cells):
        self.client.put_row("rides", Row([("uid", uid), ("n", n)], list(cells.items())), ANY)

    def update(self, uid, n, **what):
        self.client.update_row("rides", Row([("uid", uid), ("n", n)], what), ANY)

    def delete(self, uid, n):
        self.client.delete_row("rides", Row([("uid", uid), ("n", n)]), ANY, ReturnType.RT_NONE)

    def remember(self, seconds):
        self.states[seconds] = self.cloud.rows("rides")

    def write(self):
        self.at(10)
        for n in range(40):
            self.put("a", n, text=f"t{n}", score=n / 3, ok=n % 2 == 0, data=bytearray([n, 0]), big=2**62 + n)
        self.at(320)
        self.put("a", 1, text="while the export is read")
        self.delete("a", 2)
        self.export(begun=310, ended=330)
        self.at(640)
        self.update("a", 3, PUT=[("text", "updated"), ("score", 1e300)])
        self.update("a", 4, DELETE_ALL=["text", "ok"])
        self.put("a", 5, big=-1)
        self.delete("a", 6)
        self.put("b", 1, text="")
        self.remember(700)
        self.at(940)
        self.put("a", 6, text="back again")
        self.delete("b", 1)
        self.remember(1000)
        self.at(1060)
        self.delete("a", 7)
        self.put("a", 8, text="too late")

    def export(self, *, begun, ended):
        """Export, and date it by the clock of data, as the service's own clock is not moved."""
        code, _, told = self.shell(
            "run",
            self.spec(
                "full",
                f"kind: full_export\nsource: {{table: rides}}\n"
                f"sink: {{type: oss, bucket: {self.cloud.bucket}, prefix: {self.cloud.prefix}full/}}\n",
            ),
        )
        assert code == OK, told
        key = f"{self.cloud.prefix}full/_manifest.json"
        manifest = json.loads(self.cloud.objects(key)[key])
        assert len(manifest["read"]) == 2
        manifest["read"] = [self.moment(seconds).isoformat() for seconds in (begun, ended)]
        self.cloud.put_object(key, json.dumps(manifest).encode())

    def export_windows(self, mode="mode: multi_version, export_sequence_info: true"):
        spec = self.spec(
            "changes",
            f"kind: incremental\nstart: {self.start.isoformat()}\n"
            f"source: {{table: rides, {mode}}}\n"
            f"sink: {{type: oss, bucket: {self.cloud.bucket}, "
            f'prefix: "{self.cloud.prefix}changes/{{window_start:%Y%m%d%H%M}}/"}}\n',
        )
        span = ("--window-start", self.start.isoformat(), "--window-end", (self.start + WINDOWS * FIVE).isoformat())
        code, _, told = self.shell("run", spec, *span)
        assert code == OK, told

    def restore(self, seconds, *options, command="run", table="copy"):
        spec = self.spec(
            f"back_{table}",
            "kind: restore\n"
            f"source: {{type: oss, bucket: {self.cloud.bucket}, prefix: {self.cloud.prefix}full/, "
            f"changes: {self.cloud.prefix}changes/}}\nto: {self.moment(seconds).isoformat()}\n"
            f"sink: {{type: tablestore, table: {table}, create_table: true}}\n",
        )
        return self.shell(command, spec, *options)

    def spec(self, name, text):
        path = self.folder / f"{name}.yaml"
        path.write_text(f"pipeline: {name}\n{text}")
        return str(path)

    def shell(self, *words):
        environment = self.cloud.environment()
        session = Session(io.StringIO(), io.StringIO(), lambda name: from_environment(name, environment))
        code = main([*words], session)
        return code, session.out.getvalue(), session.err.getvalue()

    def objects_of_window(self, number):
        return self.cloud.objects(f"{self.cloud.prefix}changes/{self.start + number * FIVE:%Y%m%d%H%M}/")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    with Emulator() as emulator, LocalCloud(emulator=emulator) as cloud:
        yield History(emulator, cloud, tmp_path_factory.mktemp("history"))


@pytest.mark.parametrize("seconds", [700, 1000])
def test_a_table_is_given_back_as_it_was(history, seconds):
    code, out, told = history.restore(seconds, "--json", table=f"copy_{seconds}")

    assert code == OK, told
    report = json.loads(out)
    assert history.cloud.rows(f"copy_{seconds}") == history.states[seconds]
    assert (report["written"], report["dirty"]) == (len(history.states[seconds]), 0)
    assert len(report["checksum"]) == 32


def test_a_snapshot_is_a_full_export_of_its_moment(history):
    prefix = f"{history.cloud.prefix}snap/"
    text = (
        f"kind: snapshot\nto: {history.moment(1000).isoformat()}\n"
        f"source: {{type: oss, bucket: {history.cloud.bucket}, base: {history.cloud.prefix}full/, "
        f"changes: {history.cloud.prefix}changes/}}\n"
        f"sink: {{type: oss, bucket: {history.cloud.bucket}, prefix: {prefix}}}\n"
    )
    spec = history.spec("snap", text)

    planned = history.shell("plan", spec)
    first = history.shell("run", spec, "--json")
    again = history.shell("run", spec, "--json")
    restored = history.shell(
        "run",
        history.spec(
            "snap_back",
            f"kind: restore\nsource: {{type: oss, bucket: {history.cloud.bucket}, prefix: {prefix}}}\n"
            "sink: {type: tablestore, table: snap_copy, create_table: true}\n",
        ),
    )

    assert [code for code, _, _ in (planned, first, again, restored)] == [OK] * 4, (first, restored)
    assert json.loads(first[1])["rows"] == len(history.states[1000])
    assert history.cloud.rows("snap_copy") == history.states[1000]
    manifest = json.loads(history.cloud.objects(prefix)[f"{prefix}_manifest.json"])
    assert manifest["read"] == [history.moment(1000).isoformat()] * 2


def test_a_restore_that_was_stopped_is_made_good_by_the_next(history):
    history.restore(1000, table="stopped")
    history.cloud.put_rows("stopped", [{"uid": "a", "n": 9, "text": "half a write"}])

    code, _, told = history.restore(1000, table="stopped")

    assert code == OK, told
    assert history.cloud.rows("stopped") == history.states[1000]


@pytest.mark.parametrize("nth", [1, 3])
def test_a_restore_that_was_killed_is_made_good_by_the_next(history, nth):
    table, cloud = f"killed_{nth}", history.cloud
    words = (cloud.bucket, f"{cloud.prefix}full/", f"{cloud.prefix}changes/", history.moment(1000).isoformat(), table)
    command = [sys.executable, "-m", "tests.integration.restoring_past", *words, str(nth)]
    killed = subprocess.run(
        command, cwd=Path(__file__).parents[2], env={**os.environ, **cloud.environment()}, capture_output=True
    )
    left = cloud.rows(table)

    code, _, told = history.restore(1000, table=table)

    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert len(left) == 5 * (nth - 1)
    assert code == OK, told
    assert cloud.rows(table) == history.states[1000]


def test_values_that_something_else_writes_meanwhile_are_found_at_the_end(history, monkeypatch):
    cloud, send = history.cloud, Client.send

    def meddling(self, call):
        if call.operation == "GetRange":  # the first one is that of the comparison
            cloud.put_rows("mixed", [{"uid": "a", "n": 9, "text": "by others"}])
        return send(self, call)

    monkeypatch.setattr(Client, "send", meddling)

    code, _, told = history.restore(1000, table="mixed")

    assert code == FAILED
    assert "Table mixed holds other values than the export and the changes give" in told


def test_rows_that_something_else_has_left_are_found_at_the_end(history):
    history.cloud.make_table("used", key={"uid": str, "n": int}, rows=[{"uid": "z", "n": 1, "x": 1}])

    code, _, told = history.restore(1000, table="used")

    assert code == FAILED
    assert f"holds {len(history.states[1000]) + 1} rows instead of {len(history.states[1000])}" in told


def test_a_plan_names_export_and_windows_and_writes_nothing(history):
    code, out, told = history.restore(1000, "--json", command="plan", table="planned")

    assert code == OK, told
    planned = json.loads(out)
    assert (planned["makes_table"], len(planned["windows"])) == (True, 3)


def test_a_missing_window_is_named(history):
    (success,) = [key for key in history.objects_of_window(2) if key.endswith("_SUCCESS")]
    body = history.cloud.objects(success)[success]
    history.cloud.put_object(success, b"of another run")

    code, _, told = history.restore(1000, table="never")
    history.cloud.put_object(success, body)

    assert code == MUST_CHANGE
    assert f"holds the changes from {history.moment(600).isoformat()} to {history.moment(900).isoformat()}" in told


def test_a_moment_before_the_export_had_ended_is_refused(history):
    code, _, told = history.restore(325, table="never")

    assert code == MUST_CHANGE
    assert "had ended by" in told


def test_a_moment_after_the_last_window_is_refused(history):
    code, _, told = history.restore(WINDOWS * 300 + 1, table="never")

    assert code == MUST_CHANGE
    assert f"holds the changes from {history.moment(WINDOWS * 300).isoformat()}" in told


def test_a_damaged_object_of_a_window_is_refused_before_a_row_is_written(history):
    key, body = next((k, b) for k, b in history.objects_of_window(2).items() if k.endswith(".parquet"))
    history.cloud.put_object(key, body[:-1])

    code, _, told = history.restore(1000, table="never")
    history.cloud.put_object(key, body)

    assert code == FAILED
    assert f"{key} has {len(body) - 1} bytes instead of {len(body)}" in told
    assert "never" not in history.client.list_table()


@pytest.mark.parametrize("place", ["full/", "changes/"])
def test_an_object_that_is_gone_is_told_before_the_table_is_made(history, place):
    found = history.cloud.objects(f"{history.cloud.prefix}{place}")
    key, body = next((k, b) for k, b in reversed(found.items()) if k.endswith(".parquet") and "_pending" not in k)
    history.cloud.emulator.objects_store().delete(history.cloud.bucket, [key])

    code, _, told = history.restore(1000, table="never")
    history.cloud.put_object(key, body)

    assert code == FAILED
    assert f"{key} is missing" in told
    assert "Nothing was done" in told
    assert "never" not in history.client.list_table()


def test_a_snapshot_goes_into_a_table_of_maxcompute_at_once_and_again(history):
    text = (
        f"kind: snapshot\nto: {history.moment(1000).isoformat()}\n"
        f"source: {{type: oss, bucket: {history.cloud.bucket}, base: {history.cloud.prefix}full/, "
        f"changes: {history.cloud.prefix}changes/}}\n"
        "sink: {type: maxcompute, table: rides_then, partition: 'pt=then', truncate: true, create_table: true}\n"
    )
    spec = history.spec("then", text)

    planned = history.shell("plan", spec)
    first, again = (history.shell("run", spec, "--json") for _ in range(2))

    assert [code for code, _, _ in (planned, first, again)] == [OK] * 3, (first, again)
    assert f"maxcompute://{history.cloud.project}/rides_then/pt=then, truncate" in planned[1]
    rows = history.cloud.maxcompute_rows("rides_then", "pt=then")
    expected = [(row["uid"], row["n"], row.get("text")) for row in history.states[1000]]
    assert sorted((row["uid"], row["n"], row["text"]) for row in rows) == sorted(expected)
