"""A tunnel's worker against the tunnel service itself, without a network: what is read, confirmed and handed over."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from airflow_tablestore.consumer.tunnel import Settings, TunnelReader
from airflow_tablestore.consumer.tunnel.channel import Event
from airflow_tablestore.consumer.tunnel.reader import Until
from airflow_tablestore.errors import PositionLost, ProtocolError, Rejected, RetryLater, Superseded
from airflow_tablestore.wire import tunnel as wire
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType
from airflow_tablestore.wire.tunnel_channel import ChannelStatus
from airflow_tablestore.wire.tunnel_token import FINISHED
from tests.unit.consumer.tunnel_fakes import LocalClient
from tests.unit.emulator.tablestore.tunnel_world import World

QUICK = Settings(
    heartbeat_seconds=0.05,
    timeout_seconds=60,
    checkpoint_seconds=0.02,
    pause_seconds=0.02,
    reconnect_seconds=0.1,
    tag="test",
)
PATIENCE_SECONDS = 60.0
EARLIEST = StreamRange(StartFlag.EARLIEST)

pytestmark = pytest.mark.slow


def until(claim):
    """Waits for a claim to be true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not claim():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def world():
    world = World()
    world.make_table()
    yield world
    world.service.close()


@pytest.fixture
def client(world):
    return LocalClient(world.service)


def reader(client, tunnel, settings=QUICK, **options):
    return TunnelReader(client, tunnel, settings=settings, **options)


def keys(batch):
    return [one.decoded().key[0][1] for one in batch.records]


def drained(client, tunnel, **options):
    """Everything that is there, every batch done at once."""
    found = []
    for batch in reader(client, tunnel, until=Until.CAUGHT_UP, **options):
        found += keys(batch)
        batch.done()
    return found


def checkpoint(world):
    """Token and number that are kept of the only channel."""
    with world.service.store.reading() as connection:
        (row,) = connection.execute("SELECT token, number FROM tunnel_channels").fetchall()
    return row


# ---- what is read


def test_rows_come_first_then_changes(world, client):
    world.put(1, 2)
    id_ = world.tunnel()
    world.put(3)
    world.delete(1)

    found = drained(client, id_)

    assert sorted(found[:2]) == [2, 3]
    assert found[2:] == [3, 1]


def test_a_tunnel_of_base_data_comes_to_its_end(world, client):
    world.put(*range(10))
    id_ = world.tunnel(TunnelType.BASE)

    found = []
    for batch in reader(client, id_):
        found += keys(batch)
        batch.done()

    assert sorted(found) == list(range(10))
    assert set(world.statuses()) == {"TERMINATED"}


def test_a_bounded_tunnel_comes_to_its_end(world, client):
    world.put(1)
    range_ = StreamRange(StartFlag.EARLIEST, end_nanos=(world.clock.micros() + 5_000_000) * 1000)
    id_ = world.tunnel(TunnelType.STREAM, range_)
    world.split(5)
    world.put(2)
    world.clock.advance(10)
    world.put(3)

    found = []
    for batch in reader(client, id_):
        found += keys(batch)
        batch.done()

    assert found == [1, 2]


def test_children_are_read_after_their_parents(world, client):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    world.put(1, 9)
    lower, upper = world.split(5)
    world.put(2)
    world.merge(lower, upper)
    world.put(3, 4)

    assert drained(client, id_) == [1, 9, 2, 3, 4]


def test_a_batch_says_where_it_stands(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with reader(client, id_) as running:
        batch = running.take(PATIENCE_SECONDS)

        assert (batch.at.tunnel_id, batch.number, batch.is_stream) == (id_, 1, True)
        assert batch.before != batch.token
        assert batch.channel == world.described().channels[0].id
        assert batch.at.client_id == world.described().channels[0].client_id


# ---- what is confirmed


def test_nothing_is_confirmed_before_it_is_done(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    before = checkpoint(world)
    with reader(client, id_) as running:
        batch = running.take(PATIENCE_SECONDS)
        until(lambda: client.count("readrecords") > 5)
        assert checkpoint(world) == before

        assert batch.done()

        until(lambda: checkpoint(world)[1] >= 1)


def test_what_was_not_done_is_read_again(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with reader(client, id_) as running:
        assert keys(running.take(PATIENCE_SECONDS)) == [1]

    assert drained(client, id_) == [1]
    assert drained(client, id_) == []


def test_what_was_done_is_confirmed_when_the_reader_is_closed(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    slow = Settings(heartbeat_seconds=0.05, timeout_seconds=60, checkpoint_seconds=3600, pause_seconds=0.02)
    with reader(client, id_, slow) as running, running.take(PATIENCE_SECONDS):
        pass

    assert drained(client, id_) == []


def test_a_batch_that_broke_its_block_is_not_done(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with reader(client, id_) as running:
        batch = running.take(PATIENCE_SECONDS)
        with pytest.raises(ZeroDivisionError), batch:
            raise ZeroDivisionError

    assert drained(client, id_) == [1]


def test_a_commit_is_confirmed_when_it_returns(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with reader(client, id_, confirms_itself=False) as running:
        batch = running.take(PATIENCE_SECONDS)
        number = batch.checkpoint_number
        batch.commit()

        assert checkpoint(world) == (batch.token, number)


def test_nothing_but_a_commit_moves_the_number_while_a_batch_is_in_hands(world, client):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with reader(client, id_, confirms_itself=False) as running:
        until(lambda: checkpoint(world)[1] > 2 or world.clock.advance(1))
        world.put(1)
        batch = running.take(PATIENCE_SECONDS)
        kept, reads = checkpoint(world), client.count("readrecords")
        until(lambda: client.count("readrecords") > reads + 5 or world.clock.advance(1))

        assert checkpoint(world) == kept
        assert batch.checkpoint_number == kept[1] + 1


def test_a_channel_is_told_with_its_checkpoint_before_it_is_read(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    opened = []

    def note(at, known):
        opened.append((at.channel_id, known.number, client.count("readrecords")))

    with reader(client, id_, on_open=note) as running:
        running.take(PATIENCE_SECONDS).commit()
    reads = client.count("readrecords")
    drained(client, id_, on_open=note)

    channel = world.described().channels[0].id
    assert opened == [(channel, 0, 0), (channel, checkpoint(world)[1], reads)]


def test_a_lost_answer_to_a_checkpoint_is_settled(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    client.loses_answer("checkpoint", RetryLater("lost"))

    assert drained(client, id_) == [1]
    assert drained(client, id_) == []


def test_an_end_is_confirmed_after_its_last_batch(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.BASE)
    with reader(client, id_) as running:
        batch = running.take(PATIENCE_SECONDS)
        until(lambda: client.count("heartbeat") > 4)
        assert checkpoint(world)[0] != FINISHED
        batch.done()

        until(lambda: world.statuses() == ["TERMINATED"])


def test_an_end_is_not_confirmed_when_its_last_batch_was_given_up(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.BASE)
    with reader(client, id_) as running:
        batch = running.take(PATIENCE_SECONDS)
        until(lambda: client.count("readrecords") > 0)
        life, session = batch.origin, running._session
        with session._lock, life._changed:  # so that the channel's thread sees all at once
            session._held[batch.channel] = session._held[batch.channel].after(Event.CLOSE_ASKED)
            life.close()
            life.close(gives_up=True)
        until(lambda: life.has_ended)

    assert drained(client, id_) == [1]


# ---- a fault of the worker itself


def test_a_channel_that_ends_against_the_states_ends_the_worker(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with reader(client, id_) as running:
        with running.take(PATIENCE_SECONDS) as batch:
            batch.origin.close()  # behind the back of its session

        with pytest.raises(ProtocolError, match="DRAINED cannot follow"):
            running.take(PATIENCE_SECONDS)

    assert world.statuses() == ["CLOSE"]


def test_an_error_of_the_worker_itself_while_it_confirms_ends_it(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    client.fails("checkpoint", ZeroDivisionError("ours"))
    with reader(client, id_) as running:
        with running.take(PATIENCE_SECONDS):
            pass

        with pytest.raises(ZeroDivisionError, match="ours"):
            running.take(PATIENCE_SECONDS)

    assert world.statuses() == ["CLOSE"]


def test_an_error_of_the_worker_itself_at_the_last_checkpoint_is_heard(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with reader(client, id_, replace(QUICK, checkpoint_seconds=3600)) as running:
        batch = running.take(PATIENCE_SECONDS)
        world.service.tunnels.move(id_, batch.channel)
        client.fails("checkpoint", ZeroDivisionError("ours"))
        batch.done()

        with pytest.raises(ZeroDivisionError, match="ours"):
            running.take(PATIENCE_SECONDS)


@pytest.mark.parametrize("is_taken_away", [False, True], ids=["own", "taken-away"])
def test_no_thread_asks_anything_when_a_reader_that_failed_is_closed(world, client, is_taken_away):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    asking, may_answer = threading.Event(), threading.Event()

    def answer_late(body):
        asking.set()
        may_answer.wait(PATIENCE_SECONDS)
        return body

    client.damages("readrecords", answer_late)
    before = set(threading.enumerate())
    running = reader(client, id_).start()
    assert asking.wait(PATIENCE_SECONDS)
    if is_taken_away:
        client.damages("heartbeat", lambda body: b"")  # which tells no channels
        until(lambda: not running._session._runs)
    client.fails("heartbeat", *[Rejected("no right", code="OTSPermissionDenied")] * 3)
    threading.Timer(0.3, may_answer.set).start()
    with pytest.raises(Rejected):
        running.take(PATIENCE_SECONDS)
    running.close()

    left = set(threading.enumerate()) - before
    assert [one.name for one in left if one.name.startswith("tunnel ")] == []


# ---- channels come and go


def test_a_channel_is_given_back_when_what_is_in_hands_is_done(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with reader(client, id_) as running:
        batch = running.take(PATIENCE_SECONDS)
        world.service.tunnels.move(id_, batch.channel)
        beats = client.count("heartbeat")
        until(lambda: client.count("heartbeat") > beats + 4)
        assert world.statuses() == ["CLOSING"]
        assert batch.done()

        until(lambda: world.statuses() == ["OPEN"])
        world.put(2)
        assert keys(running.take(PATIENCE_SECONDS)) == [2]


def test_two_workers_share_the_channels_of_a_tunnel(world, client):
    for at in (10, 20, 30):
        world.split(at)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    owners = lambda: sorted(one.client_id for one in world.described().channels if one.status == "OPEN")  # noqa: E731
    with reader(client, id_) as one:
        until(lambda: len(owners()) == 4)
        with reader(client, id_) as two:
            until(lambda: len(set(owners())) == 2 and len(owners()) == 4)
            world.put(1, 11, 21, 31)
            found = [keys(running.take(PATIENCE_SECONDS)) for running in (one, one, two, two)]

            assert sorted(key for each in found for key in each) == [1, 11, 21, 31]
        until(lambda: len(set(owners())) == 1 and len(owners()) == 4)


def test_no_more_channels_are_read_at_once_than_allowed(world, client):
    for at in (10, 20, 30):
        world.split(at)
    world.put(1, 11, 21, 31)
    one_at_a_time = Settings(max_channels=1, heartbeat_seconds=0.05, timeout_seconds=60, checkpoint_seconds=0.02)
    id_ = world.tunnel(
        TunnelType.STREAM, StreamRange(StartFlag.EARLIEST, end_nanos=world.clock.micros() * 1000 + 10**9)
    )
    world.clock.advance(10)

    found, running = [], reader(client, id_, one_at_a_time)
    for batch in running:
        found += keys(batch)
        time.sleep(0.02)
        assert sum(run.has_progressed for run in list(running._session._runs.values())) <= 1
        batch.done()

    assert sorted(found) == [1, 11, 21, 31]


def test_a_client_that_the_service_gave_up_connects_again(world, client):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with reader(client, id_) as running:
        until(lambda: world.statuses() == ["OPEN"])
        world.put(1)
        batch = running.take(PATIENCE_SECONDS)
        world.service.tunnels.drop_client(id_, batch.at.client_id)
        until(lambda: client.count("connect") == 2)
        with pytest.raises(Superseded):
            batch.commit()
        assert batch.done() is False

        again = running.take(PATIENCE_SECONDS)
        assert keys(again) == [1]
        assert again.at.client_id != batch.at.client_id


def test_a_channel_that_fails_is_given_back_and_read_again(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    client.fails("readrecords", RetryLater("busy"), Rejected("no", code="OTSParameterInvalid"))

    assert drained(client, id_) == [1]


def test_a_channel_that_fails_again_and_again_ends_the_worker(world, client):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    client.fails("readrecords", *[Rejected("never", code="OTSParameterInvalid")] * 3)

    with pytest.raises(Rejected, match="never"):
        drained(client, id_)


def test_a_missing_right_ends_the_worker_at_once(world, client):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    client.fails("readrecords", Rejected("no right", code="OTSPermissionDenied"))

    with pytest.raises(Rejected, match="no right"):
        drained(client, id_)


def test_heartbeats_may_fail_for_a_while(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    client.fails("heartbeat", None, RetryLater("busy"), RetryLater("busy"))

    assert drained(client, id_) == [1]
    assert client.count("connect") == 1


def test_a_worker_connects_again_when_that_failed(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    client.fails("connect", RetryLater("busy"))

    assert drained(client, id_) == [1]


def test_an_expired_tunnel_ends_the_worker(world, client):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    running = reader(client, id_).start()
    until(lambda: world.statuses() == ["OPEN"])
    world.service.tunnels.expire(id_)

    with pytest.raises(PositionLost, match="OTSTunnelExpired"):
        running.take(PATIENCE_SECONDS)
    running.close()


def test_a_deleted_tunnel_ends_the_worker(world, client):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    running = reader(client, id_).start()
    until(lambda: world.statuses() == ["OPEN"])
    world.call(wire.delete_tunnel("t", "n"))

    with pytest.raises(Rejected, match="does not exist"):
        running.take(PATIENCE_SECONDS)
    running.close()


def test_a_tunnel_that_is_not_there_is_told(world, client):
    with pytest.raises(Rejected, match="no tunnel 'none'"):
        reader(client, "none").take(PATIENCE_SECONDS)


def test_a_suspended_channel_is_let_go_and_taken_again(world, client):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with reader(client, id_) as running:
        until(lambda: world.statuses() == ["OPEN"])
        (channel,) = world.described().channels
        world.call(wire.schedule(id_, {channel.id: ChannelStatus.CLOSING}))
        until(lambda: world.statuses() == ["CLOSE"])
        world.put(1)
        world.call(wire.schedule(id_, {channel.id: ChannelStatus.OPEN}))

        assert keys(running.take(PATIENCE_SECONDS)) == [1]


# ---- memory and the end


def test_a_slow_sink_holds_the_reading_up(world, client):
    world.put(*range(40), value="x" * 1000)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    small = Settings(
        max_bytes=1, heartbeat_seconds=0.05, timeout_seconds=60, checkpoint_seconds=0.02, pause_seconds=0.02
    )
    with reader(client, id_, small) as running:
        first = running.take(PATIENCE_SECONDS)
        world.put(50)
        beats = client.count("heartbeat")
        until(lambda: client.count("heartbeat") > beats + 3)
        assert running.take(0.05) is None
        first.done()

        assert keys(running.take(PATIENCE_SECONDS)) == [50]


def test_leaving_hands_the_channels_over_at_once(world, client):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with reader(client, id_):
        until(lambda: world.statuses() == ["OPEN"])

    assert client.count("shutdown") == 1
    assert world.statuses() == ["CLOSE"]


def test_stopping_lets_what_is_in_hands_be_done(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with reader(client, id_) as running:
        batch = running.take(PATIENCE_SECONDS)
        running.stop()
        assert running.take() is None
        assert batch.done()
        until(lambda: client.count("shutdown") == 1)

    assert drained(client, id_) == []


def test_a_function_is_handed_the_batches_of_a_channel_in_their_order(world, client):
    world.split(100)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    for number in range(20):
        world.put(number, number + 200)
    seen, at_work, most, lock = {}, set(), [0], threading.Lock()

    def process(batch):
        with lock:
            assert batch.channel not in at_work
            at_work.add(batch.channel)
            most[0] = max(most[0], len(at_work))
        seen.setdefault(batch.channel, []).extend(keys(batch))
        time.sleep(0.01)
        with lock:
            at_work.remove(batch.channel)

    reader(client, id_, until=Until.CAUGHT_UP).run(process, threads=4)

    assert sorted(seen.values()) == [list(range(20)), list(range(200, 220))]


def test_what_a_function_raises_ends_the_run_and_is_read_again(world, client):
    world.put(1)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)

    def process(batch):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        reader(client, id_).run(process)

    assert drained(client, id_) == [1]
