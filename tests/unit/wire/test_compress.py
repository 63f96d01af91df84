"""Deflated answers: what says so is believed only as far as the bytes bear it out."""

from __future__ import annotations

import zlib

import pytest

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.compress import DEFLATE, SIZE, TYPE, deflated, inflated

BODY = b"rows " * 1000


def test_what_was_deflated_comes_back():
    headers, sent = deflated(BODY)

    assert inflated(headers, sent) == BODY
    assert len(sent) < len(BODY) / 10
    assert headers == {TYPE: DEFLATE, SIZE: "5000"}


def test_an_answer_that_says_nothing_is_taken_as_it_is():
    assert inflated({}, BODY) is BODY


@pytest.mark.parametrize(
    ("changed", "sent", "said"),
    [
        ({TYPE: "gzip"}, None, "compressed with 'gzip'"),
        ({SIZE: ""}, None, "whose size is ''"),
        ({SIZE: "-1"}, None, "whose size is '-1'"),
        ({SIZE: "٣"}, None, "whose size is"),
        ({SIZE: "4999"}, None, "of 4999 bytes is damaged"),
        ({SIZE: "5001"}, None, "of 5001 bytes is damaged"),
        ({}, zlib.compress(BODY)[:-1], "of 5000 bytes is damaged"),
        ({}, zlib.compress(BODY) + b"x", "of 5000 bytes is damaged"),
        ({}, b"no zlib", "cannot be inflated"),
        ({}, b"", "of 5000 bytes is damaged"),
    ],
)
def test_what_is_not_as_it_says_is_refused(changed, sent, said):
    headers, good = deflated(BODY)

    with pytest.raises(ProtocolError, match=said):
        inflated(headers | changed, good if sent is None else sent)


def test_a_small_answer_cannot_become_a_huge_one():
    bomb = zlib.compress(bytes(50_000_000), 9)

    with pytest.raises(ProtocolError, match="of 10 bytes is damaged"):
        inflated({TYPE: DEFLATE, SIZE: "10"}, bomb)
