"""The how-to page of streams: its commands print what it says, in its order, over one table of the emulator."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tablestore as sdk

from airflow_tablestore.emulator import Emulator
from tests.docs.pages import ROOT, blocks, commands

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs/howto/streams.md"
SHOWN = [command for block in blocks(PAGE) for command in commands(block)]
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)


@pytest.fixture(scope="module")
def emulator():
    with Emulator() as emulator:
        at = emulator.tablestore
        client = sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)
        meta, throughput = sdk.TableMeta("rides", [("id", "INTEGER")]), sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
        client.create_table(meta, sdk.TableOptions(), throughput)
        yield emulator, client


def printed(words: str, emulator: Emulator) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    ran = subprocess.run(
        words,
        shell=True,
        env={**kept, "PATH": PATH, **emulator.environment()},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return ran.stdout


def shape(text: str) -> str:
    """What stays of an output when ids, times, ages and spaces are taken out."""
    text = re.sub(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"\d+ (d|h|min|s)( \d\d (h|min|s))?(?= ago| old|;)", "SPAN", text)
    return re.sub(r"\s+", " ", re.sub(r"[0-9a-f][0-9a-f_-]{3,}(\.\.\.)?|\.\.\.", "ID", text)).strip()


def test_the_page_shows_what_the_commands_print(emulator):
    cloud, client = emulator
    enable, describe, tail, counted = SHOWN

    told = printed(enable.words, cloud)
    client.put_row("rides", sdk.Row([("id", 1)], [("n", 1)]), ALWAYS)
    cloud.tablestore_service().streams.split_shard("demo", "rides", None, (("id", 5),))
    client.put_row("rides", sdk.Row([("id", 2)], []), ALWAYS)
    drawn = printed(describe.words, cloud)

    assert shape(told) == shape(enable.output)
    assert shape(drawn) == shape(describe.output)
    (line,) = [json.loads(text) for text in tail.output.splitlines()]
    found = json.loads(printed(f"{tail.words} --until-caught-up", cloud).splitlines()[0])
    assert list(found) == list(line)
    assert (found["action"], found["key"], found["columns"][0]["name"]) == ("put", {"id": 1}, "n")
    client.update_row("rides", sdk.Row([("id", 1)], {"PUT": [("n", 2)]}), ALWAYS)
    client.delete_row("rides", [("id", 2)], ALWAYS)
    lines = printed(counted.words.partition(" | ")[0], cloud).splitlines()
    actions = sorted(json.loads(text)["action"] for text in lines)
    assert actions == [
        word for words in counted.output.splitlines() for word in words.split()[1:] * int(words.split()[0])
    ]


def test_the_table_of_a_line_names_every_part():
    firsts = re.findall(r"^\| (`[^|]+`) \|", PAGE.read_text(), re.MULTILINE)

    assert [name for first in firsts for name in re.findall(r"`(\w+)`", first)] == [
        "time",
        "action",
        "key",
        "columns",
        "before",
        "sequence",
        "shard",
    ]
