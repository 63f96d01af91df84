"""Where a full export goes, when it goes into a warehouse's table: one upload session, one commit.

Readers see the table as it was, or with all of the run's rows. What the session is called travels in the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_tablestore.pipeline.dirty import refuse_dirty
from airflow_tablestore.pipeline.full_export.plan import PlanHead, Split, SplitReport
from airflow_tablestore.pipeline.manifest import Manifest
from airflow_tablestore.pipeline.table_upload import BlockNumbers, TableLoad, check_blocks, claim_of
from airflow_tablestore.pipeline.target import TableTarget
from airflow_tablestore.pipeline.warehouse import Upload, Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.pipeline.contract import Format, Writer


@dataclass(frozen=True, slots=True)
class ExportTable:
    """The table, or the partition, of a pipeline's target."""

    warehouse: Warehouse
    target: TableTarget
    pipeline: str

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
        """How people write the table's place: it tells of itself, there is no manifest beside it."""
        return self.load.uri

    def describe(self) -> dict[str, Any]:
        return {"type": "table"}

    def standing(self) -> Manifest | None:
        """Nothing: a table keeps its columns by itself."""
        return None

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

        :raises SpecError: so many slices need more blocks than a session takes.
        """
        width = max(len(split.slices) for split in splits)
        check_blocks(len(splits) * width, attempts)
        upload = self.load.begin(output)
        return replace(head, claim=claim_of(upload.id), name=upload.id, width=width)

    def part(self, head: PlanHead, split: int, attempt: int) -> SplitBlocks:
        """What one attempt at a split writes with.

        :raises StartOver: the session takes no blocks any more.
        """
        return SplitBlocks(self.load, self.load.open(head.name), head, split, attempt)

    def publish(
        self, head: PlanHead, manifest: Manifest, reports: Iterable[SplitReport], attempt: int, errors: int
    ) -> Manifest:
        """Commit what was reported.

        :raises DirtyLimitExceeded: nothing has been touched.
        :raises StartOver: blocks are missing or newer than reported (task "export"), or the session is gone ("plan").
        """
        refuse_dirty(manifest.dirty, errors, manifest.samples)
        blocks = [int(block.key) for report in reports for block in report.objects]
        self.load.commit(head.name, _numbers(head), blocks)
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
