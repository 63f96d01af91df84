"""Faults on demand as clients meet them: the official SDKs, our own client, and our object store."""

from __future__ import annotations

import time
from collections.abc import Iterator

import oss2
import pytest
import tablestore as sdk
import urllib3

from airflow_tablestore.client import Client, Endpoint, RetryPolicy
from airflow_tablestore.consumer.table import full_range, pages
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.__main__ import main
from airflow_tablestore.errors import ProtocolError, Rejected
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.full_export.export import FullExport, ObjectTarget, Services, TableSelection, run
from airflow_tablestore.pipeline.sinks.oss import ObjectStore, OssEndpoint
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.stream import describe_stream, get_shard_iterator, get_stream_records, list_streams
from airflow_tablestore.wire.table import RangeRead, describe_table

pytestmark = pytest.mark.slow

ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)
ROWS = 60
QUICK = RetryPolicy(base_seconds=0.01, cap_seconds=0.05)


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as emulator:
        client = client_of(emulator)
        client.create_table(
            sdk.TableMeta("rides", [("id", "INTEGER")]),
            sdk.TableOptions(),
            sdk.ReservedThroughput(sdk.CapacityUnit(0, 0)),
        )
        for n in range(ROWS):
            put(client, n)
        yield emulator


@pytest.fixture
def cloud(running: Emulator) -> Iterator[Emulator]:
    running.faults.clear()
    yield running
    running.faults.clear()


def client_of(emulator: Emulator) -> sdk.OTSClient:
    at = emulator.tablestore
    return sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)


def bucket_of(emulator: Emulator) -> oss2.Bucket:
    at = emulator.oss
    return oss2.Bucket(oss2.Auth(at.access_key_id, at.access_key_secret), at.endpoint, at.bucket)


def put(client: sdk.OTSClient, number: int) -> None:
    client.put_row("rides", sdk.Row([("id", number)], [("n", number), ("text", f"ride {number}")]), ALWAYS)


def scan(client: sdk.OTSClient) -> list[int]:
    start, end = [("id", sdk.INF_MIN)], [("id", sdk.INF_MAX)]
    _, _, rows, _ = client.get_range("rides", sdk.Direction.FORWARD, start, end, max_version=1)
    return [row.primary_key[0][1] for row in rows]


def ours(emulator: Emulator) -> Client:
    at = emulator.tablestore
    endpoint = Endpoint(at.endpoint, at.instance, at.access_key_id, at.access_key_secret)
    return Client(endpoint, retry=QUICK)


def store_of(emulator: Emulator) -> ObjectStore:
    at = emulator.oss
    return ObjectStore(
        OssEndpoint(at.endpoint, at.access_key_id, at.access_key_secret), at.bucket, sleep=lambda seconds: None
    )


# ---- which requests


def test_a_rule_for_a_table_strikes_the_calls_that_name_only_its_stream(cloud):
    with ours(cloud) as client:
        calls = {name: calls_of_stream(cloud, client, name) for name in ("streamed", "other")}
        rule = ["--code", "OTSNoPermissionAccess", "--table", "streamed"]
        assert main(["faults", "add", "error", *rule, "--url", cloud.tablestore.endpoint]) == 0

        refused = {name: [is_refused(client, call) for call in calls[name]] for name in ("other", "streamed")}

    assert refused == {"other": [False] * 3, "streamed": [True] * 3}
    assert [exchange.table for exchange in cloud.requests()[-6:]] == ["other"] * 3 + ["streamed"] * 3


def calls_of_stream(emulator: Emulator, client: Client, table: str) -> list[Call]:
    """A new table's stream, asked for in the three ways that do not name the table."""
    request = pb.CreateTableRequest(stream_spec=pb.StreamSpecification(enable_stream=True))
    request.table_meta.table_name = table
    request.table_meta.primary_key.add(name="id", type=pb.INTEGER)
    request.reserved_throughput.capacity_unit.read = 0
    request.table_options.time_to_live, request.table_options.max_versions = -1, 1
    emulator.tablestore_service().answer("CreateTable", "demo", request.SerializeToString())
    (stream,) = client.send(list_streams(table))
    (shard,) = client.send(describe_stream(stream.id)).shards
    place = client.send(get_shard_iterator(stream.id, shard.id)).iterator
    return [describe_stream(stream.id), get_shard_iterator(stream.id, shard.id), get_stream_records(place)]


def is_refused(client: Client, call: Call) -> bool:
    try:
        client.send(call)
    except Rejected:
        return True
    return False


# ---- the official Tablestore SDK


@pytest.mark.parametrize("code", ["OTSServerBusy", "OTSPartitionUnavailable", "OTSTimeout"])
def test_the_sdk_tries_again_after_an_error_that_passes(cloud, code):
    rule = cloud.faults.add("error", code=code, operation="GetRange", count=1)

    assert scan(client_of(cloud)) == list(range(ROWS))

    assert cloud.faults.struck(rule) == 1
    assert [r.status for r in cloud.requests("GetRange")][-2:] == [503, 200]


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        ("OTSAuthFailed", 403, "The AccessKeyID is disabled."),
        ("OTSQuotaExhausted", 403, "Number of tables exceeded the quota."),
        ("OTSObjectNotExist", 404, "Requested table does not exist."),
    ],
)
def test_the_sdk_raises_an_error_that_lasts(cloud, code, status, text):
    cloud.faults.add("error", code=code, operation="GetRange", count=1)

    with pytest.raises(sdk.OTSServiceError) as refused:
        scan(client_of(cloud))

    assert (refused.value.get_error_code(), refused.value.get_http_status()) == (code, status)
    assert refused.value.get_error_message() == text


def test_the_sdk_sees_a_reset_connection(cloud):
    cloud.faults.add("reset", operation="PutRow", count=1)

    with pytest.raises(urllib3.exceptions.ProtocolError, match="reset"):
        put(client_of(cloud), 0)


def test_the_sdk_sees_a_body_that_ends_early(cloud):
    cloud.faults.add("cut_body", operation="GetRange", count=1)

    with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
        scan(client_of(cloud))


def test_the_sdk_refuses_a_body_of_another_md5(cloud):
    cloud.faults.add("wrong_md5", operation="GetRange", count=1)

    with pytest.raises(sdk.OTSClientError, match="MD5"):
        scan(client_of(cloud))


def test_the_sdk_refuses_a_row_of_another_checksum(cloud):
    cloud.faults.add("wrong_crc", count=1)

    with pytest.raises(sdk.OTSClientError, match=r"[Cc]hecksum"):
        scan(client_of(cloud))


def test_a_latency_is_waited_for(cloud):
    cloud.faults.add("latency", seconds=0.3, operation="GetRange", count=1)
    started = time.monotonic()

    scan(client_of(cloud))

    assert time.monotonic() - started >= 0.3


def test_a_write_whose_answer_is_lost_is_kept(cloud):
    client = client_of(cloud)
    cloud.faults.add("lost_answer", operation="UpdateRow", count=1)

    with pytest.raises(urllib3.exceptions.ProtocolError):
        client.update_row("rides", sdk.Row([("id", 1)], {"PUT": [("lost", 7)]}), ALWAYS)

    columns = client.get_row("rides", [("id", 1)], max_version=1)[1].attribute_columns
    assert ("lost", 7) in [(name, value) for name, value, _ in columns]
    client.update_row("rides", sdk.Row([("id", 1)], {"DELETE_ALL": ["lost"]}), ALWAYS)


def test_a_refused_write_is_not_kept(cloud):
    client = client_of(cloud)
    cloud.faults.add("error", code="OTSQuotaExhausted", operation="PutRow", count=1)

    with pytest.raises(sdk.OTSServiceError):
        put(client, 1000)

    assert client.get_row("rides", [("id", 1000)], max_version=1)[1] is None


def test_rows_of_a_batch_fail_one_by_one(cloud):
    client = client_of(cloud)
    cloud.faults.add("row_error", code="OTSRowOperationConflict", operation="BatchWriteRow", skip=1, count=1)
    request = sdk.BatchWriteRowRequest()
    rows = [sdk.PutRowItem(sdk.Row([("id", 2000 + n)], [("n", n)]), ALWAYS) for n in range(3)]
    request.add(sdk.TableInBatchWriteRowItem("rides", rows))
    client.retry_policy = sdk.NoRetryPolicy()

    answer = client.batch_write_row(request)

    results = answer.get_put_by_table("rides")
    kept = [client.get_row("rides", [("id", 2000 + n)], max_version=1)[1] is not None for n in range(3)]
    for n in range(3):
        client.delete_row("rides", [("id", 2000 + n)], ALWAYS)
    assert [row.is_ok for row in results] == [True, False, True] == kept
    assert (results[1].error_code, results[1].error_message) == (
        "OTSRowOperationConflict",
        "Data is being modified by the other request.",
    )


def test_a_batch_may_fail_in_every_row_and_still_be_answered(cloud):
    client = client_of(cloud)
    client.retry_policy = sdk.NoRetryPolicy()
    cloud.faults.add("row_error", code="OTSQuotaExhausted")
    request = sdk.BatchWriteRowRequest()
    request.add(sdk.TableInBatchWriteRowItem("rides", [sdk.PutRowItem(sdk.Row([("id", 3000)], []), ALWAYS)]))

    answer = client.batch_write_row(request)

    assert [row.is_ok for row in answer.get_put_by_table("rides")] == [False]


def test_rows_of_a_batch_that_is_read_fail_one_by_one(cloud):
    cloud.faults.add("row_error", code="OTSServerBusy", operation="BatchGetRow", count=2)
    request = sdk.BatchGetRowRequest()
    request.add(sdk.TableInBatchGetRowItem("rides", [[("id", n)] for n in range(4)], [], None, 1))

    found = client_of(cloud).batch_get_row(request).get_result_by_table("rides")

    assert [(row.is_ok, row.error_code) for row in found[:2]] == [(False, "OTSServerBusy")] * 2
    assert [row.row.primary_key[0][1] for row in found[2:]] == [2, 3]


# ---- the official OSS SDK


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        ("InternalError", oss2.exceptions.ServerError, 500),
        ("ServiceUnavailable", oss2.exceptions.ServerError, 503),
        ("AccessDenied", oss2.exceptions.AccessDenied, 403),
        ("NoSuchUpload", oss2.exceptions.NoSuchUpload, 404),
    ],
)
def test_oss2_sees_the_services_error(cloud, code, kind, status):
    cloud.faults.add("error", code=code, operation="PutObject", count=1)

    with pytest.raises(kind) as refused:
        bucket_of(cloud).put_object("refused", b"body")

    assert (refused.value.code, refused.value.status) == (code, status)
    assert not bucket_of(cloud).object_exists("refused")


def test_oss2_sees_a_reset_connection(cloud):
    cloud.faults.add("reset", operation="PutObject", count=1)

    with pytest.raises(oss2.exceptions.RequestError):
        bucket_of(cloud).put_object("reset", b"body")


def test_oss2_sees_an_object_that_ends_early(cloud):
    bucket = bucket_of(cloud)
    bucket.put_object("cut", b"body" * 1000)
    cloud.faults.add("cut_body", operation="GetObject", count=1)

    with pytest.raises(Exception, match=r"IncompleteRead|Response ended|Connection broken"):
        bucket.get_object("cut").read()

    assert bucket.get_object("cut").read() == b"body" * 1000


def test_oss2_refuses_a_written_object_of_another_checksum(cloud):
    cloud.faults.add("wrong_crc", operation="PutObject", count=1)

    with pytest.raises(oss2.exceptions.InconsistentError):
        bucket_of(cloud).put_object("checked", b"body")


def test_oss2_refuses_a_read_object_of_another_checksum(cloud, tmp_path):
    bucket_of(cloud).put_object("checked", b"body")
    cloud.faults.add("wrong_crc", operation="GetObject", count=1)

    with pytest.raises(oss2.exceptions.InconsistentError):
        bucket_of(cloud).get_object_to_file("checked", str(tmp_path / "checked"))


def test_an_object_whose_answer_is_lost_is_kept(cloud):
    cloud.faults.add("lost_answer", operation="PutObject", count=1)

    with pytest.raises(oss2.exceptions.RequestError):
        bucket_of(cloud).put_object("lost", b"body")

    assert bucket_of(cloud).get_object("lost").read() == b"body"


# ---- our own client and store

PASSING = [
    {"kind": "error", "code": "OTSServerBusy"},
    {"kind": "error", "code": "OTSPartitionUnavailable"},
    {"kind": "error", "code": "OTSTimeout"},
    {"kind": "error", "code": "OTSInternalServerError"},
    {"kind": "latency", "seconds": 0.05},
    {"kind": "reset"},
    {"kind": "cut_body"},
    {"kind": "wrong_md5"},
    {"kind": "lost_answer"},
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.get("code") or fault["kind"])
def test_our_client_reads_every_row_once_through_faults_that_pass(cloud, fault):
    settings = {name: value for name, value in fault.items() if name != "kind"}
    rule = cloud.faults.add(fault["kind"], service="tablestore", skip=2, count=3, **settings)

    with ours(cloud) as client:
        whole = full_range(client.send(describe_table("rides")))
        read = RangeRead("rides", whole.begin, whole.end, limit=10)
        found = [row.key[0][1] for page in pages(client, read) for row in decode_rows(page.rows)]

    assert found == list(range(ROWS))
    assert cloud.faults.struck(rule) == 3


def test_our_client_raises_what_lasts(cloud):
    cloud.faults.add("error", code="OTSAuthFailed", count=1)

    with ours(cloud) as client, pytest.raises(Rejected, match="OTSAuthFailed"):
        client.send(describe_table("rides"))


def test_our_client_never_takes_a_row_of_another_checksum(cloud):
    cloud.faults.add("wrong_crc", count=1)

    with ours(cloud) as client:
        whole = full_range(client.send(describe_table("rides")))
        (page,) = pages(client, RangeRead("rides", whole.begin, whole.end))

    with pytest.raises(ProtocolError):
        decode_rows(page.rows)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "code": "InternalError"},
        {"kind": "error", "code": "ServiceUnavailable"},
        {"kind": "reset"},
        {"kind": "cut_body"},
        {"kind": "wrong_crc"},
        {"kind": "lost_answer"},
        {"kind": "latency", "seconds": 0.02},
    ],
    ids=lambda fault: fault.get("code") or fault["kind"],
)
def test_our_store_keeps_and_reads_objects_through_faults_that_pass(cloud, fault):
    store = store_of(cloud)
    body = b"0123456789" * 20_000
    settings = {name: value for name, value in fault.items() if name != "kind"}
    for operation in ("PutObject", "GetObject", "UploadPart", "ListObjectsV2"):
        cloud.faults.add(fault["kind"], service="oss", operation=operation, count=2, **settings)

    store.put("survives/whole", body)
    upload = store.initiate("survives/parts")
    parts = [store.upload_part("survives/parts", upload, n, body) for n in (1, 2)]
    store.complete("survives/parts", upload, parts)

    assert store.get("survives/whole") == body
    assert store.get("survives/parts") == body * 2
    assert [o.key for o in store.list("survives/")] == ["survives/parts", "survives/whole"]


@pytest.mark.parametrize("seed", [1, 2])
def test_an_export_under_random_faults_holds_every_row_once(cloud, seed):
    prefix = f"stormy-{seed}/"
    for number, (kind, settings) in enumerate(
        [
            ("error", {"code": "OTSServerBusy"}),
            ("reset", {"service": "tablestore"}),
            ("wrong_md5", {}),
            ("lost_answer", {"service": "tablestore"}),
            ("error", {"code": "ServiceUnavailable"}),
            ("cut_body", {"service": "oss", "operation": "[GU]*"}),
        ]
    ):
        cloud.faults.add(kind, probability=0.08, seed=seed * 100 + number, **settings)
    export = FullExport(
        "stormy", TableSelection("rides", tasks=2), ObjectTarget("backup", prefix, Csv(header=False)), Limits(threads=2)
    )

    with ours(cloud) as client:
        report = run(export, Services(client, store_of(cloud)), run="stormy")
    cloud.faults.clear()

    store = store_of(cloud)
    keys = [o.key for o in store.list(prefix) if not o.key.removeprefix(prefix).startswith("_")]
    bodies = [store.get(key).decode() for key in keys]
    ids = sorted(int(line.split(",")[0].strip('"')) for body in bodies for line in body.splitlines())
    assert report.rows == ROWS
    assert ids == list(range(ROWS))
