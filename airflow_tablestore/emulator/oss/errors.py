"""What OSS refuses, with its status and text, and how a refusal goes over the wire.

One table of codes. A handler raises `Refusal`; the app sends it: an XML body, and for HEAD, which has no body, the
same XML in base64 in the header `x-oss-err`.
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow_tablestore.emulator.oss.xml import Element, document, legible
from airflow_tablestore.errors import TablestoreError

REFUSALS: Mapping[str, tuple[int, str]] = {
    "AccessDenied": (403, "You have no right to access this object."),
    "BucketAlreadyExists": (
        409,
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again.",
    ),
    "BucketNotEmpty": (409, "The bucket has objects. Please delete them first."),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed object size."),
    "EntityTooSmall": (400, "Your proposed upload smaller than the minimum allowed size."),
    "FileAlreadyExists": (409, "The object you specified already exists and can not be overwritten."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The OSS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid Argument."),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidDigest": (400, "The Content-MD5 you specified was invalid."),
    "InvalidObjectName": (400, "The specified object is not valid."),
    "InvalidPart": (
        400,
        "One or more of the specified parts could not be found or the specified entity tag might not have matched "
        "the part's entity tag.",
    ),
    "InvalidPartOrder": (
        400,
        "The list of parts was not in ascending order. Parts list must specified in order by part number.",
    ),
    "InvalidRange": (416, "The requested range cannot be satisfied."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "MalformedXML": (400, "The XML you provided was not well-formed or did not validate against our published schema."),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingArgument": (400, "Missing Some Required Arguments."),
    "NoSuchBucket": (404, "The specified bucket does not exist."),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchUpload": (
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
        "completed.",
    ),
    "NotImplemented": (501, "A header you provided implies functionality that is not implemented."),
    "NotModified": (304, "Not Modified"),
    "ObjectNotAppendable": (409, "The object is not appendable"),
    "PositionNotEqualToLength": (409, "Position is not equal to file length"),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold."),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is too large."),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
    ),
    "TooManyBuckets": (400, "You have attempted to create more buckets than allowed."),
    # never of this emulator's own accord, only on demand
    "QpsLimitExceeded": (503, "The requests per second exceed the limit of the account."),
    "RequestTimeout": (400, "Your socket connection to the server was not read from or written to in time."),
    "SecurityTokenExpired": (403, "The security token you provided has expired."),
    "ServiceUnavailable": (503, "Please reduce your request rate."),
}
"""Status and text by code. Source: the service's error reference; official clients test the codes, people the texts."""


LARGEST = 5 * 1024**3
"""Bytes of a body or a part, of what one request copies, and of an object that grows by appending.

Source: the limits of PutObject, UploadPart, CopyObject and AppendObject in the service's documentation.
"""


class Refusal(TablestoreError):
    """The service would answer with this error.

    `details` are further elements of the XML body, `headers` further headers of the answer.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        details: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
    ):
        """:param status: of a code that is not in `REFUSALS`; `message` is needed then."""
        self.code = code
        known, text = REFUSALS.get(code, (0, "")) if status else REFUSALS[code]
        self.status = status or known
        self.message = message or text
        self.details, self.headers = dict(details or {}), dict(headers or {})
        super().__init__(f"{code}: {self.message}")

    def body(self, request_id: str, host: str) -> bytes:
        """The XML that clients read; empty for 304, which has no body."""
        if self.status == 304:
            return b""
        told = {"Code": self.code, "Message": self.message, "RequestId": request_id, "HostId": host, **self.details}
        return document(Element("Error", [Element(name, legible(value)) for name, value in told.items()]))


def refuse_larger(size: int, what: str = "") -> None:
    """:raises Refusal: EntityTooLarge when that many bytes are more than one request may bring together."""
    if size > LARGEST:
        text = f"{what} exceeds the maximum allowed size." if what else ""
        raise Refusal("EntityTooLarge", text, details={"MaxSizeAllowed": str(LARGEST), "ProposedSize": str(size)})
