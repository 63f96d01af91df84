"""The body of a block: chunks with checksums, the same that the emulator's reader takes apart."""

from __future__ import annotations

import pytest

from airflow_tablestore.emulator.maxcompute import arrow_frames
from airflow_tablestore.pipeline.sinks.arrow_body import empty, framed


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 32, 1000])
def test_what_was_framed_is_found_again(length):
    data = bytes(n % 256 for n in range(length))

    assert arrow_frames.payload(b"".join(framed([data[:7], data[7:]], chunk_bytes=16))) == data


def test_a_body_has_the_bytes_of_the_documented_frame():
    body = b"".join(framed([b"123456789"], chunk_bytes=8))

    assert body.hex() == "00000008" + b"12345678".hex() + "6087809a" + b"9".hex() + "e3069283"


def test_a_block_without_rows_is_a_frame_without_chunks():
    assert b"".join(empty()) == bytes.fromhex("0001000000000000")
