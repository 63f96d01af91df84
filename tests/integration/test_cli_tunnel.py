"""`tunnel create | list | describe | delete | tail` against the emulator."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import oss2
import pytest
import tablestore as sdk

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import MUST_CHANGE, OK, Session
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.maxcompute.beside import rows_of
from airflow_tablestore.pipeline.connections import from_environment
from tests.integration.tunnel_writing import PATIENCE_SECONDS, until

pytestmark = pytest.mark.slow

ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)
TABLE, TUNNEL = "rides", "copy"
COMMAND = "import sys; from airflow_tablestore.cli import main; sys.exit(main())"


class Rides:
    """One table of an emulator, its official writer, and a shell."""

    def __init__(self, emulator: Emulator):
        at = emulator.tablestore
        self.emulator, self.environment = emulator, emulator.environment()
        self.writer = sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)
        throughput = sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
        self.writer.create_table(sdk.TableMeta(TABLE, [("id", "INTEGER")]), sdk.TableOptions(), throughput)

    def put(self, *ids: int) -> None:
        for id_ in ids:
            self.writer.put_row(TABLE, sdk.Row([("id", id_)], [("n", id_)]), ALWAYS)

    def call(self, *words: str) -> tuple[int, str, str]:
        session = Session(io.StringIO(), io.StringIO(), lambda name: from_environment(name, self.environment))
        code = main(["tunnel", *words], session)
        return code, session.out.getvalue(), session.err.getvalue()

    def described(self) -> dict:
        return json.loads(self.call("describe", TABLE, TUNNEL, "--json")[1])


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def rides(running: Emulator) -> Rides:
    running.reset()
    return Rides(running)


def test_a_tunnel_is_made_once_and_stands_the_second_time(rides):
    first = json.loads(rides.call("create", TABLE, TUNNEL, "--type", "BaseAndStream", "--json")[1])
    again = json.loads(rides.call("create", TABLE, TUNNEL, "--type", "BaseAndStream", "--json")[1])
    listed = json.loads(rides.call("list", TABLE, "--json")[1])

    assert (first["was_there"], again["was_there"]) == (False, True)
    assert [one["id"] for one in listed] == [first["id"]] == [again["id"]]


@pytest.mark.parametrize("words", [["--type", "BaseData"], ["--start", "earliest"], ["--end", "2096-01-01T00:00:00"]])
def test_a_tunnel_that_is_different_is_an_error_and_stays(rides, words):
    before = json.loads(rides.call("create", TABLE, TUNNEL, "--json")[1])

    code, _, told = rides.call("create", TABLE, TUNNEL, *words)

    assert code == MUST_CHANGE
    assert "another name, or delete" in told
    assert [one["id"] for one in json.loads(rides.call("list", "--json")[1])] == [before["id"]]


def test_a_bounded_tunnel_is_made_again_without_complaint_and_its_tail_ends(rides):
    rides.call("create", TABLE, "other")
    rides.put(1, 2)
    now = rides.emulator.now()
    rides.emulator.clock.move_to(round((now + timedelta(hours=1)).timestamp() * 1_000_000))
    span = ["--start", "earliest", "--end", (now + timedelta(minutes=1)).isoformat()]
    codes = [rides.call("create", TABLE, TUNNEL, *span)[0] for _ in range(2)]
    rides.put(3)

    code, out, told = rides.call("tail", TABLE, TUNNEL)

    assert (codes, code) == ([OK, OK], OK), told
    assert [json.loads(line)["key"]["id"] for line in out.splitlines()] == [1, 2]


@pytest.mark.parametrize(
    "words", [["--start", "yesterday"], ["--end", "soon"], ["--type", "BaseData", "--start", "earliest"]]
)
def test_what_cannot_be_is_refused_before_anything_is_made(rides, words):
    assert rides.call("create", TABLE, TUNNEL, *words)[0] == MUST_CHANGE
    assert "no tunnels" in rides.call("list")[1]


def test_channels_are_shown_with_owner_and_lag(rides):
    rides.call("create", TABLE, TUNNEL, "--start", "earliest")
    rides.put(1)
    rides.call("tail", TABLE, TUNNEL, "--until-caught-up")

    code, out, _ = rides.call("describe", TABLE, TUNNEL)
    (channel,) = rides.described()["channels"]

    assert code == OK
    assert "owner" in out
    assert "lag" in out
    assert channel["id"] in out
    assert channel["lag_seconds"] >= 0
    assert channel["records"] >= 1


def test_rows_and_changes_are_printed_once(rides):
    rides.put(1)
    rides.call("create", TABLE, TUNNEL, "--type", "BaseAndStream")
    first = rides.call("tail", TABLE, TUNNEL, "--until-caught-up")[1].splitlines()
    rides.put(2)
    second = rides.call("tail", TABLE, TUNNEL, "--until-caught-up")[1].splitlines()

    (row,), (change,) = [json.loads(line) for line in first], [json.loads(line) for line in second]
    assert (row["key"], row["action"], "sequence" in row) == ({"id": 1}, "put", False)
    assert (change["key"], "sequence" in change) == ({"id": 2}, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_tail_ends_cleanly_when_it_is_told_to_and_what_it_printed_is_confirmed(rides, number):
    rides.call("create", TABLE, TUNNEL, "--start", "earliest")
    rides.put(1, 2)
    command = [sys.executable, "-c", COMMAND, "tunnel", "tail", TABLE, TUNNEL]
    running = subprocess.Popen(
        command, env={**os.environ, **rides.environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    printed = [json.loads(running.stdout.readline()) for _ in range(2)]

    running.send_signal(number)
    _, told = running.communicate(timeout=PATIENCE_SECONDS)

    assert (running.returncode, [one["key"]["id"] for one in printed]) == (OK, [1, 2])
    assert "2 records." in told
    assert "Traceback" not in told
    assert rides.call("tail", TABLE, TUNNEL, "--until-caught-up")[1] == ""
    assert {one["client"] for one in rides.described()["channels"]} == {""}


def test_a_tunnel_is_deleted_once(rides):
    rides.call("create", TABLE, TUNNEL)

    answers = [json.loads(rides.call("delete", TABLE, TUNNEL, "--json")[1])["was_there"] for _ in range(2)]

    assert answers == [True, False]


@pytest.mark.parametrize("command", ["describe", "tail"])
def test_a_tunnel_that_is_not_there_is_named_with_those_that_are(rides, command):
    rides.call("create", TABLE, "other")

    code, _, told = rides.call(command, TABLE, TUNNEL)

    assert code == MUST_CHANGE
    assert "has no tunnel copy" in told
    assert "other" in told
    assert "Traceback" not in told


# ---- drain


SPEC = """\
pipeline: rides_stream
kind: stream
source: {{table: rides, tunnel: copy, tunnel_type: BaseAndStream, create_tunnel: true}}
run: {{flush: 1s{run}}}
sink: {{type: oss, bucket: {bucket}, prefix: rides/stream/, format: jsonl}}
"""


class Drained:
    """A spec of kind stream, run by hand into the emulator's OSS."""

    def __init__(self, rides: Rides, folder, run: str = ""):
        self.rides, self.path = rides, folder / "rides.yaml"
        oss = rides.emulator.oss
        self.bucket = oss2.Bucket(oss2.Auth(oss.access_key_id, oss.access_key_secret), oss.endpoint, "backup")
        with contextlib.suppress(oss2.exceptions.ServerError):
            self.bucket.create_bucket()
        self.path.write_text(SPEC.format(bucket="backup", run=run))

    def __call__(self) -> dict:
        code, out, told = self.rides.call("drain", str(self.path), "--json")
        assert code == OK, told
        return json.loads(out)

    def ids(self) -> list[int]:
        """What a reader of the manifests finds."""
        keys = [one.key for one in oss2.ObjectIterator(self.bucket, prefix="rides/stream/_channels/done/")]
        entries = [json.loads(self.bucket.get_object(key).read()) for key in keys]
        lines = [line for one in entries for line in self.bucket.get_object(one["key"]).read().splitlines()]
        return sorted(json.loads(line)["id"] for line in lines)


def test_a_spec_is_drained_by_hand_and_what_is_new_is_added(rides, tmp_path):
    drained = Drained(rides, tmp_path)
    rides.put(1, 2)
    first = drained()
    rides.put(3)
    second = drained()

    assert (first["rows"], second["rows"], second["is_caught_up"]) == (2, 1, True)
    assert drained.ids() == [1, 2, 3]


TO_TABLE = """\
pipeline: rides_to_table
kind: stream
source: {table: rides, tunnel: to_table, create_tunnel: true, tunnel_type: BaseAndStream}
run: {flush: 1s}
sink: {type: maxcompute, mode: stream, table: rides, columns: [id, {name: n, type: integer}], create_table: true}
"""


def test_a_spec_is_drained_into_a_table_by_hand(rides, tmp_path):
    (tmp_path / "rides.yaml").write_text(TO_TABLE)
    rides.put(1, 2)
    rides.call("drain", str(tmp_path / "rides.yaml"))
    rides.put(2)

    code, out, told = rides.call("drain", str(tmp_path / "rides.yaml"))

    at = rides.emulator.maxcompute
    rows = rows_of(rides.emulator.maxcompute_store(), at.project, "rides", None)
    assert code == OK, told
    assert sorted(row["n"] for row in rows) == [1, 2, 2]
    assert "writes" in out


def test_a_table_follows_another_one_by_hand(rides, tmp_path):
    path = tmp_path / "copy.yaml"
    path.write_text(
        "pipeline: rides_copy\nkind: stream\n"
        "source: {table: rides, tunnel: copy, tunnel_type: BaseData, create_tunnel: true}\n"
        "sink: {type: tablestore, table: rides_copy, create_table: true}\n"
    )
    rides.put(1, 2)

    code, out, told = rides.call("drain", str(path))

    assert code == OK, told
    said = dict(line.split("  ", 1) for line in out.splitlines() if "  " in line)
    assert {name: text.strip() for name, text in said.items() if name in ("rows", "writes")} == {
        "rows": "2",
        "writes": "1",
    }
    assert int(said["read units (about)"]) > 0


def test_a_drain_that_is_told_to_end_has_written_and_confirmed_what_it_took(rides, tmp_path):
    drained = Drained(rides, tmp_path, ", until: at_most, at_most: 10m")
    rides.put(1)
    command = [sys.executable, "-c", COMMAND, "tunnel", "drain", str(drained.path), "--json"]
    running = subprocess.Popen(
        command, env={**os.environ, **rides.environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: drained.ids() == [1])

    running.send_signal(signal.SIGTERM)
    out, told = running.communicate(timeout=PATIENCE_SECONDS)

    assert running.returncode == OK, told
    assert json.loads(out)["is_caught_up"] is False
    assert {one["client"] for one in rides.described()["channels"] if one["status"] == "OPEN"} <= {""}


def test_a_prefix_of_another_pipeline_is_refused(rides, tmp_path):
    drained = Drained(rides, tmp_path)
    drained()
    drained.path.write_text(drained.path.read_text().replace("rides_stream", "other"))

    code, _, told = rides.call("drain", str(drained.path))

    assert code == MUST_CHANGE
    assert "rides_stream" in told


def test_a_spec_of_another_kind_drains_nothing_and_the_right_command_is_told(rides, tmp_path):
    Drained(rides, tmp_path)
    session = Session(io.StringIO(), io.StringIO(), lambda name: from_environment(name, rides.environment))

    code = main(["run", str(tmp_path / "rides.yaml")], session)

    assert code == MUST_CHANGE
    assert "tunnel drain" in session.err.getvalue()


# ---- plan and doctor


@pytest.fixture
def asked(rides, tmp_path):
    """`plan` or `doctor` of the spec, as data, and the spec itself."""
    drained = Drained(rides, tmp_path)

    def ask(command: str, *words: str) -> tuple[int, dict]:
        session = Session(io.StringIO(), io.StringIO(), lambda name: from_environment(name, rides.environment))
        code = main([command, str(drained.path), "--json", *words], session)
        return code, json.loads(session.out.getvalue())

    return ask, drained


def checks(told: dict) -> dict[str, str]:
    return {one["check"]: one["status"] for one in told["checks"]}


def test_a_plan_tells_what_a_run_would_find_and_writes_nothing(rides, asked):
    ask, drained = asked
    rides.put(1, 2)

    _, before = ask("plan")
    drained()
    _, drained_told = ask("plan")
    rides.put(3, 4, 5)
    _, written = ask("plan")

    assert (before["makes_tunnel"], before["unread"]["found"], before["claimed_by"]) == (True, "no tunnel yet", None)
    assert drained_told["claimed_by"] == "rides_stream"
    assert (drained_told["unread"]["is_there"], written["unread"]["count"]) == (False, 3)
    assert written["tunnel"]["type"] == "BaseAndStream"
    assert written["place"] == "oss://backup/rides/stream/"


def test_a_plan_for_people_says_that_nothing_was_written(rides, tmp_path):
    drained = Drained(rides, tmp_path)
    rides.put(1)
    session = Session(io.StringIO(), io.StringIO(), lambda name: from_environment(name, rides.environment))

    assert main(["plan", str(drained.path)], session) == OK
    assert "there is none; a run makes it" in session.out.getvalue()
    assert session.out.getvalue().endswith("Nothing was written.\n")
    assert json.loads(rides.call("list", TABLE, "--json")[1]) == []


def test_a_doctor_finds_a_stream_healthy_before_and_after_its_first_run(rides, asked):
    ask, drained = asked
    rides.put(1)

    first, told = ask("doctor")
    drained()
    again, later = ask("doctor", "--write-probe")

    assert (first, again) == (OK, OK)
    assert checks(told) | {"tunnel": "ok", "making tunnels": "skipped", "claim": "ok"} == checks(told)
    assert checks(later) | {"tunnel": "ok", "channels": "ok", "unread": "ok", "claim": "ok"} == checks(later)
    assert [one["name"] for one in json.loads(rides.call("list", TABLE, "--json")[1])] == [TUNNEL]


def test_a_doctor_tries_to_make_a_tunnel_and_removes_it(rides, asked):
    ask, _ = asked
    rides.call("create", TABLE, "other")

    code, told = ask("doctor", "--write-probe")

    assert (code, checks(told)["making tunnels"]) == (OK, "ok")
    assert [one["name"] for one in json.loads(rides.call("list", TABLE, "--json")[1])] == ["other"]


def test_a_doctor_names_a_tunnel_that_is_different_and_a_prefix_that_is_taken(rides, asked):
    ask, drained = asked
    drained()
    rides.call("delete", TABLE, TUNNEL)
    rides.call("create", TABLE, TUNNEL)
    drained.path.write_text(drained.path.read_text().replace("rides_stream", "other_stream"))

    code, told = ask("doctor")

    assert code != OK
    failed = {one["check"]: one["told"] for one in told["checks"] if one["status"] == "fail"}
    assert "has type Stream, not BaseAndStream" in failed["tunnel"]
    assert "holds the stream of pipeline 'rides_stream'" in failed["claim"]


def test_a_doctor_says_when_the_tunnel_is_not_there_and_may_not_be_made(rides, asked):
    ask, drained = asked
    drained.path.write_text(drained.path.read_text().replace("create_tunnel: true", "create_tunnel: false"))

    code, told = ask("doctor")

    assert (code != OK, checks(told)["tunnel"]) == (True, "fail")


def test_a_doctor_looks_at_a_target_that_is_a_table_of_tablestore(rides, asked):
    ask, drained = asked
    text = drained.path.read_text().splitlines()
    sink = "sink: {type: tablestore, connection: tablestore_default, table: rides_copy, create_table: true}"
    drained.path.write_text("\n".join([*text[:-1], sink, ""]))

    code, told = ask("doctor")
    planned, plan = ask("plan")

    assert (code, planned) == (OK, OK), told
    assert checks(told) | {"sink connection": "ok", "target table": "ok", "tunnel": "ok"} == checks(told)
    assert plan["place"] == "table rides_copy over connection 'tablestore_default'"
