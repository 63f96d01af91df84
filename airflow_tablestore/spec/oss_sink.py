"""`sink: {type: oss}`: where the objects go, and how they look."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Literal, Protocol, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.formats.dates import strftime_of
from airflow_tablestore.spec.common import Part
from airflow_tablestore.spec.placeholders import problems
from airflow_tablestore.spec.problems import Finding, fault, faults, finding, path_of, shown
from airflow_tablestore.spec.values import BucketName, ConnectionName, Count, Encoding, folded

MAX_PREFIX_BYTES = 700
"""A key has at most 1023 bytes (OSS documentation, "Object naming conventions"); the rest is for the object's name."""


def _prefix(value: str) -> str:
    if not value.strip():
        raise fault("must not be empty", "an export owns what stands under its prefix; write for example gps/full/")
    if value.startswith(("/", "\\")):
        raise fault("must not begin with a slash", f"write {shown(value.lstrip('/') or 'gps/')}")
    if "://" in value:
        raise fault("is a path inside the bucket, no address", "write the bucket under 'bucket' and only the path here")
    if not value.endswith("/"):
        raise fault("must end at a slash", f"write {shown(value + '/')}, so that no other prefix begins with it")
    if any(segment in ("", ".", "..") for segment in value[:-1].split("/")):
        raise fault("has an empty part, '.' or '..' between its slashes", "write gps/full/")
    hidden = next((part for part in value[:-1].split("/") if part.startswith(("_", "."))), None)
    if hidden is not None:
        told = f"has the part {shown(hidden)}, and readers such as Spark and Hive skip names that begin with _ or ."
        raise fault(told, f"write {shown(value.replace(hidden, hidden.lstrip('_.') or 'data', 1))}")
    if re.search(r"[\x00-\x1f\x7f\\]", value):
        raise fault("has a control character or a backslash", "write gps/full/")
    if len(value.encode()) > MAX_PREFIX_BYTES:
        raise fault(f"must have at most {MAX_PREFIX_BYTES} bytes")
    return value


Prefix = Annotated[str, AfterValidator(_prefix)]

_ESCAPES = {r"\t": "\t", r"\u0001": "\x01", r"\001": "\x01", r"\x01": "\x01"}


def _escaped(value: object) -> object:
    """A tab or ^A as DataX jobs write them, with a backslash."""
    return _ESCAPES.get(value, value) if isinstance(value, str) else value


def _one_character(value: str) -> str:
    if len(value) != 1:
        raise fault(f"must be one character, not {shown(value)}", 'write "," or "\\t"; format text takes longer ones')
    if value in '"\r\n' or value == "\x00":
        raise fault("must not be a quote or the end of a line", 'write "," or "\\t"')
    return value


def _some_text(value: str) -> str:
    if not value:
        raise fault("must not be empty", 'write "," or "\\t"')
    if "\n" in value or "\r" in value:
        raise fault("must not hold the end of a line", 'write "," or "\\t"')
    return value


def _one_line(value: str) -> str:
    if "\n" in value or "\r" in value:
        raise fault("must not hold the end of a line")
    return value


def _date_format(value: str) -> str:
    try:
        strftime_of(value)
    except SpecError as error:
        raise fault(
            f"{shown(value)} is no format of a time", "write iso, yyyy-MM-dd HH:mm:ss or %Y-%m-%d %H:%M:%S"
        ) from error
    return value


DateFormat = Annotated[str, Field(min_length=1), AfterValidator(_date_format)]
NullText = Annotated[str, AfterValidator(_one_line)]


class CsvOptions(Part):
    """How a csv object looks."""

    delimiter: Annotated[str, BeforeValidator(_escaped), AfterValidator(_one_character)] = Field(
        default=",", description="One character between two values.", examples=["\t"]
    )
    null: NullText = Field(
        default="",
        description="What stands for null, never quoted. A text that reads the same is written in quotes, so that"
        " the two differ.",
        examples=["\\N"],
    )
    header: bool = Field(
        default=True, description="Whether each object begins with the names of the columns.", examples=[False]
    )
    quote: Annotated[
        Literal["needed", "all", "none"], folded("needed", "all", "none", always="all", minimal="needed")
    ] = Field(
        default="needed",
        description="Which values stand in quotes: those that need them, all but nulls, or none. "
        "With `none` a row that would need one is a dirty record.",
        examples=["all"],
    )
    encoding: Encoding = Field(
        default="UTF-8",
        description="Encoding of the text. A character that it does not have makes the row a dirty record.",
        examples=["GBK"],
    )
    date_format: DateFormat = Field(
        default="iso",
        description="How times are written: `iso`, or a pattern such as `yyyy-MM-dd HH:mm:ss` or `%Y-%m-%d`. "
        "A table's own columns hold no times.",
        examples=["%Y-%m-%d %H:%M:%S"],
    )

    @model_validator(mode="after")
    def _null_is_clear(self) -> Self:
        if self.delimiter in self.null or '"' in self.null:
            raise faults([finding(("null",), "must not hold the delimiter or a quote", 'write "" or "\\N"')])
        return self


class TextOptions(Part):
    """How a text object looks: values joined by a delimiter, one row a line, nothing quoted."""

    delimiter: Annotated[str, BeforeValidator(_escaped), AfterValidator(_some_text)] = Field(
        default=",", description="What stands between two values; one character or more.", examples=["||"]
    )
    null: NullText = Field(default="\\N", description="What stands for null.", examples=["null"])
    header: bool = Field(
        default=False, description="Whether each object begins with the names of the columns.", examples=[True]
    )
    encoding: Encoding = Field(
        default="UTF-8",
        description="Encoding of the text. A character that it does not have makes the row a dirty record.",
        examples=["GBK"],
    )
    date_format: DateFormat = Field(
        default="iso", description="How times are written, as for csv.", examples=["%Y-%m-%d"]
    )

    @model_validator(mode="after")
    def _null_is_clear(self) -> Self:
        if self.delimiter in self.null:
            raise faults([finding(("null",), "must not hold the delimiter", 'write "\\N"')])
        return self


class ParquetOptions(Part):
    """How a Parquet object looks."""

    compression: Annotated[
        Literal["zstd", "snappy", "gzip", "lz4", "none"],
        folded("zstd", "snappy", "gzip", "lz4", "none", uncompressed="none"),
    ] = Field(default="zstd", description="Compression of the pages.", examples=["snappy"])
    row_group_rows: Count = Field(
        default=100_000,
        ge=1000,
        le=10_000_000,
        description="Most rows of a row group. Wide rows make it shorter, so that memory stays flat.",
        examples=[500_000],
    )


_FORMATS = Annotated[
    Literal["parquet", "csv", "text", "jsonl"],
    folded("parquet", "csv", "text", "jsonl", txt="text", ndjson="jsonl", json="jsonl"),
]


class OssSink(Part):
    """Objects in OSS, published all or nothing."""

    type: Literal["oss"] = Field(description="Object Storage Service.", examples=["oss"])
    connection: ConnectionName = Field(
        default="oss_default",
        description="Airflow connection of type `oss`, as the Alibaba provider has it.",
        examples=["oss_prod"],
    )
    bucket: BucketName = Field(description="The bucket's name, without an endpoint.", examples=["backup"])
    prefix: Prefix = Field(
        description="Path under which the export owns the objects; ends at a slash. May hold `{table}`, `{pipeline}` "
        "and a time: `{run_date:%Y%m%d}`, of an incremental export `{window_start:%Y%m%d%H%M}` and `{window_end:…}`.",
        examples=["gps/full/", "gps/{run_date:%Y/%m/%d}/", "gps/{window_start:%Y/%m/%d/%H%M}/"],
    )
    format: _FORMATS = Field(default="parquet", description="How rows become objects.", examples=["csv"])
    write_mode: Annotated[
        Literal["truncate", "append", "non_conflict"],
        folded("truncate", "append", "non_conflict", overwrite="truncate"),
    ] = Field(
        default="truncate",
        description="What happens to an earlier export under the prefix: `truncate` replaces what its manifest "
        "lists, once the new one is "
        "complete; `append` adds to it; `non_conflict` fails before reading when anything stands there.",
        examples=["append"],
    )
    truncate_foreign: bool = Field(
        default=False,
        description="Whether `truncate` also removes objects under the prefix that no export has listed. They are"
        " named in the log either way.",
        examples=[True],
    )
    max_file_mb: Annotated[Count, Field(ge=1, le=48_800_000)] | None = Field(
        default=None, description="Size at which a new object is begun. No limit when absent.", examples=[1024]
    )
    compress: Annotated[Literal["none", "gzip", "zstd"], folded("none", "gzip", "zstd", gz="gzip", zst="zstd")] = Field(
        default="none",
        description="Compression of csv, text and jsonl objects. Parquet has its own: `parquet.compression`.",
        examples=["gzip"],
    )
    csv: CsvOptions = Field(default_factory=CsvOptions, description="How csv objects look.")
    text: TextOptions = Field(default_factory=TextOptions, description="How text objects look.")
    parquet: ParquetOptions = Field(default_factory=ParquetOptions, description="How Parquet objects look.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.format == "parquet" and self.compress != "none":
            raise faults(
                [
                    finding(
                        ("compress",),
                        "does not go with format parquet",
                        f"write parquet: {{compression: {self.compress}}}",
                    )
                ]
            )
        return self

    def warnings(self) -> Iterator[Finding]:
        """What is allowed and yet probably not meant; places are relative to the sink."""
        for name in ("csv", "text", "parquet"):
            if name in self.model_fields_set and name != self.format:
                yield finding((name,), f"has no effect with format {self.format}", is_warning=True)
        if self.truncate_foreign and self.write_mode != "truncate":
            yield finding(("truncate_foreign",), f"has no effect with write_mode {self.write_mode}", is_warning=True)


class Warner(Protocol):
    """A part of a spec that may be right and yet probably not meant."""

    def warnings(self) -> Iterator[Finding]: ...


def prefix_problems(text: object, allowed: Sequence[str], key: str = "prefix") -> Iterator[Finding]:
    """What is wrong with the placeholders of a sink's prefix, or of another of its keys, as it was written."""
    for one in problems(text, allowed) if isinstance(text, str) else ():
        yield replace(one, loc=("sink", key), path=f"sink.{key}")


def sink_warnings(sink: Warner) -> Iterator[Finding]:
    """The sink's warnings, with their places in the spec."""
    for one in sink.warnings():
        yield replace(one, loc=("sink", *one.loc), path=path_of(("sink", *one.loc)))
