"""The official Python client `oss2`, with the signature that it is told to use."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import oss2
import requests
from case import Cases, asked, equal

PART = 100 * 1024
CRC64_OF_DIGITS = 11051210869376104954
"""Of 123456789: the check value of CRC-64/XZ."""

cases = Cases()
case = cases.case


def connect(bucket: str, secret: str | None = None, token: str | None = None) -> Any:
    access, is_v4 = asked()["services"]["oss"], asked()["options"].get("v4", False)
    key_id, secret = access["access_key_id"], secret or access["access_key_secret"]
    if token:
        auth = oss2.ProviderAuthV4 if is_v4 else oss2.ProviderAuth
        signer = auth(oss2.credentials.StaticCredentialsProvider(key_id, secret, token))
    else:
        signer = (oss2.AuthV4 if is_v4 else oss2.Auth)(key_id, secret)
    return oss2.Bucket(signer, access["endpoint"], bucket, region="cn-hangzhou")


@dataclass(frozen=True)
class Objects:
    """A bucket and a prefix of the case's own."""

    bucket: Any
    prefix: str

    def name(self, rest: str = "object") -> str:
        return self.prefix + rest

    def put(self, body: bytes, rest: str = "object", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.bucket.put_object(self.name(rest), body, headers=named)

    def body(self, rest: str = "object") -> bytes:
        return self.bucket.get_object(self.name(rest)).read()

    def upload(self, *bodies: bytes) -> tuple[str, list[Any]]:
        upload = self.bucket.init_multipart_upload(self.name()).upload_id
        parts = []
        for number, body in enumerate(bodies, 1):
            put = self.bucket.upload_part(self.name(), upload, number, body)
            parts.append(oss2.models.PartInfo(number, put.etag, part_crc=put.crc, size=len(body)))
        return upload, parts


def refused(action: Callable[[], object]) -> tuple[int, str]:
    try:
        action()
    except oss2.exceptions.OssError as error:
        return error.status, error.code
    raise AssertionError("it was not refused")


@case("PutObject", "an object comes back as it was put")
def _(o: Objects) -> None:
    body, name = os.urandom(200_000), o.name("dir/文件 +&.bin")
    put = o.bucket.put_object(name, body, headers={"Content-Type": "a/b", "x-oss-meta-task": "sample"})
    got = o.bucket.get_object(name)
    equal(got.read() == body, True)
    equal(got.server_crc, put.crc)
    equal((got.content_type, got.headers["x-oss-meta-task"]), ("a/b", "sample"))


@case("PutObject", "overwriting is forbidden when asked")
def _(o: Objects) -> None:
    o.put(b"one")
    equal(refused(lambda: o.put(b"two", x_oss_forbid_overwrite="true")), (409, "FileAlreadyExists"))
    equal(o.body(), b"one")


@case("PutObject", "a wrong MD5 is refused")
def _(o: Objects) -> None:
    other = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    equal(refused(lambda: o.put(b"body", Content_MD5=other)), (400, "InvalidDigest"))


@case("GetObject", "a range is part of the object")
def _(o: Objects) -> None:
    o.put(b"0123456789")
    got = o.bucket.get_object(o.name(), byte_range=(2, 4))
    equal((got.status, got.read(), got.headers["Content-Range"]), (206, b"234", "bytes 2-4/10"))


@case("GetObject", "what is not there is named")
def _(o: Objects) -> None:
    equal(refused(lambda: o.bucket.get_object(o.name("nothing"))), (404, "NoSuchKey"))


@case("HeadObject", "length, time and CRC64 are told")
def _(o: Objects) -> None:
    o.put(b"123456789")
    head = o.bucket.head_object(o.name())
    equal((head.content_length, head.server_crc), (9, CRC64_OF_DIGITS))
    equal(head.last_modified > 0, True)


@case("CopyObject", "a copy is the object")
def _(o: Objects) -> None:
    o.put(b"body", x_oss_meta_task="sample")
    o.bucket.copy_object(o.bucket.bucket_name, o.name(), o.name("copy"))
    equal(o.body("copy"), b"body")
    equal(o.bucket.head_object(o.name("copy")).headers["x-oss-meta-task"], "sample")


@case("AppendObject", "an object grows at its end only")
def _(o: Objects) -> None:
    first = o.bucket.append_object(o.name(), 0, b"first")
    second = o.bucket.append_object(o.name(), first.next_position, b" second", init_crc=first.crc)
    equal(second.next_position, 12)
    equal(refused(lambda: o.bucket.append_object(o.name(), 3, b"x")), (409, "PositionNotEqualToLength"))
    equal(o.body(), b"first second")


@case("CompleteMultipartUpload", "parts become an object")
def _(o: Objects) -> None:
    bodies = os.urandom(PART), os.urandom(PART), b"end"
    upload, parts = o.upload(*bodies)
    o.bucket.complete_multipart_upload(o.name(), upload, parts)
    equal(o.body() == b"".join(bodies), True)


@case("CompleteMultipartUpload", "a part that is too small is refused")
def _(o: Objects) -> None:
    upload, parts = o.upload(b"small", b"end")
    found = refused(lambda: o.bucket.complete_multipart_upload(o.name(), upload, parts))
    equal(found, (400, "EntityTooSmall"))


@case("ListParts", "parts are told")
def _(o: Objects) -> None:
    upload, _ = o.upload(os.urandom(PART), b"end")
    equal([(part.part_number, part.size) for part in o.bucket.list_parts(o.name(), upload).parts], [(1, PART), (2, 3)])


@case("AbortMultipartUpload", "an upload is gone")
def _(o: Objects) -> None:
    upload, parts = o.upload(b"end")
    o.bucket.abort_multipart_upload(o.name(), upload)
    found = refused(lambda: o.bucket.complete_multipart_upload(o.name(), upload, parts))
    equal(found, (404, "NoSuchUpload"))


@case("UploadPartCopy", "a part may be a copy")
def _(o: Objects) -> None:
    body = os.urandom(PART + 10)
    o.put(body, "source")
    upload = o.bucket.init_multipart_upload(o.name()).upload_id
    copied = o.bucket.upload_part_copy(o.bucket.bucket_name, o.name("source"), (5, PART + 9), o.name(), upload, 1)
    o.bucket.complete_multipart_upload(o.name(), upload, [oss2.models.PartInfo(1, copied.etag)])
    equal(o.body() == body[5:], True)


@case("ListMultipartUploads", "an upload is told")
def _(o: Objects) -> None:
    upload, _ = o.upload(b"end")
    told = o.bucket.list_multipart_uploads(prefix=o.prefix).upload_list
    equal([(one.key, one.upload_id) for one in told], [(o.name(), upload)])


def listings(operation: str, iterator: Any) -> None:
    @case(operation, "names are folded at a delimiter")
    def _(o: Objects) -> None:
        for rest in ("a/1", "a/2", "b 文+&", "c/3"):
            o.put(b"x", rest)
        found = [(one.key, one.is_prefix()) for one in iterator(o.bucket, prefix=o.prefix, delimiter="/")]
        equal(found, [(o.name("a/"), True), (o.name("b 文+&"), False), (o.name("c/"), True)])

    @case(operation, "pages hold every name")
    def _(o: Objects) -> None:
        for n in range(5):
            o.put(b"x", f"k{n}")
        found = [one.key for one in iterator(o.bucket, prefix=o.prefix, max_keys=2)]
        equal(found, [o.name(f"k{n}") for n in range(5)])


listings("ListObjects", oss2.ObjectIterator)
listings("ListObjectsV2", oss2.ObjectIteratorV2)


@case("DeleteObject", "deleting twice is fine")
def _(o: Objects) -> None:
    o.put(b"x")
    equal([o.bucket.delete_object(o.name()).status for _ in range(2)], [204, 204])
    equal(refused(o.body), (404, "NoSuchKey"))


@case("DeleteMultipleObjects", "many are deleted at once")
def _(o: Objects) -> None:
    names = [o.name(rest) for rest in ("a", "b &<文")]
    for name in names:
        o.bucket.put_object(name, b"x")
    equal(sorted(o.bucket.batch_delete_objects(names).deleted_keys), names)
    equal(o.bucket.list_objects_v2(o.prefix).object_list, [])


@case("GetBucketInfo", "a bucket tells about itself")
def _(o: Objects) -> None:
    told = o.bucket.get_bucket_info()
    equal((told.name, told.location), (o.bucket.bucket_name, "oss-cn-hangzhou"))


@case("PutBucket", "only an empty bucket goes")
def _(o: Objects) -> None:
    own = connect(o.bucket.bucket_name + "-new")
    own.create_bucket()
    own.put_object("object", b"x")
    equal(refused(own.delete_bucket), (409, "BucketNotEmpty"))
    own.delete_object("object")
    own.delete_bucket()
    equal(refused(lambda: own.put_object("object", b"x")), (404, "NoSuchBucket"))


@case("presigned URL", "it is good without keys")
def _(o: Objects) -> None:
    o.put(b"body")
    url = o.bucket.sign_url("GET", o.name(), 60, slash_safe=True)
    answer = requests.get(url, timeout=10)
    equal((answer.status_code, answer.content), (200, b"body"))
    equal(requests.put(url, data=b"x", timeout=10).status_code, 403)


@case("signature", "a wrong secret is refused")
def _(o: Objects) -> None:
    wrong = connect(o.bucket.bucket_name, secret="wrong")
    equal(refused(lambda: wrong.get_object(o.name())), (403, "SignatureDoesNotMatch"))


@case("signature", "a security token is taken")
def _(o: Objects) -> None:
    connect(o.bucket.bucket_name, token="token").put_object(o.name(), b"body")
    equal(o.body(), b"body")


def main() -> None:
    bucket = connect(asked()["bucket"])
    bucket.create_bucket()
    cases.run(asked()["client"], lambda number: Objects(bucket, f"case-{number}/"))


if __name__ == "__main__":
    main()
