"""An incremental pipeline from the shell: run, plan, schema-of, doctor and the ledger, against the emulator."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import FAILED, MUST_CHANGE, OK, Session
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.local_cloud import LocalCloud
from airflow_tablestore.pipeline.boundaries import micros_of
from airflow_tablestore.pipeline.connections import from_environment
from airflow_tablestore.pipeline.window import FixedGrid

pytestmark = pytest.mark.slow

TABLE, FIVE = "rides", timedelta(minutes=5)
GRID = FixedGrid(FIVE)


class Shell:
    """A table with a stream in an instance of its own, a writer in the past, and a shell.

    The service tells the wall clock's time. So what is written in the first windows, by the clock of data, is due.
    """

    def __init__(self, emulator: Emulator, cloud: LocalCloud, folder: Path, back: timedelta):
        self.emulator, self.cloud, self.folder = emulator, cloud, folder
        self.environment = cloud.environment()
        self.start = GRID.floor(datetime.now(UTC) - back)
        self.move_to(-1)
        cloud.make_table(TABLE, key={"id": int})
        assert self.call("stream", "enable", TABLE, "--hours", "24")[0] == OK
        self.write_at(0, 1, 2)
        self.write_at(2, 3)

    def move_to(self, window: int) -> None:
        self.emulator.clock.move_to(micros_of(self.start + window * FIVE) + 1_000_000)

    def write_at(self, window: int, *ids: int) -> None:
        """Put rows a second after a window's start."""
        self.move_to(window)
        self.cloud.put_rows(TABLE, [{"id": number, "n": number * 10} for number in ids])

    def at(self, windows: int) -> str:
        return (self.start + windows * FIVE).isoformat()

    def spec(self, *, start: datetime | None = None, line: str = "", source: str = "columns: [id, n]") -> str:
        path = self.folder / "spec.yaml"
        path.write_text(
            f"pipeline: win\nkind: incremental\nstart: {(start or self.start).isoformat()}\n{line}\n"
            f"source:\n  table: {TABLE}\n  {source}\n"
            f"sink: {{type: oss, bucket: {self.cloud.bucket}, format: csv, "
            f'prefix: "{self.cloud.prefix}{{window_start:%Y%m%d%H%M}}/"}}\n'
        )
        return str(path)

    def call(self, *words: str) -> tuple[int, str, str]:
        session = Session(io.StringIO(), io.StringIO(), lambda name: from_environment(name, self.environment))
        code = main([*words], session)
        return code, session.out.getvalue(), session.err.getvalue()

    def exported(self, window: int) -> list[int]:
        """The ids in a window's objects."""
        prefix = f"{self.cloud.prefix}{self.start + window * FIVE:%Y%m%d%H%M}/"
        objects = self.cloud.objects(prefix)
        assert f"{prefix}_SUCCESS" in objects
        texts = [body.decode() for key, body in objects.items() if key.endswith(".csv")]
        return sorted(int(row["id"]) for text in texts for row in csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def shell(running: Emulator, tmp_path: Path) -> Iterator[Shell]:
    """Three windows that are due: one with two rows, one without any, one with a row; and later ones."""
    running.reset()
    with LocalCloud(emulator=running) as cloud:
        yield Shell(running, cloud, tmp_path, timedelta(minutes=40))


@pytest.fixture
def late(running: Emulator, tmp_path: Path) -> Iterator[Shell]:
    """The same, longer ago than the stream keeps."""
    running.reset()
    with LocalCloud(emulator=running) as cloud:
        yield Shell(running, cloud, tmp_path, timedelta(hours=25))


# ---- run


def test_a_window_is_exported_and_told_as_json(shell):
    code, out, told = shell.call("run", shell.spec(), "--window-start", shell.at(0), "--json")
    assert code == OK, told

    report = json.loads(out)
    assert code == OK
    assert (report["rows"], report["was_published"]) == (2, False)
    assert shell.exported(0) == [1, 2]


def test_a_range_is_a_report_and_a_publication_for_each_window(shell):
    span = ("--window-start", shell.at(0), "--window-end", shell.at(3))

    code, out, _ = shell.call("run", shell.spec(), *span, "--json")
    again = shell.call("run", shell.spec(), *span)[1]

    assert code == OK
    assert [json.loads(line)["rows"] for line in out.splitlines()] == [2, 0, 1]
    assert [shell.exported(window) for window in range(3)] == [[1, 2], [], [3]]
    assert again.count("was published already; nothing was read") == 3


def test_force_exports_again_what_is_published(shell):
    words = ("run", shell.spec(), "--window-start", shell.at(0))
    shell.call(*words)

    report = json.loads(shell.call(*words, "--force", "--json")[1])

    assert (report["rows"], report["was_published"]) == (2, False)
    assert shell.exported(0) == [1, 2]


def test_a_window_that_is_not_due_is_told_with_its_time(shell):
    code, _, told = shell.call("run", shell.spec(), "--window-start", shell.at(20))

    due = shell.start + 22 * FIVE
    assert code == FAILED
    assert f"is due at {due:%Y-%m-%d %H:%M:%S} UTC" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--window-start: is missing"),
        (("--window-end", "2026-11-20T00:00:00Z"), "--window-end: needs --window-start"),
        (("--window-start", "soon"), "--window-start: 'soon' is no time"),
        (("--window-start", "2026-11-20T00:01:00Z"), "the boundaries beside it are 2026-11-20T00:00:00+00:00 and"),
        (("--window-start", "20261120000500", "--window-end", "20261120000500"), "is not after --window-start"),
        (("--window-start", "2026-11-20", "--run-date", "2026-11-20"), "--run-date: a pipeline of kind 'incremental'"),
    ],
)
def test_a_wrong_call_is_told_in_a_sentence(shell, words, said):
    code, out, told = shell.call("run", shell.spec(), *words)

    assert (code, out) == (MUST_CHANGE, "")
    assert said in told


def test_a_full_export_takes_no_window(shell):
    path = shell.folder / "full.yaml"
    path.write_text(
        f"pipeline: full\nkind: full_export\nsource: {{table: {TABLE}}}\n"
        f"sink: {{type: oss, bucket: {shell.cloud.bucket}, prefix: {shell.cloud.prefix}full/}}\n"
    )

    for command in ("run", "plan"):
        code, _, told = shell.call(command, str(path), "--window-start", shell.at(0))

        assert code == MUST_CHANGE
        assert "--window-start: a pipeline of kind 'full_export' does not take it" in told


# ---- plan and schema-of


def test_plan_tells_what_is_not_exported_and_writes_nothing(shell):
    spec = shell.spec()
    before = shell.cloud.objects()
    code, out, _ = shell.call("plan", spec, "--window-start", shell.at(0), "--window-end", shell.at(3))

    assert code == OK
    assert "3 windows missing" in out
    assert "To do     3 of 3 windows. Nothing was written." in out
    assert shell.cloud.objects() == before


def test_plan_without_a_stream_does_not_say_that_nothing_is_due(shell):
    shell.call("stream", "disable", TABLE)

    code, out, _ = shell.call("plan", shell.spec())

    assert code == OK
    assert "its stream is not enabled" in out
    assert "Windows   none can be read before it is switched on" in out


def test_plan_estimates_from_the_windows_before(shell):
    spec = shell.spec()
    shell.call("run", spec, "--window-start", shell.at(0))

    told = json.loads(shell.call("plan", spec, "--json")[1])

    states = [window["state"] for window in told["windows"]]
    assert (states[0], set(states[1:])) == ("published", {"missing"})
    assert told["estimated_rows"] == 2 * (len(states) - 1)
    assert told["windows"][1]["place"].endswith(f"{shell.start + FIVE:%Y%m%d%H%M}/")


def test_schema_of_tells_what_the_first_window_has_pinned(shell):
    spec = shell.spec()
    code, out, told = shell.call("schema-of", spec)
    shell.call("run", spec, "--window-start", shell.at(0))

    pinned = json.loads(shell.call("schema-of", spec, "--json")[1])

    assert code == OK
    assert [line.split() for line in out.splitlines()] == [["id", "integer", "key"], ["n", "integer"]]
    assert "Nothing is published yet" in told
    assert pinned["pinned"] is True
    assert [column["name"] for column in pinned["schema"]["columns"]] == ["id", "n"]


# ---- the ledger


def test_the_ledger_shows_published_and_missing_windows(shell):
    spec = shell.spec()
    shell.call("run", spec, "--window-start", shell.at(1))

    span = ("--to", shell.at(3))
    told = json.loads(shell.call("ledger", "show", spec, *span, "--json")[1])
    text = shell.call("ledger", "show", spec, *span)[1]
    whole = json.loads(shell.call("ledger", "show", spec, "--json")[1])
    part = json.loads(shell.call("ledger", "show", spec, "--from", shell.at(1), "--to", shell.at(2), "--json")[1])

    assert [window["state"] for window in told["windows"]] == ["missing", "published", "missing"]
    assert told["counts"] == {"published": 1, "accepted": 0, "lost": 0, "missing": 2, "expired": 0}
    assert [line.split("  ")[1] for line in text.splitlines()] == [
        "1 window missing",
        "1 window published, 0 rows",
        "1 window missing",
    ]
    assert (len(part["windows"]), len(whole["windows"]) > 3) == (1, True)


def test_a_lost_window_is_accepted_and_the_pipeline_goes_on(late):
    spec = late.spec()
    lost = late.call("run", spec, "--window-start", late.at(0))
    shown = json.loads(late.call("ledger", "show", spec, "--from", late.at(0), "--to", late.at(2), "--json")[1])

    span = ("--from", late.at(0), "--to", late.at(2))
    code, out, _ = late.call("ledger", "accept-loss", spec, *span, "--reason", "Airflow stood still")
    report = json.loads(late.call("run", spec, "--window-start", late.at(0), "--json")[1])

    assert lost[0] == FAILED
    assert "ledger accept-loss" in lost[2]
    assert [window["state"] for window in shown["windows"]] == ["lost", "expired"]
    assert (code, "2 windows accepted" in out) == (OK, True)
    assert report["rows"] == 0
    assert "Airflow stood still" in report["loss"]
    assert late.exported(0) == []


def test_a_window_that_can_be_exported_cannot_be_accepted_as_lost(shell):
    spec = shell.spec()

    span = ("--from", shell.at(0), "--to", shell.at(1))
    code, _, told = shell.call("ledger", "accept-loss", spec, *span, "--reason", "by mistake")
    state = json.loads(shell.call("ledger", "show", spec, *span, "--json")[1])["windows"][0]["state"]

    assert code == MUST_CHANGE
    assert "can still be exported" in told
    assert state == "missing"


def test_published_windows_stay_when_a_loss_around_them_is_accepted(late):
    spec = late.spec()
    span = ("--from", late.at(0), "--to", late.at(2))
    late.call("ledger", "accept-loss", spec, "--from", late.at(0), "--to", late.at(1), "--reason", "known")
    late.call("run", spec, "--window-start", late.at(0))

    told = json.loads(late.call("ledger", "accept-loss", spec, *span, "--reason", "again", "--json")[1])

    assert [datetime.fromisoformat(entry["start"]) for entry in told["accepted"]] == [late.start + FIVE]


def test_the_ledger_is_that_of_an_incremental_pipeline(shell):
    path = shell.folder / "full.yaml"
    path.write_text(
        f"pipeline: full\nkind: full_export\nsource: {{table: {TABLE}}}\n"
        f"sink: {{type: oss, bucket: {shell.cloud.bucket}, prefix: {shell.cloud.prefix}full/}}\n"
    )

    code, _, told = shell.call("ledger", "show", str(path))

    assert code == MUST_CHANGE
    assert "a pipeline of kind 'full_export' has no windows" in told


# ---- doctor


def checks(shell: Shell, *words: str) -> dict[str, tuple[str, str, str]]:
    told = json.loads(shell.call("doctor", *words, "--json")[1])
    return {check["check"]: (check["status"], check["told"], check["advice"]) for check in told["checks"]}


def test_doctor_finds_a_sound_pipeline_sound(shell):
    code, out, _ = shell.call("doctor", shell.spec(), "--write-probe")

    assert code == OK
    assert "A run can begin." in out
    found = checks(shell, shell.spec())
    assert {name: status for name, (status, _, _) in found.items() if status not in ("ok", "skipped")} == {}
    assert found["status table"][1].endswith("can be read")
    assert found["windows"][1].endswith(" missing")
    assert found["retention"][1] == "records are kept for 1d: an outage of 23h40m loses nothing"


def test_doctor_tells_that_the_stream_is_off(shell):
    shell.call("stream", "disable", TABLE)

    code, _, _ = shell.call("doctor", shell.spec())
    found = checks(shell, shell.spec())

    assert code == FAILED
    assert found["stream"][0] == "fail"
    assert found["stream"][2] == f"airflow-tablestore stream enable {TABLE} --hours 72"


def test_doctor_tells_of_windows_that_are_gone(shell):
    early = shell.spec(start=shell.start - 4 * FIVE)

    found = checks(shell, early)

    status, told, advice = found["windows"]
    assert (status, " missing, " in told) == ("fail", True)
    assert "expired" in told
    assert f"ledger accept-loss {early} --from " in advice


def test_doctor_tells_of_a_retention_that_is_short(shell):
    shell.call("stream", "enable", TABLE, "--hours", "1")

    short = checks(shell, shell.spec())["retention"]
    too_short = checks(shell, shell.spec(line="window: {every: 1h, lag: 5m}"))["retention"]

    assert short[:2] == ("warn", "records are kept for 1h: an outage of 40m loses nothing")
    assert too_short[0] == "fail"


def test_doctor_refuses_a_table_that_is_no_status_table(shell):
    found = checks(shell, shell.spec(line=f"status_table: {TABLE}"))

    assert found["status table"] == ("fail", f"{TABLE} is another table: its key is id (integer)", "name another table")
    assert "windows" not in found


def test_a_status_table_in_another_instance_holds_the_ledger(shell, running):
    with LocalCloud(emulator=running) as other:
        elsewhere = other.environment()["AIRFLOW_CONN_TABLESTORE_DEFAULT"]
        shell.environment["AIRFLOW_CONN_LEDGER"] = elsewhere
        spec = shell.spec(line="status_table: {connection: ledger, table: done}")

        shell.call("run", spec, "--window-start", shell.at(0))
        found = checks(shell, spec)

        assert len(other.rows("done")) > 0
        assert found["status connection"][0] == "ok"
        assert found["windows"][1].startswith("1 published, ")
