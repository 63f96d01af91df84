"""How far a delivery task is, and whether that is what somebody waits for.

Pure but for `look`, which asks. Lag is measured by the service's clock, which came with its answer. A BaseTask that has
delivered everything is in phase incremental, and whatever is waited for, it must have got there.
Source: the Java SDK, `DescribeDeliveryTaskResponse.isFinished`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_tablestore.client import Client
from airflow_tablestore.errors import DeliveryError, ProtocolError
from airflow_tablestore.pipeline.delivery.task import find, missing
from airflow_tablestore.wire.delivery import Described, Phase, TaskType

STUCK_AFTER = timedelta(minutes=15)
"""Source: the service's page on delivery says that initialisation takes at most a minute."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ORDER = tuple(Phase)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is waited for; nothing named means that the task delivers at all. All that is named must hold.

    :param phase: this one or a later one.
    :param reached: everything written before this was delivered.
    :param max_lag: longest time that delivery is behind.
    """

    phase: Phase | None = None
    reached: datetime | None = None
    max_lag: timedelta | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "phase": self.phase and self.phase.value,
            "reached": self.reached and self.reached.isoformat(),
            "max_lag": self.max_lag and self.max_lag.total_seconds(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Wanted:
        return cls(
            Phase(data["phase"]) if data["phase"] else None,
            datetime.fromisoformat(data["reached"]) if data["reached"] else None,
            timedelta(seconds=data["max_lag"]) if data["max_lag"] else None,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """A task at a moment of the service's clock. Everything written before `reached` was delivered; None: not told."""

    table: str
    name: str
    type: TaskType
    phase: Phase
    now: datetime
    reached: datetime | None = None
    error: str = ""
    detail: str = ""

    @property
    def lag(self) -> timedelta | None:
        """How far delivery is behind; None: not told, or the task delivers the rows once."""
        is_told = self.reached is not None and self.type is not TaskType.BASE
        return max(self.now - self.reached, timedelta(0)) if is_told and self.reached else None

    @property
    def is_done(self) -> bool:
        """Whether a task that delivers the rows alone has done so."""
        return self.type is TaskType.BASE and self.phase is Phase.INCREMENTAL

    def to_json(self) -> dict[str, Any]:
        lag = self.lag
        return {
            "table": self.table,
            "task": self.name,
            "type": self.type.value,
            "phase": self.phase.value,
            "reached": self.reached and self.reached.isoformat(),
            "lag_seconds": None if lag is None else round(lag.total_seconds(), 3),
            "error": self.error,
            "detail": self.detail,
        }

    def __str__(self) -> str:
        lag = self.lag
        behind = "" if lag is None else f", {timedelta(seconds=round(lag.total_seconds()))} behind"
        until = (
            f"delivered up to {self.reached.isoformat()}{behind}" if self.reached else "nothing told of its progress"
        )
        place = "done" if self.is_done else f"in phase {self.phase}"
        return f"the delivery task '{self.name}' of table '{self.table}' is {place}, {until}"


def look(client: Client, table: str, name: str) -> Standing:
    """Where the task is now.

    :raises DeliveryError: there is none.
    """
    found = find(client, table, name)
    if found is None:
        raise missing(table, name)
    now = client.service_time()
    if now is None:
        raise ProtocolError("the service did not tell its time")
    return standing(found, now)


def standing(found: Described, now: datetime) -> Standing:
    """A description as it stands at a moment."""
    told, nanos = found.progress, found.progress.reached_nanos
    reached = EPOCH + timedelta(microseconds=nanos // 1000) if nanos else None
    task = found.task
    return Standing(task.table, task.name, task.type, told.phase, now, reached, told.error, told.detail)


def is_met(wanted: Wanted, at: Standing) -> bool:
    """Whether what is waited for is there.

    :raises DeliveryError: it never will be, as things stand: the task is in error, or is of a type that ends before.
    """
    if at.error:
        raise stopped(at)
    if at.type is TaskType.BASE and wanted.max_lag is not None:
        raise DeliveryError(f"A BaseTask delivers the rows once and is never behind, and {at}. Wait without max_lag.")
    if at.phase is Phase.INIT:
        return False
    if at.type is TaskType.BASE:
        return at.is_done and _holds_rows_until(wanted.reached, at)
    if wanted.phase is not None and _ORDER.index(at.phase) < _ORDER.index(wanted.phase):
        return False
    if wanted.reached is not None and not (
        at.phase is Phase.INCREMENTAL and at.reached is not None and at.reached >= wanted.reached
    ):
        return False
    return wanted.max_lag is None or (at.lag is not None and at.lag <= wanted.max_lag)


def _holds_rows_until(moment: datetime | None, at: Standing) -> bool:
    """Whether a task that delivers the rows once, and is done, was done late enough."""
    if moment is not None and at.reached is None:
        raise DeliveryError(
            f"A BaseTask delivers the rows once, and {at}: it does not tell up to when. Wait for a phase."
        )
    if moment is not None and at.reached is not None and at.reached < moment:
        raise DeliveryError(f"A BaseTask delivers the rows once, and {at}: what was written later never comes.")
    return True


def check_not_stuck(at: Standing, since: datetime, stuck_after: timedelta = STUCK_AFTER) -> None:
    """:raises DeliveryError: the task is still being made, so long after it was first looked at."""
    if at.phase is Phase.INIT and at.now - since >= stuck_after:
        raise DeliveryError(
            f"The delivery task '{at.name}' of table '{at.table}' has not left the phase init for "
            f"{at.now - since}; the service needs a minute as a rule. Look at it in the console, or delete it and make "
            "it anew." + (f" The service says: {at.detail}" if at.detail else "")
        )


def stopped(at: Standing) -> DeliveryError:
    """The task is in error."""
    advice = {
        "UNAUTHORIZED": "Let the role's account allow Tablestore to write to the bucket (the role's ARN, its policy).",
        "INVALID_OSS_BUCKET": "Make the bucket, in the region of the instance, or correct its name and endpoint.",
    }.get(at.error, "Look at the task in the console.")
    detail = f": {at.detail}" if at.detail else ""
    return DeliveryError(
        f"The delivery task '{at.name}' of table '{at.table}' has stopped, {at.error}{detail}. {advice}"
    )
