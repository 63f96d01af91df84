"""Where a window goes, when it goes into objects: what stands there, the claim, the writers, and publication.

The engine asks a window's target for this and for nothing else; whatever can answer it can take windows too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.claim import UploadLog, take_claim
from airflow_tablestore.pipeline.conflict import refuse_conflict, refuse_mixed_schemas
from airflow_tablestore.pipeline.fence import run_name
from airflow_tablestore.pipeline.incremental.plan import PartReport, ShardPart, ShardTask, WindowHead, window_key
from airflow_tablestore.pipeline.layout import MANIFEST, PREVIOUS, SUCCESS, object_key
from airflow_tablestore.pipeline.manifest import Manifest, PublishedWindow, read_manifest
from airflow_tablestore.pipeline.publish import Publication, publish_objects, refuse_foreign_pipeline
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.target import ObjectTarget, WriteMode
from airflow_tablestore.pipeline.window import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.pipeline.contract import Format, Writer

Published = tuple[Manifest, PublishedWindow]
"""A manifest that readers may rely on, and one of the windows in it."""


@dataclass(frozen=True, slots=True)
class WindowObjects:
    """The objects of one window of a pipeline, under the prefix of its target."""

    store: Store
    target: ObjectTarget
    pipeline: str
    window: Window

    @property
    def place(self) -> str:
        """How people write the place itself."""
        return self.store.uri(self.target.prefix)

    @property
    def mode(self) -> str:
        """What a publication does about what stands there: the author's word."""
        return self.target.write_mode.value

    @property
    def manifest(self) -> str:
        """How people write where the manifest is."""
        return self.store.uri(self.target.prefix + MANIFEST)

    def describe(self) -> dict[str, Any]:
        """What a reader of the objects must know of their format."""
        return self.target.format.describe()

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

    def claimed(self, standing: Manifest | None, head: WindowHead, parts: Sequence[ShardPart]) -> WindowHead:
        """The head with a claim on the prefix, and the name of the window's objects.

        :raises SpecError: something stands there that this write_mode leaves alone, or objects with other columns.
        """
        store, prefix = self.store, self.target.prefix
        refuse_conflict(store, self.target, self.pipeline)
        if self.target.write_mode is WriteMode.APPEND and standing:
            refuse_mixed_schemas(head.schema, standing, head.run, store.uri(prefix))
        claim = take_claim(store, prefix, self.pipeline, head.run, standing.claim + 1 if standing else 1)
        return replace(head, claim=claim, name=run_name(store, prefix, self.pipeline, head.run, claim))

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
        publication = Publication(
            prefix=self.target.prefix,
            attempt=attempt,
            manifest=manifest,
            uploads=tuple(upload for report in reports for upload in report.objects),
            write_mode=self.target.write_mode,
            truncates_foreign=self.target.truncates_foreign,
            errors=errors,
        )
        return publish_objects(self.store, publication)

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
