"""What the emulated Tablestore refuses, with the service's code, status and text.

Through the official SDK where it can be made to ask, else as signed bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import urllib3
from tablestore import (
    INF_MAX,
    INF_MIN,
    PK_AUTO_INCR,
    BatchGetRowRequest,
    BatchWriteRowRequest,
    CapacityUnit,
    Condition,
    DeleteRowItem,
    Direction,
    OTSClient,
    OTSServiceError,
    PutRowItem,
    ReservedThroughput,
    Row,
    RowExistenceExpectation,
    SingleColumnCondition,
    TableInBatchGetRowItem,
    TableInBatchWriteRowItem,
    TableMeta,
    TableOptions,
    UpdateRowItem,
)
from tablestore.metadata import ComparatorType, CompositeColumnCondition, LogicalOperator

from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.server import Server
from airflow_tablestore.emulator.tablestore.app import TablestoreApp
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.sign import Credentials, sign_request

IGNORE = Condition(RowExistenceExpectation.IGNORE)
EXISTS = Condition(RowExistenceExpectation.EXPECT_EXIST)
INVALID, BAD_KEY = (400, "OTSParameterInvalid"), (400, "OTSInvalidPK")
NO_TABLE = (404, "OTSObjectNotExist")
ROW = Row([("pk", "k")], [("c", 1)])
LOW, HIGH = [("pk", INF_MIN)], [("pk", INF_MAX)]


class Serving(Server):
    """The service, which can be told of instances."""

    def __init__(self, app: TablestoreApp):
        super().__init__(app)
        self.instances = app.service.instances


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with Serving(TablestoreApp(None, demo_accounts(), Clock())) as running:
        running.instances.make("refusing")
        yield running


@pytest.fixture(scope="module")
def client(server: Serving) -> OTSClient:
    """A client whose instance has `t` (pk: STRING) and `auto` (pk: STRING, id: generated)."""
    client = connect(server)
    create(client, "t", [("pk", "STRING")])
    create(client, "auto", [("pk", "STRING"), ("id", "INTEGER", PK_AUTO_INCR)])
    return client


def connect(server: Serving, secret=DEMO_ACCESS_KEY_SECRET, key_id=DEMO_ACCESS_KEY_ID, **options) -> OTSClient:
    instance = options.pop("instance", "refusing")
    return OTSClient(server.url, key_id, secret, instance, **options)


def create(client, name, keys, defined=(), options=None):
    meta = TableMeta(name, list(keys), list(defined))
    client.create_table(meta, options or TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))


def refusal(action: Callable[[], object]) -> tuple[int, str, str]:
    with pytest.raises(OTSServiceError) as caught:
        action()
    return caught.value.http_status, caught.value.code, caught.value.message


def columns(count):
    return [(f"c{n}", n) for n in range(count)]


def batch(*tables):
    request = BatchWriteRowRequest()
    for name, items in tables:
        request.add(TableInBatchWriteRowItem(name, items))
    return request


def range_of(client, start, end, direction=Direction.FORWARD, table="t", **options):
    return client.get_range(table, direction, start, end, **{"max_version": 1, **options})


def either(*parts, combinator=LogicalOperator.OR):
    composite = CompositeColumnCondition(combinator)
    for part in parts:
        composite.add_sub_condition(part)
    return composite


IS_ONE = SingleColumnCondition("c", 1, ComparatorType.EQUAL)

TABLE_CASES = [
    ("create twice", lambda c: create(c, "t", [("x", "STRING")]), (409, "OTSObjectAlreadyExist"),
     "Requested table already exists."),
    ("describe nothing", lambda c: c.describe_table("nothing"), NO_TABLE, "Requested table does not exist."),
    ("delete nothing", lambda c: c.delete_table("nothing"), NO_TABLE, "Requested table does not exist."),
    ("update nothing", lambda c: c.update_table("nothing", TableOptions()), NO_TABLE,
     "Requested table does not exist."),
    ("name begins with a digit", lambda c: create(c, "3t", [("x", "STRING")]), INVALID, "Invalid table name: '3t'."),
    ("name with a sign", lambda c: c.describe_table("T#"), INVALID, "Invalid table name: 'T#'."),
    ("name too long", lambda c: c.delete_table("a" * 256), INVALID, f"Invalid table name: '{'a' * 256}'."),
    ("name in Chinese", lambda c: c.put_row("中文", ROW, IGNORE), INVALID, "Invalid table name: '中文'."),
    ("no key", lambda c: create(c, "u", []), INVALID,
     "The number of primary key columns must be in range: [1, 4]."),
    ("five key columns", lambda c: create(c, "u", [(f"k{n}", "STRING") for n in range(5)]), INVALID,
     "The number of primary key columns must be in range: [1, 4]."),
    ("a key column twice", lambda c: create(c, "u", [("PK0", "STRING"), ("PK0", "INTEGER")]), INVALID,
     "Duplicated primary key name: 'PK0'."),
    ("boolean key", lambda c: create(c, "u", [("k", "BOOLEAN")]), INVALID,
     "BOOLEAN is an invalid type for the primary key."),
    ("first key generated", lambda c: create(c, "u", [("k", "INTEGER", PK_AUTO_INCR)]), INVALID,
     "first primary key can't be AUTO_INCREMENT."),
    ("generated string", lambda c: create(c, "u", [("k", "STRING"), ("i", "STRING", PK_AUTO_INCR)]), INVALID,
     "AUTO_INCREMENT primary key must be integer."),
    ("33 defined columns", lambda c: create(c, "u", [("k", "STRING")], [(f"d{n}", "STRING") for n in range(33)]),
     INVALID, "The number of defined columns must be in range: [0, 32]."),
    ("time to live 0", lambda c: create(c, "u", [("k", "STRING")], options=TableOptions(0)), INVALID,
     "TimeToLive cannot be 0 or less than -1."),
    ("no version", lambda c: create(c, "u", [("k", "STRING")], options=TableOptions(max_version=0)), INVALID,
     "The maximum versions cannot be less than or equal to 0."),
    ("versions not said", lambda c: create(c, "u", [("k", "STRING")], options=TableOptions(max_version=None)),
     INVALID, "MaxVersions is missing while creating table."),
    ("negative throughput", lambda c: c.update_table("t", None, ReservedThroughput(CapacityUnit(-1, 0))), INVALID,
     "Invalid Capacity Unit:'-1' . Capacity Unit must be nonnegative."),
    ("nothing to update", lambda c: c.update_table("t"), INVALID, "No parameter is specified in table options."),
]  # fmt: skip

ROW_CASES = [
    ("get from nothing", lambda c: c.get_row("nothing", [("pk", "k")]), NO_TABLE, "Requested table does not exist."),
    ("key name", lambda c: c.get_row("t", [("PK2", "k")]), BAD_KEY, "Validate PK name fail. Input: PK2, Meta: pk."),
    ("key size", lambda c: c.put_row("t", Row([("pk", "k"), ("x", 1)], [("c", 1)]), IGNORE), BAD_KEY,
     "Validate PK size fail. Input: 2, Meta: 1."),
    ("key type", lambda c: c.delete_row("t", Row([("pk", 7)]), IGNORE), BAD_KEY,
     "Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING."),
    ("key too long", lambda c: c.put_row("t", Row([("pk", "x" * 1025)], []), IGNORE), INVALID,
     "The length of primary key column: 'pk' exceeds the MaxLength:1024 with CurrentLength:1025."),
    ("put at infinity", lambda c: c.put_row("t", Row([("pk", INF_MIN)], [("c", 1)]), IGNORE), INVALID,
     "VT_INF_MIN is an invalid type for the primary key."),
    ("get at infinity", lambda c: c.get_row("t", [("pk", INF_MAX)]), INVALID,
     "VT_INF_MAX is an invalid type for the primary key."),
    ("column name with #", lambda c: c.put_row("t", Row([("pk", "k")], [("#abc", 1)]), IGNORE), INVALID,
     "Invalid column name: '#abc'."),
    ("column name too long", lambda c: c.put_row("t", Row([("pk", "k")], [("a" * 256, 1)]), IGNORE), INVALID,
     f"Invalid column name: '{'a' * 256}'."),
    ("column named as the key", lambda c: c.put_row("t", Row([("pk", "k")], [("pk", 1)]), IGNORE), INVALID,
     "Duplicated attribute column name with primary key column: 'pk'."),
    ("1025 columns", lambda c: c.put_row("t", Row([("pk", "k")], columns(1025)), IGNORE), INVALID,
     "The number of attribute columns exceeds the limit, limit count: 1024, column count: 1025."),
    ("cell too large", lambda c: c.put_row("t", Row([("pk", "k")], [("attr", "x" * 2097153)]), IGNORE), INVALID,
     "The length of attribute column: 'attr' exceeds the MaxLength:2097152 with CurrentLength:2097153."),
    ("version out of range", lambda c: c.put_row("t", Row([("pk", "k")], [("c", 1, -1)]), IGNORE), INVALID,
     "Timestamp must be in range [0, INT64_MAX/1000)."),
    ("version too old", lambda c: c.put_row("t", Row([("pk", "k")], [("c", 1, 1000)]), IGNORE), INVALID,
     "Invalid timestamp. Cell:'c'."),
    ("update of nothing", lambda c: c.update_row("t", Row([("pk", "k")], {}), IGNORE), INVALID,
     "Attribute column is missing."),
    ("129 columns to get", lambda c: c.get_row("t", [("pk", "k")], [f"c{n}" for n in range(129)]), INVALID,
     "The number of columns from the request exceeds the limit, limit count: 128, column count: 129."),
    ("no version condition", lambda c: c.get_row("t", [("pk", "k")], max_version=None), INVALID,
     "No version condition is specified."),
    ("no versions", lambda c: c.get_row("t", [("pk", "k")], max_version=0), INVALID,
     "Invalid max versions: 0 . Reason: Max versions must be positive."),
    ("transaction", lambda c: c.put_row("t", ROW, IGNORE, transaction_id="x"), INVALID, "TransactionID is invalid."),
    ("start transaction", lambda c: c.start_local_transaction("t", [("pk", "k")]), INVALID,
     "Try to call method using explicit transaction on explicit-transaction-disabled table."),
    ("commit transaction", lambda c: c.commit_transaction("x"), INVALID, "TransactionID is invalid."),
    ("NOT of two", lambda c: c.get_row(
        "t", [("pk", "k")], column_filter=either(IS_ONE, IS_ONE, combinator=LogicalOperator.NOT)), INVALID,
     "Invalid NOT operator: the number of sub-filters must be 1."),
    ("33 filters", lambda c: c.get_row("t", [("pk", "k")], column_filter=either(*[IS_ONE] * 32)), INVALID,
     "The count of filter exceeds the max: 32."),
    ("generated key read", lambda c: c.get_row("auto", [("pk", "k"), ("id", PK_AUTO_INCR)]), INVALID,
     "PKAutoIncr can't be used for read operations."),
    ("generated key deleted", lambda c: c.delete_row("auto", Row([("pk", "k"), ("id", PK_AUTO_INCR)]), IGNORE),
     INVALID, "Invalid row to delete which with pk auto increment."),
    ("generated key expected", lambda c: c.put_row("auto", Row([("pk", "k"), ("id", PK_AUTO_INCR)], []), EXISTS),
     INVALID, "Invalid expect: EXPECT_EXIST when modify row with pk auto increment."),
    ("own value for a generated key", lambda c: c.put_row("auto", Row([("pk", "k"), ("id", 1)], []), IGNORE),
     INVALID, "Invalid expect: IGNORE when modify a specific row for table with pk auto increment."),
]  # fmt: skip

RANGE_CASES = [
    ("of nothing", lambda c: range_of(c, LOW, HIGH, table="nothing"), NO_TABLE, "Requested table does not exist."),
    ("backwards forward", lambda c: range_of(c, [("pk", "b")], [("pk", "a")]), INVALID,
     "Begin key must less than end key in FORWARD"),
    ("empty", lambda c: range_of(c, [("pk", "a")], [("pk", "a")]), INVALID,
     "Begin key must less than end key in FORWARD"),
    ("forwards backward", lambda c: range_of(c, [("pk", "a")], [("pk", "b")], Direction.BACKWARD), INVALID,
     "Begin key must more than end key in BACKWARD"),
    ("limit 0", lambda c: range_of(c, LOW, HIGH, limit=0), INVALID, "The limit must be greater than 0."),
    ("limit -1", lambda c: range_of(c, LOW, HIGH, limit=-1), INVALID, "The limit must be greater than 0."),
    ("key size", lambda c: range_of(c, [("pk", INF_MIN), ("q", INF_MIN)], HIGH), BAD_KEY,
     "Validate PK size fail. Input: 2, Meta: 1."),
    ("key name", lambda c: range_of(c, [("x", INF_MIN)], HIGH), BAD_KEY,
     "Validate PK name fail. Input: x, Meta: pk."),
    ("key type", lambda c: range_of(c, [("pk", 1)], HIGH), BAD_KEY,
     "Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING."),
]  # fmt: skip

BATCH_CASES = [
    ("no table", lambda c: c.batch_write_row(batch()), INVALID, "No row is specified in BatchWriteRow."),
    ("no row", lambda c: c.batch_write_row(batch(("t", []))), INVALID, "No operation is specified for table: 't'."),
    ("201 rows", lambda c: c.batch_write_row(batch(("t", [PutRowItem(ROW, IGNORE)] * 201))), INVALID,
     "Rows count exceeds the upper limit: 200."),
    ("a bad row", lambda c: c.batch_write_row(batch(("t", [
        PutRowItem(ROW, IGNORE), PutRowItem(Row([("pk", "x" * 1025)], []), IGNORE)]))), INVALID,
     "The length of primary key column: 'pk' exceeds the MaxLength:1024 with CurrentLength:1025."),
    ("an update of nothing", lambda c: c.batch_write_row(batch(("t", [
        UpdateRowItem(Row([("pk", "k")], {}), IGNORE)]))), INVALID, "Attribute column is missing."),
    ("the same row expected twice", lambda c: c.batch_write_row(batch(("t", [
        PutRowItem(ROW, IGNORE), DeleteRowItem(Row([("pk", "k")]), EXISTS)]))), INVALID,
     "Repeated rows do not support row exist expectation check in BatchModify."),
    ("too many bytes", lambda c: c.batch_write_row(batch(("t", [
        PutRowItem(Row([("pk", f"{n}")], [("c", "x" * 1048576)]), IGNORE) for n in range(4)]))), INVALID,
     "The total data size of BatchWriteRow request exceeds the limit, limit size: 4194304, data size: 4194320."),
    ("no table read", lambda c: c.batch_get_row(BatchGetRowRequest()), INVALID,
     "No row specified in the request of BatchGetRow."),
    ("101 rows read", lambda c: c.batch_get_row(read_batch([[("pk", "k")]] * 101)), INVALID,
     "Rows count exceeds the upper limit: 100."),
    ("no version condition", lambda c: c.batch_get_row(read_batch([[("pk", "k")]], max_version=None)), INVALID,
     "No version condition is specified while querying row."),
]  # fmt: skip


def read_batch(keys, max_version=1):
    request = BatchGetRowRequest()
    request.add(TableInBatchGetRowItem("t", keys, [], None, max_version))
    return request


CASES = [*TABLE_CASES, *ROW_CASES, *RANGE_CASES, *BATCH_CASES]


@pytest.mark.parametrize(("name", "action", "status", "text"), CASES, ids=[case[0] for case in CASES])
def test_the_service_refuses(client, name, action, status, text):
    assert refusal(lambda: action(client)) == (*status, text)


def test_a_refused_batch_leaves_nothing(client):
    rows = [PutRowItem(Row([("pk", "fine")], [("c", 1)]), IGNORE), PutRowItem(Row([("pk", "x")], [("#", 1)]), IGNORE)]

    refusal(lambda: client.batch_write_row(batch(("t", rows))))

    assert client.get_row("t", [("pk", "fine")])[1] is None


def test_a_batch_of_no_keys_is_read(client):
    assert client.batch_get_row(read_batch([])).get_result_by_table("t") == []


# ---- who asks


@pytest.mark.parametrize("options", [{}, {"region": "cn-hangzhou"}], ids=["v2", "v4"])
def test_a_wrong_secret_is_refused(server, options):
    stranger = connect(server, secret="guess", **options)

    assert refusal(stranger.list_table) == (403, "OTSAuthFailed", "Signature mismatch.")


def test_an_unknown_key_is_refused(server):
    stranger = connect(server, key_id="nobody")

    assert refusal(stranger.list_table) == (403, "OTSAuthFailed", "The AccessKeyID does not exist.")


def test_an_instance_name_that_cannot_be_is_refused(server):
    client = connect(server, instance="no_such_name")

    assert refusal(client.list_table) == (400, "OTSParameterInvalid", "Invalid instance name: 'no_such_name'.")


@pytest.mark.parametrize("options", [{}, {"region": "cn-hangzhou"}], ids=["v2", "v4"])
def test_an_unknown_instance_is_refused(server, options):
    client = connect(server, instance="blahblahblah", **options)

    assert refusal(client.list_table) == (403, "OTSAuthFailed", "The instance is not found.")


# ---- bytes


def send(
    server: Serving, operation: str, body: bytes = b"", *, now: datetime | None = None, method="POST", **headers: str
) -> tuple[int, str, str]:
    """Status, code and message of the answer to signed bytes; `headers` replace signed ones."""
    signed = sign_request(
        f"/{operation}",
        body,
        credentials=Credentials(DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET),
        instance="refusing",
        now=now or datetime.now(UTC),
    ).headers
    signed.update({name.replace("_", "-"): value for name, value in headers.items()})
    answer = urllib3.request(method, f"{server.url}/{operation}", body=body, headers=signed, retries=False)
    error = pb.Error.FromString(answer.data) if answer.status != 200 else pb.Error(code="OK", message="")
    return answer.status, error.code, error.message


@pytest.mark.parametrize("operation", ["Nonsense", "PutTimeseriesData", "SQLQuery", "AddDefinedColumn", "", "a/b"])
def test_an_unknown_operation_is_refused(server, operation):
    status, code, message = send(server, operation)

    assert (status, code) == (400, "OTSParameterInvalid")
    assert message.startswith("Unsupported operation: '")


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_date_too_far_from_now_is_refused(server, hours):
    status, code, message = send(server, "ListTable", now=datetime.now(UTC) + timedelta(hours=hours))

    assert (status, code) == (403, "OTSAuthFailed")
    assert message.startswith("Mismatch between system time and x-ots-date")


def test_a_changed_body_is_refused(server):
    md5_of_nothing = "1B2M2Y8AsgTpgAmY7PhCfg=="

    assert send(server, "ListTable", b"", x_ots_contentmd5=md5_of_nothing) == (200, "OK", "")
    assert send(server, "ListTable", b"\x00", x_ots_contentmd5=md5_of_nothing) == (
        403,
        "OTSAuthFailed",
        "Mismatch between MD5 value of request body and x-ots-contentmd5 in header.",
    )


def test_only_post_is_served(server):
    assert send(server, "ListTable", method="GET")[:2] == (405, "OTSMethodNotAllowed")


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x01t", b"\x08\x01", b"\x0a\xff\xff\xff\xff\x0f"])
@pytest.mark.parametrize("operation", ["CreateTable", "GetRow", "GetRange", "BatchWriteRow", "PutRow"])
def test_bytes_that_are_no_request_are_refused(server, operation, body):
    status, code, _ = send(server, operation, body)

    assert (status, code) == (400, "OTSParameterInvalid")


def test_a_wrong_checksum_is_refused(server, client):
    request = pb.PutRowRequest(
        table_name="t", row=bytes.fromhex("7500000001030402000000706b05090000000000000000000000000a5e09cf")
    )
    request.condition.row_existence = pb.IGNORE

    status, code, message = send(server, "PutRow", request.SerializeToString())

    assert (status, code) == (400, "OTSParameterInvalid")
    assert message.startswith("Cell data broken, checksum is mismatch")
