"""A load of a table that is on record: written down before its commit and after it, so that it is made once.

Two attempts may plan the same run or window. The record says whose rows are in the table: the other one stops.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from airflow_tablestore.errors import SpecError, Superseded
from airflow_tablestore.pipeline.loads import Load, Loads
from airflow_tablestore.pipeline.manifest import Manifest
from airflow_tablestore.pipeline.table_upload import BlockNumbers, TableLoad, is_outranked


@dataclass(frozen=True, slots=True)
class RecordedLoad:
    """One run's or window's load. `loads` is None where nothing is recorded; `what` names it for people."""

    load: TableLoad
    loads: Loads | None
    key: str
    what: str

    def known(self) -> Load | None:
        """What is on record of it."""
        return self.loads.load(self.key) if self.loads else None

    def is_in(self, known: Load) -> bool:
        """Whether a load on record is in the table.

        :raises SpecError: nobody can tell any more.
        """
        return known.is_done or self.load.was_committed(known.upload_id, self.what)

    def refuse_twice(self, known: Load | None) -> None:
        """:raises SpecError: its rows are there, and would be added once more."""
        if known and not self.load.target.truncates and self.is_in(known):
            raise SpecError(
                f"{self.what} is in {self.load.uri} already, and its rows would be added once more; to replace what is "
                "there, write truncate: true"
            )

    def commit(self, upload_id: str, manifest: Manifest, numbers: BlockNumbers, blocks: Collection[int]) -> None:
        """Make the blocks rows, with the manifest on record before and after.

        :raises Superseded: another attempt has loaded its rows since this one was planned.
        :raises StartOver: see `TableLoad.commit`.
        """
        known = self.known()
        if known and is_outranked(manifest.claim, known.manifest.claim) and self.is_in(known):
            raise Superseded(f"{self.what} was loaded into {self.load.uri} by another attempt; this one stops")
        if self.loads and not (known and known.upload_id == upload_id):
            self.loads.put_load(self.key, Load(upload_id, manifest))
        self.load.commit(upload_id, numbers, blocks)
        if self.loads:
            self.loads.put_load(self.key, Load(upload_id, manifest, is_done=True))
