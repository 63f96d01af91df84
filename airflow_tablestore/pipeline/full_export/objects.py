"""Where a full export goes, when it goes into objects: what stands there, the claim, the writers, and publication."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from airflow_tablestore.pipeline.claim import UploadLog
from airflow_tablestore.pipeline.conflict import refuse_conflict
from airflow_tablestore.pipeline.full_export.plan import PlanHead, Split, SplitReport
from airflow_tablestore.pipeline.layout import PREVIOUS, object_key
from airflow_tablestore.pipeline.manifest import Manifest, read_manifest
from airflow_tablestore.pipeline.object_place import ObjectPlace
from airflow_tablestore.pipeline.publish import refuse_foreign_pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from airflow_tablestore.pipeline.contract import Format, Schema, Writer


@dataclass(frozen=True, slots=True)
class ExportObjects(ObjectPlace):
    """The objects of a full export."""

    def standing(self) -> Manifest | None:
        """The manifest there, also one that a publication has just set aside.

        :raises SpecError: it is another pipeline's.
        """
        prefix = self.target.prefix
        standing = read_manifest(self.store, prefix) or read_manifest(self.store, prefix, PREVIOUS)
        refuse_foreign_pipeline(standing, self.pipeline, self.store.uri(prefix))
        return standing

    def pinned(self, standing: Manifest | None, table: str) -> Schema | None:
        """The manifest's columns."""
        return standing.schema if standing and standing.table == table else None

    def pin(self, schema: Schema, known: Schema | None) -> Schema:
        """These: the manifest will keep them."""
        return schema

    def check(self) -> None:
        """:raises SpecError: something stands there that this write_mode leaves alone."""
        refuse_conflict(self.store, self.target, self.pipeline)

    def fits(self, output: pa.Schema) -> None:
        """Nothing: objects take every column."""

    def claimed(
        self, standing: Manifest | None, head: PlanHead, output: pa.Schema, splits: Sequence[Split], attempts: int
    ) -> PlanHead:
        """The head with a claim on the prefix, and the name of the run's objects.

        :raises SpecError: objects with other columns stand there.
        """
        claim, name = self.claim_for(head.run, head.schema, standing)
        return replace(head, claim=claim, name=name)

    def part(self, head: PlanHead, split: int, attempt: int) -> SplitObjects:
        """What one attempt at a split writes with; what lower attempts have uploaded is aborted.

        :raises Superseded: a higher attempt has begun, or a later run has published.
        """
        log = UploadLog(self.store, self.target.prefix, self.pipeline, head.claim, split, attempt)
        log.take_over()
        return SplitObjects(self, head.name, split, log)

    def publish(
        self, head: PlanHead, manifest: Manifest, reports: Iterable[SplitReport], attempt: int, errors: int
    ) -> Manifest:
        """Make the objects visible. See `publish.publish_objects` for what it raises."""
        uploads = [upload for report in reports for upload in report.objects]
        return self.publish_uploads(manifest, uploads, attempt, errors)


@dataclass(frozen=True, slots=True)
class SplitObjects:
    """The objects of one attempt at a split."""

    sink: ExportObjects
    name: str
    split: int
    log: UploadLog

    def format(self, output: pa.Schema) -> Format:
        return self.sink.target.format

    def writer(self, number: int, output: pa.Schema, format: Format) -> Writer:
        """What takes the rows of one slice."""
        from airflow_tablestore.pipeline.sinks.objects import ObjectWriter

        target, key = self.sink.target, partial(self._key, number)
        return ObjectWriter(self.sink.store, self.log, format, output, key, target.max_object_bytes)

    def _key(self, slice_number: int, number: int) -> str:
        target = self.sink.target
        return object_key(
            target.prefix, self.sink.pipeline, self.name, self.split, slice_number, number, target.format.suffix
        )
