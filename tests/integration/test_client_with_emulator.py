"""Our client against the emulated Tablestore. The official SDK writes the rows, the test's journal is the oracle."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tablestore import BatchWriteRowRequest as Batch
from tablestore import (
    CapacityUnit,
    Condition,
    OTSClient,
    PutRowItem,
    ReservedThroughput,
    RowExistenceExpectation,
    TableInBatchWriteRowItem,
    TableMeta,
    TableOptions,
)
from tablestore import Row as SdkRow

from airflow_tablestore.client import NO_RETRY, Client, Endpoint
from airflow_tablestore.consumer.table import Forms, KeyRange, cut_at, cut_by_size, full_range, pages
from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.server import Server
from airflow_tablestore.emulator.tablestore.app import TablestoreApp
from airflow_tablestore.errors import Rejected
from airflow_tablestore.wire.compress import DEFLATE, TYPE, inflated
from airflow_tablestore.wire.decode import Wanted, decoder
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, ColumnType
from airflow_tablestore.wire.sign import Credentials, sign_request, verify_response
from airflow_tablestore.wire.table import (
    Form,
    KeyColumn,
    RangeRead,
    TableDescription,
    compute_split_points,
    describe_table,
    get_range,
    list_tables,
)

ENDS = tuple((("city", end), ("id", end)) for end in (INF_MIN, INF_MAX))
ANYWAY = Condition(RowExistenceExpectation.IGNORE)
CITIES = ["", "Köln", "köln", "oslo", "\uffff", "\U0001f600"]
KEYS = [(city, number) for city in CITIES for number in range(-100, 100)]  # in the table's order, unless it is wrong


@pytest.fixture(scope="module")
def app() -> TablestoreApp:
    return TablestoreApp(None, demo_accounts(), Clock())


@pytest.fixture(scope="module")
def server(app: TablestoreApp) -> Iterator[Server]:
    with Server(app) as running:
        yield running


@pytest.fixture(scope="module")
def table(server: Server) -> str:
    sdk = OTSClient(server.url, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, "demo")
    meta = TableMeta("people", [("city", "STRING"), ("id", "INTEGER")])
    sdk.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
    written = random.Random(7).sample(KEYS, len(KEYS))
    for start in range(0, len(written), 200):
        rows = [
            PutRowItem(SdkRow([("city", city), ("id", number)], [("pad", "x" * 6000), ("n", number)]), ANYWAY)
            for city, number in written[start : start + 200]
        ]
        batch = Batch()
        batch.add(TableInBatchWriteRowItem("people", rows))
        assert sdk.batch_write_row(batch).is_all_succeed()
    return "people"


def endpoint(server: Server, **changes) -> Endpoint:
    settings = {
        "url": server.url,
        "instance": "demo",
        "access_key_id": DEMO_ACCESS_KEY_ID,
        "access_key_secret": DEMO_ACCESS_KEY_SECRET,
    }
    return Endpoint(**(settings | changes))


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(endpoint(server), retry=NO_RETRY) as connected:
        yield connected


@pytest.fixture
def described(client: Client, table: str) -> TableDescription:
    return client.send(describe_table(table))


def keys_of(client: Client, part: KeyRange, limit: int = 0) -> list[tuple]:
    read = RangeRead("people", part.begin, part.end, part.is_backward, limit=limit)
    return [tuple(value for _, value in row.key) for page in pages(client, read) for row in decode_rows(page.rows)]


@pytest.mark.parametrize("changes", [{}, {"region": "cn-hangzhou"}, {"security_token": "sts"}], ids=["v2", "v4", "sts"])
def test_every_way_of_signing_is_taken(server, table, changes):
    with Client(endpoint(server, **changes), retry=NO_RETRY) as client:
        assert table in client.send(list_tables())
        assert client.clock_skew() is not None


def test_a_table_is_described_with_its_key(described):
    assert described.keys == (KeyColumn("city", ColumnType.STRING), KeyColumn("id", ColumnType.INTEGER))


@pytest.mark.parametrize("limit", [0, 7, 5000])
def test_a_table_is_read_in_key_order_to_its_end(client, described, limit):
    assert keys_of(client, full_range(described), limit) == KEYS


@pytest.mark.parametrize("limit", [0, 7])
def test_a_table_is_read_backwards_to_its_beginning(client, described, limit):
    assert keys_of(client, full_range(described, (INF_MAX,), (INF_MIN,)), limit) == KEYS[::-1]


@pytest.mark.parametrize(
    ("begin", "end", "wanted"),
    [
        (("Köln",), ("Köln",), lambda city, number: city == "Köln"),
        (("Köln", 5), ("oslo", -50), lambda city, number: ("Köln", 5) <= (city, number) < ("oslo", -50)),
        (("oslo",), (), lambda city, number: city >= "oslo"),
        ((), ("Köln",), lambda city, number: city <= "Köln"),
    ],
)
def test_a_range_holds_the_rows_that_it_says(client, described, begin, end, wanted):
    assert keys_of(client, full_range(described, begin, end), 50) == [key for key in KEYS if wanted(*key)]


@pytest.mark.parametrize("is_backward", [False, True])
def test_parts_by_size_hold_every_row_once(client, described, is_backward):
    begin, end = ("Köln", -70), ("\uffff", 3)
    whole = full_range(described, end, begin) if is_backward else full_range(described, begin, end)
    expected = [key for key in KEYS if (begin < key <= end if is_backward else begin <= key < end)]
    split = client.send(compute_split_points("people", 1 << 20))

    parts = cut_by_size(described, whole, split, 1 << 20)

    assert len(parts) > 3
    read = [key for part, _ in parts for key in keys_of(client, part)]
    assert read == (expected[::-1] if is_backward else expected)


@pytest.mark.parametrize("is_backward", [False, True])
def test_parts_at_the_authors_points_hold_every_row_once(client, described, is_backward):
    points = ["Köln", ("oslo", 3), "\uffff"]
    whole = full_range(described, (INF_MAX,), (INF_MIN,)) if is_backward else full_range(described)

    parts = cut_at(described, whole, points[::-1] if is_backward else points)

    read = [key for part in parts for key in keys_of(client, part)]
    assert len(parts) == 4
    assert read == (KEYS[::-1] if is_backward else KEYS)


def test_rows_are_the_same_as_matrices(client, described):
    whole = full_range(described)
    wanted = (Wanted("city", ColumnType.STRING, is_key=True), Wanted("n", ColumnType.INTEGER))
    read = RangeRead("people", whole.begin, whole.end, columns=("city", "n"))

    plain, compact, bulk = (list(pages(client, read, Forms(form))) for form in Form)

    rows = [[decoder(wanted).decode(page.rows).records.to_pylist() for page in form] for form in (plain, compact, bulk)]
    assert rows[0] == rows[1] == rows[2]
    assert {page.is_matrix for page in compact} == {page.is_matrix for page in bulk} == {True}
    assert sum(len(page.rows) for page in compact) < sum(len(page.rows) for page in plain)


def test_a_missing_table_is_told_by_name_of_the_setting(client):
    with pytest.raises(Rejected, match=r"OTSObjectNotExist.*table's name") as refusal:
        client.send(describe_table("nobody"))

    assert refusal.value.request_id


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"access_key_id": "unknown"}, r"OTSAuthFailed.*\(login\)"),
        ({"access_key_secret": "wrong"}, r"OTSAuthFailed.*\(password\)"),
        ({"access_key_secret": "wrong", "region": "cn-hangzhou"}, r"OTSAuthFailed.*signing region"),
    ],
)
def test_a_wrong_key_is_told_with_the_field_to_change(server, table, changes, told):
    with Client(endpoint(server, **changes)) as client, pytest.raises(Rejected, match=told):
        client.send(list_tables())


def test_a_range_that_the_service_refuses_is_not_repeated(client, table):
    begin, end = (("city", "b"), ("id", 1)), (("city", "a"), ("id", 1))

    with pytest.raises(Rejected, match="OTSParameterInvalid"):
        list(pages(client, RangeRead(table, begin, end)))


def test_deflated_answers_hold_the_same_rows(table, client):
    plain = b"".join(bytes(page.rows) for page in pages(client, RangeRead(table, *ENDS)))

    with Client(replace(client.endpoint, deflates=True)) as other:
        assert b"".join(bytes(page.rows) for page in pages(other, RangeRead(table, *ENDS))) == plain


def test_an_answer_is_deflated_for_who_asks_for_it(app, table):
    asked = get_range(RangeRead(table, *ENDS))
    credentials = Credentials(DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET)

    def answered(extra: dict[str, str]) -> tuple[dict[str, str], bytes]:
        signed = sign_request(
            asked.uri, asked.body, credentials=credentials, instance="demo", now=datetime.now(UTC), extra=extra
        )
        status, headers, body = app.answer("POST", asked.uri, signed.headers, asked.body)
        assert status == 200
        verify_response(asked.uri, status, headers, access_key_id=DEMO_ACCESS_KEY_ID, key=signed.key)
        return headers, body

    (_, plain), (headers, sent) = answered({}), answered({TYPE: DEFLATE})

    assert inflated(headers, sent) == plain
    assert len(sent) < len(plain) / 10
