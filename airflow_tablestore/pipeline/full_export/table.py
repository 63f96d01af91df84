"""Where a full export goes, when it goes into a warehouse's table: one upload session, one commit.

Readers see the table as it was, or with all of the run's rows. What the session is called travels in the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_tablestore.pipeline.dirty import refuse_dirty
from airflow_tablestore.pipeline.full_export.plan import PlanHead, Split, SplitReport
from airflow_tablestore.pipeline.loads import Loads
from airflow_tablestore.pipeline.manifest import Manifest
from airflow_tablestore.pipeline.recorded_load import RecordedLoad
from airflow_tablestore.pipeline.table_upload import Block, BlockNumbers, TableLoad, check_blocks, claim_of
from airflow_tablestore.pipeline.target import TableTarget
from airflow_tablestore.pipeline.warehouse import Upload, Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.pipeline.contract import Format, Schema, Writer


@dataclass(frozen=True, slots=True)
class ExportTable:
    """The table, or the partition, of a pipeline's target. `loads`: what is on record; None: nothing is."""

    warehouse: Warehouse
    target: TableTarget
    pipeline: str
    loads: Loads | None = None

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
        """How people write the table's place; the manifest itself is in the status table."""
        return self.load.uri

    def describe(self) -> dict[str, Any]:
        return {"type": "table"}

    def standing(self) -> Manifest | None:
        """Nothing that a run has to take over: what it replaces, the commit replaces."""
        return None

    def pinned(self, standing: Manifest | None, table: str) -> Schema | None:
        """The columns on record."""
        return self.loads.schema() if self.loads else None

    def pin(self, schema: Schema, known: Schema | None) -> Schema:
        """These, unless another run has pinned its own meanwhile."""
        return schema if self.loads is None or schema == known else self.loads.pin_schema(schema, earlier=known)

    def check(self) -> None:
        """:raises SpecError: the table is missing and not to be made, or has other partitions."""
        self.load.check()

    def fits(self, output: pa.Schema) -> None:
        """:raises SpecError: the table's columns cannot take these."""
        self.load.fits(output)

    def claimed(
        self, standing: Manifest | None, head: PlanHead, output: pa.Schema, splits: Sequence[Split], attempts: int
    ) -> PlanHead:
        """The head with the run's upload session.

        :raises SpecError: so many slices need more blocks than a session takes; or the rows of this run are there
            already and would be added once more.
        """
        recorded = self._recorded(head.run)
        known = recorded.known()
        recorded.refuse_twice(known)
        width = max(len(split.slices) for split in splits)
        check_blocks(len(splits) * width, attempts)
        upload = self.load.begin(output)
        claim = claim_of(upload.id, known.manifest.claim if known else None)
        return replace(head, claim=claim, name=upload.id, width=width)

    def _recorded(self, run: str) -> RecordedLoad:
        return RecordedLoad(self.load, self.loads, run, f"Run {run} of '{self.pipeline}'")

    def part(self, head: PlanHead, split: int, attempt: int) -> SplitBlocks:
        """What one attempt at a split writes with.

        :raises StartOver: the session takes no blocks any more.
        """
        return SplitBlocks(self.load, self.load.open(head.name), head, split, attempt)

    def publish(
        self, head: PlanHead, manifest: Manifest, reports: Iterable[SplitReport], attempt: int, errors: int
    ) -> Manifest:
        """Commit what was reported, with the manifest on record before and after.

        :raises DirtyLimitExceeded: nothing has been touched.
        :raises StartOver: blocks are missing or newer than reported (task "export"), or the session is gone ("plan").
        :raises Superseded: another attempt at this run has loaded its rows since this one was planned.
        """
        refuse_dirty(manifest.dirty, errors, manifest.samples)
        blocks = [Block.from_key(block.key) for report in reports for block in report.objects]
        self._recorded(head.run).commit(head.name, manifest, _numbers(head), blocks)
        return manifest


@dataclass(frozen=True, slots=True)
class SplitBlocks:
    """The blocks of one attempt at a split."""

    load: TableLoad
    upload: Upload
    head: PlanHead
    split: int
    attempt: int

    def format(self, output: pa.Schema) -> Format:
        return self.load.format(output, self.upload.columns, self.upload.most_bytes)

    def writer(self, number: int, output: pa.Schema, format: Format) -> Writer:
        """What takes the rows of one slice."""
        from airflow_tablestore.pipeline.sinks.blocks import BlockWriter

        block = _numbers(self.head).of(self.split * self.head.width + number, self.attempt)
        return BlockWriter(self.load, self.upload.id, block, output, format)


def _numbers(head: PlanHead) -> BlockNumbers:
    return BlockNumbers(head.splits * head.width)
