"""`emulator up` as a process: what it prints, how it stops, what it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import oss2
import pytest
import tablestore

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 120


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "airflow_tablestore.emulator", "up", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def stopped(process, number=signal.SIGTERM):
    process.send_signal(number)
    _, error = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, error


def bucket_of(told):
    oss = told["oss"]
    return oss2.Bucket(oss2.Auth(oss["access_key_id"], oss["access_key_secret"]), oss["endpoint"], oss["bucket"])


def test_the_first_line_tells_programs_everything():
    process = start("--ephemeral", "--json")

    told = json.loads(process.stdout.readline())
    bucket_of(told).put_object("object", b"body")
    ended = stopped(process)

    assert list(told) == ["tablestore", "oss", "maxcompute", "env"]
    assert list(told["tablestore"]) == ["endpoint", "instance", "access_key_id", "access_key_secret"]
    assert list(told["oss"]) == ["endpoint", "bucket", "access_key_id", "access_key_secret"]
    assert json.loads(told["env"]["AIRFLOW_CONN_TABLESTORE_DEFAULT"])["host"] == told["tablestore"]["endpoint"]
    assert list(told["maxcompute"]) == ["endpoint", "project", "access_key_id", "access_key_secret"]
    assert json.loads(told["env"]["AIRFLOW_CONN_OSS_DEFAULT"])["extra"]["endpoint"] == told["oss"]["endpoint"]
    assert json.loads(told["env"]["AIRFLOW_CONN_MAXCOMPUTE_DEFAULT"])["extra"].items() == told["maxcompute"].items()
    assert ended == (0, "")


def test_people_are_told_where_what_and_how_to_stop(tmp_path):
    process = start("--data-dir", str(tmp_path / "data"))

    lines = []
    for line in iter(process.stdout.readline, ""):
        lines.append(line)
        if line.startswith("Stop it"):
            break
    ended = stopped(process, signal.SIGINT)

    text = "".join(lines)
    assert f"{tmp_path / 'data'} (kept)" in text
    assert "export AIRFLOW_CONN_TABLESTORE_DEFAULT='{" in text
    assert f"kill {process.pid}" in text
    assert ended == (0, "")


def test_data_is_there_after_a_restart(tmp_path):
    for number in range(2):
        process = start("--data-dir", str(tmp_path), "--json")
        bucket = bucket_of(json.loads(process.stdout.readline()))
        if number == 0:
            bucket.put_object("small", b"body")
            bucket.put_object("large", b"b" * 200_000)
        assert bucket.get_object("small").read() == b"body"
        assert bucket.get_object("large").read() == b"b" * 200_000
        assert stopped(process) == (0, "")


def test_instances_are_made_at_the_start_and_kept(tmp_path):
    for made in (["--instance", "fleet", "--instance", "other"], []):
        process = start("--data-dir", str(tmp_path), "--json", *made)
        at = json.loads(process.stdout.readline())["tablestore"]
        connection = at["endpoint"], at["access_key_id"], at["access_key_secret"]
        assert tablestore.OTSClient(*connection, "fleet").list_table() == ()
        assert tablestore.OTSClient(*connection, "other").list_table() == ()
        with pytest.raises(tablestore.OTSServiceError, match="The instance is not found"):
            tablestore.OTSClient(*connection, "nobodys").list_table()
        assert stopped(process) == (0, "")


def test_a_name_that_no_instance_can_have_is_refused():
    process = start("--ephemeral", "--instance", "no_such")

    _, error = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 2
    assert "'no_such' cannot be the name of an instance" in error


def test_the_default_directory_is_the_users(tmp_path):
    process = start("--json", XDG_STATE_HOME=str(tmp_path))

    process.stdout.readline()
    stopped(process)

    assert (tmp_path / "airflow-tablestore" / "emulator" / "oss" / "oss.sqlite").exists()


def test_nothing_is_left_of_an_ephemeral_one(tmp_path):
    process = start("--ephemeral", "--json", TMPDIR=str(tmp_path))
    bucket_of(json.loads(process.stdout.readline())).put_object("large", b"b" * 200_000)

    stopped(process)

    assert list(Path(tmp_path).iterdir()) == []


def test_one_directory_has_one_emulator(tmp_path):
    first = start("--data-dir", str(tmp_path), "--json")
    first.stdout.readline()

    second = start("--data-dir", str(tmp_path))
    _, error = second.communicate(timeout=PATIENCE_SECONDS)
    stopped(first)

    assert second.returncode == 2
    assert f"Another emulator (process {first.pid}) uses the data directory {tmp_path}" in error


@pytest.mark.parametrize("service", ["tablestore/tables.sqlite", "oss/oss.sqlite", "maxcompute/maxcompute.sqlite"])
@pytest.mark.parametrize("content", [b"no database " * 500, None], ids=["no database", "a directory"])
def test_a_directory_of_other_files_is_refused_in_words(tmp_path, service, content):
    place = tmp_path / service
    place.parent.mkdir()
    if content is None:
        place.mkdir()
    else:
        place.write_bytes(content)

    process = start("--data-dir", str(tmp_path))
    _, error = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 2
    assert f"The data directory {tmp_path} cannot be used: " in error
    assert "Traceback" not in error
    assert content is None or place.read_bytes() == content


def test_another_programs_database_is_refused_in_words(tmp_path):
    (tmp_path / "tablestore").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "tablestore" / "tables.sqlite")) as database:
        database.execute("CREATE TABLE tables (name)")

    process = start("--data-dir", str(tmp_path))
    _, error = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 2
    assert f"The data directory {tmp_path} cannot be used: no such column" in error


def taken_behind_a_free_one():
    """A listening socket whose port follows one that nobody uses: below those that connections get by themselves."""
    for port in range(20_001, 30_000, 2):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port - 1)):
            return socket.create_server(("127.0.0.1", port))
    pytest.fail("no two ports in a row are free")


@pytest.mark.parametrize("offset", [0, 1])
def test_a_busy_port_is_named(offset):
    with taken_behind_a_free_one() as taken:
        port = taken.getsockname()[1]

        process = start("--ephemeral", "--port", str(port - offset))
        _, error = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 2
    assert f"Port {port} of 127.0.0.1 is not free" in error
    assert "--port" in error
    assert "Traceback" not in error


def test_it_listens_on_this_machine_only():
    process = start("--ephemeral", "--json")
    told = json.loads(process.stdout.readline())
    port = int(told["oss"]["endpoint"].rpartition(":")[2])

    with socket.socket() as other:
        other.settimeout(2)
        refused = other.connect_ex(("127.0.0.2", port))
    stopped(process)

    assert refused != 0
