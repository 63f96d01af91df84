"""Rows into a table, in batches: what OTSWriter does in DataX, with every row accounted for.

Guarantees: a row is written, or it is a dirty record with its key and the service's reason, or the work ends with an
error; what fails for now is tried again, row by row; rows of one key are written in the order in which they came; a row
that has only a primary key is a row. Writing the same rows again leaves the same table.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from airflow_tablestore.client.retry import RetryPolicy
from airflow_tablestore.consumer.table import Sender, show_key
from airflow_tablestore.errors import Problem, RecordError, Rejected, RequestError, RetryLater, SpecError
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.restore.job import RowMode, RowTarget
from airflow_tablestore.pipeline.throttle import Throttle
from airflow_tablestore.wire.batch_write import Action, RowWrite, batch_write
from airflow_tablestore.wire.plainbuffer import encode_put, encode_update
from airflow_tablestore.wire.row import PrimaryKey, Row
from airflow_tablestore.wire.single_row import CONDITION_FAILED, create_table
from airflow_tablestore.wire.table import KeyColumn, TableDescription, describe_table

MISSING = "OTSObjectNotExist"

_WHOLE = frozenset({"OTSParameterInvalid", "OTSRequestBodyTooLarge"})
"""Codes with which the service refuses a whole batch for one of its rows. Source: OTSWriter sends such a batch again,
row by row."""

_OF_A_ROW = _WHOLE | {"OTSInvalidPK", "OTSOutOfRowSizeLimit", "OTSOutOfColumnCountLimit"}
"""Codes that say something about one row: it is a dirty record. Any other refusal would meet every row."""


def target_keys(sender: Sender, target: RowTarget, wanted: Sequence[KeyColumn]) -> tuple[tuple[KeyColumn, ...], bool]:
    """The key columns of the table, and whether it is there. Changes nothing.

    :param wanted: the key that the rows have, in order; empty: that of the table, whatever it is.
    :raises SpecError: the table is missing and shall not be made, has another key, or fills in a part of it by itself.
    """
    try:
        description = sender.send(describe_table(target.table))
    except Rejected as error:
        if error.code != MISSING:
            raise
        if target.creates and wanted:
            return tuple(wanted), False
        hint = "write create_table: true, or make it by hand" if wanted else "make it by hand"
        raise SpecError([Problem(f"there is no table '{target.table}'", hint, "sink.table")]) from error
    _refuse_other_key(description, wanted)
    return description.keys, True


def _refuse_other_key(description: TableDescription, wanted: Sequence[KeyColumn]) -> None:
    generated = [key.name for key in description.keys if key.is_auto_increment]
    if generated:
        told = f"table '{description.name}' fills in its key column '{generated[0]}' by itself (auto-increment)"
        hint = "every row would get another key than it had; restore into a table with an ordinary key"
        raise SpecError([Problem(told, hint, "sink.table")])
    if wanted and description.keys != tuple(wanted):
        told = f"table '{description.name}' has the key {_told(description.keys)}, and the rows have {_told(wanted)}"
        raise SpecError([Problem(told, "names, order and types must be the same; name another table", "sink.table")])


def _told(keys: Iterable[KeyColumn]) -> str:
    return ", ".join(f"{key.name} ({key.type.value})" for key in keys)


def make_table(sender: Sender, target: RowTarget, keys: Sequence[KeyColumn]) -> None:
    """Make the table; one that another attempt has just made is as good, when its key is this one."""
    try:
        sender.send(create_table(target.table, keys))
    except Rejected as error:
        if error.code != "OTSObjectAlreadyExist":
            raise
        _refuse_other_key(sender.send(describe_table(target.table)), keys)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A row, encoded. `counts` is False for a write that another one of the same row follows."""

    key: PrimaryKey
    write: RowWrite
    counts: bool = True


@dataclass(slots=True)
class _Outcome:
    """What became of one batch."""

    written: int = 0
    refused: list[tuple[PrimaryKey, str]] = field(default_factory=list)


class RowWriter:
    """Writes rows; several batches are on their way at a time. Use it from one thread.

    :param refuse: hears of dirty records, and may raise to end the work.
    :param in_flight: most batches on their way.
    :param paced: waits as long as so many rows and bytes are worth.
    :param stop: ends every wait; what was written stays.
    :param tasks: how many tasks share the target's requests per second.
    """

    def __init__(
        self,
        sender: Sender,
        target: RowTarget,
        refuse: Callable[[str, str], None],
        *,
        in_flight: int = 4,
        paced: Callable[[int, int], None] | None = None,
        stop: threading.Event | None = None,
        retry: RetryPolicy | None = None,
        tasks: int = 1,
    ):
        self._sender, self._target, self._refuse = sender, target, refuse
        self._most, self._paced = max(1, in_flight), paced
        self._stop = stop or threading.Event()
        self._retry = retry or RetryPolicy(attempts=target.max_retries + 1)
        paces = Limits(rows_per_second=target.requests_per_second)
        self._requests = Throttle(paces, tasks, sleep=self._stop.wait)
        self._pool = ThreadPoolExecutor(self._most, thread_name_prefix="rows")
        self._batch: list[_Pending] = []
        self._after: list[_Pending] = []
        self._keys: set[PrimaryKey] = set()
        self._bytes = 0
        self._flying: dict[Future[_Outcome], set[PrimaryKey]] = {}
        self.written = self.dirty = self.requests = 0

    def write(self, row: Row) -> None:
        """Take one row. An error may be about an earlier one."""
        try:
            write = _encoded(row, self._target.mode)
            # An update that only deletes makes no row, and a row that has only a key is one.
            made = _made(row) if self._target.mode is RowMode.UPDATE and _only_deletes(row) else None
        except RecordError as error:
            self._dirty(row.key, str(error))
            return
        if made is None:
            self.send(row.key, write)
        else:
            self._take(_Pending(row.key, made, counts=False))
            self._after.append(_Pending(row.key, write))

    def send(self, key: PrimaryKey, write: RowWrite) -> None:
        """Take one write of a row. An error may be about an earlier one."""
        self._take(_Pending(key, write))

    def _take(self, one: _Pending) -> None:
        size, most = len(one.write.block), self._target.batch_rows
        while self._batch and (
            len(self._batch) >= most or self._bytes + size > self._target.batch_bytes or one.key in self._keys
        ):
            self._send()
        self._batch.append(one)
        self._keys.add(one.key)
        self._bytes += size

    def flush(self) -> None:
        """Write what was taken and wait until all of it is written."""
        while self._batch:
            self._send()
        while self._flying:
            self._land()

    def discard(self) -> None:
        """Forget what was taken; what is on its way lands, whatever becomes of it."""
        self._batch, self._after, self._keys, self._bytes = [], [], set(), 0
        wait(self._flying)
        self._flying.clear()

    def finish(self) -> None:
        """The same, and no more is taken."""
        self.flush()
        self._pool.shutdown()

    def abort(self) -> None:
        """Give up: batches on their way are waited for, no further one is sent. Never raises."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _send(self) -> None:
        """Send the batch. What must follow a row of it begins the next one."""
        batch, keys, size = self._batch, self._keys, self._bytes
        self._batch, self._after = self._after, []
        self._keys, self._bytes = {one.key for one in self._batch}, sum(len(one.write.block) for one in self._batch)
        while len(self._flying) >= self._most or any(not keys.isdisjoint(flying) for flying in self._flying.values()):
            self._land()
        if self._paced is not None:
            self._paced(sum(one.counts for one in batch), size)
        self.requests += 1
        self._flying[self._pool.submit(self._deliver, batch)] = keys

    def _land(self) -> None:
        """Wait for a batch and count it."""
        done, _ = wait(self._flying, return_when=FIRST_COMPLETED)
        for future in done:
            del self._flying[future]
        for future in done:
            outcome = future.result()
            self.written += outcome.written
            for key, reason in outcome.refused:
                self._dirty(key, reason)

    def _dirty(self, key: PrimaryKey, reason: str) -> None:
        self.dirty += 1
        self._refuse(show_key(key), reason)

    def _deliver(self, batch: list[_Pending]) -> _Outcome:
        """Send a batch until each of its rows is written or refused. Runs in a thread of its own."""
        outcome, groups = _Outcome(), deque([(batch, 1)])
        while groups:
            group, attempt = groups.popleft()
            self._requests.took(1, 0)
            try:
                results = self._sender.send(batch_write(self._target.table, [one.write for one in group]))
            except Rejected as error:
                if error.code not in _WHOLE:
                    raise
                if len(group) == 1:
                    _refuse(outcome, group[0], error)
                else:
                    groups.extend(([one], 1) for one in group)
                continue
            later = self._settled(group, results, outcome)
            if later:
                self._pause(attempt, later[-1][1])
                groups.append(([one for one, _ in later], attempt + 1))
        return outcome

    def _settled(
        self, group: Sequence[_Pending], results: Sequence[RequestError | None], outcome: _Outcome
    ) -> list[tuple[_Pending, RetryLater]]:
        """Count the rows that are written or refused; the others may succeed later."""
        later = []
        for one, error in zip(group, results, strict=True):
            if error is None or (one.write.action is Action.PUT_NEW and error.code == CONDITION_FAILED):
                outcome.written += one.counts
            elif isinstance(error, RetryLater):
                later.append((one, error))
            elif error.code in _OF_A_ROW:
                _refuse(outcome, one, error)
            else:
                raise error
        return later

    def _pause(self, attempt: int, error: RetryLater) -> None:
        """:raises RetryLater: the policy's attempts are used up, or the work is to stop."""
        pause = self._retry.pause(attempt, random.random())  # noqa: S311 - jitter, no secret
        if attempt >= self._retry.attempts or self._stop.wait(pause):
            raise error


def _refuse(outcome: _Outcome, one: _Pending, error: RequestError) -> None:
    if one.counts:  # the write that follows is refused for the same reason
        outcome.refused.append((one.key, str(error)))


def _only_deletes(row: Row) -> bool:
    return bool(row.cells) and all(cell.value is None for cell in row.cells)


def _made(row: Row) -> RowWrite:
    return RowWrite(Action.PUT_NEW, encode_put(row.key, ()))


def _encoded(row: Row, mode: RowMode) -> RowWrite:
    """:raises RecordError: a value that Tablestore cannot hold."""
    if mode is RowMode.UPDATE and row.cells:
        return RowWrite(Action.UPDATE, encode_update(row.key, row.cells))
    action = Action.PUT if mode is RowMode.PUT else Action.PUT_NEW
    return RowWrite(action, encode_put(row.key, row.cells))
