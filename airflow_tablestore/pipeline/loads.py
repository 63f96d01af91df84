"""What is on record of a pipeline's loads of a table: the columns that the first run pinned, a manifest of each load.

Objects have their manifest beside them; a table has no room for one, so it stands in a row of the status table. A load
is written down as intended, with its session's name, before the commit, and as done after it. Whoever finds it intended
asks the session what has become of it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from airflow_tablestore.consumer.table import Sender
from airflow_tablestore.pipeline.contract import Schema
from airflow_tablestore.pipeline.manifest import Manifest
from airflow_tablestore.pipeline.status_table import StatusTable, packed, unpacked
from airflow_tablestore.wire.row import Value
from airflow_tablestore.wire.single_row import Absent, Holds

LOAD, SCHEMA = "AirflowLoad", "AirflowSchema"
"""The types of our rows. Source: OTSStreamReader's own are CheckpointForDataxReader, DataxJobDesc and others."""

MARK = "mark"
"""The column of a load's record that changes with each writing."""


@dataclass(frozen=True, slots=True)
class Load:
    """One load: the upload session, and what it holds.

    `is_done`: its commit has been answered. Else it was about to be made. `blocks` are those of the session when it was
    looked at last before the commit. `mark` tells this record from every other one.
    """

    upload_id: str
    manifest: Manifest
    is_done: bool = False
    blocks: tuple[int, ...] = ()
    mark: str = ""


class Loads:
    """The records of one pipeline."""

    def __init__(self, client: Sender, table: str, instance: str, source_table: str, pipeline: str):
        self._table = StatusTable(client, table)
        self._owner = f"airflow/{instance}/{source_table}/{pipeline}"

    def load(self, key: str) -> Load | None:
        """The load of this key: a run's, or that of a window's beginning."""
        row = self._table.get(self._owner, LOAD, key)
        if row is None:
            return None
        place = f"{LOAD} {key} of {self._owner}"
        document = unpacked(row.cells, place)
        manifest = Manifest.from_bytes(document["manifest"].encode(), place)
        blocks, mark = tuple(document.get("blocks", ())), str(row.cells.get(MARK, ""))
        return Load(document["upload"], manifest, document["done"], blocks, mark)

    def put_load(self, key: str, load: Load, over: Load | None) -> Load | None:
        """Write down how far a load has come; what now stands, or None when somebody else was faster.

        :param over: the record that it is written over; None: there is none.
        """
        mark = uuid.uuid4().hex
        document = {
            "upload": load.upload_id,
            "manifest": load.manifest.to_bytes().decode(),
            "done": load.is_done,
            "blocks": load.blocks,
        }
        cells: dict[str, Value] = {MARK: mark, **packed(document)}
        condition = Absent() if over is None else Holds(MARK, over.mark) if over.mark else None
        if not self._table.put(self._owner, LOAD, key, cells, condition):
            now = self.load(key)
            if now is None or now.mark != mark:
                return None  # else it was done, and the answer was lost
        return replace(load, mark=mark)

    def schema(self) -> Schema | None:
        """The columns that an earlier run has pinned."""
        row = self._table.get(self._owner, SCHEMA, "0")
        return None if row is None else Schema.from_json(unpacked(row.cells, f"{SCHEMA} of {self._owner}"))

    def pin_schema(self, schema: Schema, *, earlier: Schema | None) -> Schema:
        """The columns that are pinned: these, unless another run was first.

        :param earlier: what stood there; then it is replaced.
        """
        condition = None if earlier else Absent()
        if self._table.put(self._owner, SCHEMA, "0", packed(schema.to_json()), condition):
            return schema
        return self.schema() or schema
