"""The how-to page of tunnels is followed: its programs are run and print what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tablestore as sdk

from airflow_tablestore.emulator import Emulator
from tests.docs.pages import ROOT, blocks, commands

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs/howto/tunnel.md"
ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)


def program(name: str) -> str:
    (text,) = [block.text for block in blocks(PAGE) if block.text.startswith(f"# {name}\n")]
    return text


def test_the_pages_programs_print_what_it_says(tmp_path):
    (shown,) = [command for block in blocks(PAGE) for command in commands(block)]
    with Emulator() as emulator:
        at = emulator.tablestore
        writer = sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)
        meta, throughput = sdk.TableMeta("rides", [("id", "INTEGER")]), sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
        writer.create_table(meta, sdk.TableOptions(), throughput)
        put(writer, 1, "Hangzhou")
        put(writer, 2, "Beijing")

        first = run(tmp_path, "drain.py", emulator)
        put(writer, 3, "Shanghai")
        second = run(tmp_path, "drain.py", emulator)
        put(writer, 4, "Suzhou")
        third = run(tmp_path, "parallel.py", emulator)
        put(writer, 5, "Wuxi")
        fourth = run(tmp_path, "columns.py", emulator)

    assert first.strip() == shown.output.strip()
    assert second == "put {'id': 3} {'city': 'Shanghai'}\n"
    assert third == "1 records\n"
    assert fourth == "[{'action': 'put', 'id': 5}] Wuxi\nTrue\n"


def test_the_first_program_is_as_short_as_the_page_says():
    lines = [line for line in program("drain.py").splitlines()[1:] if line]

    assert len(lines) <= 20


def put(writer: sdk.OTSClient, id_: int, city: str) -> None:
    writer.put_row("rides", sdk.Row([("id", id_)], [("city", city)]), ALWAYS)


def run(folder: Path, name: str, emulator: Emulator) -> str:
    (folder / name).write_text(program(name))
    at = emulator.tablestore
    access = {
        "TABLESTORE_URL": at.endpoint,
        "TABLESTORE_INSTANCE": at.instance,
        "ACCESS_KEY_ID": at.access_key_id,
        "ACCESS_KEY_SECRET": at.access_key_secret,
    }
    command = [sys.executable, name]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **access}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
