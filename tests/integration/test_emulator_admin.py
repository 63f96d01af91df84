"""What `/_emulator/` tells and changes, and whom it refuses; the same from Python."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import oss2
import pytest
import requests
import tablestore as sdk

from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.admin import ROUTES

pytestmark = pytest.mark.slow

ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def cloud(running: Emulator) -> Emulator:
    running.reset()
    return running


def table_of(emulator: Emulator, **options) -> sdk.OTSClient:
    at = emulator.tablestore
    client = sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)
    client.create_table(
        sdk.TableMeta("rides", [("id", "INTEGER")]),
        sdk.TableOptions(**options),
        sdk.ReservedThroughput(sdk.CapacityUnit(0, 0)),
    )
    return client


def bucket_of(emulator: Emulator) -> oss2.Bucket:
    at = emulator.oss
    return oss2.Bucket(oss2.Auth(at.access_key_id, at.access_key_secret), at.endpoint, at.bucket)


def admin(emulator: Emulator, method: str, path: str, **options) -> requests.Response:
    return requests.request(method, f"{emulator.tablestore.endpoint}/_emulator/{path}", timeout=60, **options)


def test_both_ports_tell_the_same_status(cloud):
    client = table_of(cloud)
    client.put_row("rides", sdk.Row([("id", 1)], []), ALWAYS)
    bucket_of(cloud).put_object("a", b"12345")

    told = [requests.get(at + "/_emulator/status", timeout=60).json() for at in endpoints(cloud)]

    assert told[0]["tablestore"]["rows"] == {"demo": {"rides": 1}}
    assert told[1]["oss"]["buckets"] == {"backup": {"objects": 1, "bytes": 5}}
    assert "secret" not in str(told)


def endpoints(emulator: Emulator) -> tuple[str, str]:
    return emulator.tablestore.endpoint, emulator.oss.endpoint


def test_faults_are_added_listed_and_removed_over_http(cloud):
    added = admin(cloud, "POST", "faults", json={"kind": "error", "code": "OTSServerBusy", "count": 2}).json()
    more = admin(cloud, "POST", "faults", json=[{"kind": "reset"}, {"kind": "latency", "seconds": 1}]).json()

    listed = admin(cloud, "GET", "faults").json()["faults"]
    removed = admin(cloud, "DELETE", "faults", params={"id": added["added"][0]}).json()
    rest = admin(cloud, "DELETE", "faults").json()

    assert [fault["kind"] for fault in listed] == ["error", "reset", "latency"]
    assert [fault["id"] for fault in listed] == added["added"] + more["added"]
    assert (removed, rest) == ({"removed": 1}, {"removed": 2})
    assert cloud.faults.list() == []


def test_an_instance_is_made_over_http_and_stays_after_a_reset(cloud):
    before = admin(cloud, "GET", "instances").json()["instances"]
    stranger = sdk.OTSClient(*connection(cloud), "over-http")
    with pytest.raises(sdk.OTSServiceError, match="instance is not found"):
        stranger.list_table()

    made = admin(cloud, "POST", "instances", json={"name": "over-http"}).json()["instances"]
    cloud.reset()

    assert made == sorted([*before, "over-http"])
    assert stranger.list_table() == ()
    assert cloud.status()["tablestore"]["instances"] == made


def connection(emulator: Emulator) -> tuple[str, str, str]:
    at = emulator.tablestore
    return at.endpoint, at.access_key_id, at.access_key_secret


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "words"),
    [
        ("POST", "faults", {"data": b"{"}, 400, "not JSON"),
        ("POST", "faults", {}, 400, "A fault is a JSON object"),
        ("POST", "faults", {"json": {"kind": "boom"}}, 400, "kinds are: error"),
        ("POST", "faults", {"json": [{"kind": "reset"}, {"kind": "boom"}]}, 400, "kinds are: error"),
        ("DELETE", "faults?id=77", {}, 404, "There is no fault '77'"),
        ("DELETE", "faults?id=x", {}, 404, "There is no fault 'x'"),
        ("PUT", "faults", {}, 405, "takes DELETE, GET, POST"),
        ("GET", "nothing", {}, 404, "There is no /_emulator/nothing"),
        ("GET", "requests?limit=-1", {}, 400, "a whole number"),
        ("POST", "instances", {"json": {"name": "not_so"}}, 400, "cannot be the name of an instance"),
        ("POST", "instances", {"json": {"name": 7}}, 400, "The body is"),
        ("POST", "instances", {}, 400, "The body is"),
        ("POST", "clock", {"json": {}}, 400, "advance_seconds"),
        ("POST", "clock", {"json": {"advance_seconds": "1"}}, 400, "a number of seconds"),
        ("POST", "clock", {"json": {"advance_seconds": 1e300}}, 400, "a number of seconds"),
        ("POST", "clock", {"json": {"now": "yesterday"}}, 400, "a time in ISO form"),
        ("POST", "clock", {"json": {"now": "9999-12-31T23:59:59Z"}}, 400, "1970 to 9000"),
        ("POST", "faults", {"data": b"[" * 100_000}, 400, "not JSON"),
        ("POST", "faults", {"data": b"x" * 2_000_000}, 400, "longer than"),
        ("GET", "status", {"headers": {"Host": "attacker.example"}}, 403, "127.0.0.1"),
        ("POST", "reset", {"headers": {"Origin": "http://attacker.example"}}, 403, "web pages"),
    ],
)
def test_what_is_wrong_is_refused_with_a_sentence(cloud, method, path, options, status, words):
    answer = admin(cloud, method, path, **options)

    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert cloud.faults.list() == []


def test_the_log_names_requests_and_what_went_wrong(cloud):
    client = table_of(cloud)
    cloud.faults.add("error", code="OTSServerBusy", operation="PutRow", count=1)
    client.put_row("rides", sdk.Row([("id", 1)], [("note", "private words")]), ALWAYS)
    bucket = bucket_of(cloud)
    bucket.put_object("folder/object", b"private words")
    requests.get(bucket.sign_url("GET", "folder/object", 60), timeout=60)

    told = admin(cloud, "GET", "requests").json()

    seen = [(r["service"], r["operation"], r["table"], r["status"], r["fault"]) for r in told["requests"]]
    assert seen == [
        ("tablestore", "CreateTable", "rides", 200, ""),
        ("tablestore", "PutRow", "rides", 503, "error:OTSServerBusy"),
        ("tablestore", "PutRow", "rides", 200, ""),
        ("oss", "PutObject", "backup/folder/object", 200, ""),
        ("oss", "GetObject", "backup/folder/object", 200, ""),
    ]
    assert told["total"] == 5
    assert "private" not in str(told)
    assert "ignature" not in str(told)
    found = admin(cloud, "GET", "requests", params={"operation": "PutRow", "limit": 1}).json()["requests"]
    assert [r["status"] for r in found] == [200]


def test_the_log_is_bounded():
    from airflow_tablestore.emulator.traffic import Exchange, RequestLog

    log = RequestLog(kept=3)
    for n in range(10):
        log.add(Exchange("", "oss", "", str(n), "", 200, 1.0))

    assert [e.operation for e in log.list()] == ["7", "8", "9"]
    assert log.total == 10


def test_moving_the_clock_lets_cells_expire_and_no_signature(cloud):
    client = table_of(cloud, time_to_live=86400)
    client.put_row("rides", sdk.Row([("id", 1)], [("n", 1)]), ALWAYS)
    assert client.get_row("rides", [("id", 1)], max_version=1)[1] is not None

    told = admin(cloud, "POST", "clock", json={"advance_seconds": 2 * 86400}).json()

    assert told["ahead_seconds"] == 2 * 86400
    assert client.get_row("rides", [("id", 1)], max_version=1)[1] is None


def test_the_clock_can_be_set_to_a_time(cloud):
    there = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)

    admin(cloud, "POST", "clock", json={"now": there.isoformat()})

    assert there <= cloud.now() < there + timedelta(minutes=10)
    cloud.advance(3600)
    assert there + timedelta(hours=1) <= cloud.now() < there + timedelta(hours=1, minutes=10)


def test_reset_makes_everything_as_at_the_start(cloud):
    client = table_of(cloud)
    bucket = bucket_of(cloud)
    bucket.put_object("small", b"1")
    bucket.put_object("large", b"1" * 300_000)
    bucket.init_multipart_upload("begun")
    cloud.faults.add("latency", seconds=0.01)
    cloud.advance(1000)

    told = admin(cloud, "POST", "reset").json()

    assert told["tablestore"]["rows"] == {}
    assert told["oss"]["buckets"] == {"backup": {"objects": 0, "bytes": 0}}
    assert told["faults"] == []
    assert told["clock"]["ahead_seconds"] == 0
    assert client.list_table() == ()
    assert [o.key for o in oss2.ObjectIterator(bucket)] == []
    assert bucket.list_multipart_uploads().upload_list == []
    assert table_of(cloud) is not None


def test_a_bucket_or_operation_of_the_admins_name_reaches_no_service(cloud):
    answer = requests.get(cloud.oss.endpoint + "/_emulator", timeout=60)

    assert answer.status_code == 404
    assert len(answer.json()["routes"]) == len(ROUTES)
