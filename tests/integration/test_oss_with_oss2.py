"""The OSS service judged by the official Python client `oss2`, unmodified, with both of its signatures."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid

import oss2
import pytest
import requests
from oss2.models import PartInfo

from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.oss import crc64
from airflow_tablestore.emulator.oss.app import OssApp
from airflow_tablestore.emulator.server import Server

pytestmark = pytest.mark.slow

PART = 100 * 1024
AUTHS = {"v1": oss2.Auth, "v4": oss2.AuthV4}


@pytest.fixture(scope="module")
def url():
    with Server(OssApp(None, demo_accounts(), Clock())) as server:
        yield server.url


def bucket_at(url, name, version="v4", *, key_id=DEMO_ACCESS_KEY_ID, secret=DEMO_ACCESS_KEY_SECRET):
    return oss2.Bucket(AUTHS[version](key_id, secret), url, name, region="cn-hangzhou", enable_crc=True)


@pytest.fixture(params=["v1", "v4"])
def bucket(request, url):
    bucket = bucket_at(url, f"test-{uuid.uuid4().hex[:12]}", request.param)
    bucket.create_bucket()
    return bucket


def code_of(error):
    return error.value.status, error.value.code


def test_an_object_comes_back_as_it_was_put(bucket):
    body = os.urandom(300_000)

    put = bucket.put_object("dir/文件 +%&.bin", body, headers={"Content-Type": "a/b", "x-oss-meta-task": "sample"})
    got = bucket.get_object("dir/文件 +%&.bin")

    assert got.read() == body
    assert put.etag == got.etag == hashlib.md5(body).hexdigest().upper()
    assert put.crc == got.server_crc == crc64.checksum(body)
    assert (got.content_type, got.headers["x-oss-meta-task"]) == ("a/b", "sample")
    assert got.headers["x-oss-request-id"]


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1_000_000])
def test_any_size_is_stored(bucket, size):
    body = os.urandom(size)

    bucket.put_object("object", body)

    assert bucket.get_object("object").read() == body
    assert bucket.head_object("object").content_length == size


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [((0, 9), slice(0, 10)), ((70_000, None), slice(70_000, None)), ((None, 5), slice(-5, None))],
)
def test_a_range_is_part_of_the_object(bucket, wanted, expected):
    body = os.urandom(200_000)
    bucket.put_object("object", body)

    got = bucket.get_object("object", byte_range=wanted)

    assert got.status == 206
    assert got.read() == body[expected]


def test_a_range_that_does_not_fit_is_ignored_or_refused(bucket):
    bucket.put_object("object", b"0123456789")

    ignored = bucket.get_object("object", byte_range=(5, 10))
    cut = bucket.get_object("object", byte_range=(5, 10), headers={"x-oss-range-behavior": "standard"})
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.get_object("object", byte_range=(10, 20), headers={"x-oss-range-behavior": "standard"})

    assert (ignored.status, ignored.read()) == (200, b"0123456789")
    assert (cut.status, cut.read()) == (206, b"56789")
    assert code_of(refused) == (416, "InvalidRange")


def test_conditions_hold_or_refuse(bucket):
    put = bucket.put_object("object", b"body")
    modified = bucket.head_object("object").headers["Last-Modified"]

    assert bucket.get_object("object", headers={"If-Match": f'"{put.etag}"'}).read() == b"body"
    with pytest.raises(oss2.exceptions.PreconditionFailed):
        bucket.get_object("object", headers={"If-Match": '"0"'})
    with pytest.raises(oss2.exceptions.NotModified):
        bucket.get_object("object", headers={"If-None-Match": f'"{put.etag}"'})
    with pytest.raises(oss2.exceptions.NotModified):
        bucket.get_object("object", headers={"If-Modified-Since": modified})
    with pytest.raises(oss2.exceptions.PreconditionFailed):
        bucket.get_object("object", headers={"If-Unmodified-Since": "Mon, 01 Jan 2024 08:00:00 GMT"})


def test_what_is_missing_is_named(bucket, url):
    with pytest.raises(oss2.exceptions.NoSuchKey) as missing:
        bucket.get_object("nothing")
    with pytest.raises(oss2.exceptions.NotFound) as headless:
        bucket.head_object("nothing")
    with pytest.raises(oss2.exceptions.NoSuchBucket):
        bucket_at(url, "no-such-bucket").put_object("object", b"")

    assert missing.value.request_id
    assert code_of(headless) == (404, "NoSuchKey")
    assert not bucket.object_exists("nothing")
    bucket.delete_object("nothing")


def test_forbidden_overwriting_is_refused(bucket):
    once = {"x-oss-forbid-overwrite": "true"}
    bucket.put_object("object", b"first", headers=once)
    upload = bucket.init_multipart_upload("other", headers=once)
    part = bucket.upload_part("other", upload.upload_id, 1, b"part")
    bucket.put_object("other", b"meanwhile")

    attempts = [
        lambda: bucket.put_object("object", b"second", headers=once),
        lambda: bucket.copy_object(bucket.bucket_name, "other", "object", headers=once),
        lambda: bucket.init_multipart_upload("object", headers=once),
        lambda: bucket.complete_multipart_upload("other", upload.upload_id, [PartInfo(1, part.etag)], headers=once),
    ]

    for attempt in attempts:
        with pytest.raises(oss2.exceptions.ServerError) as refused:
            attempt()
        assert code_of(refused) == (409, "FileAlreadyExists")
    assert bucket.get_object("object").read() == b"first"
    assert bucket.get_object("other").read() == b"meanwhile"


def test_a_wrong_md5_is_refused(bucket):
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()

    with pytest.raises(oss2.exceptions.InvalidDigest):
        bucket.put_object("object", b"body", headers={"Content-MD5": wrong})

    assert not bucket.object_exists("object")


@pytest.mark.parametrize("size", [10, 100_000])
def test_appends_need_the_right_position(bucket, size):
    first, second = os.urandom(size), os.urandom(size)

    result = bucket.append_object("log", 0, first)
    with pytest.raises(oss2.exceptions.PositionNotEqualToLength) as wrong:
        bucket.append_object("log", 1, second)
    result = bucket.append_object("log", result.next_position, second, init_crc=result.crc)
    bucket.put_object("plain", b"")
    with pytest.raises(oss2.exceptions.ObjectNotAppendable):
        bucket.append_object("plain", 0, b"more")

    assert wrong.value.next_position == size
    assert result.next_position == 2 * size
    assert bucket.get_object("log").read() == first + second
    assert bucket.head_object("log").object_type == "Appendable"


def test_a_multipart_upload_becomes_an_object(bucket):
    first, second, third = os.urandom(PART), os.urandom(PART), b"end"

    upload_id = bucket.init_multipart_upload("big", headers={"x-oss-meta-run": "7"}).upload_id
    parts = []
    for number, data in ((3, third), (1, first), (2, b"replaced"), (2, second)):
        result = bucket.upload_part("big", upload_id, number, data)
        parts = [*(p for p in parts if p.part_number != number), PartInfo(number, result.etag, len(data), result.crc)]
    listed = bucket.list_parts("big", upload_id)
    done = bucket.complete_multipart_upload("big", upload_id, sorted(parts, key=lambda p: p.part_number))

    assert [(p.part_number, p.size) for p in listed.parts] == [(1, PART), (2, PART), (3, 3)]
    assert done.crc == crc64.checksum(first + second + third)
    got = bucket.get_object("big")
    assert got.read() == first + second + third
    assert (got.object_type, got.headers["x-oss-meta-run"], got.etag) == ("Multipart", "7", done.etag)
    assert bucket.get_object("big", byte_range=(PART - 2, PART + 1)).read() == first[-2:] + second[:2]


def test_an_upload_ends_once(bucket):
    upload_id = bucket.init_multipart_upload("big").upload_id
    part = bucket.upload_part("big", upload_id, 1, b"part")
    bucket.complete_multipart_upload("big", upload_id, [PartInfo(1, part.etag)])
    aborted = bucket.init_multipart_upload("big").upload_id
    bucket.upload_part("big", aborted, 1, b"gone")
    bucket.abort_multipart_upload("big", aborted)

    for ended in (upload_id, aborted):
        for attempt in (
            lambda ended=ended: bucket.complete_multipart_upload("big", ended, [PartInfo(1, part.etag)]),
            lambda ended=ended: bucket.upload_part("big", ended, 1, b"part"),
            lambda ended=ended: bucket.list_parts("big", ended),
            lambda ended=ended: bucket.abort_multipart_upload("big", ended),
        ):
            with pytest.raises(oss2.exceptions.NoSuchUpload):
                attempt()
    assert bucket.get_object("big").read() == b"part"


def test_parts_that_do_not_fit_are_refused_and_the_upload_stays(bucket):
    upload_id = bucket.init_multipart_upload("big").upload_id
    one = bucket.upload_part("big", upload_id, 1, b"small").etag
    two = bucket.upload_part("big", upload_id, 2, b"last").etag

    def complete(*parts):
        with pytest.raises(oss2.exceptions.ServerError) as refused:
            bucket.complete_multipart_upload("big", upload_id, [PartInfo(n, etag) for n, etag in parts])
        return refused.value.code

    assert complete((1, one), (2, two)) == "EntityTooSmall"
    assert complete((1, two)) == "InvalidPart"
    assert complete((3, one)) == "InvalidPart"
    assert complete() == "MalformedXML"
    with pytest.raises(oss2.exceptions.InvalidArgument):
        bucket.upload_part("big", upload_id, 10_001, b"part")
    bucket.complete_multipart_upload("big", upload_id, [PartInfo(2, two)])
    assert bucket.get_object("big").read() == b"last"


def test_parts_out_of_order_are_refused(bucket):
    upload_id = bucket.init_multipart_upload("big").upload_id
    etags = {number: bucket.upload_part("big", upload_id, number, b"part").etag for number in (1, 2)}
    parts = (f"<Part><PartNumber>{n}</PartNumber><ETag>{etags[n]}</ETag></Part>" for n in (2, 1))
    body = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>"  # the client would sort them

    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket._do("POST", bucket.bucket_name, "big", data=body, params={"uploadId": upload_id})

    assert code_of(refused) == (400, "InvalidPartOrder")


def test_all_parts_complete_without_a_list(bucket):
    upload_id = bucket.init_multipart_upload("big").upload_id
    bucket.upload_part("big", upload_id, 7, b"only")

    bucket.complete_multipart_upload("big", upload_id, None, headers={"x-oss-complete-all": "yes"})

    assert bucket.get_object("big").read() == b"only"


def test_a_part_may_be_a_copy(bucket):
    body = os.urandom(3 * PART)
    bucket.put_object("source", body)
    upload_id = bucket.init_multipart_upload("copy").upload_id

    name = bucket.bucket_name
    parts = [
        PartInfo(n + 1, bucket.upload_part_copy(name, "source", r, "copy", upload_id, n + 1).etag)
        for n, r in enumerate([(0, PART - 1), (PART, 3 * PART - 1)])
    ]
    bucket.complete_multipart_upload("copy", upload_id, parts)

    assert bucket.get_object("copy").read() == body


def test_resumable_uploads_and_downloads_work(bucket, tmp_path):
    body = os.urandom(1_200_000)
    (tmp_path / "source").write_bytes(body)
    store = oss2.ResumableStore(root=str(tmp_path))

    oss2.resumable_upload(
        bucket, "big", str(tmp_path / "source"), store=store, multipart_threshold=PART, part_size=300_000, num_threads=3
    )
    oss2.resumable_download(
        bucket,
        "big",
        str(tmp_path / "target"),
        store=oss2.ResumableDownloadStore(root=str(tmp_path)),
        multiget_threshold=PART,
        part_size=300_000,
        num_threads=3,
    )

    assert (tmp_path / "target").read_bytes() == body


def test_a_copy_is_the_object_with_chosen_headers(bucket):
    bucket.put_object("source +", b"body", headers={"x-oss-meta-task": "old"})

    bucket.copy_object(bucket.bucket_name, "source +", "same")
    bucket.copy_object(
        bucket.bucket_name,
        "source +",
        "other",
        headers={"x-oss-metadata-directive": "REPLACE", "x-oss-meta-task": "new"},
    )
    bucket.delete_object("source +")

    assert bucket.get_object("same").read() == bucket.get_object("other").read() == b"body"
    assert bucket.head_object("same").headers["x-oss-meta-task"] == "old"
    assert bucket.head_object("other").headers["x-oss-meta-task"] == "new"


def test_metadata_is_replaced_in_place(bucket):
    bucket.put_object("object", os.urandom(100_000))

    bucket.update_object_meta("object", {"x-oss-meta-a": "b"})

    assert bucket.head_object("object").headers["x-oss-meta-a"] == "b"
    assert len(bucket.get_object("object").read()) == 100_000


KEYS = ["a", "a/b/1", "a/b/2", "a/c", "a b", "é", "文件", "z&<>", "z+", "z/"]


@pytest.mark.parametrize("max_keys", [1, 3, 100])
@pytest.mark.parametrize("iterator", [oss2.ObjectIterator, oss2.ObjectIteratorV2])
@pytest.mark.parametrize(
    ("prefix", "delimiter", "expected"),
    [
        ("", "", sorted(KEYS)),
        ("", "/", ["a", "a b", "a/", "z&<>", "z+", "z/", "é", "文件"]),
        ("a/", "/", ["a/b/", "a/c"]),
        ("a", "", ["a", "a b", "a/b/1", "a/b/2", "a/c"]),
        ("nothing", "/", []),
    ],
)
def test_listings_page_and_fold(url, iterator, prefix, delimiter, expected, max_keys):
    bucket = bucket_at(url, "listing-bucket")
    bucket.create_bucket()
    for key in KEYS:
        bucket.put_object(key, b"")

    found = [entry.key for entry in iterator(bucket, prefix=prefix, delimiter=delimiter, max_keys=max_keys)]

    assert sorted(found) == expected


def test_a_listing_tells_what_objects_are(bucket):
    bucket.put_object("object", b"body")

    (first,) = bucket.list_objects().object_list
    (second,) = bucket.list_objects_v2(start_after="nothing", fetch_owner=True).object_list

    for found in (first, second):
        assert (found.key, found.size, found.type, found.storage_class) == ("object", 4, "Normal", "Standard")
        assert found.etag == hashlib.md5(b"body").hexdigest().upper()
        assert found.owner.id
    assert not bucket.list_objects("", "", "object").object_list


@pytest.mark.parametrize("quantity", ["0", "1001", "many"])
def test_a_bad_number_of_keys_is_refused(bucket, quantity):
    with pytest.raises(oss2.exceptions.InvalidArgument):
        bucket.list_objects(max_keys=quantity)


def test_uploads_are_listed_by_key_and_age(bucket):
    begun = [(key, bucket.init_multipart_upload(key).upload_id) for key in ("b", "a/2", "a/1", "b", "c +")]

    found = [(u.key, u.upload_id) for u in oss2.MultipartUploadIterator(bucket, max_uploads=2)]
    folded = bucket.list_multipart_uploads(delimiter="/")
    of_one = [u.upload_id for u in oss2.ObjectUploadIterator(bucket, "b", max_uploads=1)]

    assert found == sorted(begun, key=lambda u: u[0])
    assert folded.prefix_list == ["a/"]
    assert of_one == [begun[0][1], begun[3][1]]


def test_many_objects_are_deleted_at_once(bucket):
    for key in ("a", "b +", "文件"):
        bucket.put_object(key, os.urandom(70_000))

    deleted = bucket.batch_delete_objects(["a", "文件", "nothing"])

    assert deleted.deleted_keys == ["a", "文件", "nothing"]
    assert [o.key for o in bucket.list_objects().object_list] == ["b +"]


def test_deleting_can_be_quiet(bucket):
    bucket.put_object("a", b"")
    body = b"<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>"
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()

    response = bucket._do(
        "POST", bucket.bucket_name, "", data=body, params={"delete": ""}, headers={"Content-MD5": md5}
    )

    assert response.read() == b""
    assert not bucket.object_exists("a")


def test_a_bucket_tells_about_itself(bucket, url):
    bucket.put_object("object", b"body")
    bucket.init_multipart_upload("other")

    info, stat = bucket.get_bucket_info(), bucket.get_bucket_stat()

    assert (info.name, info.location, info.acl.grant) == (bucket.bucket_name, "oss-cn-hangzhou", "private")
    assert info.extranet_endpoint == url.removeprefix("http://")
    assert bucket.get_bucket_location().location == "oss-cn-hangzhou"
    assert bucket.get_bucket_acl().acl == "private"
    assert (stat.storage_size_in_bytes, stat.object_count, stat.multi_part_upload_count) == (4, 1, 1)


def test_only_an_empty_bucket_goes(bucket):
    bucket.put_object("object", b"")
    with pytest.raises(oss2.exceptions.BucketNotEmpty):
        bucket.delete_bucket()

    bucket.delete_object("object")
    bucket.delete_bucket()

    with pytest.raises(oss2.exceptions.NoSuchBucket):
        bucket.get_bucket_info()


def test_buckets_are_listed(url, bucket):
    service = oss2.Service(oss2.AuthV4(DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET), url, region="cn-hangzhou")

    found = [b.name for b in oss2.BucketIterator(service, max_keys=20)]

    assert bucket.bucket_name in found
    assert "backup" in found
    assert found == sorted(found)


def test_access_control_lists_are_kept(bucket):
    bucket.put_object("object", b"")

    bucket.put_object_acl("object", oss2.OBJECT_ACL_PUBLIC_READ)
    bucket.put_bucket_acl(oss2.BUCKET_ACL_PUBLIC_READ)

    assert bucket.get_object_acl("object").acl == "public-read"
    assert bucket.get_bucket_acl().acl == "public-read"


@pytest.mark.parametrize("version", AUTHS)
def test_wrong_credentials_are_refused(url, version):
    with pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
        bucket_at(url, "backup", version, secret="wrong").list_objects()
    with pytest.raises(oss2.exceptions.ServerError) as unknown:
        bucket_at(url, "backup", version, key_id="nobody").list_objects()
    with pytest.raises(oss2.exceptions.ServerError) as headless:
        bucket_at(url, "backup", version, secret="wrong").head_object("object")

    assert code_of(unknown) == (403, "InvalidAccessKeyId")
    assert code_of(headless) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("version", [oss2.AUTH_VERSION_1, oss2.AUTH_VERSION_4])
def test_a_security_token_is_taken(url, version):
    auth = oss2.StsAuth(DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, "CAIStoken+/==", auth_version=version)
    bucket = oss2.Bucket(auth, url, "backup", region="cn-hangzhou")

    bucket.put_object("by-token", b"body")

    assert requests.get(bucket.sign_url("GET", "by-token", 60), timeout=60).content == b"body"


def test_a_signed_url_is_good_for_its_method_and_object(bucket):
    put = bucket.sign_url("PUT", "dir/文件 +", 60, slash_safe=True)
    get = bucket.sign_url("GET", "dir/文件 +", 60, slash_safe=True, params={"response-content-type": "a/b"})

    written = requests.put(put, data=b"body", timeout=60)
    read = requests.get(get, timeout=60)
    misused = requests.delete(get, timeout=60)
    unsigned = requests.get(get.split("?")[0], timeout=60)

    assert (written.status_code, read.content, read.headers["content-type"]) == (200, b"body", "a/b")
    assert (misused.status_code, unsigned.status_code) == (403, 403)
    assert b"<Code>SignatureDoesNotMatch</Code>" in misused.content
    assert b"<Code>AccessDenied</Code>" in unsigned.content


def test_a_bucket_may_be_named_in_the_host(url, bucket):
    bucket.put_object("object", b"body")
    port = url.rpartition(":")[2]
    host = f"{bucket.bucket_name}.oss-cn-hangzhou.aliyuncs.com:{port}"
    signed = bucket.sign_url("GET", "object", 60).replace(f"/{bucket.bucket_name}/", "/")

    got = requests.get(signed, headers={"Host": host}, timeout=60)

    assert got.content == b"body"


def test_a_bucket_may_be_named_in_host_and_path(url, bucket):
    bucket.put_object("object", b"body")
    signed = bucket.sign_url("GET", "object", 60)

    got = requests.get(signed, headers={"Host": f"{bucket.bucket_name}.oss-cn-hangzhou.aliyuncs.com"}, timeout=60)

    assert got.content == b"body"


@pytest.mark.parametrize("parameter", ["lifecycle", "versions", "x-oss-process", "somethingNew"])
def test_what_is_not_there_is_refused(bucket, parameter):
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket._do("GET", bucket.bucket_name, "", params={parameter: ""})

    assert code_of(refused) == (501, "NotImplemented")


@pytest.mark.parametrize("key", ["/a", "\\a", "k" * 1024])
def test_a_bad_key_is_refused(bucket, key):
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.put_object(key, b"")

    assert refused.value.code == "InvalidObjectName"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-oss-server-side-encryption": "KMS"},
        {"x-oss-server-side-encryption": "bogus"},
        {"x-oss-server-side-encryption": "AES256", "x-oss-server-side-encryption-key-id": "key"},
        {"x-oss-callback": "e30="},
        {"x-oss-tagging": "a=b"},
    ],
    ids=lambda headers: ",".join(headers.values()),
)
def test_an_object_that_asks_for_what_is_not_there_is_refused(bucket, headers):
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.put_object("object", b"body", headers=headers)

    assert code_of(refused) == (501, "NotImplemented")
    assert not bucket.object_exists("object")
