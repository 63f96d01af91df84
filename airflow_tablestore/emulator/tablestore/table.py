"""One table as requests need it, read from the answer that describes it."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_tablestore.emulator.tablestore.keys import BINARY, INTEGER, STRING, KeyColumn
from airflow_tablestore.emulator.tablestore.rows import FOREVER, Versions
from airflow_tablestore.wire.proto import table_pb2 as pb

KEY_TYPES = {pb.INTEGER: INTEGER, pb.STRING: STRING, pb.BINARY: BINARY}
"""Key types of a table's description and of its rows on the wire."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `description` is the answer to DescribeTable.

    `may_hold_versions`: rows may hold more than one version of a column, now or from a time when the table kept more.
    `stream_columns`: what a record of its stream tells of the row before.
    """

    id: int
    instance: str
    name: str
    keys: tuple[KeyColumn, ...]
    versions: Versions
    allows_update: bool
    is_streamed: bool
    may_hold_versions: bool
    description: bytes
    stream_id: str
    stream_hours: int
    stream_columns: frozenset[bytes]

    @property
    def holds_answers(self) -> bool:
        """Whether stored rows are answers as they are: one version a column, nothing that expires."""
        return not self.may_hold_versions and self.versions.ttl_seconds == FOREVER

    @property
    def has_auto_increment(self) -> bool:
        """Whether the service fills in a part of the key."""
        return any(column.is_auto_increment for column in self.keys)


def table_of(id_: int, instance: str, name: str, description: bytes, may_hold_versions: bool) -> Table:
    """The table that a description tells of."""
    told = pb.DescribeTableResponse.FromString(description)
    options = told.table_options
    return Table(
        id=id_,
        instance=instance,
        name=name,
        keys=tuple(
            KeyColumn(key.name.encode(), KEY_TYPES[key.type], key.HasField("option"))
            for key in told.table_meta.primary_key
        ),
        versions=Versions(options.max_versions, options.time_to_live, options.deviation_cell_version_in_sec),
        allows_update=options.allow_update,
        is_streamed=told.stream_details.enable_stream,
        may_hold_versions=may_hold_versions or options.max_versions > 1,
        description=description,
        stream_id=told.stream_details.stream_id,
        stream_hours=told.stream_details.expiration_time,
        stream_columns=frozenset(name.encode() for name in told.stream_details.columns_to_get),
    )
