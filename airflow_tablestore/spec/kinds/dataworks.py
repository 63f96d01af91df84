"""`kind: dataworks`: a job of DataWorks or DataX as it is; the pipeline is made from it whenever the spec is read.

The model holds the keys that may stand beside `job`. What they mean is said by the kind that the job becomes, so they
are handed on as they are; `spec.dataworks.inline` does that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from airflow_tablestore.spec.common import PipelineSpec
from airflow_tablestore.spec.problems import Finding

Keys = dict[str, Any]


class DataworksSpec(PipelineSpec):
    """A job of DataWorks or DataX, used as it is: a full export, an incremental export or a restore, by its reader and
    writer. Keys that are written here count more than the job. A job that holds access keys is refused."""

    kind: Literal["dataworks"] = Field(
        default="dataworks", description="What the pipeline does.", examples=["dataworks"]
    )
    job: Annotated[str, Field(min_length=1)] = Field(
        description="The job's file; a relative path is beside the spec.", examples=["jobs/person.json"]
    )
    cycle: str | None = Field(
        default=None,
        description="How often DataWorks runs the job: a length, or its cron expression.",
        examples=["5 minutes"],
    )
    parameters: Annotated[dict[str, str] | str | None, Field(union_mode="left_to_right")] = Field(
        default=None,
        description="What the scheduling assigns to the job's variables, as DataWorks writes it or by name.",
        examples=["start_time=$[yyyymmddhh24miss-10/24/60] end_time=$[yyyymmddhh24miss-5/24/60]"],
    )
    source: Keys = Field(
        default_factory=dict,
        description="Keys of the source that count more than the job's.",
        examples=[{"table": "gps"}],
    )
    sink: Keys = Field(
        default_factory=dict,
        description="Keys of the sink that count more than the job's.",
        examples=[{"bucket": "backup"}],
    )
    window: Keys | None = Field(
        default=None, description="Incremental: how time is divided.", examples=[{"every": "5m", "lag": "5m"}]
    )
    status_table: str | Keys | None = Field(
        default=None,
        description="Incremental: where it is kept which windows are done.",
        examples=["TableStoreStreamReaderStatusTable"],
    )

    @classmethod
    def disagreements(cls, data: Mapping[str, Any]) -> Iterator[Finding]:
        """Those of the kind that the job becomes are found there."""
        yield from ()

    def warnings(self) -> Iterator[Finding]:
        """Those of the kind that the job becomes are found there."""
        yield from ()

    def connections(self) -> Mapping[str, str]:
        """None by itself: those of the pipeline that the job becomes are asked for."""
        return {}
