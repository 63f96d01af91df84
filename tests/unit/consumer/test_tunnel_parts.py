"""The small parts of a tunnel's worker: pauses, the ledger, the outbox and the checkpoints."""

from __future__ import annotations

import threading

import pytest

from airflow_tablestore.consumer.tunnel import outbox as outbox_module
from airflow_tablestore.consumer.tunnel.batch import Batch
from airflow_tablestore.consumer.tunnel.checkpoint import Checkpoints
from airflow_tablestore.consumer.tunnel.ledger import Ledger
from airflow_tablestore.consumer.tunnel.outbox import Outbox
from airflow_tablestore.consumer.tunnel.pause import Pauses
from airflow_tablestore.consumer.tunnel.settings import Settings
from airflow_tablestore.errors import Rejected, RetryLater, Superseded
from airflow_tablestore.wire.proto import tunnel_pb2
from airflow_tablestore.wire.tunnel_channel import Checkpoint, Place, RecordPage
from airflow_tablestore.wire.tunnel_token import FINISHED, Token, write_token

AT = Place("t", "client", "c")


class Origin:
    """Takes what is done, and tells nobody."""

    next_number = 1

    def done(self, batch):
        return True

    def commit(self, batch):
        pass


def batch(token="1", size=10, channel="c", origin=None):
    return Batch(Place("t", "client", channel), 1, (), "0", token, True, size, origin or Origin())


def page(records=0, may_more=None, size=0):
    return RecordPage((None,) * records, "t", may_more, size)


# ---- pauses


def test_a_quiet_channel_is_read_less_and_less_often():
    pauses = Pauses(1.0, lambda: 0.5)

    assert [pauses.after(page(), is_stream=True) for _ in range(5)] == pytest.approx([0.02, 0.06, 0.18, 0.54, 1.0])


@pytest.mark.parametrize("full", [page(may_more=True), page(records=501), page(size=900 * 1024 + 1)])
def test_a_full_channel_is_read_at_once(full):
    pauses = Pauses(1.0, lambda: 0.5)
    for _ in range(5):
        pauses.after(page(), is_stream=True)

    assert pauses.after(full, is_stream=True) == 0
    assert pauses.after(page(), is_stream=True) == pytest.approx(0.02)


def test_base_data_are_never_waited_for():
    assert Pauses(1.0, lambda: 0.5).after(page(), is_stream=False) == 0


def test_what_the_service_says_counts_more_than_what_came():
    assert Pauses(1.0, lambda: 0.5).after(page(records=600, may_more=False), is_stream=True) > 0


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_chance_changes_a_pause_by_a_quarter(chance):
    assert Pauses(1.0, lambda: chance).after(page(), is_stream=True) == pytest.approx(0.02 * (0.75 + chance / 2))


# ---- the ledger


def test_a_position_is_reached_when_everything_before_it_is_done():
    ledger, one, two = Ledger(), batch("1"), batch("2")
    ledger.add(one)
    ledger.add(two)

    ledger.done(two)
    assert (ledger.reached, ledger.is_clear) == (None, False)
    ledger.done(one)
    assert (ledger.reached, ledger.is_clear) == ("2", True)


def test_a_batch_is_done_once():
    ledger, one = Ledger(), batch("1")
    ledger.add(one)

    assert [ledger.done(one), ledger.done(one)] == [True, False]


def test_an_empty_page_moves_the_position_only_when_what_is_before_it_is_done():
    ledger, one = Ledger(), batch("1")
    ledger.pass_over("0")
    assert ledger.reached == "0"
    ledger.add(one)
    ledger.pass_over("2")
    ledger.pass_over("3")

    assert ledger.reached == "0"
    ledger.done(one)
    assert ledger.reached == "3"


def test_what_is_withdrawn_is_not_reached():
    ledger, one, two = Ledger(), batch("1"), batch("2")
    ledger.add(one)
    ledger.add(two)
    ledger.pass_over("3")

    ledger.remove([two])
    ledger.done(one)

    assert (ledger.reached, ledger.is_clear) == ("1", True)


def test_a_page_that_comes_in_after_giving_up_does_not_confirm_what_was_given_up():
    ledger = Ledger()
    ledger.pass_over("0")
    ledger.add(batch("1"))

    ledger.give_up()
    ledger.pass_over("2")

    assert (ledger.reached, ledger.is_clear) == ("0", True)


def test_up_to_names_what_a_commit_confirms():
    ledger, batches = Ledger(), [batch(str(n)) for n in range(3)]
    for one in batches:
        ledger.add(one)

    assert ledger.up_to(batches[1]) == batches[:2]
    assert ledger.up_to(batch("9")) == []


# ---- the outbox


def test_batches_come_out_in_their_order():
    outbox, batches = Outbox(100), [batch(str(n)) for n in range(3)]
    for one in batches:
        assert outbox.put(one, lambda: True)

    assert [outbox.take(0) for _ in range(4)] == [*batches, None]


def test_a_batch_takes_room_until_it_is_done():
    outbox, one, two = Outbox(15), batch(), batch()
    outbox.put(one, lambda: True)
    offered = threading.Thread(target=outbox.put, args=(two, lambda: True))
    offered.start()

    assert outbox.take(0) is one
    assert outbox.take(0.05) is None
    assert outbox.release(one)
    assert outbox.take(60) is two
    offered.join()
    assert not outbox.release(one)


def test_room_is_kept_before_a_page_is_read(monkeypatch):
    monkeypatch.setattr(outbox_module, "LOOK_SECONDS", 0.01)
    outbox = Outbox(25)
    outbox.put(batch(), lambda: True)  # of 10 bytes; the next one is expected to be as large

    room = outbox.keep_room(lambda: True)
    wanted = iter([True, True, False, False])

    assert room == 10
    assert outbox.keep_room(lambda: next(wanted)) is None
    outbox.free(room)
    assert outbox.keep_room(lambda: True) == 10


def test_a_page_that_is_larger_than_its_room_is_counted_while_it_waits(monkeypatch):
    monkeypatch.setattr(outbox_module, "LOOK_SECONDS", 0.01)
    outbox = Outbox(25)
    outbox.put(batch(), lambda: True)
    room, wanted = outbox.keep_room(lambda: True), iter([True, False, False])

    assert not outbox.put(batch(size=20), lambda: next(wanted), room)
    assert outbox.most_bytes == 30


def test_a_batch_larger_than_the_room_is_taken_alone():
    outbox = Outbox(1)

    assert outbox.put(batch(size=100), lambda: True)


def test_a_batch_that_is_not_wanted_any_more_is_not_put(monkeypatch):
    monkeypatch.setattr(outbox_module, "LOOK_SECONDS", 0.01)
    outbox = Outbox(15)
    outbox.put(batch(), lambda: True)
    wanted = iter([True, False, False])

    assert not outbox.put(batch(), lambda: next(wanted))


def test_what_nobody_has_taken_is_withdrawn():
    outbox, mine, other = Outbox(100), Origin(), Origin()
    batches = [batch(origin=mine), batch(origin=other), batch(origin=mine)]
    for one in batches:
        outbox.put(one, lambda: True)

    assert outbox.withdraw(mine) == [batches[0], batches[2]]
    assert [outbox.take(0), outbox.take(0)] == [batches[1], None]


def test_a_channel_waits_for_its_turn_also_in_its_next_life():
    outbox = Outbox(100)
    one, again, other = batch(), batch(origin=Origin()), batch(channel="d")
    for each in (one, again, other):
        outbox.put(each, lambda: True)

    assert [outbox.take(0, per_channel=1) for _ in range(3)] == [one, other, None]
    outbox.release(one)
    assert outbox.take(0, per_channel=1) is again


def test_takers_are_told_the_end_and_its_reason():
    outbox = Outbox(100)
    outbox.close(Rejected("no"))

    with pytest.raises(Rejected, match="no"):
        outbox.take()
    assert outbox.is_closed


# ---- checkpoints


class Kept:
    """What the service keeps of one channel's checkpoints, and what goes wrong on the way."""

    def __init__(self, token="0", number=7):
        self.kept = Checkpoint(token, number)
        self.before, self.after = [], []

    def send(self, call):
        if self.before:
            raise self.before.pop(0)
        if call.operation == "tunnel/getcheckpoint":
            return self.kept
        wanted = _asked(call)
        if wanted.number != self.kept.number + 1:
            raise Rejected("no", code="OTSSequenceNumberNotMatch")
        self.kept = wanted
        if self.after:
            raise self.after.pop(0)
        return None


def _asked(call):
    request = tunnel_pb2.CheckpointRequest.FromString(call.body)
    return Checkpoint(request.checkpoint, request.sequence_number)


def test_checkpoints_are_numbered_on_from_the_one_that_is_kept():
    kept = Kept()
    checkpoints = Checkpoints(kept.send, AT)

    assert checkpoints.open() == Checkpoint("0", 7)
    checkpoints.write("1")
    checkpoints.write("2")

    assert kept.kept == Checkpoint("2", 9)


def test_what_is_kept_is_not_written_again():
    kept = Kept()
    checkpoints = Checkpoints(kept.send, AT)
    checkpoints.open()

    checkpoints.write("0")

    assert kept.kept == Checkpoint("0", 7)


def test_a_write_whose_answer_was_lost_is_not_written_twice():
    kept = Kept()
    checkpoints = Checkpoints(kept.send, AT)
    checkpoints.open()
    kept.after.append(RetryLater("lost"))

    checkpoints.write("1")
    checkpoints.write("2")

    assert kept.kept == Checkpoint("2", 9)


def test_a_write_that_never_arrived_is_written_again():
    kept = Kept()
    checkpoints = Checkpoints(kept.send, AT)
    checkpoints.open()
    kept.before.append(RetryLater("lost"))

    checkpoints.write("1")

    assert kept.kept == Checkpoint("1", 8)


def test_a_number_that_does_not_match_is_read_anew_and_the_checkpoint_written():
    kept = Kept()
    checkpoints = Checkpoints(kept.send, AT)
    checkpoints.open()
    kept.kept = Checkpoint("0", 12)

    checkpoints.write("1")

    assert kept.kept == Checkpoint("1", 13)


def test_a_checkpoint_of_somebody_else_is_never_overwritten():
    kept = Kept()
    checkpoints = Checkpoints(kept.send, AT)
    checkpoints.open()
    kept.kept = Checkpoint("5", 8)

    with pytest.raises(Superseded):
        checkpoints.write("1")

    assert kept.kept == Checkpoint("5", 8)


def test_a_channel_that_is_not_ours_any_more_is_not_confirmed():
    kept = Kept()
    checkpoints = Checkpoints(kept.send, AT, may_write=lambda: False)
    checkpoints.open()

    with pytest.raises(Superseded):
        checkpoints.write(FINISHED)

    assert kept.kept == Checkpoint("0", 7)


def test_a_refusal_for_another_reason_is_told():
    kept = Kept(write_token(Token("i")))
    checkpoints = Checkpoints(kept.send, AT)
    checkpoints.open()
    kept.before.append(Rejected("no", code="OTSPermissionDenied"))

    with pytest.raises(Rejected, match="no"):
        checkpoints.write("1")


# ---- settings


@pytest.mark.parametrize(
    "wrong",
    [{"max_channels": 0}, {"max_bytes": 0}, {"heartbeat_seconds": 0}, {"heartbeat_seconds": 9, "timeout_seconds": 9}],
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValueError):
        Settings(**wrong)
