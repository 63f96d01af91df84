"""MaxCompute's errors as ours, each with what to do; decided once, by the code that the service sends."""

from __future__ import annotations

import requests
from odps import errors as odps

from airflow_tablestore.errors import Rejected, RequestError, RetryLater, StartOver, TablestoreError

BUSY = frozenset(
    {
        "FlowExceeded",
        "InternalServerError",
        "QPSExceeded",
        "RequestQuotaExceeded",
        "ServiceUnavailable",
        "SlotExceeded",
    }
)
"""The same request may succeed later."""

GONE = frozenset({"NoSuchUpload", "StatusConflict"})
"""The upload session has expired, is committed, or never was."""

MODIFIED = frozenset({"SchemaModified", "TableModified"})
"""The table is not what it was when the session was begun."""

CREDENTIALS = frozenset({"ODPS-0410042", "ODPS-0410051", "SignatureNotMatch", "Unauthorized"})

ADVICE = {
    "AuthorizationRequired": "Give the connection's user the rights listed in docs/howto/maxcompute.md.",
    "InvalidPartitionSpec": "Let `sink.partition` name every partition column of the table, in its order.",
    "InvalidProjectTable": "Correct `sink.table`, or `project` in the sink or the connection.",
    "MissingPartitionSpec": "The table is partitioned: name a partition in `sink.partition`, as pt=20261121.",
    "NoPermission": "Give the connection's user the rights listed in docs/howto/maxcompute.md.",
    "NoSuchPartition": "The partition was dropped meanwhile; run again.",
    "NoSuchProject": "Correct `project` in the sink or the connection.",
    "NoSuchTable": "Create the table, or write `create_table: true` into the sink.",
    "OverwriteModeNotAllowed": "This table cannot be replaced; write `truncate: false` into the sink.",
    "RequestTimeTooSkewed": "Set this machine's clock: it is more than 15 minutes off the service's.",
}


def translated(error: Exception, operation: str, place: str) -> TablestoreError:
    """The error of ours that a foreign one means.

    :param place: what the request was about, for people.
    """
    if isinstance(error, requests.RequestException | ConnectionError | TimeoutError) and not isinstance(
        error, odps.ServerDefinedException
    ):
        advice = "Check the connection's endpoint, and that this network may reach it."
        told = f"{place}: no answer ({_reason(error)}). {advice}"
        return RetryLater(told, operation=operation, code="NoAnswer")
    code = code_of(error)
    request_id = getattr(error, "request_id", None) or ""
    status = getattr(error, "status_code", None) or 0
    told = f"{place}: {code}: {_words(error)}"
    if code in GONE | MODIFIED:
        return StartOver(f"{place}: {_GONE_TOLD if code in GONE else _MODIFIED_TOLD} ({code}).", task="plan")
    kind: type[RequestError] = RetryLater if code in BUSY or status == 429 or status >= 500 else Rejected
    advice = ADVICE.get(code, "")
    if code in CREDENTIALS:
        advice = "Correct the access key of the MaxCompute connection, or renew its STS token."
    told = f"{told} {advice}".rstrip()
    return kind(told, operation=operation, code=code, status=int(status), request_id=request_id)


_GONE_TOLD = "the upload session of this run has expired or is committed already"
_MODIFIED_TOLD = "the table was changed since the run was planned"


def code_of(error: Exception) -> str:
    """The service's own code; the name of the class when there is none."""
    code = getattr(error, "code", None)
    return str(code).split(":", 1)[0].strip() if code else type(error).__name__


def _reason(error: BaseException) -> str:
    """The innermost reason, without the objects and addresses of those that carried it up."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    text = getattr(error, "strerror", None) or type(error).__name__
    return str(text).strip().rstrip(".")[:200]


def _words(error: Exception) -> str:
    text = str(getattr(error, "args", [""])[0] if getattr(error, "args", None) else error)
    return " ".join(text.split())[:500]
