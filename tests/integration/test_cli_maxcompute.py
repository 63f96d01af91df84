"""The command line with `sink: {type: maxcompute}`, against the emulator; the rows are read beside the network."""

from __future__ import annotations

import io
import json
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import FAILED, OK, Session
from airflow_tablestore.emulator import LocalCloud
from airflow_tablestore.emulator.maxcompute.beside import rows_of
from airflow_tablestore.pipeline.connections import from_environment
from tests.conformance.windows import EVERY, GRID
from tests.integration.streaming import StreamTable

pytestmark = pytest.mark.slow

FULL = """
pipeline: orders_to_maxcompute
kind: full_export
source: {table: orders, columns: [id, {name: city, type: string}]}
sink: {type: maxcompute, table: orders, partition: "pt={run_date:%Y%m%d}", truncate: true, create_table: true}
"""

CHANGES = """
pipeline: changes_to_maxcompute
kind: incremental
source: {table: t, mode: multi_version, export_sequence_info: true}
start: START
sink:
  type: maxcompute
  table: changes
  partition: "pt={window_start:%Y%m%d},hm={window_start:%H%M}"
  columns: [id, colname, version, colvalue, optype, sequenceinfo]
  truncate: true
  create_table: true
"""


@pytest.fixture(scope="module")
def cloud():
    with LocalCloud() as made:
        made.emulator.reset()
        made.make_table("orders", key={"id": int}, rows=[{"id": n, "city": f"c{n}"} for n in range(25)])
        yield made


def call(cloud, *words):
    """:param cloud: a cloud, or an emulator with its demo instance and project."""
    session = Session(io.StringIO(), io.StringIO(), lambda name: from_environment(name, cloud.environment()))
    code = main([*words], session)
    return code, session.out.getvalue(), session.err.getvalue()


@pytest.fixture
def full(tmp_path):
    file = tmp_path / "full.yaml"
    file.write_text(FULL)
    return str(file)


def test_what_is_planned_is_run(cloud, full):
    planned = call(cloud, "plan", full, "--run-date", "2026-11-21")
    code, out, told = call(cloud, "run", full, "--run-date", "2026-11-21", "--json")

    assert planned[0] == OK, planned[2]
    assert f"maxcompute://{cloud.project}/orders/pt=20261121, truncate" in planned[1]
    assert code == OK, told
    assert json.loads(out)["rows"] == 25
    rows = cloud.maxcompute_rows("orders", "pt=20261121")
    assert sorted((row["id"], row["city"]) for row in rows) == [(n, f"c{n}") for n in range(25)]


def test_the_columns_of_a_table_are_pinned_by_the_first_run(cloud, tmp_path):
    file = tmp_path / "pinning.yaml"
    file.write_text(FULL.replace("orders_to_maxcompute", "pinning"))

    before = call(cloud, "schema-of", str(file), "--json")
    call(cloud, "run", str(file), "--run-date", "2026-11-22")
    after = call(cloud, "schema-of", str(file), "--json")

    assert [json.loads(out)["pinned"] for _, out, _ in (before, after)] == [False, True]


def test_a_run_that_adds_its_rows_does_so_once(cloud, tmp_path):
    file = tmp_path / "adding.yaml"
    file.write_text(FULL.replace("orders_to_maxcompute", "adding").replace("truncate: true", "truncate: false"))
    arguments = ("run", str(file), "--run-date", "2026-11-23")

    codes = [call(cloud, *arguments, *more)[0] for more in ((), (), ("--run-id", "another"))]

    assert [code == OK for code in codes] == [True, False, True]
    assert len(cloud.maxcompute_rows("orders", "pt=20261123")) == 50


def test_doctor_finds_nothing_amiss(cloud, full):
    code, out, _ = call(cloud, "doctor", full, "--write-probe")

    assert code == OK, out
    assert "status writing" in out
    assert "target table" in out
    assert "A run can begin." in out


def test_doctor_names_a_partition_that_does_not_fit(cloud, tmp_path):
    cloud.sql("create table if not exists by_day (id bigint, city string) partitioned by (day string)")
    file = tmp_path / "spec.yaml"
    file.write_text(FULL.replace("table: orders, part", "table: by_day, part"))

    code, out, _ = call(cloud, "doctor", str(file))

    assert code != OK
    assert "day=…" in out


def test_a_connection_without_project_is_told_before_anything_runs(cloud, full):
    given = dict(cloud.environment())
    connection = json.loads(given["AIRFLOW_CONN_MAXCOMPUTE_DEFAULT"])
    del connection["extra"]["project"]
    given["AIRFLOW_CONN_MAXCOMPUTE_DEFAULT"] = json.dumps(connection)
    session = Session(io.StringIO(), io.StringIO(), lambda name: from_environment(name, given))

    code = main(["run", full], session)

    assert code != OK
    assert "has no extra 'project'" in session.err.getvalue()
    assert connection["extra"]["access_key_secret"] not in session.err.getvalue()


def test_windows_are_run_and_told_of(cloud, tmp_path):
    start = GRID.floor(datetime.now(UTC) - timedelta(minutes=40))
    table = StreamTable(cloud.emulator, at=start - timedelta(seconds=30))
    table.at(start + timedelta(seconds=10)).put(1, 7)
    table.at(start + 3 * EVERY)
    file = tmp_path / "changes.yaml"
    file.write_text(CHANGES.replace("START", start.isoformat()))
    span = ("--window-start", start.isoformat(), "--window-end", (start + 2 * EVERY).isoformat())

    planned = call(cloud.emulator, "plan", str(file), *span)
    code, out, told = call(cloud.emulator, "run", str(file), *span, "--json")
    examined = call(cloud.emulator, "doctor", str(file))

    assert planned[0] == OK, planned[2]
    assert code == OK, told
    assert [json.loads(line)["rows"] for line in out.splitlines()] == [2, 0]
    loaded = rows_of(cloud.emulator.maxcompute_store(), cloud.emulator.maxcompute.project, "changes", None)
    assert sorted(row["id"] for row in loaded) == [1, 7]
    assert examined[0] == OK, examined[1]
    table.client.close()


@pytest.mark.parametrize("options", [[], ["--write-probe"]], ids=["reading", "writing"])
def test_doctor_asks_a_warehouse_that_never_answers_once(tmp_path, options):
    spec = tmp_path / "stream.yaml"
    spec.write_text(
        "pipeline: p\nkind: stream\nsource: {table: t, tunnel: n}\n"
        "sink: {type: maxcompute, mode: stream, table: t, create_table: true}\n"
    )
    out, asked, is_over = io.StringIO(), [], threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nobody.settimeout(0.1)
        hanging_up = threading.Thread(target=hang_up, args=(nobody, asked, is_over))
        hanging_up.start()
        at = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        keys = {"access_key_id": "id", "access_key_secret": "secret"}
        held = {
            "tablestore_default": {"conn_type": "tablestore", "host": at, "extra": {**keys, "instance": "demo"}},
            "maxcompute_default": {"conn_type": "maxcompute", "extra": {**keys, "endpoint": at, "project": "demo"}},
        }
        environ = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in held.items()}
        session = Session(out=out, err=out, connection=lambda name: from_environment(name, environ))
        code = main(["doctor", str(spec), *options], session)
        is_over.set()
        hanging_up.join()

    assert code == FAILED
    assert "fail     target table" in out.getvalue()
    assert "no answer" in out.getvalue()
    assert "error:" not in out.getvalue()
    assert len(asked) == 2, "one request for each of the two services"


def hang_up(server, asked, is_over):
    """Takes every connection and closes it, until it is over."""
    while not is_over.is_set():
        try:
            connection, _ = server.accept()
        except TimeoutError:
            continue
        asked.append(connection.recv(20))
        connection.close()
