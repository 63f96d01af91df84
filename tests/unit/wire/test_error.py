"""Every code of the service has a meaning, and what is no error of the service says so."""

from __future__ import annotations

import pytest

from airflow_tablestore.errors import PositionLost, ProtocolError, Rejected, RetryLater
from airflow_tablestore.wire.error import MEANINGS, meaning_of, read_error, was_never_applied
from airflow_tablestore.wire.proto import table_pb2

# Source: Tablestore developer reference, page "Error codes" (edition of May 2026), with its column "Retry".
DOCUMENTED = {
    "OTSAuthFailed": False,
    "OTSNoPermissionAccess": False,
    "OTSRequestBodyTooLarge": False,
    "OTSRequestTimeout": False,
    "OTSMethodNotAllowed": False,
    "OTSParameterInvalid": False,
    "OTSForbiddenUpdateCapacityUnit": False,
    "OTSInternalServerError": True,
    "OTSQuotaExhausted": False,
    "OTSInvalidPK": False,
    "OTSOutOfRowSizeLimit": False,
    "OTSOutOfColumnCountLimit": False,
    "OTSTunnelServerUnavailable": False,
    "OTSTrimmedDataAccess": False,
    "OTSServerBusy": True,
    "OTSPartitionUnavailable": True,
    "OTSTimeout": True,
    "OTSServerUnavailable": True,
    "OTSRowOperationConflict": True,
    "OTSObjectAlreadyExist": False,
    "OTSObjectNotExist": False,
    "OTSTableNotReady": True,
    "OTSTooFrequentReservedThroughputAdjustment": True,
    "OTSCapacityUnitExhausted": False,
    "OTSConditionCheckFail": False,
    "OTSFlowControl": False,
}
# We wait for more than the page says: throttling passes, and so do slow networks; the C++ SDK repeats the first two,
# the Go tunnel client the third.
WAITED_FOR_ANYWAY = {
    "OTSCapacityUnitExhausted",
    "OTSRequestTimeout",
    "OTSTunnelServerUnavailable",
    "OTSFlowControl",
}
# Source: retry tables and constants of the official Python, C++ and Go SDKs.
KNOWN_TO_SDKS = {
    "OTSNotEnoughCapacityUnit",
    "OTSOperationConflict",
    "OTSOperationThrottled",
    "OTSMissingHeader",
    "OTSUnsupportOperation",
    "OTSResourceGone",
    "OTSSequenceNumberNotMatch",
    "OTSTunnelExpired",
    "OTSPermissionDenied",
    "OTSTunnelExist",
}


def answer(code: str, message: str = "Something.") -> bytes:
    return table_pb2.Error(code=code, message=message).SerializeToString()


def test_every_code_of_the_service_is_mapped():
    assert DOCUMENTED.keys() | KNOWN_TO_SDKS <= MEANINGS.keys()


@pytest.mark.parametrize(("code", "is_temporary"), DOCUMENTED.items(), ids=DOCUMENTED.keys())
def test_codes_are_waited_for_as_the_service_says(code, is_temporary):
    assert (MEANINGS[code].kind is RetryLater) == (is_temporary or code in WAITED_FOR_ANYWAY)


@pytest.mark.parametrize("code", MEANINGS)
def test_every_code_has_a_sentence_of_advice(code):
    assert MEANINGS[code].advice.endswith(".")
    assert len(MEANINGS[code].advice) > 20


def test_an_error_tells_operation_code_message_advice_and_request_id():
    body = answer("OTSObjectNotExist", "Requested table does not exist.")

    error = read_error("/GetRange", 404, {"X-Ots-RequestId": "r-1"}, body)

    assert type(error) is Rejected
    assert (error.operation, error.code, error.status, error.request_id) == (
        "GetRange",
        "OTSObjectNotExist",
        404,
        "r-1",
    )
    assert str(error) == (
        "GetRange: OTSObjectNotExist: Requested table does not exist. "
        "Check the table's name and the connection's instance and region. [request id r-1]"
    )


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("Mismatch between system time and x-ots-date: 2024-01-01T08:00:00.000Z.", "clock"),
        ("Signature mismatch.", "secret"),
        ("The AccessKeyID does not exist.", "login"),
        ("The AccessKey ID is disabled.", "login"),
        ("The instance is not found.", "instance"),
        ("Request denied by instance ACL policies.", "network policy"),
        ("Something new.", "access key"),
    ],
)
def test_a_refused_key_comes_with_the_advice_for_its_reason(message, advice):
    error = read_error("/ListTable", 403, {}, answer("OTSAuthFailed", message))

    assert type(error) is Rejected
    assert advice in str(error)


def test_too_frequent_table_operations_pass_but_a_full_quota_does_not():
    frequent = read_error("/CreateTable", 403, {}, answer("OTSQuotaExhausted", "Too frequent table operations."))
    full = read_error("/CreateTable", 403, {}, answer("OTSQuotaExhausted", "Number of tables exceeded the quota."))

    assert type(frequent) is RetryLater
    assert was_never_applied(frequent)
    assert type(full) is Rejected


def test_a_trimmed_stream_behind_a_tunnel_is_a_lost_position():
    body = answer("OTSTunnelServerUnavailable", "OTSTrimmedDataAccess Requested stream data is already trimmed.")

    error = read_error("/tunnel/readrecords", 400, {}, body)

    assert type(error) is PositionLost
    assert error.operation == "tunnel/readrecords"


@pytest.mark.parametrize(("status", "kind"), [(503, RetryLater), (429, RetryLater), (400, Rejected), (403, Rejected)])
def test_an_unknown_code_is_judged_by_its_status(status, kind):
    assert type(read_error("/GetRange", status, {}, answer("OTSBrandNew"))) is kind


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b'{"error": "x"}', b"\xff\xfe", answer("")])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(502, RetryLater), (503, RetryLater), (429, RetryLater), (302, ProtocolError), (404, ProtocolError)],
)
def test_a_body_that_is_no_error_of_the_service_is_judged_by_its_status(body, status, kind):
    error = read_error("/GetRange", status, {}, body)

    assert type(error) is kind
    assert str(status) in str(error)


def test_control_characters_and_long_texts_of_a_peer_stay_out_of_messages():
    error = read_error("/GetRange", 400, {}, answer("OTSParameterInvalid", "a\n\x1b[31m" + "b" * 9000))

    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 800


def test_only_refusals_before_any_work_are_safe_to_repeat_for_every_call():
    assert meaning_of("OTSServerBusy").is_never_applied
    assert not meaning_of("OTSTimeout").is_never_applied
    assert not meaning_of("OTSInternalServerError").is_never_applied
