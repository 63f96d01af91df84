"""Where a window goes, when it goes into a warehouse's table: one upload session, one commit, and a row in the ledger.

A table has no manifest beside it, so the ledger keeps one for each window: written down as intended, with the session's
name, before the commit, and as done after it. Whoever finds it intended asks the session what has become of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING, Any

from airflow_tablestore.errors import StartOver
from airflow_tablestore.pipeline.dirty import refuse_dirty
from airflow_tablestore.pipeline.incremental.ledger import Ledger, load_key
from airflow_tablestore.pipeline.incremental.plan import PartReport, ShardPart, ShardTask, WindowHead, window_key
from airflow_tablestore.pipeline.manifest import Manifest, PublishedWindow
from airflow_tablestore.pipeline.recorded_load import RecordedLoad
from airflow_tablestore.pipeline.selection import ChangeSelection
from airflow_tablestore.pipeline.table_upload import Block, BlockNumbers, TableLoad, check_blocks, claim_of
from airflow_tablestore.pipeline.target import TableTarget
from airflow_tablestore.pipeline.warehouse import MOST_BLOCKS, Upload, Warehouse
from airflow_tablestore.pipeline.window import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.pipeline.contract import Format, Schema, Writer

BRANCHES = 8
"""Blocks that a shard may need: its own, and those of the shards that are born from it while it is read. Fewer when a
session has not so many for all shards."""


@dataclass(frozen=True, slots=True)
class WindowTable:
    """The table, or the partition, of one window of a pipeline. `selection` says which columns come."""

    warehouse: Warehouse
    target: TableTarget
    pipeline: str
    window: Window
    ledger: Ledger
    selection: ChangeSelection

    @property
    def load(self) -> TableLoad:
        return TableLoad(self.warehouse, self.target)

    @property
    def place(self) -> str:
        return self.load.uri

    @property
    def mode(self) -> str:
        return "truncate" if self.target.truncates else "append"

    @property
    def manifest(self) -> str:
        """How people write the table's place."""
        return self.load.uri

    def describe(self) -> dict[str, Any]:
        return {"type": "table"}

    def stopped_by(self, stop: Event) -> WindowTable:
        """The same, giving up at its next pause once `stop` is set."""
        from airflow_tablestore.pipeline.run import stopped_by

        return replace(self, warehouse=stopped_by(stop, self.warehouse))

    # ---- what stands

    @property
    def _recorded(self) -> RecordedLoad:
        what = f"Window {self.window} of '{self.pipeline}'"
        return RecordedLoad(self.load, self.ledger, load_key(self.window), what)

    def standing(self) -> Manifest | None:
        """What the ledger keeps of this window, be it done or only intended."""
        known = self._recorded.known()
        return known.manifest if known else None

    def told(self) -> tuple[PublishedWindow, ...]:
        """The window that the ledger tells of."""
        known = self._recorded.known()
        return known.manifest.windows if known and known.is_done else ()

    def published(self, standing: Manifest | None) -> tuple[Manifest, PublishedWindow] | None:
        """This window, when its rows are in the table.

        :raises SpecError: nobody can tell any more.
        """
        recorded = self._recorded
        known = recorded.known()
        window = known.manifest.window_of(window_key(self.window)) if known else None
        return (known.manifest, window) if known and window and recorded.is_in(known) else None

    # ---- a new export

    def claimed(
        self, standing: Manifest | None, head: WindowHead, parts: Sequence[ShardPart], attempts: int
    ) -> WindowHead:
        """The head with an upload session.

        :raises SpecError: the table is missing or does not fit, so many shards need more blocks than a session takes,
            or rows that are there would be added once more. Nothing has been read.
        """
        recorded = self._recorded
        recorded.refuse_twice(recorded.known())
        tasks = [task.number for part in parts for task in part.shards]
        shards = max(tasks) + 1 if tasks else 1
        check_blocks(shards, attempts)
        branches = min(BRANCHES, MOST_BLOCKS // (shards * attempts))
        upload = self.load.begin(self._output(head.schema))
        claim = claim_of(upload.id, standing.claim if standing else None)
        return replace(head, claim=claim, name=upload.id, width=shards * branches, branches=branches)

    def _output(self, schema: Schema) -> pa.Schema:
        from airflow_tablestore.pipeline.run import output_schema
        from airflow_tablestore.pipeline.sources.stream import Decoding, output_columns
        from airflow_tablestore.pipeline.transforms.columns import Columns

        columns = output_columns(self.selection)
        given = Decoding(self.selection, schema, lambda key, reason: None).changes().schema()
        return output_schema(given, () if columns is None else (Columns(columns),))

    def part(self, head: WindowHead, number: int, attempt: int) -> PartBlocks:
        """What one attempt at a part writes with.

        :raises StartOver: the session takes no blocks any more.
        """
        return PartBlocks(self.load, self.load.open(head.name), head, attempt)

    def publish(
        self, head: WindowHead, manifest: Manifest, reports: Iterable[PartReport], attempt: int, errors: int
    ) -> Manifest:
        """Commit what was reported, and have the ledger say so.

        :param errors: how many dirty records the window may have.
        :raises Superseded: another run has loaded the window since this one was planned.
        """
        refuse_dirty(manifest.dirty, errors, manifest.samples)
        blocks = [Block.from_key(block.key) for report in reports for block in report.objects]
        self._recorded.commit(head.name, manifest, BlockNumbers(head.width), blocks)
        return manifest

    def drop(self, reports: Iterable[PartReport]) -> None:
        """Nothing: what is in a session that is not committed is forgotten with it."""


@dataclass(frozen=True, slots=True)
class PartBlocks:
    """The blocks of one attempt at a part."""

    load: TableLoad
    upload: Upload
    head: WindowHead
    attempt: int

    def format(self, output: pa.Schema) -> Format:
        return self.load.format(output, self.upload.columns, self.upload.most_bytes)

    def writer(self, task: ShardTask, output: pa.Schema, format: Format) -> Writer:
        """What takes the rows of one shard.

        :raises StartOver: more shards were born than there are blocks for.
        """
        from airflow_tablestore.pipeline.sinks.blocks import BlockWriter

        if task.branch >= self.head.branches:
            raise StartOver("More shards were born while the window was read than were planned for.", task="plan")
        number = task.number * self.head.branches + task.branch
        block = BlockNumbers(self.head.width).of(number, self.attempt)
        return BlockWriter(self.load, self.upload.id, block, output, format)
