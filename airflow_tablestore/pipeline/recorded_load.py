"""A load of a table that is on record: written down before its commit and after it, so that it is made once.

Two attempts may plan the same run or window. The record says whose rows are in the table: the other one stops.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from airflow_tablestore.errors import SpecError, StartOver, Superseded
from airflow_tablestore.pipeline.loads import Load, Loads
from airflow_tablestore.pipeline.manifest import Manifest
from airflow_tablestore.pipeline.table_upload import Block, BlockNumbers, TableLoad, is_outranked
from airflow_tablestore.pipeline.warehouse import UploadStatus

MOST_ROUNDS = 5
"""So often a record is written anew because somebody else was faster; each time more is known, so twice is the rule."""


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
        """Whether a load on record is in the table. One with rows that are there twice is not, where rows are replaced.

        :raises SpecError: nobody can tell any more; or such rows are there to stay.
        """
        if known.is_done:
            return True
        if not self.load.was_committed(known.upload_id, self.what):
            return False
        if known.blocks and self.load.target.truncates:
            return not self.load.strays(known.upload_id, known.blocks)
        if known.blocks:
            self.load.refuse_strays(known.upload_id, known.blocks, self.what)
        return True

    def refuse_twice(self, known: Load | None) -> None:
        """:raises SpecError: its rows are there, and would be added once more."""
        if known and not self.load.target.truncates and self.is_in(known):
            raise SpecError(
                f"{self.what} is in {self.load.uri} already, and its rows would be added once more; to replace what is "
                "there, write truncate: true"
            )

    def commit(self, upload_id: str, manifest: Manifest, numbers: BlockNumbers, reported: Collection[Block]) -> None:
        """Make the blocks rows, with the manifest on record before and after.

        The record before the commit is a claim: of several attempts that write it at once one is first, and no other
        request lies between it and the commit.

        :raises Superseded: another attempt has loaded its rows since this one was planned.
        :raises StartOver: another attempt is about to (task "plan"); or see `TableLoad.settle`.
        """
        known = self.known()
        self._refuse_late(known, upload_id, manifest.claim)
        upload = self.load.settle(upload_id, numbers, reported)
        blocks = tuple(sorted(upload.blocks))
        if known and known.upload_id == upload_id and upload.status is UploadStatus.COMMITTED:
            blocks = known.blocks or blocks  # those of the commit whose answer was lost
        load = Load(upload_id, manifest, blocks=blocks)
        known = self._write_down(load, known)
        self.load.commit(upload)
        self.load.refuse_strays(upload_id, blocks, self.what)
        self.load.run_post_sql()
        self._write_down(replace(load, is_done=True), known)

    def _write_down(self, load: Load, known: Load | None) -> Load | None:
        """Put a load on record, over what is known to stand there; what then stands."""
        if self.loads is None:
            return None
        for _ in range(MOST_ROUNDS):
            if written := self.loads.put_load(self.key, load, known):
                return written
            known = self.known()
            self._refuse_late(known, load.upload_id, load.manifest.claim)
        raise StartOver(f"{self.what} is being loaded into {self.load.uri} by other attempts.", task="plan")

    def _refuse_late(self, known: Load | None, upload_id: str, claim: int) -> None:
        """What is on record of another session decides whether this one may be committed, too."""
        if known is None or known.upload_id == upload_id:
            return
        outranks = is_outranked(claim, known.manifest.claim)
        if (outranks or not self.load.target.truncates) and self.is_in(known):
            raise Superseded(f"{self.what} was loaded into {self.load.uri} by another attempt; this one stops")
        if outranks:
            told = f"Another attempt is about to load {self.what} into {self.load.uri}, or has died in it."
            raise StartOver(told, task="plan")
