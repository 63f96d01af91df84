"""CRC-8 of many byte spans at once, with numpy.

The checksum is linear: that of bytes after a start value is that of the bytes xor what the start value becomes over as
many zeros. And zeros in front of bytes change nothing when one starts at zero. So spans are read from their ends in
words of eight bytes, the bytes before a span's start are made zero, and the start values are added last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_tablestore.wire.plainbuffer import checksum

Sums = npt.NDArray[np.uint8]

PERIOD = 127
"""After as many zero bytes a checksum is what it was: x^8 has this order modulo x^8 + x^2 + x + 1."""


def _shifts() -> npt.NDArray[np.uint8]:
    """`[n, sum]` is what a checksum becomes over n zero bytes."""
    one = np.array([checksum(bytes((byte,))) for byte in range(256)], np.uint8)
    rows = [np.arange(256, dtype=np.uint8)]
    for _ in range(PERIOD - 1):
        rows.append(one[rows[-1]])
    return np.stack(rows)


_SHIFTED = _shifts()


def _words() -> npt.NDArray[np.uint8]:
    """`[k, word]` is the checksum of two bytes, as a little-endian word, with 2k zero bytes behind them."""
    low, high = np.arange(65536) & 255, np.arange(65536) >> 8
    two = _SHIFTED[2][low] ^ _SHIFTED[1][high]
    return np.stack([_SHIFTED[2 * k][two] for k in range(4)])


_WORDS = _words()


def after(sums: Sums, zeros: int) -> Sums:
    """What checksums become over this many zero bytes."""
    found: Sums = _SHIFTED[zeros % PERIOD][sums]
    return found


def crc_of_eight(words: npt.NDArray[Any]) -> Sums:
    """The checksums of eight bytes each, given as little-endian numbers of 64 bits."""
    parts = np.ascontiguousarray(words, "<u8").view("<u2").reshape(-1, 4)
    found: Sums = _WORDS[3][parts[:, 0]] ^ _WORDS[2][parts[:, 1]] ^ _WORDS[1][parts[:, 2]] ^ _WORDS[0][parts[:, 3]]
    return found


def crc_of_spans(content: bytes, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], seeds: Sums) -> Sums:
    """The checksums of the content from each start to its end, each going on from its seed.

    Every end must stand at least eight bytes behind the content's beginning.
    """
    words = np.ndarray((len(content) - 7,), "<u8", content, 0, (1,))
    lengths = ends - starts
    totals: Sums = _SHIFTED[lengths % PERIOD, seeds]
    remaining = np.arange(len(starts))
    behind = 0
    while len(remaining):
        left = lengths[remaining] - behind
        remaining, left = remaining[left > 0], left[left > 0]
        if not len(remaining):
            break
        found = words[ends[remaining] - behind - 8]
        missing = np.minimum(np.maximum(8 - left, 0), 7).astype(np.uint64) * np.uint64(8)
        found = found >> missing << missing
        totals[remaining] ^= after(crc_of_eight(found), behind)
        behind += 8
    return totals
