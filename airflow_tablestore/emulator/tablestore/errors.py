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
    "OTSAuthFailed": 403,
    "OTSConditionCheckFail": 403,
    "OTSQuotaExhausted": 403,
    "OTSObjectNotExist": 404,
    "OTSMethodNotAllowed": 405,
    "OTSObjectAlreadyExist": 409,
    "OTSRequestBodyTooLarge": 413,
    "OTSInternalServerError": 500,
}


class ServiceError(TablestoreError):
    """An answer that is an error; inside a batch, the result of one row."""

    def __init__(self, code: str, message: str):
        self.code, self.message, self.status = code, message, STATUS[code]
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


def condition_failed() -> ServiceError:
    """The row is not as the writer expected."""
    return ServiceError("OTSConditionCheckFail", "Condition check failed.")
