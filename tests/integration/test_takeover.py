"""A pipeline goes on where DataX has stopped: the status table is written with plain calls of the official SDK."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import tablestore

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import OK, Session
from airflow_tablestore.client import Client
from airflow_tablestore.consumer.shards import describe
from airflow_tablestore.consumer.stream import Search
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.local_cloud import LocalCloud
from airflow_tablestore.pipeline.boundaries import micros_of
from airflow_tablestore.pipeline.connections import from_environment, tablestore_endpoint
from airflow_tablestore.pipeline.window import FixedGrid
from airflow_tablestore.wire.table import describe_table
from tests.conformance.datax_status import datax_rows

pytestmark = pytest.mark.slow

TABLE, STATUS, FIVE = "rides", "TableStoreStreamReaderStatusTable", timedelta(minutes=5)


class Team:
    """A table whose changes DataX has read up to `end`, a record that showed up behind that, and one after it."""

    def __init__(self, emulator: Emulator, cloud: LocalCloud, folder: Path) -> None:
        self.emulator, self.cloud, self.folder = emulator, cloud, folder
        self.environment = cloud.environment()
        self.end = FixedGrid(FIVE).floor(datetime.now(UTC) - timedelta(minutes=40))
        self.client = Client(tablestore_endpoint(from_environment("tablestore_default", self.environment)))
        cloud.make_table(TABLE, key={"id": int})
        assert self.call("stream", "enable", TABLE, "--hours", "24")[0] == OK
        self.write(-60, 1)
        self._datax_ends()
        self.write(-1, 2)
        self.write(60, 3)

    def write(self, seconds: int, number: int) -> None:
        """Put a row so many seconds after the end of DataX's last window."""
        self.emulator.clock.move_to(micros_of(self.end) + seconds * 1_000_000)
        self.cloud.put_rows(TABLE, [{"id": number, "n": number}])

    def _datax_ends(self) -> None:
        stream = self.client.send(describe_table(TABLE)).stream
        assert stream is not None
        shape = describe(self.client, stream.stream_id)
        places = Search(self.client, TABLE, shape, micros_of(self.end)).positions()
        access = self.cloud.tablestore
        sdk = tablestore.OTSClient(access.endpoint, access.access_key_id, access.access_key_secret, access.instance)
        keys = [(name, "STRING") for name in ("StreamId", "StatusType", "StatusValue")]
        sdk.create_table(
            tablestore.TableMeta(STATUS, keys),
            tablestore.TableOptions(time_to_live=30 * 86_400, max_version=1),
            tablestore.ReservedThroughput(tablestore.CapacityUnit(0, 0)),
        )
        iterators = {shard: place.iterator for shard, place in places.items()}
        for key, cells in datax_rows(stream.stream_id, TABLE, self.end, iterators):
            named = [(name, value) for (name, _), value in zip(keys, key, strict=True)]
            columns = [(name, bytearray(value) if isinstance(value, bytes) else value) for name, value in cells.items()]
            sdk.put_row(STATUS, tablestore.Row(named, columns), tablestore.Condition("IGNORE"))

    def spec(self, windows_later: int = 0) -> str:
        path = self.folder / f"from_{windows_later}.yaml"
        path.write_text(
            f"pipeline: taken_{windows_later}\nkind: incremental\n"
            f"start: {(self.end + windows_later * FIVE).isoformat()}\n"
            f"source: {{table: {TABLE}, columns: [id, n]}}\n"
            f"sink: {{type: oss, bucket: {self.cloud.bucket}, format: csv, csv: {{header: false}}, "
            f'prefix: "{self.cloud.prefix}{windows_later}/{{window_start:%Y%m%d%H%M}}/"}}\n'
        )
        return str(path)

    def call(self, *words: str) -> tuple[int, str, str]:
        session = Session(io.StringIO(), io.StringIO(), lambda name: from_environment(name, self.environment))
        code = main([*words], session)
        return code, session.out.getvalue(), session.err.getvalue()


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def team(running: Emulator, tmp_path: Path) -> Iterator[Team]:
    running.reset()
    with LocalCloud(emulator=running) as cloud:
        yield Team(running, cloud, tmp_path)


def test_plan_doctor_and_run_say_that_the_times_meet_and_nothing_is_lost(team):
    spec = team.spec()

    _, planned, _ = team.call("plan", spec)
    _, examined, _ = team.call("doctor", spec)
    code, out, told = team.call("run", spec, "--window-start", team.end.isoformat(), "--json")

    sentence = f"DataX has read to {team.end:%Y-%m-%d %H:%M:%S} UTC: reading goes on from its records of 1 shard."
    assert f"DataX     {sentence}" in planned
    assert sentence in examined
    report = json.loads(out)
    assert (code, report["takeover"]) == (OK, sentence), told
    written = b"".join(body for key, body in team.cloud.objects().items() if key.endswith(".csv"))
    assert written == b"2,2\n3,3\n"  # 2 was written before DataX's end, and visible only after it had read


def test_plan_and_doctor_tell_a_gap(team):
    spec = team.spec(windows_later=1)

    _, planned, _ = team.call("plan", spec, "--json")
    _, examined, _ = team.call("doctor", spec)

    takeover = json.loads(planned)["takeover"]
    assert (takeover["meeting"], takeover["reached"]) == ("gap", team.end.isoformat())
    assert "What was written in these 0:05:00 is exported by neither." in takeover["told"]
    assert f"write start: {team.end.isoformat()}." in examined
