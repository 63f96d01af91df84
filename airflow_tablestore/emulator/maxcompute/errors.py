"""What MaxCompute refuses, with its status and text, and how a refusal goes over the wire.

One table of codes. A handler raises `Refusal`; the app sends it as XML, or as JSON where the tunnel is asked. SQL that
fails is no refusal of a request: its instance fails with a text (`SqlFailure`) that clients take their class from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from airflow_tablestore.emulator.oss.xml import Element, document, legible
from airflow_tablestore.errors import TablestoreError

REFUSALS: Mapping[str, tuple[int, str]] = {
    "CorruptedDataStream": (400, "The data stream was corrupted, please try again later."),
    "FlowExceeded": (429, "Your flow quota is exceeded."),
    "IncompleteBody": (400, "You did not provide the number of bytes specified by the Content-Length HTTP header."),
    "InConsistentBlockList": (
        400,
        "The specified block list is not consistent with the uploaded block list on server side.",
    ),
    "InstanceNotTerminate": (400, "The specified instance is not terminated."),
    "InternalServerError": (500, "Service internal error, please try again later."),
    "InvalidArgument": (400, "Invalid argument."),
    "InvalidBlockID": (400, "The specified block id is not valid."),
    "InvalidColumnSpec": (400, "The specified columns is not valid."),
    "InvalidPartitionSpec": (400, "The specified partition spec is invalid."),
    "InvalidProjectTable": (400, "The specified project or table name is not valid or missing."),
    "InvalidRowRange": (400, "The specified row range is not valid."),
    "InvalidStateSetting": (400, "The state of the instance cannot be set to this."),
    "MalformedDataStream": (
        400,
        "The data stream you provided was not well-formed or did not validate against schema.",
    ),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingPartitionSpec": (400, "You need to specify a partitionspec along with the specified table."),
    "NoPermission": (403, "You do not have enough privilege to complete the specified operation."),
    "NoSuchDownload": (404, "The specified download id does not exist."),
    "NoSuchObject": (404, "The specified object does not exist."),
    "NoSuchPartition": (404, "The specified partition does not exist."),
    "NoSuchTable": (404, "The specified table name does not exist."),
    "NoSuchUpload": (404, "The specified upload id does not exist."),
    "NotImplemented": (400, "The emulator does not implement this."),
    "ODPS-0410042": (401, "Invalid signature value - User signature does not match"),
    "ODPS-0410051": (401, "Invalid credentials - accessId not found"),
    "OverwriteModeNotAllowed": (400, "Overwriting is not allowed for this table."),
    "RequestTimeTooSkewed": (400, "The request's time and the server's are too far apart."),
    "StatusConflict": (
        409,
        "You cannot complete the specified operation under the current upload or download status.",
    ),
    "StreamSessionNotFound": (404, "The specified stream session does not exist."),
    "TableModified": (
        412,
        "The specified table has been modified since the download or upload initiated. Try initiate another one.",
    ),
    "Unauthorized": (401, "The request carries no Authorization that can be read."),
    "UpsertSessionNotFound": (404, "The specified upsert session does not exist."),
    # never of this emulator's own accord, only on demand
    "QPSExceeded": (429, "Your requests per second are exceeded."),
    "RequestQuotaExceeded": (429, "Your quota of requests is exceeded."),
    "ServiceUnavailable": (503, "Service is temporarily unavailable, please try again later."),
    "SlotExceeded": (429, "Your slot quota is exceeded."),
}
"""Status and text by code. Source: the tunnel's error reference, the classes of pyodps; clients test the codes."""


class Refusal(TablestoreError):
    """The service would answer with this error."""

    def __init__(self, code: str, message: str = "", *, status: int = 0):
        """:param status: of a code that is not in `REFUSALS`; `message` is needed then."""
        known, text = REFUSALS.get(code, (0, "")) if status else REFUSALS[code]
        self.code, self.status, self.message = code, status or known, message or text
        super().__init__(f"{code}: {self.message}")

    def as_xml(self, request_id: str, host: str) -> bytes:
        """What the REST interface sends."""
        told = {"Code": self.code, "Message": self.message, "RequestId": request_id, "HostId": host}
        return document(Element("Error", [Element(name, legible(value)) for name, value in told.items()]))

    def as_json(self, request_id: str, host: str) -> bytes:
        """What the tunnel sends."""
        told = {"Code": self.code, "Message": self.message, "RequestId": request_id, "HostId": host}
        return json.dumps(told).encode()


class SqlFailure(TablestoreError):
    """A statement fails: its instance ends as Failed with this text.

    :param code: like ODPS-0130161, from which clients choose their exception.
    """

    def __init__(self, code: str, message: str):
        self.code = code
        super().__init__(f"{code}:[1,1] {message}")


def parse_failure(message: str) -> SqlFailure:
    """The statement cannot be understood."""
    return SqlFailure("ODPS-0130161", f"Parse exception - {message}")


def meaning_failure(message: str) -> SqlFailure:
    """The statement is understood and makes no sense here."""
    return SqlFailure("ODPS-0130071", f"Semantic analysis exception - {message}")


def no_table(name: str) -> SqlFailure:
    """The statement names a table that is not there."""
    return SqlFailure("ODPS-0130131", f"Table not found - table {name} cannot be resolved")
