"""`sink: {type: tablestore}` of a stream: another table, which follows the one that the tunnel tells of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from airflow_tablestore.spec.common import Part
from airflow_tablestore.spec.problems import Finding, finding
from airflow_tablestore.spec.stream_table_sink import StreamedColumn
from airflow_tablestore.spec.values import ConnectionName, Count, TableName, folded


class StreamCopySink(Part):
    """A table of Tablestore with the same key. Puts, updates and deletes are carried out there, in the order of each
    key; after a crash some are carried out again, and the table ends as it would have without."""

    type: Literal["tablestore"] = Field(description="Tablestore.", examples=["tablestore"])
    connection: ConnectionName = Field(
        default="tablestore_default",
        description="Airflow connection of type `tablestore`.",
        examples=["tablestore_other_region"],
    )
    table: TableName = Field(description="The table's name.", examples=["orders_copy"])
    columns: Annotated[tuple[StreamedColumn, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="Attributes that are copied, by name; `as` names the column there. All when absent. The key is "
        "always copied as it is.",
        examples=[["city", {"name": "v", "as": "value"}]],
    )
    versions: Annotated[Literal["keep", "new"], folded("keep", "new")] = Field(
        default="keep",
        description="`keep`: cells have the versions that they have in the source; the table must keep as many and "
        "take versions as old as the changes. `new`: each cell has the time when it was written there; for a table of "
        "one version.",
        examples=["new"],
    )
    create_table: bool = Field(
        default=False,
        description="Whether a table that is missing is made, with the source's key, time to live and versions.",
        examples=[True],
    )
    batch_rows: Annotated[Count, Field(ge=1, le=200)] = Field(
        default=200, description="Most rows of one request.", examples=[100]
    )

    def conflicts(self, connection: str, table: str) -> Iterator[Finding]:
        """What does not go together, here and with the source."""
        if (self.connection, self.table) == (connection, table):
            told = "is the table that the tunnel tells of: it would be told its own changes"
            yield finding(("sink", "table"), told, "name another table")
        outputs = [column.output for column in self.columns or ()]
        for number, column in enumerate(self.columns or ()):
            if column.type is not None:
                told = "a copied value keeps its type"
                yield finding(("sink", "columns", number, "type"), told, "remove it", is_about_key=True)
            if outputs.index(column.output) < number:
                yield finding(("sink", "columns", number), f"names '{column.output}' twice", "name each column once")

    def warnings(self) -> Iterator[Finding]:
        """Nothing by itself."""
        yield from ()
