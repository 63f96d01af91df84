"""`kind: restore`: objects back into a table, from a published export or from any objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from airflow_tablestore.spec.columns import ConstantColumn, TypeName, doubled_outputs, form_of, named
from airflow_tablestore.spec.common import Part, PipelineSpec, within
from airflow_tablestore.spec.oss_sink import CsvOptions, Prefix, TextOptions
from airflow_tablestore.spec.placeholders import problems
from airflow_tablestore.spec.problems import Finding, faults, finding
from airflow_tablestore.spec.values import BucketName, ColumnName, ConnectionName, Count, Moment, TableName, folded

PLACEHOLDERS = ("run_date", "pipeline")
"""What the prefix of an export may hold."""

MOST_BYTES = 3_670_016
"""Of one request's rows: the engine's own limit, a little below the service's 4 MiB."""


class ObjectColumn(Part):
    """One column of objects that no manifest describes."""

    name: ColumnName = Field(description="Its name in the table, and in a header.", examples=["uid"])
    type: TypeName = Field(description="Its type in the table.", examples=["integer"])


Pattern = Annotated[str, Field(min_length=1, max_length=1023)]


def _one(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class ObjectsSource(Part):
    """Objects in OSS: those of a published export, by its `prefix`, or any others, by `objects`."""

    type: Literal["oss"] = Field(description="Object Storage Service.", examples=["oss"])
    connection: ConnectionName = Field(
        default="oss_default", description="Airflow connection of type `oss`.", examples=["oss_prod"]
    )
    bucket: BucketName = Field(description="The bucket's name, without an endpoint.", examples=["backup"])
    prefix: Prefix | None = Field(
        default=None,
        description="Where a full export has published. Its manifest tells objects, columns, types and format. May hold"
        " `{run_date:%Y%m%d}` and `{pipeline}`.",
        examples=["gps/full/"],
    )
    changes: Prefix | None = Field(
        default=None,
        description="With `to`: where an incremental export publishes its windows, at any depth; `prefix` is then "
        "where full exports are, at any depth too. Without placeholders.",
        examples=["gps/changes/"],
    )
    run: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="Which run, when several were appended under the prefix.",
        examples=["20261121T042212Z-3fa9c1"],
    )
    objects: (
        Annotated[
            tuple[Pattern, ...], Field(min_length=1), BeforeValidator(_one, json_schema_input_type=str | list[str])
        ]
        | None
    ) = Field(
        default=None,
        description="Keys of objects that no export of ours has published; `*` and `?` stand for any characters.",
        examples=[["raw/2026-11-*.csv"]],
    )
    format: (
        Annotated[Literal["csv", "text", "jsonl", "parquet"], folded("csv", "text", "jsonl", "parquet", json="jsonl")]
        | None
    ) = Field(default=None, description="How these objects look. Required with `objects`.", examples=["csv"])
    compress: Annotated[Literal["none", "gzip", "zstd"], folded("none", "gzip", "zstd", gz="gzip", zst="zstd")] = Field(
        default="none", description="Compression of these objects.", examples=["gzip"]
    )
    columns: tuple[ObjectColumn, ...] | None = Field(
        default=None,
        description="Columns of these objects: in their order where csv and text have no header, else by name. The key "
        "columns of the table must be among them. Required with `objects`.",
        examples=[[{"name": "uid", "type": "string"}, {"name": "n", "type": "integer"}]],
    )
    csv: CsvOptions = Field(default_factory=CsvOptions, description="How csv objects look.")
    text: TextOptions = Field(default_factory=TextOptions, description="How text objects look.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = list(self._problems())
        if found:
            raise faults(found)
        return self

    def _problems(self) -> Iterator[Finding]:
        given = self.model_fields_set
        if (self.prefix is None) == (self.objects is None):
            hint = "write prefix for a published export, objects for others"
            yield finding(("prefix",), "needs exactly one of 'prefix' and 'objects'", hint)
        elif self.objects is None:
            for name in ("format", "compress", "columns", "csv", "text"):
                if name in given:
                    yield finding((name,), "is told by the manifest of the export", "leave it out")
        else:
            yield from self._problems_of_objects()

    def _problems_of_objects(self) -> Iterator[Finding]:
        if self.run is not None:
            yield finding(("run",), "is of published exports", "leave it out")
        if self.format is None:
            yield finding(("format",), "is missing", "write csv, text, jsonl or parquet")
        if not self.columns:
            yield finding(("columns",), "is missing", "write {name: …, type: …} for each column")
        elif len({one.name for one in self.columns}) < len(self.columns):
            yield finding(("columns",), "holds a name twice", "name each column once")
        if self.format == "parquet" and self.compress != "none":
            yield finding(("compress",), "does not go with format parquet", "leave it out: Parquet says it itself")


class WrittenColumn(Part):
    """A column that is written."""

    name: ColumnName = Field(description="Its name in the objects.", examples=["uid"])
    to: ColumnName | None = Field(
        default=None, alias="as", description="Its name in the table; the same when absent.", examples=["user"]
    )
    type: TypeName | None = Field(
        default=None,
        description="Its type in the table; that of the objects when absent. A value that would lose something is a "
        "dirty record; text is read as the number that it spells.",
        examples=["integer"],
    )

    @property
    def output(self) -> str:
        """Its name in the table."""
        return self.to or self.name


SinkColumn = Annotated[
    Annotated[WrittenColumn, BeforeValidator(named, json_schema_input_type=str), Tag("<name>")]
    | Annotated[WrittenColumn, Tag("<column>")]
    | Annotated[ConstantColumn, Tag("<constant>")],
    Discriminator(form_of),
]


class TablestoreSink(Part):
    """A table of Tablestore."""

    type: Literal["tablestore"] = Field(description="Tablestore.", examples=["tablestore"])
    connection: ConnectionName = Field(
        default="tablestore_default",
        description="Airflow connection of type `tablestore`.",
        examples=["tablestore_prod"],
    )
    table: TableName = Field(description="The table's name.", examples=["ots_gps_data_copy"])
    write: Annotated[Literal["put", "update"], folded("put", "update", putrow="put", updaterow="update")] = Field(
        default="put",
        description="What becomes of a row that is there: `put` replaces it as a whole, `update` leaves its other "
        "columns.",
        examples=["update"],
    )
    nulls: Annotated[Literal["keep", "delete"], folded("keep", "delete")] = Field(
        default="keep",
        description="What an update does for a null: `keep` leaves what the table has, `delete` deletes the column "
        "with all its versions, as OTSWriter does. A put writes no cell for a null.",
        examples=["delete"],
    )
    create_table: bool = Field(
        default=False,
        description="Whether the table is made when it is missing, with the key columns that the manifest or "
        "`primary_key` tells.",
        examples=[True],
    )
    primary_key: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=4)] | None = Field(
        default=None,
        description="The table's key columns, in their order; when absent those of the export, or of the table. A "
        "table of another key is refused.",
        examples=[["uid", "n"]],
    )
    columns: tuple[SinkColumn, ...] | None = Field(
        default=None,
        description="Columns that are written, key columns too: names in the objects, or with another name or type in "
        "the table, or constants. All when absent.",
        examples=[["uid", {"name": "n", "as": "number", "type": "integer"}, {"value": "cn-hangzhou", "as": "region"}]],
    )
    batch_rows: Count = Field(default=200, ge=1, le=200, description="Most rows of one request.", examples=[100])
    batch_bytes: Count = Field(
        default=MOST_BYTES,
        ge=1024,
        le=MOST_BYTES,
        description="Most bytes of one request's rows; a row that has more goes alone.",
        examples=[1048576],
    )
    requests_per_second: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Most requests a second of the whole run, repeated ones too; no limit when absent. "
        "`limits.rows_per_second` limits rows.",
        examples=[50],
    )
    max_retries: Annotated[Count, Field(ge=0, le=1000)] | None = Field(
        default=None,
        description="How often a request, and each row that the service refuses for now, is sent again, after pauses "
        "that grow; 15 when absent.",
        examples=[18],
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = list[Finding]()
        if self.nulls == "delete" and self.write != "update":
            found.append(finding(("nulls",), "does not go with write put", "a put replaces the whole row anyway"))
        if self.primary_key and len(set(self.primary_key)) < len(self.primary_key):
            found.append(finding(("primary_key",), "holds a name twice", "name each key column once"))
        if found:
            raise faults(found)
        return self


class RestoreSpec(PipelineSpec):
    """A restore: reads objects and writes their rows into a table. Done twice it leaves the same rows."""

    kind: Literal["restore"] = Field(default="restore", description="What the pipeline does.", examples=["restore"])
    source: ObjectsSource = Field(description="Which objects.")
    sink: TablestoreSink = Field(description="Which table their rows are written to.")
    to: Moment | None = Field(
        default=None,
        description="The moment whose rows the table shall hold: the newest full export before it and the windows of "
        "`source.changes` after that are folded.",
        examples=["2026-11-20T12:00:00+08:00"],
    )

    @property
    def moment(self) -> datetime | None:
        """`to` with its zone."""
        return self.to if self.to is None or self.to.tzinfo else self.to.replace(tzinfo=ZoneInfo(self.timezone))

    @classmethod
    def disagreements(cls, data: Mapping[str, Any]) -> Iterator[Finding]:
        yield from super().disagreements(data)
        columns = within(data, "sink", "columns")
        yield from doubled_outputs(columns, ("sink", "columns"))
        if columns in ([], ()):
            yield finding(("sink", "columns"), "names no column", "leave it out to write all")
        for name, words in (("prefix", PLACEHOLDERS), ("changes", ())):
            prefix = within(data, "source", name)
            if isinstance(prefix, str):
                for one in problems(prefix, words):
                    yield finding(("source", name), one.message, one.hint)

    def conflicts(self) -> Iterator[Finding]:
        yield from super().conflicts()
        if self.sink.create_table and self.source.objects is not None and not self.sink.primary_key:
            hint = "write sink.primary_key, make the table by hand, or restore a published export"
            yield finding(("sink", "create_table"), "needs a manifest that tells the key columns", hint)
        if self.to is None:
            if self.source.changes is not None:
                yield finding(("source", "changes"), "is for a restore to a moment", "write to: with that moment")
            return
        if self.source.changes is None or self.source.prefix is None:
            hint = "write source.prefix for the full export and source.changes for the windows after it"
            yield finding(("to",), "needs a full export and the changes after it", hint)
        if self.source.run is not None:
            yield finding(("source", "run"), "is chosen by 'to'", "leave it out")
        for name in ("columns", "primary_key"):
            if getattr(self.sink, name) is not None:
                told = "does not go with a restore to a moment, which writes the rows of that moment as they were"
                yield finding(("sink", name), told, "leave it out")
        if self.sink.write != "put":
            told = "would leave what is not of that moment"
            yield finding(("sink", "write"), told, "write put: the table then holds the rows of that moment alone")

    def connections(self) -> Mapping[str, str]:
        return {"source": self.source.connection, "sink": self.sink.connection}
