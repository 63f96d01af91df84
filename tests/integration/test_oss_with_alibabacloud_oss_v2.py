"""The OSS service judged by the newer official Python client, which Airflow's Alibaba provider uses."""

from __future__ import annotations

import os
import uuid

import alibabacloud_oss_v2 as oss
import pytest
import requests

from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.oss import crc64
from airflow_tablestore.emulator.oss.app import OssApp
from airflow_tablestore.emulator.server import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url():
    with Server(OssApp(None, demo_accounts(), Clock())) as server:
        yield server.url


def client_at(url, version="v4", secret=DEMO_ACCESS_KEY_SECRET, token=None):
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(DEMO_ACCESS_KEY_ID, secret, token)
    config.region, config.endpoint, config.signature_version = "cn-hangzhou", url, version
    config.retry_max_attempts = 1
    return oss.Client(config)


@pytest.fixture(params=["v1", "v4"])
def client(request, url):
    return client_at(url, request.param)


@pytest.fixture
def bucket(client):
    name = f"test-{uuid.uuid4().hex[:12]}"
    client.put_bucket(oss.PutBucketRequest(name, create_bucket_configuration=oss.CreateBucketConfiguration("IA")))
    return name


def code_of(error):
    return error.value.unwrap().code


def test_an_object_comes_back_as_it_was_put(client, bucket):
    body = os.urandom(200_000)

    put = client.put_object(
        oss.PutObjectRequest(bucket, "dir/文件 +", body=body, content_type="a/b", metadata={"task": "sample"})
    )
    got = client.get_object(oss.GetObjectRequest(bucket, "dir/文件 +"))
    head = client.head_object(oss.HeadObjectRequest(bucket, "dir/文件 +"))

    assert got.body.content == body
    assert int(put.hash_crc64) == int(head.hash_crc64) == crc64.checksum(body)
    assert (head.content_length, head.content_type, head.metadata) == (200_000, "a/b", {"task": "sample"})


def test_a_range_is_part_of_the_object(client, bucket):
    client.put_object(oss.PutObjectRequest(bucket, "object", body=b"0123456789"))

    got = client.get_object(
        oss.GetObjectRequest(bucket, "object", range_header="bytes=5-100", range_behavior="standard")
    )

    assert (got.status_code, got.content_range, got.body.content) == (206, "bytes 5-9/10", b"56789")


def test_pages_hold_every_key(client, bucket):
    keys = [f"k {n:02d}+" for n in range(25)]
    for key in keys:
        client.put_object(oss.PutObjectRequest(bucket, key, body=b""))

    pages = client.list_objects_v2_paginator().iter_page(oss.ListObjectsV2Request(bucket, max_keys=7))
    first_version = client.list_objects_paginator().iter_page(oss.ListObjectsRequest(bucket, max_keys=7))

    assert [found.key for page in pages for found in page.contents or ()] == keys
    assert [found.key for page in first_version for found in page.contents or ()] == keys


def test_a_file_is_uploaded_downloaded_and_copied_in_parts(client, bucket, tmp_path):
    body = os.urandom(1_000_000)
    (tmp_path / "source").write_bytes(body)

    client.uploader(
        part_size=300_000, parallel_num=3, enable_checkpoint=True, checkpoint_dir=str(tmp_path)
    ).upload_file(oss.PutObjectRequest(bucket, "big"), str(tmp_path / "source"))
    client.copier(part_size=300_000, multipart_copy_threshold=100_000, disable_shallow_copy=True).copy(
        oss.CopyObjectRequest(bucket, "copy", source_key="big")
    )
    client.downloader(part_size=300_000, parallel_num=3).download_file(
        oss.GetObjectRequest(bucket, "copy"), str(tmp_path / "target")
    )

    assert (tmp_path / "target").read_bytes() == body
    assert client.head_object(oss.HeadObjectRequest(bucket, "big")).object_type == "Multipart"


def test_an_upload_may_be_aborted(client, bucket):
    begun = client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(bucket, "big"))
    client.upload_part(oss.UploadPartRequest(bucket, "big", 1, begun.upload_id, body=b"part"))

    listed = client.list_multipart_uploads(oss.ListMultipartUploadsRequest(bucket))
    parts = client.list_parts(oss.ListPartsRequest(bucket, "big", begun.upload_id))
    client.abort_multipart_upload(oss.AbortMultipartUploadRequest(bucket, "big", begun.upload_id))
    with pytest.raises(oss.exceptions.OperationError) as ended:
        client.list_parts(oss.ListPartsRequest(bucket, "big", begun.upload_id))

    assert [(u.key, u.upload_id) for u in listed.uploads] == [("big", begun.upload_id)]
    assert [(p.part_number, p.size, int(p.hash_crc64)) for p in parts.parts] == [(1, 4, crc64.checksum(b"part"))]
    assert code_of(ended) == "NoSuchUpload"


def test_a_file_grows_by_appending(client, bucket):
    with client.append_file(bucket, "log") as file:
        file.write(b"first ")
        file.write(os.urandom(0))
        file.write(b"second")
    with client.append_file(bucket, "log") as file:
        file.write(b" third")

    assert client.get_object(oss.GetObjectRequest(bucket, "log")).body.content == b"first second third"


def test_a_file_is_read_like_a_local_one(client, bucket):
    client.put_object(oss.PutObjectRequest(bucket, "object", body=b"0123456789"))

    with client.open_file(bucket, "object") as file:
        file.seek(4)
        tail = file.read(3), file.read()

    assert tail == (b"456", b"789")


def test_many_objects_are_deleted_at_once(client, bucket):
    for key in ("a", "b"):
        client.put_object(oss.PutObjectRequest(bucket, key, body=b""))

    deleted = client.delete_multiple_objects(
        oss.DeleteMultipleObjectsRequest(bucket, objects=[oss.DeleteObject("a"), oss.DeleteObject("nothing +")])
    )

    assert [found.key for found in deleted.deleted_objects] == ["a", "nothing +"]
    assert not client.is_object_exist(bucket, "a")
    assert client.is_object_exist(bucket, "b")


def test_a_bucket_tells_about_itself(client, bucket):
    info = client.get_bucket_info(oss.GetBucketInfoRequest(bucket)).bucket_info
    listed = client.list_buckets(oss.ListBucketsRequest(prefix=bucket)).buckets

    assert (info.name, info.storage_class, info.acl) == (bucket, "IA", "private")
    assert [found.name for found in listed] == [bucket]
    assert client.is_bucket_exist(bucket)
    assert not client.is_bucket_exist("no-such-bucket")
    client.delete_bucket(oss.DeleteBucketRequest(bucket))
    assert not client.is_bucket_exist(bucket)


def test_forbidden_overwriting_is_refused(client, bucket):
    client.put_object(oss.PutObjectRequest(bucket, "object", body=b"first", forbid_overwrite=True))

    with pytest.raises(oss.exceptions.OperationError) as refused:
        client.put_object(oss.PutObjectRequest(bucket, "object", body=b"second", forbid_overwrite=True))

    assert code_of(refused) == "FileAlreadyExists"


def test_wrong_credentials_are_refused(url):
    for version in ("v1", "v4"):
        with pytest.raises(oss.exceptions.OperationError) as refused:
            client_at(url, version, secret="wrong").list_objects(oss.ListObjectsRequest("backup"))
        assert code_of(refused) == "SignatureDoesNotMatch"


def test_a_security_token_is_taken(url):
    client = client_at(url, token="CAIStoken+/==")

    client.put_object(oss.PutObjectRequest("backup", "by-token", body=b"body"))

    assert client.get_object(oss.GetObjectRequest("backup", "by-token")).body.content == b"body"


def test_a_signed_request_is_good_without_keys(client, bucket):
    put = client.presign(oss.PutObjectRequest(bucket, "dir/文件 +", content_type="a/b"))
    written = requests.request(put.method, put.url, headers=put.signed_headers, data=b"body", timeout=60)
    get = client.presign(oss.GetObjectRequest(bucket, "dir/文件 +"))

    assert written.status_code == 200
    assert requests.get(get.url, headers=get.signed_headers, timeout=60).content == b"body"
