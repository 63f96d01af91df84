"""CRC64 as `x-oss-hash-crc64ecma` shows it (ECMA-182 reflected, "xz"), and of two pieces put together.

The checksum of a whole is computed from those of its parts, so completing an upload reads no data: putting n zero
bytes behind a piece multiplies its checksum by x^(8n) modulo the polynomial.
Source: vectors/oss.json, crc64_*
"""

from __future__ import annotations

import functools

from fastcrc import crc64

_POLYNOMIAL = 0xC96C5795D7870F42
"""x^0 .. x^63 of the ECMA-182 polynomial; the highest bit is x^0."""
_ONE = 1 << 63


def checksum(data: bytes | bytearray | memoryview, start: int = 0) -> int:
    """The checksum of what `start` is the checksum of, followed by `data`."""
    return crc64.xz(data, start)


def combined(first: int, second: int, second_size: int) -> int:
    """The checksum of two pieces in a row, from theirs and the size of the second in bytes."""
    return _times(_shift(second_size), first) ^ second


@functools.lru_cache(maxsize=256)
def _shift(size: int) -> int:
    """x^(8 * size) modulo the polynomial."""
    power, result, exponent = _ONE >> 1, _ONE, size * 8
    while exponent:
        if exponent & 1:
            result = _times(power, result)
        power = _times(power, power)
        exponent >>= 1
    return result


def _times(a: int, b: int) -> int:
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFFFFFFFFFF
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return product
