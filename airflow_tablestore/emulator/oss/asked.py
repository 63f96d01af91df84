"""What a request to OSS is about, told before it is verified: for the log and for faults.

Operations have the names of the service's reference. Nothing here refuses anything; what cannot be told stays empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_tablestore.emulator.faults import OSS, Asked
from airflow_tablestore.emulator.oss.errors import Refusal
from airflow_tablestore.emulator.oss.request import Address, address_of

_ACCOUNT = {("GET", ""): "ListBuckets"}
_BUCKET = {
    ("GET", ""): "ListObjects",
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "bucketInfo"): "GetBucketInfo",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "stat"): "GetBucketStat",
    ("GET", "acl"): "GetBucketAcl",
    ("PUT", "acl"): "PutBucketAcl",
    ("PUT", ""): "PutBucket",
    ("HEAD", ""): "HeadBucket",
    ("DELETE", ""): "DeleteBucket",
    ("POST", "delete"): "DeleteMultipleObjects",
}
_OBJECT = {
    ("PUT", ""): "PutObject",
    ("GET", ""): "GetObject",
    ("HEAD", ""): "HeadObject",
    ("DELETE", ""): "DeleteObject",
    ("GET", "objectMeta"): "GetObjectMeta",
    ("HEAD", "objectMeta"): "GetObjectMeta",
    ("GET", "acl"): "GetObjectAcl",
    ("PUT", "acl"): "PutObjectAcl",
    ("POST", "append"): "AppendObject",
    ("POST", "uploads"): "InitiateMultipartUpload",
    ("PUT", "uploadId"): "UploadPart",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("GET", "uploadId"): "ListParts",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}
_COPIES = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}


def asked(scope: Mapping[str, Any], body: bytes) -> Asked:
    """Operation, bucket and object of a request. The body is not looked at."""
    try:
        address = address_of(scope)
    except Refusal:
        return Asked(OSS, "", scope["method"])
    place = f"{address.bucket}/{address.key}" if address.key else address.bucket
    return Asked(OSS, address.bucket, _operation(address), (place,) if place else ())


def _operation(address: Address) -> str:
    known = _OBJECT if address.key else _BUCKET if address.bucket else _ACCOUNT
    given = dict(address.query)
    if known is _BUCKET and address.method == "GET" and given.get("list-type") == "2":
        return "ListObjectsV2"
    found = next((known[address.method, name] for name in given if (address.method, name) in known), None)
    operation = found or known.get((address.method, ""), address.method)
    return _COPIES.get(operation, operation) if "x-oss-copy-source" in address.headers else operation
