"""The small parts of the emulator that both services share."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_tablestore.emulator import Emulator, OssAccess, TablestoreAccess
from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.command import add_parser, default_data_dir
from airflow_tablestore.emulator.server import Server
from airflow_tablestore.emulator.storage import claimed, usable
from airflow_tablestore.errors import SpecError, TablestoreError


def test_the_clock_of_data_moves_when_told():
    clock = Clock(lambda: 5_000_000_000)

    clock.advance(1.5)
    moved = clock.micros(), clock.millis()
    clock.reset()

    assert moved == (6_500_000, 6_500)
    assert clock.micros() == 5_000_000


@pytest.mark.parametrize("seconds", [-6, 3e11])
def test_the_clock_of_data_stays_where_dates_are(seconds):
    clock = Clock(lambda: 5_000_000_000)

    with pytest.raises(SpecError, match="1970 to 9000"):
        clock.advance(seconds)
    with pytest.raises(SpecError, match="1970 to 9000"):
        clock.move_to(5_000_000 + round(seconds * 1_000_000))

    assert clock.micros() == 5_000_000


def test_there_is_one_account():
    accounts = demo_accounts()

    assert accounts.secret_of(DEMO_ACCESS_KEY_ID) == DEMO_ACCESS_KEY_SECRET
    assert accounts.secret_of("somebody") is None


@pytest.mark.parametrize("value", [demo_accounts(), TablestoreAccess("http://a"), OssAccess("http://a")])
def test_secrets_are_not_shown(value):
    assert DEMO_ACCESS_KEY_SECRET not in repr(value)


def test_a_directory_is_free_again_afterwards(tmp_path):
    for _ in range(2):
        with claimed(tmp_path), pytest.raises(SpecError, match="Another emulator"), claimed(tmp_path):
            pass


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(SpecError, match="cannot be used"), claimed(tmp_path / "file" / "data"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o555)

    with pytest.raises(SpecError, match="cannot be used: Permission denied"), claimed(tmp_path):
        pass


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk is full"), OSError(28, "disk is full")])
@pytest.mark.parametrize("folder", [Path("/data"), None])
def test_what_keeps_a_service_from_opening_is_told(folder, error):
    with pytest.raises(SpecError, match=r"directory /.* cannot be used: disk is full\."), usable(folder):
        raise error


class IdleApp:
    is_closed = False

    async def __call__(self, scope, receive, send):
        raise RuntimeError("nothing is asked")

    def close(self):
        self.is_closed = True


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    app = IdleApp()

    with pytest.raises(SpecError, match=r"pip install 'airflow-tablestore\[emulator\]'"):
        Server(app).start()

    assert app.is_closed


def test_an_emulator_that_is_not_running_has_no_address():
    with pytest.raises(TablestoreError, match="not running"):
        Emulator().oss  # noqa: B018 - asking is the point


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["up"], {"data_dir": None, "ephemeral": False, "port": 0, "json": False}),
        (["up", "--ephemeral", "--port", "8300", "--json"], {"ephemeral": True, "port": 8300, "json": True}),
    ],
)
def test_the_command_line_is_read(words, expected):
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())

    read = vars(parser.parse_args(["emulator", *words]))

    assert callable(read["handler"])
    assert expected.items() <= read.items()


@pytest.mark.parametrize(
    "words",
    [
        ["up", "--port", "70000"],
        ["up", "--ephemeral", "--data-dir", "d"],
        ["up", "--data-dir", ""],
        ["snapshot", "load", "file", "--data-dir", ""],
        [],
        ["down"],
    ],
)
def test_a_bad_command_line_is_refused(words, capsys):
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())

    with pytest.raises(SystemExit):
        parser.parse_args(["emulator", *words])

    assert capsys.readouterr().err


def test_data_is_kept_in_the_users_state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_data_dir() == tmp_path / "airflow-tablestore" / "emulator"

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(default_data_dir()) == "/home/somebody/.local/state/airflow-tablestore/emulator"


def test_the_command_and_the_fixture_load_no_server():
    code = (
        "import sys, json, airflow_tablestore.emulator.command, airflow_tablestore.emulator;"
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )

    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)

    assert not {"uvicorn", "asyncio", "sqlite3", "fastcrc", "airflow", "google"} & set(loaded)
