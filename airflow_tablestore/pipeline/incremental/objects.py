"""Where a window goes, when it goes into objects: what stands there, the claim, the writers, and publication.

The engine asks a window's target for this and for nothing else; whatever can answer it can take windows too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.claim import UploadLog
from airflow_tablestore.pipeline.conflict import refuse_conflict
from airflow_tablestore.pipeline.incremental.plan import PartReport, ShardPart, ShardTask, WindowHead, window_key
from airflow_tablestore.pipeline.layout import MANIFEST, PREVIOUS, SUCCESS, object_key
from airflow_tablestore.pipeline.manifest import Manifest, PublishedWindow, read_manifest
from airflow_tablestore.pipeline.object_place import ObjectPlace
from airflow_tablestore.pipeline.publish import refuse_foreign_pipeline
from airflow_tablestore.pipeline.target import WriteMode
from airflow_tablestore.pipeline.window import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.pipeline.contract import Format, Writer

Published = tuple[Manifest, PublishedWindow]
"""A manifest that readers may rely on, and one of the windows in it."""


@dataclass(frozen=True, slots=True)
class WindowObjects(ObjectPlace):
    """The objects of one window of a pipeline."""

    window: Window

    def stopped_by(self, stop: Event) -> WindowObjects:
        """The same, giving up at its next pause once `stop` is set."""
        from airflow_tablestore.pipeline.run import stopped_by

        return replace(self, store=stopped_by(stop, self.store))

    # ---- what stands

    def standing(self) -> Manifest | None:
        """The manifest there, also one that a publication has just set aside.

        :raises SpecError: it is another pipeline's, or another window's that would be replaced.
        """
        prefix, place = self.target.prefix, self.store.uri(self.target.prefix)
        standing = read_manifest(self.store, prefix) or read_manifest(self.store, prefix, PREVIOUS)
        refuse_foreign_pipeline(standing, self.pipeline, place)
        replaces = self.target.write_mode is WriteMode.TRUNCATE
        if standing and replaces and standing.window_of(window_key(self.window)) is None:
            held = f"window {standing.windows[0].window}" if standing.windows else "a full export"
            raise SpecError(
                f"{place} holds {held} of '{self.pipeline}', which window {self.window} would replace. Write the "
                "window's time into the prefix, or append."
            )
        return standing

    def told(self) -> tuple[PublishedWindow, ...]:
        """The windows that the manifest there tells of, whoever may replace it."""
        manifest = read_manifest(self.store, self.target.prefix)
        return manifest.windows if manifest and manifest.pipeline == self.pipeline else ()

    def published(self, standing: Manifest | None) -> Published | None:
        """This window, when it stands and a reader may rely on it."""
        window = standing.window_of(window_key(self.window)) if standing else None
        if standing is None or window is None:
            return None
        markers = (self.store.head(self.target.prefix + name) for name in (SUCCESS, MANIFEST))
        return (standing, window) if all(markers) else None

    # ---- a new export

    def claimed(
        self, standing: Manifest | None, head: WindowHead, parts: Sequence[ShardPart], attempts: int
    ) -> WindowHead:
        """The head with a claim on the prefix, and the name of the window's objects.

        :raises SpecError: something stands there that this write_mode leaves alone, or objects with other columns.
        """
        refuse_conflict(self.store, self.target, self.pipeline)
        claim, name = self.claim_for(head.run, head.schema, standing)
        return replace(head, claim=claim, name=name)

    def part(self, head: WindowHead, number: int, attempt: int) -> PartObjects:
        """What one attempt at a part writes with; what lower attempts have uploaded is aborted.

        :raises Superseded: a higher attempt has begun, or a later run has published.
        """
        log = UploadLog(self.store, self.target.prefix, self.pipeline, head.claim, number, attempt)
        log.take_over()
        return PartObjects(self, head.name, log)

    def publish(
        self, head: WindowHead, manifest: Manifest, reports: Iterable[PartReport], attempt: int, errors: int
    ) -> Manifest:
        """Make the objects visible. See `publish.publish_objects` for what it raises.

        :param errors: how many dirty records the window may have.
        """
        uploads = [upload for report in reports for upload in report.objects]
        return self.publish_uploads(manifest, uploads, attempt, errors)

    def drop(self, reports: Iterable[PartReport]) -> None:
        """Abort what was uploaded in vain."""
        for report in reports:
            for upload in report.objects:
                self.store.abort(upload.key, upload.upload_id)


@dataclass(frozen=True, slots=True)
class PartObjects:
    """The objects of one attempt at a part."""

    sink: WindowObjects
    name: str
    log: UploadLog

    def format(self, output: pa.Schema) -> Format:
        return self.sink.target.format

    def writer(self, task: ShardTask, output: pa.Schema, format: Format) -> Writer:
        """What takes the rows of one shard."""
        from airflow_tablestore.pipeline.sinks.objects import ObjectWriter

        target = self.sink.target
        key = partial(self._key, task)
        return ObjectWriter(self.sink.store, self.log, format, output, key, target.max_object_bytes)

    def _key(self, task: ShardTask, number: int) -> str:
        target = self.sink.target
        return object_key(
            target.prefix, self.sink.pipeline, self.name, task.number, task.branch, number, target.format.suffix
        )
