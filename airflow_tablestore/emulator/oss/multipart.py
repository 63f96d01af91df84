"""Handlers of multipart uploads: begin, put and copy parts, list, complete, abort."""

from __future__ import annotations

import re
from collections.abc import Mapping

from airflow_tablestore.emulator.oss import attributes, uploads
from airflow_tablestore.emulator.oss.errors import Refusal, refuse_larger
from airflow_tablestore.emulator.oss.objects import COPY_SOURCE, iso_date, source_of, whole
from airflow_tablestore.emulator.oss.request import Answer, Request, xml_answer
from airflow_tablestore.emulator.oss.rows import StoredObject
from airflow_tablestore.emulator.oss.store import Store
from airflow_tablestore.emulator.oss.xml import Element, document, names, parse


def begin(store: Store, request: Request) -> Answer:
    """Begins an upload; its headers are kept for the object."""
    kept = attributes.attributes_from(request.headers)
    upload = uploads.begin(store, request.bucket, request.key, kept, is_new_only=request.is_new_only)
    shown = names(request.key, is_url_encoded=request.is_url_encoded)
    told = [Element("Bucket", request.bucket), Element("Key", shown), Element("UploadId", upload.id)]
    return xml_answer(document(Element("InitiateMultipartUploadResult", [*_encoding(request), *told])))


def put_part(store: Store, request: Request) -> Answer:
    """Keeps the body, or a range of another object, as a part."""
    number = _part_number(request)
    if COPY_SOURCE in request.headers:
        return _copy_part(store, request, number)
    attributes.check_md5(request.headers, request.body.md5())
    part = uploads.put_part(
        store, request.bucket, request.key, request.parameter("uploadId"), number, request.body.piece()
    )
    request.body.adopted()
    return Answer(200, {"etag": f'"{part.etag}"', "x-oss-hash-crc64ecma": str(part.piece.crc)})


def complete(store: Store, request: Request) -> Answer:
    """Makes the object of the parts that the body lists, or of all with `x-oss-complete-all: yes`."""
    attributes.check_md5(request.headers, request.body.md5())
    upload_id = request.parameter("uploadId")
    listed = _listed(request)
    stored = uploads.complete(store, request.bucket, request.key, upload_id, listed, is_new_only=request.is_new_only)
    shown = names(request.key, is_url_encoded=request.is_url_encoded)
    told = [
        *_encoding(request),
        Element(
            "Location", f"http://{request.address.host}/{request.bucket}/{names(request.key, is_url_encoded=True)}"
        ),
        Element("Bucket", request.bucket),
        Element("Key", shown),
        Element("ETag", f'"{stored.etag}"'),
    ]
    headers = {"etag": f'"{stored.etag}"', "x-oss-hash-crc64ecma": str(stored.crc)}
    return xml_answer(document(Element("CompleteMultipartUploadResult", told)), headers)


def abort(store: Store, request: Request) -> Answer:
    """Forgets the upload with its parts."""
    uploads.abort(store, request.bucket, request.key, request.parameter("uploadId"))
    return Answer(204)


def list_parts(store: Store, request: Request) -> Answer:
    """The parts that have arrived, by number, a page at a time."""
    limit = request.number("max-parts", 1000, 1, 1000)
    marker = request.number("part-number-marker", 0, 0, 2**31 - 1)
    upload_id = request.parameter("uploadId")
    _, found = uploads.parts(store, request.bucket, request.key, upload_id, marker, limit + 1)
    shown = found[:limit]
    told = [
        *_encoding(request),
        Element("Bucket", request.bucket),
        Element("Key", names(request.key, is_url_encoded=request.is_url_encoded)),
        Element("UploadId", upload_id),
        Element("StorageClass", "Standard"),
        Element("PartNumberMarker", marker),
        Element("NextPartNumberMarker", shown[-1].number if shown else marker),
        Element("MaxParts", limit),
        Element("IsTruncated", len(found) > limit),
        *(_part(part) for part in shown),
    ]
    return xml_answer(document(Element("ListPartsResult", told)))


def _part(part: uploads.Part) -> Element:
    return Element(
        "Part",
        [
            Element("PartNumber", part.number),
            Element("LastModified", iso_date(part.modified_millis)),
            Element("ETag", f'"{part.etag}"'),
            Element("HashCrc64ecma", str(part.piece.crc)),
            Element("Size", part.piece.size),
        ],
    )


def _copy_part(store: Store, request: Request, number: int) -> Answer:
    upload_id = request.parameter("uploadId")
    uploads.check(store, request.bucket, request.key, upload_id)
    source = source_of(store, request.headers)
    start, size = _source_range(request.headers, source)
    refuse_larger(size, "The range of the source")
    spool = store.spool()
    try:
        with whole(store, source, start, size) as reading:
            for chunk in reading.chunks():
                spool.write(chunk)
        part = uploads.put_part(store, request.bucket, request.key, upload_id, number, spool.piece())
        spool.adopted()
    finally:
        spool.discard()
    told = [Element("LastModified", iso_date(part.modified_millis)), Element("ETag", f'"{part.etag}"')]
    return xml_answer(
        document(Element("CopyPartResult", told)),
        {"x-oss-hash-crc64ecma": str(part.piece.crc), "etag": f'"{part.etag}"'},
    )


def _source_range(headers: Mapping[str, str], source: StoredObject) -> tuple[int, int]:
    text = headers.get("x-oss-copy-source-range")
    if text is None:
        return 0, source.size
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", text.strip())
    if found is None or not int(found[1]) <= int(found[2]):
        raise Refusal("InvalidArgument", "The x-oss-copy-source-range header is invalid.")
    if int(found[1]) >= source.size:
        raise Refusal("InvalidRange", details={"ActualObjectSize": str(source.size)})
    return int(found[1]), min(int(found[2]), source.size - 1) - int(found[1]) + 1


def _part_number(request: Request) -> int:
    text = request.parameter("partNumber")
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= uploads.MOST_PARTS:
        raise Refusal(
            "InvalidArgument",
            "Part number must be an integer between 1 and 10000, inclusive.",
            details={"ArgumentName": "partNumber", "ArgumentValue": text},
        )
    return int(text)


def _listed(request: Request) -> list[uploads.ListedPart] | None:
    body = request.document()
    if request.headers.get("x-oss-complete-all", "").lower() == "yes":
        if body:
            raise Refusal("InvalidArgument", "The body must be empty when x-oss-complete-all is yes.")
        return None
    root = parse(body, "CompleteMultipartUpload")
    if root is None:
        raise Refusal("MalformedXML")
    listed = []
    for part in root.iterfind("Part"):
        number, etag = part.findtext("PartNumber", "").strip(), part.findtext("ETag", "")
        if not re.fullmatch(r"[0-9]{1,5}", number) or not etag:
            raise Refusal("MalformedXML")
        listed.append(uploads.ListedPart(int(number), etag))
    if not listed:
        raise Refusal("MalformedXML")
    return listed


def _encoding(request: Request) -> list[Element]:
    return [Element("EncodingType", "url")] if request.is_url_encoded else []
