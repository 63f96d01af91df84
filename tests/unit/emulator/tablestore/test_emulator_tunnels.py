"""The tunnel service of the emulator: stages, channels, clients that share them, checkpoints, ends and expiry."""

from __future__ import annotations

import pytest

from airflow_tablestore.emulator.tablestore import tunnels as module
from airflow_tablestore.emulator.tablestore.tunnel_balance import Moves, balance
from airflow_tablestore.errors import SpecError
from airflow_tablestore.wire import tunnel as wire
from airflow_tablestore.wire import tunnel_channel as worker
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.stream import Action
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType
from airflow_tablestore.wire.tunnel_channel import Channel, Checkpoint
from airflow_tablestore.wire.tunnel_token import FINISHED, read_token
from tests.unit.emulator.tablestore.tunnel_world import (
    CLOSE,
    CLOSING,
    HOUR,
    NANOS,
    NOW,
    OPEN,
    TERMINATED,
    Worker,
    World,
)


@pytest.fixture
def world():
    world = World()
    world.make_table()
    yield world
    world.service.close()


# ---- tunnels


def test_a_tunnel_is_listed_and_described_until_it_is_deleted(world):
    id_ = world.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))

    (listed,) = world.call(wire.list_tunnels("t"))
    told = world.described().tunnel

    assert listed == told
    assert (told.id, told.type, told.table, told.name, told.instance) == (id_, "Stream", "t", "n", "demo")
    assert (told.stage, told.stream, told.created_nanos) == (
        "InitBaseDataAndStreamShard",
        StreamRange(StartFlag.EARLIEST),
        NOW * NANOS,
    )
    assert world.described().tunnel.stage == "ProcessStream"
    world.call(wire.delete_tunnel("t", "n"))
    assert world.call(wire.list_tunnels()) == ()
    assert world.refused(wire.describe_tunnel("t", "n")) == "OTSParameterInvalid"


def test_a_name_is_taken_once_per_table(world):
    world.tunnel()

    assert world.refused(wire.create_tunnel("t", "n", TunnelType.BASE)) == "OTSTunnelExist"


def test_a_tunnel_turns_on_the_stream_that_it_needs(world):
    world.make_table(hours=0, name="u")

    world.call(wire.create_tunnel("u", "base", TunnelType.BASE))
    assert world.service.store.table("demo", "u").is_streamed is False
    world.call(wire.create_tunnel("u", "both", TunnelType.BASE_AND_STREAM))

    assert world.service.store.table("demo", "u").stream_hours == 168


def test_tunnels_go_with_their_table(world):
    id_ = world.tunnel()
    world.service.answer("DeleteTable", "demo", pb.DeleteTableRequest(table_name="t").SerializeToString())

    assert world.refused(worker.connect(id_, 10, "")) == "OTSParameterInvalid"
    assert world.call(wire.list_tunnels()) == ()


def test_tunnels_belong_to_their_instance(world):
    call = wire.list_tunnels()
    world.tunnel()

    assert call.read(world.service.answer(call.operation, "other", call.body)) == ()


def test_a_tunnel_is_kept_in_the_file(tmp_path):
    world = World(tmp_path)
    world.make_table()
    id_ = world.tunnel()
    one = Worker(world, id_)
    world.put(1)
    one.work(2)
    before = world.described()
    world.service.close()

    again = World(tmp_path)

    assert again.described() == before
    again.service.close()


# ---- what is read


def test_base_data_come_first_then_what_was_written_since(world):
    world.put(1, 2)
    one = Worker(world, world.tunnel())
    world.put(3)
    world.delete(1)

    keys = one.work()

    assert keys == [2, 3, 3, 1]
    assert [action for action, _ in one.records] == [Action.PUT, Action.PUT, Action.PUT, Action.DELETE]
    assert world.described().tunnel.stage == "ProcessStream"
    assert world.statuses() == ["TERMINATED", "OPEN"]


def test_base_data_are_cut_into_channels_and_pages(world, monkeypatch):
    monkeypatch.setattr(module, "CHANNEL_BYTES", 100)
    world.put(*range(1, 30))

    one = Worker(world, world.tunnel(TunnelType.BASE))

    assert sorted(one.work()) == list(range(1, 30))
    assert len(world.statuses()) > 3
    assert set(world.statuses()) == {"TERMINATED"}


def test_base_data_of_a_channel_are_read_page_by_page(world, monkeypatch):
    monkeypatch.setattr("airflow_tablestore.emulator.tablestore.tunnel_pages.PAGE_RECORDS", 3)
    world.put(*range(10))

    assert Worker(world, world.tunnel(TunnelType.BASE)).work() == list(range(10))


def test_the_latest_start_is_the_end_of_the_log(world):
    world.put(1)
    one = Worker(world, world.tunnel(TunnelType.STREAM))
    world.put(2)

    assert one.work() == [2]


def test_the_earliest_start_is_what_is_kept(world):
    world.put(1, 9)
    world.split(5)
    world.put(2, 8)

    one = Worker(world, world.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST)))

    assert one.work() == [1, 9, 2, 8]


def test_a_start_offset_is_a_record_time(world):
    world.put(1)
    world.clock.advance(600)
    start = NOW * NANOS + 300 * NANOS
    world.put(2)
    world.clock.advance(1)

    one = Worker(world, world.tunnel(TunnelType.STREAM, StreamRange(StartFlag.LATEST, start)))

    assert one.work() == [2]


@pytest.mark.parametrize("start", [NOW - 24 * HOUR, NOW, NOW + 5])
def test_a_start_outside_of_the_retention_is_refused(world, start):
    call = wire.create_tunnel("t", "n", TunnelType.STREAM, StreamRange(start_nanos=start * NANOS))

    assert world.refused(call) == "OTSParameterInvalid"


def test_an_end_offset_finishes_the_channels(world):
    start, end = NOW * NANOS - 10 * NANOS, NOW * NANOS + 10 * NANOS
    id_ = world.tunnel(TunnelType.STREAM, StreamRange(start_nanos=start, end_nanos=end))
    one = Worker(world, id_)
    world.put(1)
    assert one.work() == [1]
    assert world.statuses() == ["OPEN"]
    world.clock.advance(30)
    world.put(2)

    assert one.work() == [1]
    assert world.statuses() == ["TERMINATED"]


def test_an_end_offset_finishes_quiet_channels_and_their_children(world):
    end = NOW * NANOS + 10 * NANOS
    id_ = world.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST, end_nanos=end))
    world.put(1)
    world.split(5)
    world.clock.advance(30)

    assert Worker(world, id_).work() == [1]
    assert world.statuses() == ["TERMINATED"] * 3


def test_children_are_read_after_their_parents(world):
    one = Worker(world, world.tunnel(TunnelType.STREAM))
    one.beat()
    world.put(1, 9)
    lower, upper = world.split(5)
    world.put(2, 8)
    world.merge(lower, upper)
    world.put(3)

    one.beat()
    assert world.statuses() == ["OPEN", "WAIT", "WAIT", "WAIT"]

    assert one.work() == [1, 9, 2, 8, 3]
    assert world.statuses() == ["TERMINATED", "TERMINATED", "TERMINATED", "OPEN"]


def test_what_is_not_kept_any_more_is_passed_over(world):
    one = Worker(world, world.tunnel(TunnelType.STREAM))
    world.put(1)
    world.service.streams.expire("demo", "t")
    world.put(2)

    assert one.work() == [2]


def test_a_shard_that_is_gone_is_a_channel_that_is_finished(world):
    one = Worker(world, world.tunnel(TunnelType.STREAM))
    one.beat()
    world.split(5)
    world.clock.advance(25 * HOUR)
    world.put(1)

    assert one.work() == [1]
    assert world.statuses() == ["TERMINATED", "OPEN", "OPEN"]


def test_a_token_tells_the_time_of_the_newest_record(world):
    one = Worker(world, world.tunnel(TunnelType.STREAM))
    world.put(1)
    one.beat()
    (channel,) = one.held
    one.read(channel)
    token = read_token(world.call(worker.get_checkpoint(one.at(channel))).token)
    world.clock.advance(60)
    one.read(channel)

    assert 0 <= token.time_nanos - NOW * NANOS < NANOS
    assert token.records == 1
    told = world.described()
    assert told.consumed_nanos == (NOW + 60) * NANOS
    assert (told.channels[0].consumed_nanos, told.channels[0].records) == ((NOW + 60) * NANOS, 1)
    rpo = world.call(wire.get_rpo(one.tunnel))
    assert rpo.channels[one.id][channel].consumed_nanos == told.consumed_nanos
    assert rpo.types["Stream"].records == 1


# ---- clients share channels


def test_two_clients_share_channels(world):
    for at in (10, 20, 30):
        world.split(at)
    id_ = world.tunnel(TunnelType.STREAM)
    one = Worker(world, id_)
    assert one.beat() == ["OPEN"] * 4
    two = Worker(world, id_)

    assert two.beat() == []
    assert one.beat() == ["CLOSING", "CLOSING", "OPEN", "OPEN"]
    assert two.beat() == []
    one.give_back()
    assert one.beat() == ["OPEN", "OPEN"]
    assert two.beat() == ["OPEN", "OPEN"]
    assert not one.held.keys() & two.held.keys()


def test_versions_rise_with_every_change(world):
    id_ = world.tunnel(TunnelType.STREAM)
    one = Worker(world, id_)
    one.beat()
    (channel,) = one.held
    versions = [one.held[channel].version]
    world.service.tunnels.move(id_, channel)
    one.beat()
    versions.append(one.held[channel].version)
    one.give_back()
    one.beat()
    versions.append(one.held[channel].version)

    assert versions == [1, 2, 4]


def test_a_moved_channel_goes_to_whom_it_was_meant_for(world):
    id_ = world.tunnel(TunnelType.STREAM)
    one, two = Worker(world, id_), Worker(world, id_)
    one.beat(), two.beat()
    (owner, other) = (one, two) if one.held else (two, one)
    (channel,) = owner.held

    world.service.tunnels.move(id_, channel, other.id)
    owner.beat()
    owner.give_back()

    assert (owner.beat(), other.beat()) == ([], ["OPEN"])


def test_an_old_report_changes_nothing(world):
    one = Worker(world, world.tunnel(TunnelType.STREAM))
    one.beat()
    (told,) = one.held.values()
    one.held[told.id] = Channel(told.id, told.version, CLOSE)

    assert one.beat() == ["OPEN"]
    assert one.held[told.id] == told


def test_an_end_without_its_checkpoint_is_not_believed(world):
    world.put(1)
    one = Worker(world, world.tunnel(TunnelType.BASE))
    one.beat()
    (channel,) = one.held
    one.says(channel, TERMINATED)

    assert one.beat() == ["OPEN"]
    assert one.held[channel].version == 3


def test_a_client_without_heartbeats_loses_its_channels(world):
    id_ = world.tunnel(TunnelType.STREAM)
    one = Worker(world, id_, timeout=10)
    one.beat()
    (channel,) = one.held
    two = Worker(world, id_)
    world.wall = 9
    assert two.beat() == []
    world.wall = 11

    assert two.beat() == ["OPEN"]
    assert world.refused(worker.heartbeat(id_, one.id, [])) == "OTSResourceGone"
    assert world.refused(worker.read_records(one.at(channel), FINISHED)) == "OTSResourceGone"


def test_the_time_of_data_makes_nobody_look_dead(world):
    one = Worker(world, world.tunnel(TunnelType.STREAM), timeout=1)
    world.clock.advance(3600)

    assert one.beat() == ["OPEN"]


def test_a_dropped_client_is_gone_and_its_channels_go_on(world):
    id_ = world.tunnel(TunnelType.STREAM)
    one = Worker(world, id_)
    one.beat()
    world.service.tunnels.drop_client(id_, one.id)
    two = Worker(world, id_)

    assert two.beat() == ["OPEN"]
    assert world.refused(worker.heartbeat(id_, one.id, [])) == "OTSResourceGone"


def test_leaving_frees_the_channels_at_once(world):
    id_ = world.tunnel(TunnelType.STREAM)
    one = Worker(world, id_)
    one.beat()
    two = Worker(world, id_)
    two.beat()

    world.call(worker.shutdown(id_, one.id))

    assert two.beat() == ["OPEN"]


# ---- checkpoints


def test_a_checkpoint_has_the_next_number(world):
    one = Worker(world, world.tunnel(TunnelType.STREAM))
    one.beat()
    (channel,) = one.held
    at, known = one.at(channel), world.call(worker.get_checkpoint(one.at(channel)))

    assert known.number == 0
    assert world.refused(worker.put_checkpoint(at, Checkpoint(known.token, 0))) == "OTSSequenceNumberNotMatch"
    assert world.refused(worker.put_checkpoint(at, Checkpoint(known.token, 2))) == "OTSSequenceNumberNotMatch"
    world.call(worker.put_checkpoint(at, Checkpoint(known.token, 1)))
    assert world.refused(worker.put_checkpoint(at, Checkpoint(known.token, 1))) == "OTSSequenceNumberNotMatch"


@pytest.mark.parametrize("text", ["", "nonsense", "CAESAA=="])
def test_a_token_of_another_channel_is_refused(world, text):
    one = Worker(world, world.tunnel(TunnelType.STREAM))
    one.beat()
    (channel,) = one.held

    assert world.refused(worker.read_records(one.at(channel), text)) == "OTSParameterInvalid"
    assert world.refused(worker.put_checkpoint(one.at(channel), Checkpoint(text, 1))) == "OTSParameterInvalid"


def test_who_does_not_hold_a_channel_cannot_write_its_checkpoint(world):
    id_ = world.tunnel(TunnelType.STREAM)
    one, two = Worker(world, id_), Worker(world, id_)
    one.beat(), two.beat()
    (owner, other) = (one, two) if one.held else (two, one)
    (channel,) = owner.held
    token = world.call(worker.get_checkpoint(owner.at(channel))).token

    assert world.refused(worker.put_checkpoint(other.at(channel), Checkpoint(token, 1))) == "OTSResourceGone"


# ---- an operator's hand, and the end


def test_a_channel_is_suspended_and_opened_again(world):
    id_ = world.tunnel(TunnelType.STREAM)
    one = Worker(world, id_)
    one.beat()
    (channel,) = one.held

    world.call(wire.schedule(id_, {channel: CLOSING}))
    assert one.beat() == ["CLOSING"]
    one.give_back()
    assert one.beat() == []
    assert world.statuses() == ["CLOSE"]
    world.call(wire.schedule(id_, {channel: OPEN}))
    assert one.beat() == ["OPEN"]
    world.call(wire.schedule(id_, {channel: TERMINATED}))
    assert one.beat() == []
    assert world.refused(wire.schedule(id_, {channel: OPEN})) == "OTSParameterInvalid"


@pytest.mark.parametrize("type_", [TunnelType.BASE, TunnelType.BASE_AND_STREAM])
def test_base_data_that_are_not_read_in_time_expire_the_tunnel(world, type_):
    world.put(1)
    one = Worker(world, world.tunnel(type_))
    one.beat()
    world.clock.advance(169 * HOUR)

    assert world.refused(worker.heartbeat(one.tunnel, one.id, [])) == "OTSTunnelExpired"
    assert world.refused(worker.connect(one.tunnel, 10, "")) == "OTSTunnelExpired"
    assert world.described().tunnel.is_expired


def test_a_tunnel_that_has_read_its_base_data_does_not_expire(world):
    one = Worker(world, world.tunnel(TunnelType.BASE))
    one.work()
    world.clock.advance(1000 * HOUR)

    assert one.beat() == []
    assert not world.described().tunnel.is_expired


def test_a_tunnel_expires_with_its_stream(world):
    one = Worker(world, world.tunnel(TunnelType.STREAM))
    world.service.renew_stream("demo", "t")

    assert world.refused(worker.heartbeat(one.tunnel, one.id, [])) == "OTSTunnelExpired"


def test_a_test_may_expire_a_tunnel(world):
    id_ = world.tunnel()
    world.service.tunnels.expire(id_)

    assert world.refused(worker.connect(id_, 10, "")) == "OTSTunnelExpired"
    with pytest.raises(SpecError):
        world.service.tunnels.expire("none")


# ---- who holds what


def test_free_channels_go_to_those_who_hold_fewest():
    assert balance({"a": ["1"], "b": []}, [("2", ""), ("3", "")], 0) == Moves({"2": "b", "3": "a"}, [])


def test_nothing_goes_to_and_fro():
    assert balance({"a": ["1", "2"], "b": []}, [], 0) == Moves({}, ["2"])
    assert balance({"a": ["1"], "b": []}, [], 1) == Moves({}, [])
    assert balance({"a": ["1", "2"], "b": ["3"]}, [], 0) == Moves({}, [])
    assert balance({}, [("1", "")], 0) == Moves({}, ())
