"""Handlers of buckets and of the account: list, create, information, access control, delete; deleting many keys."""

from __future__ import annotations

from airflow_tablestore.emulator.accounts import REGION
from airflow_tablestore.emulator.oss import attributes
from airflow_tablestore.emulator.oss.errors import Refusal
from airflow_tablestore.emulator.oss.objects import acl_document, iso_date, owner
from airflow_tablestore.emulator.oss.request import Answer, Request, xml_answer
from airflow_tablestore.emulator.oss.rows import Bucket
from airflow_tablestore.emulator.oss.store import Store
from airflow_tablestore.emulator.oss.xml import Element, document, names, parse

LOCATION = f"oss-{REGION}"
BUCKET_ACLS = ("private", "public-read", "public-read-write")
MOST_DELETED_KEYS = 1000


def list_buckets(store: Store, request: Request) -> Answer:
    """The account's buckets by name."""
    prefix, marker = request.parameter("prefix"), request.parameter("marker")
    limit = request.number("max-keys", 100, 1, 1000)
    found = store.buckets(prefix, marker, limit + 1)
    shown, is_truncated = found[:limit], len(found) > limit
    told = [
        Element("Prefix", prefix),
        Element("Marker", marker),
        Element("MaxKeys", limit),
        Element("IsTruncated", is_truncated),
        Element("NextMarker", shown[-1].name if is_truncated else ""),
        owner(),
        Element(
            "Buckets", [Element("Bucket", [*_facts(bucket, request), Element("Region", REGION)]) for bucket in shown]
        ),
    ]
    return xml_answer(document(Element("ListAllMyBucketsResult", told)))


def create(store: Store, request: Request) -> Answer:
    """Makes the bucket; the body may choose a storage class."""
    acl = _acl(request, default="private")
    storage_class = "Standard"
    if body := request.document():
        root = parse(body, "CreateBucketConfiguration")
        if root is None:
            raise Refusal("MalformedXML")
        storage_class = root.findtext("StorageClass") or storage_class
        if storage_class not in attributes.STORAGE_CLASSES:
            raise Refusal("InvalidArgument", "no such storage class exists")
    store.create_bucket(request.bucket, acl=acl, storage_class=storage_class)
    return Answer(200, {"location": f"/{request.bucket}"})


def put_acl(store: Store, request: Request) -> Answer:
    """Sets the access control list. It is kept and told, and grants nothing: only signed requests are served."""
    bucket = store.bucket(request.bucket)
    store.create_bucket(bucket.name, acl=_acl(request, default=bucket.acl))
    return Answer(200)


def get_acl(store: Store, request: Request) -> Answer:
    """The access control list, one word."""
    return xml_answer(acl_document(store.bucket(request.bucket).acl))


def head(store: Store, request: Request) -> Answer:
    """Whether the bucket is there."""
    store.bucket(request.bucket)
    return Answer(200, {"x-oss-bucket-region": LOCATION})


def information(store: Store, request: Request) -> Answer:
    """Everything about the bucket."""
    bucket = store.bucket(request.bucket)
    told = [
        *_facts(bucket, request),
        owner(),
        Element("AccessControlList", [Element("Grant", bucket.acl)]),
        Element("DataRedundancyType", "LRS"),
        Element("Versioning", "Suspended"),
        Element("AccessMonitor", "Disabled"),
        Element("TransferAcceleration", "Disabled"),
        Element("CrossRegionReplication", "Disabled"),
        Element("ServerSideEncryptionRule", [Element("SSEAlgorithm", "None")]),
    ]
    return xml_answer(document(Element("BucketInfo", [Element("Bucket", told)])))


def location(store: Store, request: Request) -> Answer:
    """Where the bucket is."""
    store.bucket(request.bucket)
    return xml_answer(document(Element("LocationConstraint", LOCATION)))


def statistics(store: Store, request: Request) -> Answer:
    """Bytes, objects and unfinished uploads of the bucket."""
    store.bucket(request.bucket)
    with store.database.reading() as connection:
        size, objects = connection.execute(
            "SELECT coalesce(sum(size), 0), count(*) FROM objects WHERE bucket = ?", (request.bucket,)
        ).fetchone()
        (unfinished,) = connection.execute(
            "SELECT count(*) FROM uploads WHERE bucket = ?", (request.bucket,)
        ).fetchone()
    told = [
        Element("Storage", size),
        Element("ObjectCount", objects),
        Element("MultipartUploadCount", unfinished),
        Element("LiveChannelCount", 0),
    ]
    return xml_answer(document(Element("BucketStat", told)))


def delete(store: Store, request: Request) -> Answer:
    """Removes an empty bucket."""
    store.delete_bucket(request.bucket)
    return Answer(204)


def delete_keys(store: Store, request: Request) -> Answer:
    """Removes up to 1000 objects; in quiet mode nothing is told."""
    if "content-md5" not in request.headers:
        raise Refusal("MissingArgument", details={"ArgumentName": "Content-MD5"})
    attributes.check_md5(request.headers, request.body.md5())
    root = parse(request.document(), "Delete")
    if root is None:
        raise Refusal("MalformedXML")
    keys = [found.findtext("Key", "") for found in root.iterfind("Object")]
    if not 1 <= len(keys) <= MOST_DELETED_KEYS or not all(keys):
        raise Refusal("MalformedXML")
    store.delete(request.bucket, keys)
    if root.findtext("Quiet", "").strip().lower() == "true":
        return Answer(200)
    is_encoded = request.is_url_encoded
    told = [Element("Deleted", [Element("Key", names(key, is_url_encoded=is_encoded))]) for key in keys]
    return xml_answer(
        document(Element("DeleteResult", [*([Element("EncodingType", "url")] if is_encoded else []), *told]))
    )


def _acl(request: Request, *, default: str) -> str:
    acl = request.headers.get("x-oss-acl", default)
    if acl not in BUCKET_ACLS:
        raise Refusal("InvalidArgument", "no such bucket access control exists")
    return acl


def _facts(bucket: Bucket, request: Request) -> list[Element]:
    endpoint = request.address.host.removeprefix(f"{bucket.name}.")  # one that the caller can reach
    return [
        Element("Name", bucket.name),
        Element("CreationDate", iso_date(bucket.created_millis)),
        Element("StorageClass", bucket.storage_class),
        Element("Location", LOCATION),
        Element("ExtranetEndpoint", endpoint),
        Element("IntranetEndpoint", endpoint),
    ]
