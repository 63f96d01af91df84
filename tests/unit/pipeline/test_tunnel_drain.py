"""A drain when things go wrong: poisoned records, channels and tunnels taken away, a busy service, a slow sink.

The service is the emulator's without a network; the bucket is memory. What counts is what a reader of the channels'
manifests finds, against what was written into the table.
"""

from __future__ import annotations

import json
import threading
import time

import pytest

from airflow_tablestore.consumer.tunnel import Settings
from airflow_tablestore.errors import (
    DirtyLimitExceeded,
    PositionLost,
    ProtocolError,
    Rejected,
    RetryLater,
    TablestoreError,
)
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.formats.jsonl import JsonLines
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.tunnel.channels import published
from airflow_tablestore.pipeline.tunnel.drain import Drain, drain
from airflow_tablestore.pipeline.tunnel.tunnels import Wanted
from airflow_tablestore.wire import tunnel as wire
from airflow_tablestore.wire.proto import tunnel_pb2
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType
from tests.conformance.memory_store import MemoryStore
from tests.unit.consumer.tunnel_fakes import LocalClient
from tests.unit.emulator.tablestore.tunnel_world import World

PATIENCE_SECONDS = 60.0
PREFIX = "events/"

pytestmark = pytest.mark.slow


class Bucket(MemoryStore):
    """Memory, with something to do before each data object is put."""

    def __init__(self):
        super().__init__()
        self.before_object = lambda: None

    def put(self, key, data):
        if "_channels/" not in key:
            self.before_object()
        return super().put(key, data)


class Drained:
    """A table whose change log is drained into a bucket."""

    def __init__(self):
        self.world = World()
        self.world.make_table()
        self.tunnel = self.world.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))
        self.client, self.bucket = LocalClient(self.world.service), Bucket()

    def drain(self, *, errors=0, stop=None, until_caught_up=True, **settings):
        quick = {"heartbeat_seconds": 0.05, "timeout_seconds": 60, "pause_seconds": 0.02, "reconnect_seconds": 0.1}
        job = Drain(
            pipeline="events",
            wanted=Wanted("t", "n"),
            target=ObjectTarget("backup", PREFIX, JsonLines()),
            until_caught_up=until_caught_up,
            flush_seconds=0.05,
            limits=Limits(errors=errors),
            settings=Settings(**quick | settings),
        )
        return drain(job, self.client, self.bucket, stop=stop)

    def entries(self):
        return list(published(self.bucket, PREFIX))

    def ids(self):
        """What counts, in the order of its channels."""
        objects = [self.bucket.get(entry.key) for entry in self.entries()]
        return [json.loads(line)["id"] for data in objects for line in data.splitlines()]

    def poisons(self, id_):
        """From now on the bytes of this row's changes are damaged in every answer."""

        def damage(body):
            answer = tunnel_pb2.ReadRecordsResponse.FromString(body)
            for one in answer.records:
                if id_.to_bytes(8, "little") in one.record:
                    one.record = one.record[:-1] + bytes([one.record[-1] ^ 1])
            return answer.SerializeToString()

        self.client.damages("readrecords", damage)


@pytest.fixture
def drained():
    drained = Drained()
    yield drained
    drained.world.service.close()


def until(claim):
    end = time.monotonic() + PATIENCE_SECONDS
    while not claim():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


class Running:
    """A drain in a thread of its own."""

    def __init__(self, drained, **settings):
        self.error, self.stop = None, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(drained, settings), daemon=True)
        self._thread.start()

    def _run(self, drained, settings):
        try:
            drained.drain(stop=self.stop, until_caught_up=False, **settings)
        except TablestoreError as error:
            self.error = error

    def ends(self):
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()


# ---- records that cannot go on


def test_a_poisoned_record_ends_the_drain_and_nothing_of_it_is_confirmed(drained):
    drained.world.put(1000, 2000, 3000)
    drained.poisons(2000)

    with pytest.raises(DirtyLimitExceeded, match=r"record 2 of 3 behind token .* of channel"):
        drained.drain()

    assert drained.ids() == []
    drained.client.damages("readrecords", bytes)
    drained.drain()
    assert drained.ids() == [1000, 2000, 3000]


def test_a_poisoned_record_is_set_aside_where_errors_are_allowed_and_the_channel_goes_on(drained):
    drained.world.put(1000, 2000, 3000)
    drained.poisons(2000)

    report = drained.drain(errors=1)
    drained.world.put(4000)
    drained.drain(errors=1)

    assert drained.ids() == [1000, 3000, 4000]
    assert (report.rows, report.dirty) == (2, 1)
    (sample,) = report.samples
    assert sample.key.startswith("record 2 of 3 behind token")
    assert "cannot be read" in sample.reason
    assert report.to_json()["samples"] == [sample.to_json()]
    first, second = drained.entries()
    assert (first.dirty, first.samples, second.dirty, second.samples) == (1, (sample,), 0, ())


def test_report_and_manifest_tell_what_the_reads_took(drained):
    drained.world.put(1, value="x" * 10_000)

    report = drained.drain()

    (entry,) = drained.entries()
    assert entry.read_units == 3
    assert report.read_units == entry.read_units + drained.client.count("readrecords") - 1


@pytest.mark.parametrize("next_token", ["no token!", "bm8gdG9rZW4="])
def test_a_token_that_is_none_ends_the_drain_and_is_never_kept(drained, next_token):
    drained.world.put(1)

    def damage(body):
        answer = tunnel_pb2.ReadRecordsResponse.FromString(body)
        answer.next_token = next_token
        return answer.SerializeToString()

    drained.client.damages("readrecords", damage)
    with pytest.raises(ProtocolError, match=r"channel .* behind token .* cannot be read: .* is no token of"):
        drained.drain()

    drained.client.damages("readrecords", bytes)
    drained.drain()
    assert drained.ids() == [1]


def test_a_kept_checkpoint_that_is_no_token_is_told_with_its_channel(drained):
    def damage(body):
        answer = tunnel_pb2.GetCheckpointResponse.FromString(body)
        answer.checkpoint = "no token!"
        return answer.SerializeToString()

    drained.client.damages("getcheckpoint", damage)

    with pytest.raises(ProtocolError, match=r"The checkpoint that is kept of channel .*'no token!' is no token"):
        drained.drain()


# ---- what is taken away


def test_a_channel_taken_away_in_the_middle_of_a_batch_is_drained_once(drained):
    drained.world.put(1, 2)
    taken = []

    def take():
        if not taken:
            (channel,) = drained.world.described().channels
            taken.append(channel.client_id)
            drained.world.service.tunnels.drop_client(drained.tunnel, channel.client_id)

    drained.bucket.before_object = take

    report = drained.drain()

    assert taken
    assert drained.ids() == [1, 2]
    assert (report.lost_channels, report.rows) == (1, 2)


def test_a_tunnel_that_is_deleted_ends_the_drain_and_what_counts_stays(drained):
    drained.world.put(1)
    running = Running(drained)
    until(lambda: drained.ids() == [1])

    drained.world.call(wire.delete_tunnel("t", "n"))
    running.ends()

    assert isinstance(running.error, Rejected)
    assert "does not exist" in str(running.error)
    assert drained.ids() == [1]


def test_a_tunnel_that_expires_ends_the_drain_and_what_counts_stays(drained):
    drained.world.put(1)
    running = Running(drained)
    until(lambda: drained.ids() == [1])

    drained.world.service.tunnels.expire(drained.tunnel)
    running.ends()

    assert isinstance(running.error, PositionLost)
    assert drained.ids() == [1]


def test_what_was_forgotten_before_anybody_read_it_is_told(drained, caplog):
    drained.client.clock = drained.world.clock
    drained.world.put(1)
    in_time = drained.drain()
    drained.world.put(2)
    drained.world.clock.advance(30 * 3600)  # the stream keeps a day
    drained.world.put(3)

    late = drained.drain()
    after = drained.drain()

    assert drained.ids() == [1, 3]
    assert (in_time.gap, after.gap) == ("", "")
    assert "lost for this tunnel" in late.gap
    assert late.gap in caplog.text


def test_a_tunnel_that_nobody_read_in_time_is_told(drained):
    drained.client.clock = drained.world.clock
    drained.world.clock.advance(30 * 3600)

    assert "was read up to 2023-11-14T22:13:20" in drained.drain().gap


# ---- what comes late


def test_heartbeats_that_are_lost_for_too_long_lose_the_session_and_no_record(drained):
    drained.world.put(1, 2)
    lost = [RetryLater("lost")] * 200

    def lose():
        drained.bucket.before_object = lambda: None
        drained.client.fails("heartbeat", *lost)
        (channel,) = drained.world.described().channels
        until(lambda: drained.client.count("connect") >= 2)
        drained.client.recovers("heartbeat")
        beats = drained.client.count("heartbeat")
        until(lambda: drained.client.count("heartbeat") > beats + 10)  # nothing is caught up meanwhile
        drained.world.service.tunnels.drop_client(drained.tunnel, channel.client_id)

    drained.bucket.before_object = lose

    report = drained.drain(timeout_seconds=1)

    assert drained.ids() == [1, 2]
    assert report.lost_channels >= 1  # a machine that stands still for a second loses one more


@pytest.mark.parametrize("operation", ["connect", "getcheckpoint", "readrecords", "checkpoint", "heartbeat"])
def test_a_busy_service_delays_and_loses_nothing(drained, operation):
    drained.world.put(1, 2)
    drained.client.fails(operation, RetryLater("busy", code="OTSTunnelServerUnavailable"), RetryLater("busy"))

    drained.drain()

    assert drained.ids() == [1, 2]


def test_a_slow_sink_holds_the_reading_back(drained):
    shards, rows, most = 6, 90, 100_000
    for at in range(1, shards):
        drained.world.split(at * rows // shards)
    for number in range(rows):
        drained.world.put(number, value="x" * 3000)
    read, held = [], []

    def count(body):
        answer = tunnel_pb2.ReadRecordsResponse.FromString(body)
        read.extend(len(body) for one in answer.records[:1])
        held.append(sum(read) - 3000 * len(drained.ids()))
        return body

    drained.client.damages("readrecords", count)
    drained.bucket.before_object = lambda: time.sleep(0.1)

    report = drained.drain(max_bytes=most)

    page = max(read)
    assert sorted(drained.ids()) == list(range(rows))
    assert sum(read) > 2 * most, "there must be more than fits"
    assert max(held) <= most + page, "a page was read that there was no room for"
    assert report.most_held <= most + page
