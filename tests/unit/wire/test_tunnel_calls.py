"""The calls of the tunnel service, against official bytes in both directions."""

import json
from pathlib import Path

import pytest

from airflow_tablestore.errors import PositionLost, ProtocolError, Rejected, RetryLater
from airflow_tablestore.wire import tunnel_channel as worker
from airflow_tablestore.wire.error import read_error
from airflow_tablestore.wire.proto import tunnel_pb2 as pb
from airflow_tablestore.wire.stream import Action
from airflow_tablestore.wire.tunnel import (
    ChannelState,
    Reach,
    StartFlag,
    StreamRange,
    TunnelType,
    create_tunnel,
    delete_tunnel,
    describe_tunnel,
    get_rpo,
    list_tunnels,
    schedule,
)
from airflow_tablestore.wire.tunnel_channel import Channel, ChannelStatus, Checkpoint, Place
from airflow_tablestore.wire.tunnel_token import FINISHED, Token, read_token, write_token

ENTRIES = {
    entry["name"]: entry
    for entry in json.loads((Path(__file__).parents[2] / "vectors" / "tunnel_messages.json").read_text())
}
TUNNEL, CLIENT = "7e2a4d34-6c1b-4b0f-9a55-0d6c1f2e3a4b", "5f9c2f0e-9b43-4a53-8f0a-3c8e7b6d1a2c"
CHANNEL = "BaseData_f4b1c2d3-0001"
AT = Place(TUNNEL, CLIENT, CHANNEL)
STREAM_TOKEN = ENTRIES["token_v1_stream"]["token"]
START, END = 1704067200000000000, 1704153600000000000
NAMES = ("sampleTable", "sampleTunnel")


def content(name: str) -> bytes:
    return bytes.fromhex(ENTRIES[name]["hex"])


# ---- what is asked


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("create_base_and_stream_request", create_tunnel(*NAMES, TunnelType.BASE_AND_STREAM)),
        ("create_base_request", create_tunnel(*NAMES, TunnelType.BASE)),
        (
            "create_stream_earliest_request",
            create_tunnel(*NAMES, TunnelType.STREAM, StreamRange(flag=StartFlag.EARLIEST)),
        ),
        ("create_stream_latest_request", create_tunnel(*NAMES, TunnelType.STREAM, StreamRange(flag=StartFlag.LATEST))),
        (
            "create_stream_start_end_offset_request",
            create_tunnel(*NAMES, TunnelType.STREAM, StreamRange(start_nanos=START, end_nanos=END)),
        ),
        ("list_request", list_tunnels("sampleTable")),
        ("list_all_request", list_tunnels()),
        ("describe_request", describe_tunnel(*NAMES)),
        ("delete_request", delete_tunnel(*NAMES)),
        ("connect_request", worker.connect(TUNNEL, 300, "myhost")),
        ("heartbeat_empty_request", worker.heartbeat(TUNNEL, CLIENT, [])),
        ("getcheckpoint_request", worker.get_checkpoint(AT)),
        ("readrecords_request", worker.read_records(AT, STREAM_TOKEN)),
        ("checkpoint_request", worker.put_checkpoint(AT, Checkpoint(STREAM_TOKEN, 7))),
        ("checkpoint_finished_request", worker.put_checkpoint(AT, Checkpoint(FINISHED, 8))),
        ("getrpo_request", get_rpo(TUNNEL)),
        (
            "schedule_request",
            schedule(
                TUNNEL,
                {
                    CHANNEL: ChannelStatus.CLOSING,
                    "stream-0002": ChannelStatus.OPEN,
                    "stream-0003": ChannelStatus.TERMINATED,
                },
            ),
        ),
        ("shutdown_request", worker.shutdown(TUNNEL, CLIENT)),
    ],
)
def test_a_call_asks_as_the_official_client_does(name, call):
    assert (call.uri, call.body) == (ENTRIES[name]["uri"], content(name))
    assert call.api_version == "2018-04-01"


def test_a_heartbeat_tells_every_channel_with_version_and_status():
    theirs = pb.HeartbeatRequest.FromString(content("heartbeat_four_channels_request"))
    for one in theirs.channels:
        one.ClearField("detail")  # nothing of ours: nobody says what it holds
    channels = [
        Channel(CHANNEL, 1, ChannelStatus.OPEN),
        Channel("stream-0002", 3, ChannelStatus.CLOSING),
        Channel("stream-0003", 2**40, ChannelStatus.CLOSE),
        Channel("stream-0004", 2, ChannelStatus.TERMINATED),
    ]
    channels = [
        Channel(one.channel_id, one.version, two.status) for one, two in zip(theirs.channels, channels, strict=True)
    ]

    call = worker.heartbeat(TUNNEL, CLIENT, channels)

    assert call.body == theirs.SerializeToString()


@pytest.mark.parametrize(
    "call",
    [
        create_tunnel(*NAMES, TunnelType.BASE),
        worker.connect(TUNNEL, 300, ""),
        worker.put_checkpoint(AT, Checkpoint("t", 1)),
        delete_tunnel(*NAMES),
    ],
    ids=lambda call: call.operation,
)
def test_what_must_not_be_done_twice_says_so(call):
    assert not call.is_repeatable


# ---- what is answered


def test_a_made_tunnel_has_an_id():
    assert create_tunnel(*NAMES, TunnelType.BASE).read(content("create_response")) == TUNNEL


def test_tunnels_are_read_with_their_range_and_stage():
    both, bounded, base = list_tunnels().read(content("list_response"))

    assert (both.id, both.type, both.table, both.name) == (TUNNEL, TunnelType.BASE_AND_STREAM, *NAMES)
    assert (both.stage, both.is_expired, both.stream, both.is_bounded) == ("ProcessStream", False, None, False)
    assert both.created_nanos == START
    assert bounded.stream == StreamRange(StartFlag.LATEST, START, END)
    assert (bounded.is_expired, bounded.is_bounded) == (True, True)
    assert (base.stream_id, base.stage, base.is_bounded) == ("", "InitBaseDataAndStreamShard", True)


def test_channels_are_read_with_owner_and_reach():
    told = describe_tunnel(*NAMES).read(content("describe_response"))

    assert told.consumed_nanos == START
    assert told.channels == (
        ChannelState(CHANNEL, "BaseData", "TERMINATED", CLIENT, 0, 100),
        ChannelState("stream-0002", "Stream", "OPEN", CLIENT, START, 0),
        ChannelState("stream-0003", "Stream", "WAIT"),
        ChannelState("bare"),
    )


def test_the_reach_of_channels_is_read():
    told = get_rpo(TUNNEL).read(content("getrpo_response"))

    assert told.channels == {"client-1": {"stream-0002": Reach("OPEN", 3, START, START - 10**9, "Stream")}}
    assert told.types == {"Stream": Reach("OPEN", 3, START, START - 10**9)}


@pytest.mark.parametrize(
    "told", [b"{", b"[]", b'{"c": 1}', b'{"c": {"s": {"RpoTime": "x"}}}', b'{"c": {"s": {"RpoTime": true}}}']
)
def test_a_reach_in_another_form_is_refused(told):
    with pytest.raises(ProtocolError, match="getrpo"):
        get_rpo(TUNNEL).read(pb.GetRpoResponse(rpo_infos=told, tunnel_rpo_infos=b"{}").SerializeToString())


def test_a_heartbeat_is_answered_with_the_channels_to_hold():
    told = worker.heartbeat(TUNNEL, CLIENT, []).read(content("heartbeat_response"))

    assert told == (
        Channel(CHANNEL, 1, ChannelStatus.OPEN),
        Channel("stream-0002", 4, ChannelStatus.CLOSING),
        Channel("stream-0004", 3, ChannelStatus.TERMINATED),
    )


def test_a_channel_is_told_once():
    answer = pb.HeartbeatResponse()
    for version in (1, 2):
        answer.channels.add(channel_id="c", version=version, status=pb.OPEN)

    with pytest.raises(ProtocolError, match="twice"):
        worker.heartbeat(TUNNEL, CLIENT, []).read(answer.SerializeToString())


def test_a_checkpoint_is_read_with_its_number():
    told = worker.get_checkpoint(AT).read(content("getcheckpoint_response"))

    assert told == Checkpoint(ENTRIES["token_v1_base"]["token"], 41)


def test_records_are_read_with_action_row_and_origin():
    page = worker.read_records(AT, "").read(content("readrecords_response"))

    put, update, delete = Action.PUT, Action.UPDATE, Action.DELETE
    assert [one.action for one in page.records] == [put, put, update, update, delete, delete]
    assert [one.decoded().sequence is None for one in page.records] == [True, *[False] * 5]
    assert [one.origin is None for one in page.records] == [True, True, True, False, True, False]
    assert page.bytes == len(content("readrecords_response"))


def test_the_end_of_a_channel_is_read():
    page = worker.read_records(AT, "").read(content("readrecords_finished_response"))

    assert (page.records, page.next_token, page.may_more) == ((), FINISHED, None)


def test_records_without_the_next_token_are_refused():
    with pytest.raises(ProtocolError, match="token"):
        worker.read_records(AT, "").read(b"\x12\x00")


@pytest.mark.parametrize(
    "call",
    [
        worker.put_checkpoint(AT, Checkpoint("t", 1)),
        worker.shutdown(TUNNEL, CLIENT),
        delete_tunnel(*NAMES),
        schedule(TUNNEL, {}),
    ],
)
def test_operations_that_tell_nothing_answer_nothing(call):
    assert call.read(b"") is None


# ---- tokens


@pytest.mark.parametrize("name", sorted(name for name in ENTRIES if name.startswith("token_")))
def test_a_token_is_read_and_written_as_officially(name):
    fields = ENTRIES[name]["meaning"]["content"]["fields"]

    token = read_token(ENTRIES[name]["token"])

    assert token.iterator == fields.get("iterator", "")
    assert token.primary_key.hex() == fields.get("primary_key", {"hex": ""})["hex"]
    assert token.time_nanos == int(fields.get("timestamp", 0))
    assert token.records == fields.get("total_count")
    assert token.is_stream == ("iterator" in fields)
    assert write_token(token) == ENTRIES[name]["token"]


@pytest.mark.parametrize("text", [FINISHED, "", "é", "AAAA", write_token(Token("i"))[:-4], "CAMSAA=="])
def test_what_is_no_token_is_refused(text):
    with pytest.raises(ProtocolError):
        read_token(text)


# ---- errors


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("error_OTSSequenceNumberNotMatch", 400, Rejected),
        ("error_OTSResourceGone", 400, Rejected),
        ("error_OTSTunnelServerUnavailable", 503, RetryLater),
        ("error_OTSTunnelExpired", 400, PositionLost),
    ],
)
def test_errors_of_the_service_mean_what_to_do(name, status, kind):
    error = read_error("/tunnel/readrecords", status, {}, content(name), "the channel c")

    assert isinstance(error, kind)
    assert error.code == ENTRIES[name]["meaning"]["fields"]["code"]
    assert "tunnel/readrecords" in str(error)
