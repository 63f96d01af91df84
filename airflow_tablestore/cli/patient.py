"""One who is examined by `doctor`: what is known, what was found, and how a check is made."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from airflow_tablestore.cli.session import Session
from airflow_tablestore.client import Client
from airflow_tablestore.errors import SpecError, TablestoreError
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.pipeline.store import UploadGone
from airflow_tablestore.pipeline.target import ObjectTarget, TableTarget
from airflow_tablestore.wire.table import TableDescription

if TYPE_CHECKING:
    from airflow_tablestore.pipeline.sinks.maxcompute import MaxCompute

T = TypeVar("T")

Step = Callable[[], None]
"""A check, made by calling it. What it finds is noted with the patient."""


class Status(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `advice` says what to do unless it is ok."""

    name: str
    status: Status
    told: str
    advice: str = ""


@dataclass(slots=True, kw_only=True)
class Patient:
    """What is examined, and what has been found so far. A part that could not be had stays None.

    `target` is the place of a run's rows; of an incremental export that of its newest window. `project` is the
    MaxCompute project that the spec names, if it names one.
    """

    session: Session
    source: str
    sink: str
    table_name: str
    pipeline: str
    target: ObjectTarget | TableTarget
    project: str = ""
    checks: list[Check] = field(default_factory=list)
    instance: str = ""
    client: Client | None = None
    store: ObjectStore | None = None
    warehouse: MaxCompute | None = None
    table: TableDescription | None = None

    def close(self) -> None:
        """Close the connections that were opened."""
        if self.client:
            self.client.close()
        for place in (self.store, self.warehouse):
            if place:
                place.close()

    def found(self, name: str, status: Status, told: str, advice: str = "") -> None:
        self.checks.append(Check(name, status, told, advice))

    def tried(self, name: str, act: Callable[[], T], told: Callable[[T], str]) -> T | None:
        """What the act gives, noted as ok; None when it raised one of our errors, noted as a failure."""
        try:
            value = act()
        except SpecError as error:
            for problem in error.problems:
                self.found(name, Status.FAIL, problem.message, problem.hint)
            return None
        except UploadGone as error:
            self.found(name, Status.FAIL, str(error), "is another program removing uploads under this prefix?")
            return None
        except TablestoreError as error:
            self.found(name, Status.FAIL, str(error))
            return None
        self.found(name, Status.OK, told(value))
        return value
