"""Streams over HTTP: the package's client reads what the official SDK wrote, and `/_emulator/` steers the shards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
import tablestore as sdk

from airflow_tablestore.client.client import Client, Endpoint
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.errors import PositionLost, Rejected
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.stream import describe_stream, get_shard_iterator, get_stream_records, list_streams

pytestmark = pytest.mark.slow

ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)


class Table:
    """One streamed table, its official writer and our reader."""

    def __init__(self, emulator: Emulator):
        at = emulator.tablestore
        self.url = at.endpoint
        self.writer = sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)
        self.client = Client(Endpoint(at.endpoint, at.instance, at.access_key_id, at.access_key_secret))
        throughput = sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
        self.writer.create_table(sdk.TableMeta("t", [("id", "INTEGER")]), sdk.TableOptions(), throughput)
        request = pb.UpdateTableRequest(table_name="t")
        request.stream_spec.enable_stream = True
        self.client.send(Call("/UpdateTable", request.SerializeToString(), lambda body: None))

    def put(self, *ids: int) -> None:
        for id_ in ids:
            self.writer.put_row("t", sdk.Row([("id", id_)], [("n", id_)]), ALWAYS)

    def admin(self, method: str, path: str, told: object = None, **options) -> requests.Response:
        return requests.request(method, f"{self.url}/_emulator/{path}", json=told, timeout=60, **options)

    def stream(self) -> str:
        (stream,) = self.client.send(list_streams("t"))
        return stream.id

    def start(self, shard: str) -> str:
        return self.client.send(get_shard_iterator(self.stream(), shard)).iterator

    def ids(self, shard: str) -> list[object]:
        page = self.client.send(get_stream_records(self.start(shard)))
        return [record.decoded().key[0][1] for record in page.records]


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def table(running: Emulator) -> Iterator[Table]:
    running.reset()
    table = Table(running)
    yield table
    table.client.close()


def test_shards_are_split_and_merged_over_http(table):
    table.put(1, 9)
    (lower, upper) = table.admin("POST", "stream/split", {"table": "t", "at": {"id": 5}}).json()["made"]
    table.put(2, 8)
    (merged,) = table.admin("POST", "stream/merge", {"table": "t", "shards": [lower, upper]}).json()["made"]
    table.put(3)

    shards = table.client.send(describe_stream(table.stream())).shards
    told = table.admin("GET", "shards", params={"table": "t"}).json()

    assert [table.ids(shard.id) for shard in shards] == [[1, 9], [2], [8], [3]]
    assert [shard.parents for shard in shards] == [(), (shards[0].id,), (shards[0].id,), (lower, upper)]
    assert [shard["id"] for shard in told["shards"]] == [shard.id for shard in shards]
    assert [(shard["is_open"], shard["records"]) for shard in told["shards"]] == [
        (False, 2),
        (False, 1),
        (False, 1),
        (True, 1),
    ]
    assert (told["stream"], shards[-1].id) == (table.stream(), merged)


def test_a_position_that_expired_is_lost(table):
    table.put(1)
    (shard,) = table.client.send(describe_stream(table.stream())).shards
    place = table.start(shard.id)

    table.admin("POST", "clock", {"advance_seconds": 25 * 3600})

    with pytest.raises(PositionLost):
        table.client.send(get_stream_records(place))
    assert table.ids(shard.id) == []


def test_records_expire_on_command(table):
    table.put(1, 2)
    (shard,) = table.client.send(describe_stream(table.stream())).shards

    told = table.admin("POST", "stream/expire", {"table": "t"}).json()

    assert [(one["records"], one["expired"]) for one in told["shards"]] == [(0, 2)]
    assert table.ids(shard.id) == []


def test_a_renewed_stream_is_another_one(table):
    table.put(1)
    before = table.stream()

    made = table.admin("POST", "stream/renew", {"table": "t"}).json()["stream"]

    assert before != made == table.stream()
    with pytest.raises(Rejected, match="does not exist"):
        table.client.send(describe_stream(before))


def test_records_are_held_back_and_released(table):
    (shard,) = table.client.send(describe_stream(table.stream())).shards
    table.admin("POST", "stream/hold", {"table": "t"})
    table.put(1)

    held = table.ids(shard.id)
    table.admin("POST", "stream/release", {"table": "t"})

    assert (held, table.ids(shard.id)) == ([], [1])


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("split", None),
        ("split", {"table": "none"}),
        ("split", {"table": "t", "at": []}),
        ("split", {"table": "t", "at": {"id": True}}),
        ("split", {"table": "t", "at": {"id": [1.5]}}),
        ("split", {"table": "t", "at": {"id": 2**70}}),
        ("split", {"table": "t", "at": {"other": 1}}),
        ("split", {"table": "t", "by": 1}),
        ("merge", {"table": "t", "shards": ["a"]}),
        ("merge", {"table": "t", "shards": ["a", "b"]}),
        ("expire", {"table": "t", "before": "noon"}),
        ("expire", {"table": "t", "before": "2030-01-31T12:00:00"}),
        ("renew", {"table": "none"}),
        ("hold", []),
    ],
)
def test_a_command_that_cannot_be_done_says_why(table, path, told):
    answer = table.admin("POST", f"stream/{path}", told)

    assert answer.status_code == 400
    assert answer.json()["error"]
