"""One load of a warehouse's table: its plan, its blocks, its one commit. For a full export and for a window alike.

A block is one slice's rows of one attempt, so nobody writes another's. Publishing makes blocks that nobody reports
empty, then commits once, then looks whether only what it had seen was committed; whether a commit without an answer
happened is what the session's status says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from airflow_tablestore.errors import RetryLater, SpecError, StartOver
from airflow_tablestore.pipeline.target import TableTarget
from airflow_tablestore.pipeline.warehouse import (
    MOST_BLOCKS,
    Partition,
    TableColumn,
    TableShape,
    Upload,
    UploadStatus,
    Warehouse,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.pipeline.formats.table import TableFormat


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a session, and which attempt at its slice has written it; attempts are counted from 1."""

    number: int
    attempt: int

    @property
    def key(self) -> str:
        """What reports and manifests call it."""
        return f"{self.number}-{self.attempt}"

    @classmethod
    def from_key(cls, key: str) -> Block:
        number, _, attempt = key.partition("-")
        return cls(int(number), int(attempt or 1))


@dataclass(frozen=True, slots=True)
class BlockNumbers:
    """Which block is whose: attempt x slices + slice.

    Attempts are counted on when tasks are cleared, so that they can be more than a session has numbers for; then they
    begin anew, and `tries` lie between two attempts that write the same block.
    """

    slices: int

    @property
    def tries(self) -> int:
        """How many attempts have blocks of their own."""
        return max(1, MOST_BLOCKS // self.slices)

    def of(self, slice_number: int, attempt: int) -> Block:
        """The block of an attempt at a slice."""
        return Block((attempt - 1) % self.tries * self.slices + slice_number, attempt)

    def is_newer(self, number: int, reported: Block) -> bool:
        """Whether a block of the same slice was surely written by a later attempt than the reported one."""
        return reported.attempt <= self.tries and number > reported.number

    def slice(self, number: int) -> int:
        """Whose rows a block has."""
        return number % self.slices


def check_blocks(slices: int, attempts: int) -> None:
    """:raises SpecError: so many slices and attempts need more blocks than a session takes."""
    if slices * attempts > MOST_BLOCKS:
        raise SpecError(
            f"{slices} slices, each tried up to {attempts} times, need more than the {MOST_BLOCKS} blocks of an upload "
            "session; set source.split or limits.workers to fewer tasks, or retry.times lower"
        )


@dataclass(frozen=True, slots=True)
class TableLoad:
    """A table, or a partition of it, and how it is loaded."""

    warehouse: Warehouse
    target: TableTarget

    @property
    def place(self) -> Partition:
        return Partition(self.target.table, self.target.partition)

    @property
    def uri(self) -> str:
        return self.warehouse.uri(self.place)

    # ---- before rows flow

    def check(self) -> None:
        """:raises SpecError: the table is missing and not to be made, or has other partitions than the target."""
        shape = self.warehouse.shape(self.target.table)
        if shape is None:
            if not self.target.creates:
                told = f"{self.warehouse.uri(Partition(self.target.table))} does not exist"
                raise SpecError(f"{told}; create it, or write create_table: true into the sink")
            return
        given = tuple(name.lower() for name, _ in self.target.partition)
        if given != tuple(name.lower() for name in shape.partitioned_by):
            wanted = ",".join(f"{name}=…" for name in shape.partitioned_by)
            hint = f"write partition: {wanted!r}" if wanted else "leave partition out"
            raise SpecError(f"partition {self.place.spec!r} does not fit the table '{self.target.table}'; {hint}")

    def fits(self, output: pa.Schema) -> None:
        """:raises SpecError: the table's columns cannot take these."""
        shape = self.warehouse.shape(self.target.table)
        self.format(output, shape.columns if shape else self._made(output).columns)

    def begin(self, output: pa.Schema) -> Upload:
        """A session, once the table is there and its columns fit; what `pre_sql` says is done first."""
        self.check()
        if self.target.creates and self.warehouse.shape(self.target.table) is None:
            self.fits(output)
            self.warehouse.create_table(self.target.table, self._made(output))
        self.fits(output)
        for statement in self.target.pre_sql:
            self.warehouse.run_sql(statement)
        return self.warehouse.begin(self.place, replaces=self.target.truncates)

    def _made(self, output: pa.Schema) -> TableShape:
        from airflow_tablestore.pipeline.sinks.table_columns import CREATED, source_type

        names = self.target.columns or tuple(output.names)
        if len(names) != len(output):
            names = tuple(output.names)  # `fits` tells what is wrong
        columns = tuple(TableColumn(n, CREATED[source_type(f)]) for n, f in zip(names, output, strict=True))
        return TableShape(columns, tuple(name for name, _ in self.target.partition))

    def format(self, output: pa.Schema, columns: tuple[TableColumn, ...], most_bytes: int = 0) -> TableFormat:
        """How rows of this output become the table's."""
        from airflow_tablestore.pipeline.formats.table import TableFormat
        from airflow_tablestore.pipeline.sinks.table_columns import mapping_of

        target = self.target
        return TableFormat(mapping_of(output, columns, target.columns, target.over_length, most_bytes))

    # ---- while they flow

    def open(self, upload_id: str) -> Upload:
        """:raises StartOver: the session takes no blocks any more."""
        upload = self.warehouse.find(self.place, upload_id)
        if upload.status is not UploadStatus.OPEN:
            is_done = upload.status is UploadStatus.COMMITTED
            what = "is committed" if is_done else "has expired, or the table was dropped"
            raise StartOver(f"The upload session of this run into {self.uri} {what}.", task="plan")
        return upload

    # ---- publication

    def was_committed(self, upload_id: str, what: str) -> bool:
        """Whether a load that was about to be committed is in the table.

        :param what: the load, for people.
        :raises SpecError: nobody can tell any more, and loading anew might add its rows once more.
        """
        status = self.warehouse.find(self.place, upload_id).status
        if status is UploadStatus.GONE and not self.target.truncates:
            raise SpecError(
                f"{what} was about to be committed into {self.uri}, and its upload session has expired, so nobody "
                "knows whether it was. Look whether its rows are there. To load it anew, remove them and write "
                "truncate: true for that run"
            )
        return status is UploadStatus.COMMITTED

    def settle(self, upload_id: str, numbers: BlockNumbers, reported: Collection[Block]) -> Upload:
        """The session with the reported blocks and no other rows; or as it is, when it is committed.

        :raises StartOver: blocks are missing or newer than reported (task "export"), or the session is gone ("plan").
        """
        upload = self.warehouse.find(self.place, upload_id)
        emptied: frozenset[int] = frozenset()
        while upload.status is not UploadStatus.COMMITTED:
            upload = self.open(upload_id)
            strays = self._strays(upload, numbers, reported) - emptied
            if not strays:
                break
            for block in sorted(strays):
                self._put_empty(upload_id, block)
            emptied |= strays
        return upload

    def _strays(self, upload: Upload, numbers: BlockNumbers, reported: Collection[Block]) -> frozenset[int]:
        """The blocks that nobody reports."""
        shape = self.warehouse.shape(self.target.table)
        if shape is None or _kinds(shape.columns) != _kinds(upload.columns):
            raise StartOver(f"The columns of {self.uri} were changed since the run was planned.", task="plan")
        own = frozenset(block.number for block in reported)
        if missing := own - upload.blocks:
            told = f"{len(missing)} reported block(s) are not in the upload session of {self.uri}."
            raise StartOver(told, task="export")
        latest = {numbers.slice(block.number): block for block in reported}
        for number in upload.blocks - own:
            known = latest.get(numbers.slice(number))
            if known and numbers.is_newer(number, known):
                raise StartOver(f"A newer attempt has exported into {self.uri} than was reported.", task="export")
        return upload.blocks - own

    def commit(self, upload: Upload) -> None:
        """Make the session's blocks rows. Done already is done.

        :param upload: as `settle` has left it.
        :raises StartOver: the session, the table or the partition is not what it was (task "plan").
        """
        if upload.status is UploadStatus.COMMITTED:
            return
        try:
            self.warehouse.commit(self.place, upload.id, sorted(upload.blocks))
        except RetryLater:
            if self.warehouse.find(self.place, upload.id).status is not UploadStatus.COMMITTED:
                raise

    def refuse_strays(self, upload_id: str, known: Collection[int], what: str) -> None:
        """Nothing when the session was committed as it was seen before.

        A request of an attempt that had been frozen inside of it may arrive between the publisher's look and its
        commit; nothing can refuse it.

        :param known: the blocks that were there, all of them settled.
        :raises StartOver: there are rows more, which the next load replaces (task "plan").
        :raises SpecError: there are rows more, and nothing would replace them.
        """
        strays = self.strays(upload_id, known)
        if not strays:
            return
        told = (
            f"An attempt that was thought dead has sent {strays} block(s) between the last look and the commit, so "
            f"{what} is in {self.uri} with rows that are there twice."
        )
        if self.target.truncates:
            raise StartOver(told, task="plan")
        raise SpecError(f"{told} Remove the rows of this load, then write truncate: true for its next run")

    def strays(self, upload_id: str, known: Collection[int]) -> int:
        """How many blocks a committed session has beside these."""
        return len(self.warehouse.find(self.place, upload_id).blocks - frozenset(known))

    def run_post_sql(self) -> None:
        """What the author wants done behind the commit."""
        for statement in self.target.post_sql:
            self.warehouse.run_sql(statement)

    def _put_empty(self, upload_id: str, block: int) -> None:
        from airflow_tablestore.pipeline.sinks.arrow_body import empty

        self.warehouse.put_block(self.place, upload_id, block, empty)


def _kinds(columns: Iterable[TableColumn]) -> list[tuple[str, str]]:
    """What must stay the same: names and types; how their numbers and parts are written differs."""
    return [(column.name.lower(), re.split(r"\W", column.type, maxsplit=1)[0]) for column in columns]


CLAIM_BITS = 48
"""The lower bits of a claim tell sessions apart, the upper ones order them."""


def claim_of(upload_id: str, earlier: int | None = None) -> int:
    """A number for the plan that began a session, so that reports of another plan are told apart.

    :param earlier: the claim of the load on record, which this one outranks.
    """
    order = 0 if earlier is None else (earlier >> CLAIM_BITS) + 1
    return (order << CLAIM_BITS) + int.from_bytes(sha256(upload_id.encode()).digest()[: CLAIM_BITS // 8])


def is_outranked(claim: int, recorded: int) -> bool:
    """Whether the load on record was planned after what that one knew, by a plan of its own."""
    return claim != recorded and recorded >> CLAIM_BITS >= claim >> CLAIM_BITS
