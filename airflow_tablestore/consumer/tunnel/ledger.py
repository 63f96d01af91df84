"""What of a channel is done: positions are confirmed in their order, whatever the order in which batches are done."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from airflow_tablestore.consumer.tunnel.batch import Batch


@dataclass(slots=True)
class _Entry:
    token: str
    batch: Batch | None
    is_done: bool


class Ledger:
    """The batches of one channel that are not confirmed yet; not safe for threads by itself."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()
        self._has_gap = False  # something was forgotten that nobody has done: nothing behind it may count
        self.reached: str | None = None
        """The newest position before which everything is done; None: nothing yet."""

    @property
    def is_clear(self) -> bool:
        """Whether every batch is done."""
        return not self._entries

    def add(self, batch: Batch) -> None:
        """Notes a batch that is to be done."""
        self._entries.append(_Entry(batch.token, batch, False))

    def pass_over(self, token: str) -> None:
        """Notes a position that was reached without a record."""
        if self._has_gap:
            return
        if self._entries and self._entries[-1].batch is None:
            self._entries[-1].token = token
        else:
            self._entries.append(_Entry(token, None, True))
        self._advance()

    def done(self, batch: Batch) -> bool:
        """Notes that a batch is done; False when it was, or is forgotten."""
        for entry in self._entries:
            if entry.batch is batch and not entry.is_done:
                entry.is_done = True
                self._advance()
                return True
        return False

    def up_to(self, batch: Batch) -> list[Batch]:
        """The batches that are not confirmed, up to and with this one; none when it is not there."""
        found = [entry.batch for entry in self._entries if entry.batch is not None]
        return found[: found.index(batch) + 1] if batch in found else []

    def remove(self, batches: Iterable[Batch]) -> None:
        """Forgets batches that nobody will do, and every position behind the first of them."""
        wanted = set(batches)
        for place, entry in enumerate(self._entries):
            if entry.batch in wanted:
                self._has_gap = True
                self._entries = deque(list(self._entries)[:place])
                return

    def give_up(self) -> None:
        """Forgets everything that is not done. A page that comes in later must not move the position over it."""
        self._has_gap = self._has_gap or bool(self._entries)
        self._entries.clear()

    def _advance(self) -> None:
        while self._entries and self._entries[0].is_done:
            self.reached = self._entries.popleft().token
