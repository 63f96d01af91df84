"""The errors that the emulated service answers with: code, HTTP status, text.

Codes and texts are the service's own wherever a public page or an official client's test shows them; official clients
compare some of them literally. Source: the service's page of error codes; tests of the Java and Python SDKs.
"""

from __future__ import annotations

from airflow_tablestore.errors import TablestoreError

PARAMETER_INVALID = "OTSParameterInvalid"
INVALID_KEY = "OTSInvalidPK"

STATUS = {
    PARAMETER_INVALID: 400,
    INVALID_KEY: 400,
    "OTSMetaNotMatch": 400,
    "OTSAuthFailed": 403,
    "OTSConditionCheckFail": 403,
    "OTSQuotaExhausted": 403,
    "OTSObjectNotExist": 404,
    "OTSTrimmedDataAccess": 404,
    "OTSMethodNotAllowed": 405,
    "OTSObjectAlreadyExist": 409,
    "OTSRequestBodyTooLarge": 413,
    "OTSInternalServerError": 500,
    # of tunnels; the statuses are a guess, official clients look at codes only
    "OTSSequenceNumberNotMatch": 400,
    "OTSTunnelExpired": 400,
    "OTSResourceGone": 404,
    "OTSTunnelExist": 409,
    # never of this emulator's own accord, only on demand
    "OTSNoPermissionAccess": 403,
    "OTSNotEnoughCapacityUnit": 403,
    "OTSCapacityUnitExhausted": 403,
    "OTSTooFrequentReservedThroughputAdjustment": 403,
    "OTSTableNotReady": 404,
    "OTSRowOperationConflict": 409,
    "OTSPartitionUnavailable": 503,
    "OTSServerBusy": 503,
    "OTSServerUnavailable": 503,
    "OTSTimeout": 503,
    "OTSPermissionDenied": 403,
    "OTSTunnelServerUnavailable": 503,
}

TEXTS = {
    "OTSAuthFailed": "The AccessKeyID is disabled.",
    "OTSCapacityUnitExhausted": "Capacity unit is exhausted.",
    "OTSConditionCheckFail": "Condition check failed.",
    "OTSInternalServerError": "Internal server error.",
    "OTSNoPermissionAccess": "You have no permission to access the requested resource.",
    "OTSNotEnoughCapacityUnit": "Remaining capacity unit is not enough.",
    "OTSObjectAlreadyExist": "Requested table already exists.",
    "OTSObjectNotExist": "Requested table does not exist.",
    "OTSPartitionUnavailable": "The partition is not available.",
    "OTSQuotaExhausted": "Number of tables exceeded the quota.",
    "OTSRowOperationConflict": "Data is being modified by the other request.",
    "OTSServerBusy": "Server is busy.",
    "OTSServerUnavailable": "Server is not available.",
    "OTSTableNotReady": "The table is not ready.",
    "OTSPermissionDenied": "Permission denied.",
    "OTSResourceGone": "The client is gone.",
    "OTSSequenceNumberNotMatch": "The sequence number is not match.",
    "OTSTimeout": "Operation timeout.",
    "OTSTooFrequentReservedThroughputAdjustment": "Capacity unit adjustment is too frequent.",
    "OTSTunnelExist": "The tunnel already exists.",
    "OTSTunnelExpired": "The tunnel is expired.",
    "OTSTunnelServerUnavailable": "The tunnel server is not available.",
    "OTSTrimmedDataAccess": "Requested stream data is already trimmed or does not exist.",
}
"""Texts of errors on demand, where no request gives them a subject."""


class ServiceError(TablestoreError):
    """An answer that is an error; inside a batch, the result of one row."""

    def __init__(self, code: str, message: str, status: int | None = None):
        """:param status: of a code that is not in `STATUS`."""
        self.code, self.message, self.status = code, message, status or STATUS[code]
        super().__init__(f"{code}: {message}")


def invalid(message: str) -> ServiceError:
    """The request itself is wrong."""
    return ServiceError(PARAMETER_INVALID, message)


def broken(what: str) -> ServiceError:
    """The bytes of a row are not PlainBuffer."""
    return ServiceError(PARAMETER_INVALID, f"Cell data broken, {what}")


def invalid_key(message: str) -> ServiceError:
    """The key does not fit the table."""
    return ServiceError(INVALID_KEY, message)


def auth_failed(message: str) -> ServiceError:
    """The request is not proven to come from a known account."""
    return ServiceError("OTSAuthFailed", message)


def table_missing() -> ServiceError:
    """There is no table of that name in the instance."""
    return ServiceError("OTSObjectNotExist", "Requested table does not exist.")


def table_exists() -> ServiceError:
    """There is a table of that name in the instance."""
    return ServiceError("OTSObjectAlreadyExist", "Requested table already exists.")


def index_missing() -> ServiceError:
    """There is no index of that name. The text is ours; the Terraform provider goes by the code."""
    return ServiceError("OTSObjectNotExist", "Requested index does not exist.")


def stream_missing() -> ServiceError:
    """There is no such stream, or no such shard in it."""
    return ServiceError("OTSObjectNotExist", "Requested stream does not exist.")


def trimmed() -> ServiceError:
    """The place in a stream is older than what is kept. Source: the stand-ins in DataX's own tests."""
    return ServiceError("OTSTrimmedDataAccess", TEXTS["OTSTrimmedDataAccess"])


def condition_failed() -> ServiceError:
    """The row is not as the writer expected."""
    return ServiceError("OTSConditionCheckFail", "Condition check failed.")
