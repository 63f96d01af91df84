"""The prefix of a pipeline's objects, for a full export and for a window: its names, its claim, its publication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.pipeline.claim import take_claim
from airflow_tablestore.pipeline.conflict import refuse_mixed_schemas
from airflow_tablestore.pipeline.contract import PendingObject, Schema
from airflow_tablestore.pipeline.fence import run_name
from airflow_tablestore.pipeline.layout import MANIFEST
from airflow_tablestore.pipeline.manifest import Manifest
from airflow_tablestore.pipeline.publish import Publication, publish_objects
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.target import ObjectTarget, WriteMode


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """The objects of a pipeline, under the prefix of its target."""

    store: Store
    target: ObjectTarget
    pipeline: str

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

    def claim_for(self, run: str, schema: Schema, standing: Manifest | None) -> tuple[int, str]:
        """A claim on the prefix, and the name of the run's objects.

        :raises SpecError: objects with other columns stand there.
        """
        if self.target.write_mode is WriteMode.APPEND and standing:
            refuse_mixed_schemas(schema, standing, run, self.place)
        claim = take_claim(self.store, self.target.prefix, self.pipeline, run, standing.claim + 1 if standing else 1)
        return claim, run_name(self.store, self.target.prefix, self.pipeline, run, claim)

    def publish_uploads(
        self, manifest: Manifest, uploads: Sequence[PendingObject], attempt: int, errors: int
    ) -> Manifest:
        """Make the objects visible. See `publish.publish_objects` for what it raises.

        :param errors: how many dirty records the run may have.
        """
        publication = Publication(
            prefix=self.target.prefix,
            attempt=attempt,
            manifest=manifest,
            uploads=tuple(uploads),
            write_mode=self.target.write_mode,
            truncates_foreign=self.target.truncates_foreign,
            errors=errors,
        )
        return publish_objects(self.store, publication)
