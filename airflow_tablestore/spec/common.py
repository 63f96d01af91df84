"""The keys that every kind of pipeline has, and how a model is made from data.

A model is the one truth about its keys: lint, JSON Schema, the reference page and `explain` are read from it. A kind
adds `source`, `sink` and what else it needs, in one file under `kinds`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from airflow_tablestore.errors import SpecError
from airflow_tablestore.spec.problems import Finding, fault, finding, shown, translate
from airflow_tablestore.spec.scan import forbidden
from airflow_tablestore.spec.values import Count, Duration, Moment, Number, PipelineName, Schedule, Timezone


class Part(BaseModel):
    """Some keys that belong together. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)


def within(data: object, *steps: str) -> Any:
    """The raw value at this place, whether it is written as data or as models; None when there is none."""
    for step in steps:
        data = data.get(step) if isinstance(data, Mapping) else getattr(data, step, None)
    return data


class Retry(Part):
    """How often a task is tried again when repeating can help."""

    times: Count = Field(default=3, ge=0, le=100, description="How often a failed task is tried again.", examples=[3])
    delay: Duration = Field(
        default="2m", validate_default=True, description="How long to wait before it.", examples=["2m"]
    )


class Limits(Part):
    """What one run may use, for all its tasks together."""

    errors: Count = Field(
        default=0,
        ge=0,
        description="Dirty records that are accepted. With one more nothing is published. Each is logged and counted.",
        examples=[100],
    )
    mbps: Annotated[Number, Field(gt=0)] | None = Field(
        default=None, description="Most megabits per second that are read. No limit when absent.", examples=[80]
    )
    rows_per_second: Annotated[Number, Field(gt=0)] | None = Field(
        default=None, description="Most rows per second that are read. No limit when absent.", examples=[20000]
    )
    workers: Annotated[Count, Field(ge=1, le=1024)] | None = Field(
        default=None,
        description="Most mapped tasks. When absent a full export decides, at about 1 GiB for each, and a window of "
        "changes is one task.",
        examples=[8],
    )
    threads: Count = Field(default=4, ge=1, le=64, description="Threads inside each task.", examples=[4])
    memory_mb: Annotated[Count, Field(ge=64)] | None = Field(
        default=None,
        description="Memory that a task may use for buffers. By the engine when absent.",
        examples=[512],
    )


class Notifier(Part):
    """An Airflow notifier and what it is made with."""

    notifier: str = Field(
        description="Import path of a class derived from Airflow's BaseNotifier.",
        examples=["airflow.providers.smtp.notifications.smtp.SmtpNotifier"],
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="Its arguments.", examples=[{"to": "team@example.com"}]
    )

    @field_validator("notifier")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if not all(part.isidentifier() for part in value.split(".")) or "." not in value:
            raise fault(f"{shown(value)} is no import path", "write package.module.Class")
        return value


def _path_alone(value: object) -> object:
    return {"notifier": value} if isinstance(value, str) else value


class AirflowSettings(Part):
    """What is handed to Airflow's tasks as it is."""

    pool: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Airflow pool of the export tasks.", examples=["tablestore"]
    )
    queue: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Queue of the executor.", examples=["exports"]
    )
    priority_weight: Count | None = Field(default=None, description="Priority of the tasks.", examples=[10])
    execution_timeout: Duration | None = Field(default=None, description="Longest time of one task.", examples=["6h"])
    executor_config: dict[str, Any] | None = Field(
        default=None,
        description="Settings for the executor. For Kubernetes: `pod_template_file`, or `pod_override` with what "
        "differs from it, as in a manifest.",
        examples=[{"pod_template_file": "/opt/airflow/pods/export.yaml"}],
    )
    on_failure: Annotated[Notifier, BeforeValidator(_path_alone, json_schema_input_type=str | Notifier)] | None = Field(
        default=None,
        description="Airflow notifier that is called when a task has failed for good. An import path alone is enough.",
        examples=["airflow.providers.smtp.notifications.smtp.SmtpNotifier"],
    )

    @field_validator("executor_config")
    @classmethod
    def _is_still_taken(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value and "KubernetesExecutor" in value:
            raise fault("Airflow 3 takes no 'KubernetesExecutor' here", "write pod_override, or pod_template_file")
        return value


Tag = Annotated[str, Field(min_length=1, max_length=100)]


def _one_tag(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class PipelineSpec(Part, ABC):
    """A pipeline. Made from a file by `load`, or in Python; either way every problem is reported at once."""

    pipeline: PipelineName = Field(description="Name of the pipeline; the DAG id in Airflow.", examples=["gps_full"])
    kind: str = Field(description="What the pipeline does.", examples=["full_export"])
    description: str | None = Field(
        default=None, description="What a person should know; shown in Airflow.", examples=["Nightly copy"]
    )
    tags: Annotated[tuple[Tag, ...], BeforeValidator(_one_tag, json_schema_input_type=str | tuple[Tag, ...])] = Field(
        default=(), description="Tags of the DAG.", examples=[["gps", "nightly"]]
    )
    owner: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Owner of the tasks.", examples=["data-platform"]
    )
    timezone: Timezone = Field(
        default="UTC",
        description="Timezone of placeholders, of the schedule and of times without a zone.",
        examples=["Asia/Shanghai"],
    )
    schedule: Schedule = Field(
        default=None,
        description="Cron expression of five fields, a preset such as @daily, or none.",
        examples=["0 3 * * *"],
    )
    start: Moment | None = Field(
        default=None, description="No scheduled run is for a time before this.", examples=["2026-11-20T00:00:00+08:00"]
    )
    catchup: bool = Field(
        default=False, description="Whether runs that were missed since `start` are made up for.", examples=[True]
    )
    self_dependent: bool = Field(
        default=False, description="Whether a run waits until the run before it has succeeded.", examples=[True]
    )
    retry: Retry = Field(default_factory=Retry, description="How failed tasks are tried again.")
    limits: Limits = Field(default_factory=Limits, description="What one run may use, for all its tasks together.")
    airflow: AirflowSettings = Field(default_factory=AirflowSettings, description="Handed to Airflow's tasks as it is.")

    def __init__(self, **data: Any) -> None:
        """The pipeline that these keys describe.

        :raises SpecError: with every problem, each naming its key.
        """
        found = [*forbidden(data), *self.disagreements(data)]
        try:
            super().__init__(**data)
        except ValidationError as error:
            found += translate(error, type(self))
        if not found:
            found += self.conflicts()
        if found:
            raise SpecError(found)

    @classmethod
    def disagreements(cls, data: Mapping[str, Any]) -> Iterator[Finding]:
        """What is wrong between several keys; read from the raw data, so that one wrong key hides none of it."""
        if data.get("catchup") is True and data.get("start") is None:
            yield finding(("catchup",), "needs 'start'", "write from when on runs are made up for")

    def conflicts(self) -> Iterator[Finding]:
        """What is wrong between keys that are each right."""
        yield from ()

    @property
    def starts(self) -> datetime | None:
        """`start` with its zone."""
        if self.start is None or self.start.tzinfo is not None:
            return self.start
        return self.start.replace(tzinfo=ZoneInfo(self.timezone))

    def to_mapping(self) -> dict[str, Any]:
        """What the author wrote, as plain data that JSON can hold; the same spec comes from it again."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def warnings(self) -> Iterator[Finding]:
        """What is allowed and yet probably not meant."""
        if self.start is not None and self.schedule is None:
            yield finding(("start",), "has no effect without a schedule", is_warning=True)

    @abstractmethod
    def connections(self) -> Mapping[str, str]:
        """The Airflow connections that a run needs: what for, and their names."""
