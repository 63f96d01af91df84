"""`/_emulator/tunnel/…` over HTTP, and faults on the way of tunnel calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from airflow_tablestore.client import NO_RETRY, Client, Endpoint
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.faults import Fault, Kind
from airflow_tablestore.errors import PositionLost, Rejected, RetryLater
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType
from airflow_tablestore.wire.tunnel_channel import ChannelStatus, connect, heartbeat
from tests.integration.tunnel_writing import Written

pytestmark = pytest.mark.slow


class Place:
    """An emulator with one tunnel and one client of it."""

    def __init__(self, emulator: Emulator):
        self.emulator = emulator
        self.written = Written(emulator, keys=1)
        at = emulator.tablestore
        self.client = Client(Endpoint(at.endpoint, at.instance, at.access_key_id, at.access_key_secret), retry=NO_RETRY)
        self.tunnel = self.written.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))
        self.id = self.client.send(connect(self.tunnel, 60, "test"))

    def beat(self):
        return self.client.send(heartbeat(self.tunnel, self.id, []))

    def ask(self, method: str, path: str, **told) -> requests.Response:
        url = f"{self.emulator.tablestore.endpoint}/_emulator/{path}"
        return requests.request(method, url, json=told or None, timeout=60)


@pytest.fixture
def place() -> Iterator[Place]:
    with Emulator() as emulator:
        place = Place(emulator)
        yield place
        place.client.close()
        place.written.client.close()


def test_tunnels_are_listed_with_their_channels(place):
    place.beat()

    place.ask("GET", "tunnels")
    (told,) = place.ask("GET", "tunnels").json()["tunnels"]

    assert told["tunnel"]["tunnel_id"] == place.tunnel
    assert [(one["channel_status"], one["client_id"]) for one in told["channels"]] == [("OPEN", place.id)]


def test_a_channel_is_asked_back(place):
    (channel,) = place.beat()

    told = place.ask("POST", "tunnel/move", tunnel=place.tunnel, channel=channel.id)

    assert told.json() == {"asked_back": True}
    assert [one.status for one in place.beat()] == [ChannelStatus.CLOSING]
    assert place.ask("POST", "tunnel/move", tunnel=place.tunnel, channel=channel.id).status_code == 400


def test_a_client_is_dropped(place):
    place.ask("POST", "tunnel/drop-client", tunnel=place.tunnel, client=place.id)

    with pytest.raises(Rejected, match="OTSResourceGone"):
        place.beat()


def test_a_tunnel_expires(place):
    place.ask("POST", "tunnel/expire", tunnel=place.tunnel)

    with pytest.raises(PositionLost, match="OTSTunnelExpired"):
        place.beat()


@pytest.mark.parametrize("told", [{}, {"tunnel": "none"}, {"tunnel": 1}, {"tunnel": "t", "more": "x"}])
def test_what_is_not_there_is_told(place, told):
    assert place.ask("POST", "tunnel/expire", **told).status_code == 400


def test_tunnel_calls_can_be_made_to_fail(place):
    place.emulator.faults.add(
        Fault(kind=Kind.ERROR, operation="tunnel/heartbeat", code="OTSTunnelServerUnavailable", count=1)
    )

    with pytest.raises(RetryLater, match="OTSTunnelServerUnavailable"):
        place.beat()
    assert place.beat()
