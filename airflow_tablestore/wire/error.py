"""What the service's error codes mean for a caller: wait and repeat, change something, or choose a new position.

One table from code to error class and advice, for tables, streams, tunnels and delivery alike. Whether and when a call
is repeated is decided in `client.retry`.

Source: Tablestore developer reference, "Error codes" (https://www.alibabacloud.com/help/en/tablestore/developer-reference/error-codes);
the retry tables of the official Python and C++ SDKs for what that page leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_tablestore.errors import PositionLost, ProtocolError, Rejected, RequestError, RetryLater
from airflow_tablestore.wire.message import parse
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.sign import REQUEST_ID


@dataclass(frozen=True, slots=True)
class Meaning:
    """What to do about a code. `advice` is a sentence for a person.

    `is_never_applied` says that the service refused before doing anything, so that even a call that must not be done
    twice can be sent again.
    """

    kind: type[RequestError]
    advice: str
    is_never_applied: bool = False


def _busy(advice: str) -> Meaning:
    return Meaning(RetryLater, advice, is_never_applied=True)


def _uncertain(advice: str) -> Meaning:
    return Meaning(RetryLater, advice)


def _refused(advice: str) -> Meaning:
    return Meaning(Rejected, advice)


def _lost(advice: str) -> Meaning:
    return Meaning(PositionLost, advice)


_CAPACITY = "Raise the table's reserved throughput, or read with fewer threads or a `limits` rate."
_BUG = "The service did not understand the request; please report this with the request id."

MEANINGS: Mapping[str, Meaning] = {
    # refused for now, before anything was done
    "OTSServerBusy": _busy("The partition is busy or hot; if this lasts, lower `limits`."),
    "OTSPartitionUnavailable": _busy("The partition is being moved or loaded; this usually takes seconds."),
    "OTSRowOperationConflict": _busy("Another request is changing the same row."),
    "OTSOperationConflict": _busy("Another operation on the same object is still running."),
    "OTSTableNotReady": _busy("The table was just created; it is ready within a minute."),
    "OTSNotEnoughCapacityUnit": _busy(_CAPACITY),
    "OTSCapacityUnitExhausted": _busy(_CAPACITY),
    "OTSTooFrequentReservedThroughputAdjustment": _busy("Reserved throughput may be changed again in some minutes."),
    "OTSOperationThrottled": _busy("The instance throttles this operation; lower `limits`."),
    "OTSFlowControl": _busy("The instance throttles requests; lower `limits`, or ask Alibaba Cloud for more."),
    "OTSRequestTimeout": _uncertain("The request arrived too slowly; check the network between here and the service."),
    # something went wrong inside; nobody knows whether the operation was done
    "OTSTimeout": _uncertain("The service was too slow inside; if this lasts, read smaller ranges or lower `limits`."),
    "OTSServerUnavailable": _uncertain("A server of the service cannot be reached; this usually takes seconds."),
    "OTSInternalServerError": _uncertain("If this lasts, give the request id to Alibaba Cloud's support."),
    "OTSTunnelServerUnavailable": _uncertain("The tunnel service cannot be reached; this usually takes seconds."),
    # repeating cannot help: who is asking
    "OTSAuthFailed": _refused("Check the connection's access key (login and password), STS token and region."),
    "OTSNoPermissionAccess": _refused("Let the owner grant the key's user this operation with a RAM policy."),
    "OTSPermissionDenied": _refused("Let the owner grant the key's user this operation with a RAM policy."),
    # repeating cannot help: what is asked for
    "OTSObjectNotExist": _refused("Check the table's name and the connection's instance and region."),
    "OTSObjectAlreadyExist": _refused("Choose another name, or use what exists."),
    "OTSParameterInvalid": _refused("Change what the message names; repeating the call cannot help."),
    "OTSInvalidPK": _refused("The key does not match the table's primary key: check names, order and types."),
    "OTSConditionCheckFail": _refused("The row is not in the state that the write expected."),
    "OTSOutOfRowSizeLimit": _refused("The row is larger than the service takes."),
    "OTSOutOfColumnCountLimit": _refused("The row has more columns than the service takes."),
    "OTSRequestBodyTooLarge": _refused("Send less in one request."),
    "OTSMethodNotAllowed": _refused(_BUG),
    "OTSMissingHeader": _refused(_BUG),
    "OTSUnsupportOperation": _refused("This instance or table does not offer the operation."),
    "OTSForbiddenUpdateCapacityUnit": _refused("Tables of a capacity instance have no reserved throughput."),
    "OTSQuotaExhausted": _refused("Delete what is no longer needed, or ask Alibaba Cloud for a larger quota."),
    # tunnels
    "OTSTunnelExist": _refused("Use the tunnel that exists, or choose another name."),
    "OTSResourceGone": _refused("The tunnel service has given this client up (late heartbeat); connect again."),
    "OTSSequenceNumberNotMatch": _refused("Another client has written this channel's checkpoint; read it again."),
    "OTSTunnelExpired": _lost("The tunnel did not read its full data in time; delete and create it, then start anew."),
    "OTSTrimmedDataAccess": _lost("The change log no longer keeps that position; choose a new start."),
}

_AUTH_ADVICE = (
    ("x-ots-date", "This machine's clock is off; set it (NTP)."),
    ("MD5", "The request was changed on its way; look at proxies between here and the service."),
    ("ACL", "The instance's network policy refuses this network; use the VPC endpoint or allow this network."),
    ("Signature", "The access key secret (password), the STS token or the signing region of the connection is wrong."),
    ("AccessKey", "The access key id (login) of the connection is unknown or disabled."),
    ("security token", "The STS token of the connection is wrong or has expired."),
    ("instance", "Check the connection's instance and the region in its endpoint, and the key's rights there."),
)


def read_error(
    uri: str, status: int, headers: Mapping[str, str], body: bytes, subject: str = ""
) -> RequestError | ProtocolError:
    """The error that an answer with this status (300 and above) means.

    :param subject: what the call was about, for the message.
    A body that is no error message comes from something in between: RetryLater when its status says so (429, 5xx),
    else a ProtocolError.
    """
    request_id = next((value for name, value in headers.items() if name.lower() == REQUEST_ID), "")
    operation = uri.lstrip("/")
    try:
        answer = parse(table_pb2.Error, body)
        code, told = _printable(answer.code, 60), _printable(answer.message, 500)
    except ProtocolError as error:
        return _foreign(operation, status, body, request_id, error)
    if not code:
        return _foreign(operation, status, body, request_id, None)
    meaning = meaning_of(code, told, status)
    return meaning.kind(
        f"{code}{subject and f' for {subject}'}: {told} {meaning.advice}",
        operation=operation,
        code=code,
        status=status,
        request_id=request_id,
    )


def meaning_of(code: str, message: str = "", status: int = 0) -> Meaning:
    """What a code means. One that is not in the table is temporary when its status says so, else final."""
    if "OTSTrimmedDataAccess" in message:  # tunnels wrap it: 400, OTSTunnelServerUnavailable
        return MEANINGS["OTSTrimmedDataAccess"]
    if code == "OTSQuotaExhausted" and "Too frequent table operations" in message:
        return _busy("Tables are created, changed or dropped too often; wait a little.")
    if code == "OTSAuthFailed":
        return next((_refused(advice) for word, advice in _AUTH_ADVICE if word in message), MEANINGS[code])
    if code in MEANINGS:
        return MEANINGS[code]
    if status == 429 or status >= 500:
        return _uncertain("This code is not known here; its status says that it passes.")
    return _refused("This code is not known here; its status says that repeating cannot help.")


def was_never_applied(error: RetryLater) -> bool:
    """Whether the service refused before doing anything."""
    return meaning_of(error.code, str(error), error.status).is_never_applied


def _foreign(
    operation: str, status: int, body: bytes, request_id: str, cause: ProtocolError | None
) -> RequestError | ProtocolError:
    start = _printable(body[:80].decode("utf-8", "replace"), 80)
    if status == 429 or status >= 500:
        error: RequestError | ProtocolError = RetryLater(
            f"HTTP status {status} from something between here and Tablestore (it begins {start!r}).",
            operation=operation,
            code=f"HTTP{status}",
            status=status,
            request_id=request_id,
        )
    else:
        error = ProtocolError(
            f"{operation}: HTTP status {status} with a body that is no Tablestore error (it begins {start!r}). "
            "Something else answered; check the connection's endpoint and any proxy."
        )
    error.__cause__ = cause
    return error


def _printable(text: str, most: int) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:most]).strip()
