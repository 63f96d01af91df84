"""The 5 GB rules, pages, conditions of copies and checksums, asked for by `oss2` where its own cases do not reach.

Nothing large is sent: a body is refused by the length that it announces, and large objects here are files of holes.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import uuid
from urllib.parse import urlsplit
from xml.etree import ElementTree

import oss2
import pytest

from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.oss.app import OssApp
from airflow_tablestore.emulator.oss.errors import LARGEST
from airflow_tablestore.emulator.oss.pieces import Piece
from airflow_tablestore.emulator.oss.rows import APPENDABLE, MULTIPART, NORMAL, Content
from airflow_tablestore.emulator.server import Server

pytestmark = pytest.mark.slow

PART = 100 * 1024
OLD, FUTURE = "Mon, 01 Jan 2024 08:00:00 GMT", "Mon, 01 Jan 2096 08:00:00 GMT"


@pytest.fixture(scope="module")
def app():
    return OssApp(None, demo_accounts(), Clock())


@pytest.fixture(scope="module")
def url(app):
    with Server(app) as server:
        yield server.url


@pytest.fixture
def bucket(url):
    auth = oss2.Auth(DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET)
    bucket = oss2.Bucket(auth, url, f"test-{uuid.uuid4().hex[:12]}")
    bucket.create_bucket()
    return bucket


def refused(action) -> tuple[int, str]:
    with pytest.raises(oss2.exceptions.OssError) as error:
        action()
    return error.value.status, error.value.code


def holes(app, bucket, key, size, kind=NORMAL):
    """An object of that many zeros, which take no place on the disk; its checksum is not right."""
    piece = Piece(uuid.uuid4().hex, size, 0, "0" * 32)
    with app.store.folder.path(piece.id).open("xb") as file:
        file.truncate(size)
    app.store.put(bucket.bucket_name, key, Content(kind, "0" * 32, [piece], 0), {}, is_new_only=False)


# ---- 5 GB


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("PUT", {}),
        ("POST", {"append": "", "position": "0"}),
        ("PUT", {"uploadId": "U", "partNumber": "1"}),
    ],
    ids=["PutObject", "AppendObject", "UploadPart"],
)
def test_a_body_that_announces_more_than_5_gb_is_refused_before_it_is_sent(bucket, method, parameters):
    signed = urlsplit(bucket.sign_url(method, "object", 60, params=parameters, slash_safe=True))
    connection = http.client.HTTPConnection(signed.netloc, timeout=60)

    connection.putrequest(method, f"{signed.path}?{signed.query}")
    connection.putheader("Content-Length", str(LARGEST + 1))
    connection.endheaders()
    answer = connection.getresponse()
    told = ElementTree.fromstring(answer.read())
    connection.close()

    assert (answer.status, told.findtext("Code")) == (400, "EntityTooLarge")
    assert told.findtext("MaxSizeAllowed") == "5368709120"
    assert not bucket.object_exists("object")


def test_an_object_grows_to_5_gb_and_no_further(app, bucket):
    holes(app, bucket, "log", LARGEST - 3, APPENDABLE)

    last = bucket.append_object("log", LARGEST - 3, b"end")

    assert last.next_position == LARGEST
    assert refused(lambda: bucket.append_object("log", LARGEST, b"x")) == (400, "EntityTooLarge")
    assert bucket.head_object("log").content_length == LARGEST


def test_more_than_5_gb_are_copied_in_parts_only(app, bucket):
    holes(app, bucket, "large", LARGEST + 1, MULTIPART)
    name, upload = bucket.bucket_name, bucket.init_multipart_upload("copy").upload_id

    whole = refused(lambda: bucket.copy_object(name, "large", "copy"))
    as_one_part = refused(lambda: bucket.upload_part_copy(name, "large", None, "copy", upload, 1))
    bucket.upload_part_copy(name, "large", (LARGEST - PART + 1, LARGEST), "copy", upload, 1)

    assert whole == as_one_part == (400, "EntityTooLarge")
    assert [part.size for part in bucket.list_parts("copy", upload).parts] == [PART]


def test_an_object_of_5_gb_is_copied_at_once(app, bucket):
    holes(app, bucket, "large", LARGEST)

    bucket.copy_object(bucket.bucket_name, "large", "copy")

    assert bucket.head_object("copy").content_length == LARGEST


# ---- pages


@pytest.mark.parametrize("at_once", [1, 2, 5, 1000])
def test_pages_of_parts_hold_every_part(bucket, at_once):
    upload = bucket.init_multipart_upload("big").upload_id
    for number in (1, 2, 7, 8, 10_000):
        bucket.upload_part("big", upload, number, b"part %d" % number)

    pages, marker = [], "0"
    while True:
        page = bucket.list_parts("big", upload, marker=marker, max_parts=at_once)
        pages.append([part.part_number for part in page.parts])
        marker = page.next_marker
        if not page.is_truncated:
            break

    assert [number for page in pages for number in page] == [1, 2, 7, 8, 10_000]
    assert {len(page) for page in pages[:-1]} <= {at_once}


@pytest.mark.parametrize("most", ["0", "1001", "-1", "many"])
def test_a_bad_number_of_parts_is_refused(bucket, most):
    upload = bucket.init_multipart_upload("big").upload_id

    assert refused(lambda: bucket.list_parts("big", upload, max_parts=most)) == (400, "InvalidArgument")


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_listing_shows_keys_as_they_are_unless_asked_otherwise(bucket, version):
    keys = ["a &<>\"' +%41/文件", "b/c", "tab\t and \r\n"]
    for key in keys:
        bucket.put_object(key, b"x")
    second = {"list-type": "2"} if version == "2" else {}

    plain = bucket._do("GET", bucket.bucket_name, "", params={**second, "delimiter": "/"}).read()
    encoded = bucket._do("GET", bucket.bucket_name, "", params={**second, "encoding-type": "url"}).read()

    root = ElementTree.fromstring(plain)
    assert [found.text for found in root.iterfind("CommonPrefixes/Prefix")] == ["a &<>\"' +%41/", "b/"]
    assert [found.text for found in root.iterfind("Contents/Key")] == ["tab\t and \r\n"]
    assert root.find("EncodingType") is None
    root = ElementTree.fromstring(encoded)
    assert root.findtext("EncodingType") == "url"
    assert [oss2.compat.urlunquote(found.text) for found in root.iterfind("Contents/Key")] == sorted(keys)


# ---- conditions of a copy


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"if-match": "{etag}"}, None),
        ({"if-match": '"0"'}, (412, "PreconditionFailed")),
        ({"if-none-match": '"0"'}, None),
        ({"if-none-match": "{etag}"}, (304, "")),
        ({"if-unmodified-since": FUTURE}, None),
        ({"if-unmodified-since": OLD}, (412, "PreconditionFailed")),
        ({"if-modified-since": OLD}, None),
        ({"if-modified-since": FUTURE}, (304, "")),
        ({"if-match": "{etag}", "if-unmodified-since": OLD}, (412, "PreconditionFailed")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("as_part", [False, True], ids=["CopyObject", "UploadPartCopy"])
def test_a_copy_is_made_when_its_conditions_hold(bucket, conditions, expected, as_part):
    etag = bucket.put_object("source", b"body").etag
    headers = {f"x-oss-copy-source-{name}": value.format(etag=f'"{etag}"') for name, value in conditions.items()}
    name, upload = bucket.bucket_name, bucket.init_multipart_upload("copy").upload_id

    def copy():
        if as_part:
            return bucket.upload_part_copy(name, "source", None, "copy", upload, 1, headers=headers)
        return bucket.copy_object(name, "source", "copy", headers=headers)

    if expected is None:
        assert copy().status == 200
    else:
        assert refused(copy) == expected
        assert not bucket.object_exists("copy")
        assert bucket.list_parts("copy", upload).parts == []


# ---- checksums


@pytest.mark.parametrize("size", [5, 300_000], ids=["short", "long"])
def test_a_wrong_md5_changes_nothing(bucket, size):
    body = os.urandom(size)
    wrong = {"Content-MD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}
    bad = {"Content-MD5": "no base64"}
    bucket.append_object("log", 0, b"first")
    upload = bucket.init_multipart_upload("big").upload_id

    for headers in (wrong, bad):
        assert refused(lambda h=headers: bucket.append_object("log", 5, body, headers=h)) == (400, "InvalidDigest")
        assert refused(lambda h=headers: bucket.upload_part("big", upload, 1, body, headers=h)) == (
            400,
            "InvalidDigest",
        )

    assert bucket.get_object("log").read() == b"first"
    assert bucket.list_parts("big", upload).parts == []


@pytest.mark.parametrize("size", [5, 300_000], ids=["short", "long"])
def test_a_right_md5_is_taken(bucket, size):
    body = os.urandom(size)
    right = {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}
    upload = bucket.init_multipart_upload("big").upload_id

    bucket.append_object("log", 0, body, headers=right)
    part = bucket.upload_part("big", upload, 1, body, headers=right)
    bucket.complete_multipart_upload("big", upload, [oss2.models.PartInfo(1, part.etag)])

    assert bucket.get_object("log").read() == bucket.get_object("big").read() == body
