"""Which keys may be among some: the keys are forgotten, so it takes the same memory however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = 1 << 28
"""32 MiB. Of the keys that were never added, every 27th is held nevertheless once there are ten million that were."""


class Sieve:
    """Holds every key that was added, and by chance a few others.

    :param bits: a power of two.
    """

    def __init__(self, bits: int = BITS):
        self._bits, self._mask = bytearray(bits // 8), bits - 1

    def add(self, key: tuple[Any, ...]) -> None:
        at = hash(key) & self._mask
        self._bits[at >> 3] |= 1 << (at & 7)

    def __contains__(self, key: tuple[Any, ...]) -> bool:
        at = hash(key) & self._mask
        return bool(self._bits[at >> 3] >> (at & 7) & 1)

    def held(self, columns: Sequence[Sequence[Any]]) -> NDArray[np.bool_]:
        """For each key whether it is held.

        :param columns: the keys' parts, each as long as there are keys.
        """
        at = np.fromiter(map(hash, zip(*columns, strict=True)), np.int64, len(columns[0])) & self._mask
        found: NDArray[np.bool_] = (np.frombuffer(self._bits, np.uint8)[at >> 3] >> (at & 7) & 1).astype(np.bool_)
        return found
