"""Blocks are compressed so that others unpack them, in bounded pieces."""

from __future__ import annotations

import zlib

import pyarrow as pa
import pytest

from airflow_tablestore.emulator.maxcompute.compression import unpacked
from airflow_tablestore.pipeline.sinks.block_compression import SNAPPY_PIECE, packed
from airflow_tablestore.pipeline.sinks.maxcompute import _ENCODED
from airflow_tablestore.pipeline.target import BlockCompression

PIECES = [b"a" * 70_000, b"", b"bc" * 900_000, b"end"]
ALL = [how for how in BlockCompression if how is not BlockCompression.NONE]


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("pieces", [PIECES, [], [b"x"], [b"y" * SNAPPY_PIECE]])
def test_the_service_unpacks_what_was_packed_by_the_name_that_it_is_told(how, pieces):
    body = list(packed(pieces, how))

    assert unpacked(b"".join(body), _ENCODED[how]["Content-Encoding"]) == b"".join(pieces)
    assert all(body)


@pytest.mark.parametrize("how", ALL)
def test_compressed_blocks_are_smaller(how):
    assert sum(map(len, packed(PIECES, how))) < sum(map(len, PIECES)) / 5


def test_other_libraries_unpack_them():
    whole = b"".join(PIECES)

    assert zlib.decompress(b"".join(packed(PIECES, BlockCompression.ZLIB))) == whole
    for how, codec in ((BlockCompression.ZSTD, "zstd"), (BlockCompression.LZ4, "lz4")):
        with pa.CompressedInputStream(pa.BufferReader(b"".join(packed(PIECES, how))), codec) as source:
            assert source.read() == whole


def test_nothing_is_done_to_a_body_that_is_not_to_be_compressed():
    assert list(packed(PIECES, BlockCompression.NONE)) == PIECES
