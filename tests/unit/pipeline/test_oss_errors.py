"""How what oss2 says is told, and what is tried again."""

from __future__ import annotations

import logging
import threading

import oss2
import pytest
import requests

from airflow_tablestore.errors import Rejected, RetryLater
from airflow_tablestore.pipeline.sinks.oss import ObjectStore, OssEndpoint
from airflow_tablestore.pipeline.store import UploadGone

ENDPOINT = OssEndpoint("http://127.0.0.1:9", "id", "the-secret", security_token="the-token")


def refusal(status: int, code: str) -> oss2.exceptions.ServerError:
    return oss2.exceptions.ServerError(status, {"x-oss-request-id": "R1"}, b"", {"Code": code, "Message": "no"})


def store_that_meets(*answers: Exception | object) -> tuple[ObjectStore, list[float]]:
    """A store whose requests end so, one after another, and the pauses that it made."""
    pauses: list[float] = []
    left = list(answers)

    class Scripted:
        def __init__(self):
            self.left = left

        def __getattr__(self, verb):
            def ask(*args, **kwargs):
                answer = left.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer

            return ask

    store = ObjectStore(ENDPOINT, "bucket", sleep=pauses.append)
    store._local.bucket = Scripted()
    return store, pauses


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("NoSuchBucket", 404, "Create the bucket, or correct its name"),
        ("InvalidBucketName", 400, "Correct the bucket's name"),
        ("AccessDenied", 403, "rights"),
        ("InvalidAccessKeyId", 403, "access key id"),
        ("SignatureDoesNotMatch", 403, "secret"),
        ("SecurityTokenExpired", 403, "STS"),
    ],
)
def test_what_repeating_cannot_help_is_told_once_with_advice(code, status, advice):
    store, pauses = store_that_meets(refusal(status, code))

    with pytest.raises(Rejected, match=advice) as caught:
        store.put("k", b"")

    assert (caught.value.code, caught.value.status, caught.value.request_id) == (code, status, "R1")
    assert pauses == []


@pytest.mark.parametrize(
    "fault",
    [
        refusal(503, "ServiceUnavailable"),
        refusal(500, "InternalError"),
        refusal(400, "RequestTimeout"),
        oss2.exceptions.RequestError(requests.ConnectionError("reset")),
        requests.ConnectionError("cut off"),
    ],
)
def test_what_may_pass_is_tried_again_with_growing_pauses(fault):
    store, pauses = store_that_meets(fault, fault, type("Answer", (), {"upload_id": "U"}))

    assert store.initiate("k") == "U"
    assert len(pauses) == 2
    assert pauses[1] > pauses[0] / 2


def test_what_does_not_pass_is_left_to_the_task(caplog):
    fault = oss2.exceptions.RequestError(requests.ConnectionError("refused"))
    store, pauses = store_that_meets(*[fault] * 20)

    with pytest.raises(RetryLater, match="could not be reached"):
        store.put("k", b"")

    assert 3 <= len(pauses) < 20


def test_a_missing_bucket_is_no_missing_object():
    store, _ = store_that_meets(refusal(404, "NoSuchBucket"))

    with pytest.raises(Rejected, match="Create the bucket"):
        store.get("k")


def test_an_upload_that_is_gone_is_told_apart():
    store, _ = store_that_meets(refusal(404, "NoSuchUpload"))

    with pytest.raises(UploadGone):
        store.upload_part("k", "U", 1, b"x")


def test_a_damaged_part_is_sent_again():
    damaged, whole = (type("Answer", (), {"crc": crc, "etag": "E"}) for crc in (1, None))
    store, pauses = store_that_meets(damaged, whole)

    assert store.upload_part("k", "U", 1, b"x").etag == "E"
    assert len(pauses) == 1


def test_neither_errors_nor_reprs_nor_logs_hold_a_secret(caplog):
    caplog.set_level(logging.DEBUG)
    store = ObjectStore(ENDPOINT, "bucket", sleep=lambda seconds: None)

    with pytest.raises(RetryLater) as caught:
        store.put("k", b"")

    told = f"{caught.value} {caught.value.__cause__} {ENDPOINT!r} {caplog.text}"
    assert "the-secret" not in told
    assert "the-token" not in told


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
        ("http://localhost", True),
        ("https://oss-cn-hangzhou.aliyuncs.com", False),
    ],
)
def test_the_bucket_stands_in_the_path_where_no_host_can_hold_it(url, is_local):
    assert OssEndpoint(url, "id", "secret").is_local is is_local


def test_an_address_that_cannot_be_one_is_refused():
    with pytest.raises(Rejected):
        ObjectStore(OssEndpoint("https://oss-cn-hangzhou.aliyuncs.com", "id", "secret"), "NO").put("k", b"")


class Deleted:
    """An answer that tells which keys were deleted."""

    request_id = "R1"

    def __init__(self, *keys: str):
        self.deleted_keys = keys


def test_an_object_that_stays_undeleted_is_tried_again():
    store, pauses = store_that_meets(Deleted("a"), Deleted("a", "b"))

    store.delete(["a", "b"])

    assert len(pauses) == 1


def test_an_object_that_is_never_deleted_is_an_error():
    store, _ = store_that_meets(*[Deleted("a")] * 6)

    with pytest.raises(RetryLater, match=r"1 of 2 objects, such as oss://bucket/b"):
        store.delete(["a", "b"])


def test_a_stopped_run_makes_no_further_attempt():
    store, _ = store_that_meets(refusal(503, "ServiceUnavailable"), refusal(503, "ServiceUnavailable"))
    stop = threading.Event()
    stop.set()

    with pytest.raises(RetryLater):
        store.pausing(stop.wait).put("k", b"")

    assert len(store._local.bucket.left) == 1
