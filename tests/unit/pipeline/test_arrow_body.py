"""The body of a block: chunks with checksums, the same that the emulator's reader takes apart."""

from __future__ import annotations

import pytest

from airflow_tablestore.emulator.maxcompute import arrow_frames
from airflow_tablestore.pipeline.sinks.arrow_body import empty, framed, unframed


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 32, 1000])
def test_what_was_framed_is_found_again(length):
    data = bytes(n % 256 for n in range(length))

    assert arrow_frames.payload(b"".join(framed([data[:7], data[7:]], chunk_bytes=16))) == data


def test_a_body_has_the_bytes_of_the_documented_frame():
    body = b"".join(framed([b"123456789"], chunk_bytes=8))

    assert body.hex() == "00000008" + b"12345678".hex() + "6087809a" + b"9".hex() + "e3069283"


def test_a_block_without_rows_is_a_frame_without_chunks():
    assert b"".join(empty()) == bytes.fromhex("0001000000000000")


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 250, 300])
@pytest.mark.parametrize("chunk", [1, 7, 100, 65536])
def test_a_body_reads_back(size, chunk):
    messages = bytes(number % 251 for number in range(size))

    assert unframed(b"".join(framed([messages], chunk))) == messages


@pytest.mark.parametrize("size", [0, 60, 200])
def test_a_damaged_or_cut_body_is_told(size):
    body = b"".join(framed([b"\7" * size], 50))

    for at in range(4, len(body)):
        with pytest.raises(ValueError, match=r"checksum|cut short"):
            unframed(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
    for length in range(len(body)):
        with pytest.raises(ValueError, match=r"checksum|cut short"):
            unframed(body[:length])
