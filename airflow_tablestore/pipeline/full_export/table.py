"""Where a full export goes, when it goes into a warehouse's table: one upload session, one commit.

Readers see the table as it was, or with all of the run's rows. What the session is called travels in the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_tablestore.errors import SpecError, Superseded
from airflow_tablestore.pipeline.dirty import refuse_dirty
from airflow_tablestore.pipeline.full_export.plan import PlanHead, Split, SplitReport
from airflow_tablestore.pipeline.loads import Load, Loads
from airflow_tablestore.pipeline.manifest import Manifest
from airflow_tablestore.pipeline.table_upload import BlockNumbers, TableLoad, check_blocks, claim_of, is_outranked
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
        known = self.loads.load(head.run) if self.loads else None
        if known and not self.target.truncates and self._is_in(known):
            raise SpecError(
                f"run {head.run} of '{self.pipeline}' has loaded its rows into {self.place} already, and they would be "
                "added once more; to replace what is there, write truncate: true; to add them again, use another run"
            )
        width = max(len(split.slices) for split in splits)
        check_blocks(len(splits) * width, attempts)
        upload = self.load.begin(output)
        claim = claim_of(upload.id, known.manifest.claim if known else None)
        return replace(head, claim=claim, name=upload.id, width=width)

    def _is_in(self, known: Load) -> bool:
        """Whether a load on record is in the table."""
        what = f"Run {known.manifest.run} of '{self.pipeline}'"
        return known.is_done or self.load.was_committed(known.upload_id, what)

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
        blocks = [int(block.key) for report in reports for block in report.objects]
        known = self.loads.load(head.run) if self.loads else None
        if known and is_outranked(head.claim, known.manifest.claim) and self._is_in(known):
            raise Superseded(f"another attempt at run {head.run} has loaded its rows into {self.place}; this one stops")
        if self.loads and not (known and known.upload_id == head.name):
            self.loads.put_load(head.run, Load(head.name, manifest))
        self.load.commit(head.name, _numbers(head), blocks)
        if self.loads:
            self.loads.put_load(head.run, Load(head.name, manifest, is_done=True))
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
