"""The newer official Python client `alibabacloud_oss_v2`, with the signature that it is told to use."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import alibabacloud_oss_v2 as oss
import requests
from case import Cases, asked, equal

PART = 100 * 1024
CRC64_OF_DIGITS = "11051210869376104954"
"""Of 123456789: the check value of CRC-64/XZ."""

cases = Cases()
case = cases.case


def connect(secret: str | None = None, token: str | None = None) -> Any:
    access, is_v4 = asked()["services"]["oss"], asked()["options"].get("v4", False)
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(
        access["access_key_id"], secret or access["access_key_secret"], token
    )
    config.region, config.endpoint = "cn-hangzhou", access["endpoint"]
    config.signature_version = "v4" if is_v4 else "v1"
    config.retry_max_attempts = 1
    return oss.Client(config)


@dataclass(frozen=True)
class Objects:
    """A client, its bucket, and a prefix of the case's own."""

    client: Any
    bucket: str
    prefix: str

    def name(self, rest: str = "object") -> str:
        return self.prefix + rest

    def put(self, body: bytes, rest: str = "object", **options: Any) -> Any:
        return self.client.put_object(oss.PutObjectRequest(self.bucket, self.name(rest), body=body, **options))

    def get(self, rest: str = "object", **options: Any) -> Any:
        return self.client.get_object(oss.GetObjectRequest(self.bucket, self.name(rest), **options))

    def body(self, rest: str = "object") -> bytes:
        return self.get(rest).body.content

    def head(self, rest: str = "object") -> Any:
        return self.client.head_object(oss.HeadObjectRequest(self.bucket, self.name(rest)))

    def begin(self) -> str:
        return self.client.initiate_multipart_upload(
            oss.InitiateMultipartUploadRequest(self.bucket, self.name())
        ).upload_id

    def upload(self, *bodies: bytes) -> tuple[str, list[Any]]:
        upload, parts = self.begin(), []
        for number, body in enumerate(bodies, 1):
            put = self.client.upload_part(oss.UploadPartRequest(self.bucket, self.name(), number, upload, body=body))
            parts.append(oss.UploadPart(number, put.etag))
        return upload, parts

    def complete(self, upload: str, parts: list[Any]) -> Any:
        return self.client.complete_multipart_upload(
            oss.CompleteMultipartUploadRequest(
                self.bucket, self.name(), upload, complete_multipart_upload=oss.CompleteMultipartUpload(parts)
            )
        )


def refused(action: Callable[[], object]) -> tuple[int, str]:
    try:
        action()
    except oss.exceptions.OperationError as error:
        told = error.unwrap()
        return told.status_code, told.code
    raise AssertionError("it was not refused")


@case("PutObject", "an object comes back as it was put")
def _(o: Objects) -> None:
    body = os.urandom(200_000)
    put = o.put(body, "dir/文件 +&.bin", content_type="a/b", metadata={"task": "sample"})
    got = o.get("dir/文件 +&.bin")
    equal(got.body.content == body, True)
    equal(got.hash_crc64, put.hash_crc64)
    equal((got.content_type, dict(got.metadata)), ("a/b", {"task": "sample"}))


@case("PutObject", "overwriting is forbidden when asked")
def _(o: Objects) -> None:
    o.put(b"one")
    equal(refused(lambda: o.put(b"two", forbid_overwrite=True)), (409, "FileAlreadyExists"))
    equal(o.body(), b"one")


@case("PutObject", "a wrong MD5 is refused")
def _(o: Objects) -> None:
    other = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    equal(refused(lambda: o.put(b"body", content_md5=other)), (400, "InvalidDigest"))


@case("GetObject", "a range is part of the object")
def _(o: Objects) -> None:
    o.put(b"0123456789")
    got = o.get(range_header="bytes=2-4")
    equal((got.status_code, got.body.content, got.content_range), (206, b"234", "bytes 2-4/10"))


@case("GetObject", "what is not there is named")
def _(o: Objects) -> None:
    equal(refused(lambda: o.get("nothing")), (404, "NoSuchKey"))


@case("HeadObject", "length, time and CRC64 are told")
def _(o: Objects) -> None:
    o.put(b"123456789")
    head = o.head()
    equal((head.content_length, head.hash_crc64), (9, CRC64_OF_DIGITS))
    equal(head.last_modified is not None, True)


@case("CopyObject", "a copy is the object")
def _(o: Objects) -> None:
    o.put(b"body", metadata={"task": "sample"})
    o.client.copy_object(oss.CopyObjectRequest(o.bucket, o.name("copy"), source_key=o.name()))
    equal(o.body("copy"), b"body")
    equal(dict(o.head("copy").metadata), {"task": "sample"})


@case("AppendObject", "an object grows at its end only")
def _(o: Objects) -> None:
    def append(position: int, body: bytes) -> Any:
        return o.client.append_object(oss.AppendObjectRequest(o.bucket, o.name(), position=position, body=body))

    first = append(0, b"first")
    equal(int(append(int(first.next_position), b" second").next_position), 12)
    equal(refused(lambda: append(3, b"x")), (409, "PositionNotEqualToLength"))
    equal(o.body(), b"first second")


@case("CompleteMultipartUpload", "parts become an object")
def _(o: Objects) -> None:
    bodies = os.urandom(PART), os.urandom(PART), b"end"
    o.complete(*o.upload(*bodies))
    equal(o.body() == b"".join(bodies), True)


@case("CompleteMultipartUpload", "a part that is too small is refused")
def _(o: Objects) -> None:
    begun = o.upload(b"small", b"end")
    equal(refused(lambda: o.complete(*begun)), (400, "EntityTooSmall"))


@case("ListParts", "parts are told")
def _(o: Objects) -> None:
    upload, _ = o.upload(os.urandom(PART), b"end")
    told = o.client.list_parts(oss.ListPartsRequest(o.bucket, o.name(), upload)).parts
    equal([(part.part_number, part.size) for part in told], [(1, PART), (2, 3)])


@case("AbortMultipartUpload", "an upload is gone")
def _(o: Objects) -> None:
    begun = o.upload(b"end")
    o.client.abort_multipart_upload(oss.AbortMultipartUploadRequest(o.bucket, o.name(), begun[0]))
    equal(refused(lambda: o.complete(*begun)), (404, "NoSuchUpload"))


@case("UploadPartCopy", "a part may be a copy")
def _(o: Objects) -> None:
    body = os.urandom(PART + 10)
    o.put(body, "source")
    upload = o.begin()
    request = oss.UploadPartCopyRequest(o.bucket, o.name(), 1, upload, source_key=o.name("source"))
    request.source_range = f"bytes=5-{PART + 9}"
    o.complete(upload, [oss.UploadPart(1, o.client.upload_part_copy(request).etag)])
    equal(o.body() == body[5:], True)


@case("ListMultipartUploads", "an upload is told")
def _(o: Objects) -> None:
    upload, _ = o.upload(b"end")
    told = o.client.list_multipart_uploads(oss.ListMultipartUploadsRequest(o.bucket, prefix=o.prefix)).uploads
    equal([(one.key, one.upload_id) for one in told], [(o.name(), upload)])


def listings(operation: str, request: Any, paginator: str) -> None:
    def pages(o: Objects, **options: Any) -> list[Any]:
        return list(getattr(o.client, paginator)().iter_page(request(o.bucket, prefix=o.prefix, **options)))

    @case(operation, "names are folded at a delimiter")
    def _(o: Objects) -> None:
        for rest in ("a/1", "a/2", "b 文+&", "c/3"):
            o.put(b"x", rest)
        [page] = pages(o, delimiter="/")
        equal([one.key for one in page.contents], [o.name("b 文+&")])
        equal([one.prefix for one in page.common_prefixes], [o.name("a/"), o.name("c/")])

    @case(operation, "pages hold every name")
    def _(o: Objects) -> None:
        for n in range(5):
            o.put(b"x", f"k{n}")
        found = [one.key for page in pages(o, max_keys=2) for one in page.contents]
        equal(found, [o.name(f"k{n}") for n in range(5)])


listings("ListObjects", oss.ListObjectsRequest, "list_objects_paginator")
listings("ListObjectsV2", oss.ListObjectsV2Request, "list_objects_v2_paginator")


@case("DeleteObject", "deleting twice is fine")
def _(o: Objects) -> None:
    o.put(b"x")
    request = oss.DeleteObjectRequest(o.bucket, o.name())
    equal([o.client.delete_object(request).status_code for _ in range(2)], [204, 204])
    equal(refused(o.body), (404, "NoSuchKey"))


@case("DeleteMultipleObjects", "many are deleted at once")
def _(o: Objects) -> None:
    for rest in ("a", "b &<文"):
        o.put(b"x", rest)
    names = [o.name(rest) for rest in ("a", "b &<文")]
    request = oss.DeleteMultipleObjectsRequest(o.bucket, objects=[oss.DeleteObject(name) for name in names])
    equal(sorted(one.key for one in o.client.delete_multiple_objects(request).deleted_objects), names)
    equal(o.client.list_objects_v2(oss.ListObjectsV2Request(o.bucket, prefix=o.prefix)).contents, None)


@case("GetBucketInfo", "a bucket tells about itself")
def _(o: Objects) -> None:
    told = o.client.get_bucket_info(oss.GetBucketInfoRequest(o.bucket)).bucket_info
    equal((told.name, told.location), (o.bucket, "oss-cn-hangzhou"))


@case("PutBucket", "only an empty bucket goes")
def _(o: Objects) -> None:
    own = Objects(o.client, o.bucket + "-new", "")
    o.client.put_bucket(oss.PutBucketRequest(own.bucket))
    own.put(b"x")
    delete = oss.DeleteBucketRequest(own.bucket)
    equal(refused(lambda: o.client.delete_bucket(delete)), (409, "BucketNotEmpty"))
    o.client.delete_object(oss.DeleteObjectRequest(own.bucket, "object"))
    o.client.delete_bucket(delete)
    equal(refused(lambda: own.put(b"x")), (404, "NoSuchBucket"))


@case("presigned URL", "it is good without keys")
def _(o: Objects) -> None:
    o.put(b"body")
    signed = o.client.presign(oss.GetObjectRequest(o.bucket, o.name()))
    answer = requests.get(signed.url, headers=signed.signed_headers, timeout=10)
    equal((answer.status_code, answer.content), (200, b"body"))
    equal(requests.put(signed.url, data=b"x", timeout=10).status_code, 403)


@case("signature", "a wrong secret is refused")
def _(o: Objects) -> None:
    wrong = Objects(connect(secret="wrong"), o.bucket, o.prefix)
    equal(refused(wrong.get), (403, "SignatureDoesNotMatch"))


@case("signature", "a security token is taken")
def _(o: Objects) -> None:
    Objects(connect(token="token"), o.bucket, o.prefix).put(b"body")
    equal(o.body(), b"body")


def main() -> None:
    client, bucket = connect(), asked()["bucket"]
    client.put_bucket(oss.PutBucketRequest(bucket))
    cases.run(asked()["client"], lambda number: Objects(client, bucket, f"case-{number}/"))


if __name__ == "__main__":
    main()
