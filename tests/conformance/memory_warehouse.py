"""A warehouse in memory whose blocks are texts, for tests of plans and commits.

Like the real one it takes a block as long as its session is open, commits whatever has arrived, and does nothing when
it is told to commit again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from airflow_tablestore.errors import RetryLater, StartOver
from airflow_tablestore.pipeline.sinks.arrow_body import empty
from airflow_tablestore.pipeline.target import TableTarget
from airflow_tablestore.pipeline.warehouse import (
    MOST_BLOCKS,
    Body,
    Partition,
    TableColumn,
    TableShape,
    Upload,
    UploadStatus,
)

COLUMNS = (TableColumn("id", "bigint"), TableColumn("text", "string"))
NOTHING = b"".join(empty())


class MemoryWarehouse:
    """`before` and `after` are called around each verb that changes something, with its name."""

    def __init__(self, *tables: str):
        self.tables = {table: TableShape(COLUMNS) for table in tables}
        self.content: dict[str, list[bytes]] = {table: [] for table in tables}
        self.sessions: dict[str, tuple[str, bool, UploadStatus, dict[int, bytes]]] = {}
        self.before: Callable[[str], None] = lambda verb: None
        self.after: Callable[[str], None] = lambda verb: None

    def pausing(self, sleep: Any) -> MemoryWarehouse:
        return self

    def uri(self, place: Partition) -> str:
        return f"memory://{place.table}"

    def shape(self, table: str) -> TableShape | None:
        return self.tables.get(table)

    def run_sql(self, statement: str) -> None:
        self.before(statement)

    def begin(self, place: Partition, *, replaces: bool) -> Upload:
        name = f"u{len(self.sessions)}"
        self.sessions[name] = (place.table, replaces, UploadStatus.OPEN, {})
        return self.find(place, name)

    def find(self, place: Partition, upload_id: str) -> Upload:
        if upload_id not in self.sessions:
            return Upload(upload_id, UploadStatus.GONE)
        table, _, status, blocks = self.sessions[upload_id]
        return Upload(upload_id, status, self.tables[table].columns, frozenset(blocks))

    def put_block(self, place: Partition, upload_id: str, block: int, body: Body, *_: object) -> None:
        assert 0 <= block < MOST_BLOCKS
        _, _, status, blocks = self.sessions[upload_id]
        if status is not UploadStatus.OPEN:
            raise StartOver("the session takes no blocks", task="plan")
        blocks[block] = b"".join(body())

    def commit(self, place: Partition, upload_id: str, blocks: object) -> None:
        self.before("commit")
        table, replaces, status, found = self.sessions[upload_id]
        if status is UploadStatus.OPEN:
            self.content[table] = [] if replaces else self.content[table]
            self.content[table] += [body for _, body in sorted(found.items())]
            self.sessions[upload_id] = (table, replaces, UploadStatus.COMMITTED, found)
        self.after("commit")

    # ---- as tests see it

    def put(self, upload_id: str, block: int, text: str) -> None:
        """A block that is there, whoever sends it."""

        def body() -> Iterator[bytes]:
            yield text.encode()

        self.put_block(Partition("t"), upload_id, block, body)

    def rows(self, table: str = "t") -> list[str]:
        """What readers of the table find."""
        return [body.decode() for body in self.content[table] if body != NOTHING]

    def is_lost(self, verb: str) -> None:
        """For `after`: the answer does not arrive."""
        raise RetryLater("lost", operation=verb)


def target(**how: Any) -> TableTarget:
    return TableTarget("t", **how)
