"""Delivery tasks as a DAG owns them: made once however often they are asked for, compared, changed, deleted.

A lost answer is settled by looking: what stands decides what is left to do, so every function here may be repeated.
Which error code the service has for a task that exists, or does not, is not documented; nothing here depends on it.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from airflow_tablestore.client import Client
from airflow_tablestore.consumer.table import Sender, full_range
from airflow_tablestore.errors import DeliveryError, Problem, Rejected, RetryLater, SpecError
from airflow_tablestore.pipeline.delivery.checks import Draft, region_faults, table_faults, text_faults
from airflow_tablestore.pipeline.sources.pinning import read_sample
from airflow_tablestore.wire import delivery as wire
from airflow_tablestore.wire.delivery import DeliveredColumn, DeliveryTask, Described
from airflow_tablestore.wire.row import INF_MAX, INF_MIN
from airflow_tablestore.wire.table import describe_table

ATTEMPTS = 5
"""How often a call whose answer was lost is settled; the client's own retries come inside each."""

PAUSE_SECONDS = 2.0
GONE_SECONDS = 120.0
"""How long a deleted task may still be listed."""

Sleep = Callable[[float], object]


class OnDrift(enum.StrEnum):
    """What happens to a task that stands with another definition."""

    FAIL = "fail"
    UPDATE = "update"
    RECREATE = "recreate"


class Action(enum.StrEnum):
    """What was done."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    UPDATED = "updated"
    RECREATED = "recreated"


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that stands otherwise than it is wanted."""

    setting: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.setting}: wanted {self.wanted}, is {self.found}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish for a task. `differences` are those that were found before."""

    action: Action
    differences: tuple[Difference, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The form that XCom holds."""
        return {"action": self.action.value, "differences": [str(one) for one in self.differences]}


@dataclass(frozen=True, slots=True)
class Wish:
    """A task that shall stand.

    :param optional: columns that rows may lack or hold in another type.
    :param checks_table: look at the table first; False sends what the text alone allows.
    """

    task: DeliveryTask
    on_drift: OnDrift = OnDrift.FAIL
    optional: frozenset[str] = frozenset()
    checks_table: bool = True
    sleep: Sleep = field(default=time.sleep, compare=False)


# ---- before anything is sent


def check(
    client: Client, task: DeliveryTask, optional: Collection[str] = (), *, with_table: bool = True
) -> list[Problem]:
    """The warnings about a task. Reads the table's description and up to 400 of its rows, from both ends.

    :param with_table: False: only what can be told without asking.
    :raises SpecError: with every error and warning.
    """
    faults = list(text_faults(Draft.of(task)))
    if all(fault.place != ("endpoint",) for fault in faults):
        faults += region_faults(task.destination.endpoint, client.endpoint.url)
    if with_table:
        table = client.send(describe_table(task.table))
        whole, backwards = full_range(table), full_range(table, (INF_MAX,), (INF_MIN,))
        sample = read_sample(client, task.table, [whole, backwards])
        faults += table_faults(task, table, sample, optional)
    problems = [fault.problem() for fault in faults]
    if any(not problem.is_warning for problem in problems):
        raise SpecError(problems)
    return problems


# ---- what stands


def find(sender: Sender, table: str, name: str) -> Described | None:
    """The task as it stands; None: there is none. A task that goes away meanwhile is none."""
    for _ in range(2):
        if all(one.name != name for one in sender.send(wire.list_delivery_tasks(table))):
            return None
        try:
            return sender.send(wire.describe_delivery_task(table, name))
        except Rejected as error:
            refused = error
    raise refused


def differences(wanted: DeliveryTask, found: DeliveryTask) -> tuple[Difference, ...]:
    """Where a task that stands is not the one that is wanted."""
    return tuple(_differences(wanted, found))


def _differences(wanted: DeliveryTask, found: DeliveryTask) -> Iterator[Difference]:
    to, at = wanted.destination, found.destination
    pairs = {
        "type": (wanted.type, found.type),
        "bucket": (to.bucket, at.bucket),
        "endpoint": (to.endpoint, at.endpoint),
        "prefix": (to.prefix.rstrip("/"), at.prefix.rstrip("/")),
        "role": (to.role, at.role),
        "event_time": tuple(
            "none" if one is None else f"{one.column} ({one.format})" for one in (to.event_time, at.event_time)
        ),
    }
    for setting, (one, other) in pairs.items():
        if one != other:
            yield Difference(setting, str(one), str(other))
    mine, theirs = {one.to: one for one in to.columns}, {one.to: one for one in at.columns}
    for name in dict.fromkeys([*mine, *theirs]):
        one_, other_ = mine.get(name), theirs.get(name)
        if one_ != other_:
            yield Difference(f"schema '{name}'", _column(one_), _column(other_))
    if mine == theirs and list(mine) != list(theirs):
        yield Difference("order of schema", ", ".join(mine), ", ".join(theirs))


def _column(one: DeliveredColumn | None) -> str:
    if one is None:
        return "none"
    extension = f" {one.extension}" if one.extension else ""
    return f"{one.name} as {one.type}{extension}, {one.encoding}"


# ---- make, change, delete


def ensure(client: Client, wish: Wish) -> Outcome:
    """Makes the task, unless it stands. Doing it again changes nothing.

    :raises SpecError: the task would not deliver what is wanted; nothing was sent.
    :raises DeliveryError: it stands with another definition, and `on_drift` does not allow what would help.
    :raises RetryLater: nobody knows whether it was made; asking again finds out.
    """
    task = wish.task
    warnings = tuple(check(client, task, wish.optional, with_table=wish.checks_table))
    found = find(client, task.table, task.name)
    if found is None:
        _create(client, task, wish.sleep)
        return Outcome(Action.CREATED, (), warnings)
    differing = differences(task, found.task)
    if not differing:
        return Outcome(Action.UNCHANGED, (), warnings)
    if wish.on_drift is OnDrift.UPDATE:
        _update(client, task, differing)
        return Outcome(Action.UPDATED, differing, warnings)
    if wish.on_drift is OnDrift.RECREATE:
        delete(client, task.table, task.name, wish.sleep)
        _create(client, task, wish.sleep)
        return Outcome(Action.RECREATED, differing, warnings)
    raise DeliveryError(
        f"{_capital(task.subject)} stands with another definition: {_told(differing)}. "
        "Write on_drift: update or recreate, or change the definition."
    )


def update(client: Client, wish: Wish) -> Outcome:
    """Gives a task that stands another destination.

    :raises DeliveryError: there is no such task, its type would have to change, or the service has not done it.
    """
    task = wish.task
    warnings = tuple(check(client, task, wish.optional, with_table=wish.checks_table))
    found = find(client, task.table, task.name)
    if found is None:
        raise missing(task.table, task.name)
    differing = differences(task, found.task)
    if differing:
        _update(client, task, differing)
    return Outcome(Action.UPDATED if differing else Action.UNCHANGED, differing, warnings)


def delete(client: Client, table: str, name: str, sleep: Sleep = time.sleep) -> bool:
    """Deletes a task and waits until it is gone; whether it was there. What it has delivered stays.

    :raises RetryLater: nobody knows whether it is gone; asking again finds out.
    """
    lost: RetryLater | None = None
    for attempt in range(ATTEMPTS):
        if not _is_listed(client, table, name):
            return attempt > 0
        try:
            client.send(wire.delete_delivery_task(table, name))
            _wait_until_gone(client, table, name, sleep)
            return True
        except RetryLater as error:
            lost = error
            sleep(PAUSE_SECONDS)
        except Rejected:
            if _is_listed(client, table, name):
                raise
            return True
    raise lost if lost is not None else _still_there(table, name)


def missing(table: str, name: str) -> DeliveryError:
    """There is no task, or none any more."""
    return DeliveryError(
        f"There is no delivery task '{name}' of table '{table}'; it was never made, or somebody has deleted it."
    )


def _create(client: Client, task: DeliveryTask, sleep: Sleep) -> None:
    lost: RetryLater | None = None
    for _ in range(ATTEMPTS):
        if lost is not None:
            sleep(PAUSE_SECONDS)
            if (found := find(client, task.table, task.name)) is not None:
                _check_same(task, found)
                return
        try:
            client.send(wire.create_delivery_task(task))
            return
        except RetryLater as error:
            lost = error
        except Rejected:
            # somebody, or our own lost request, was faster
            if (found := find(client, task.table, task.name)) is None:
                raise
            _check_same(task, found)
            return
    if lost is not None:
        raise lost


def _check_same(task: DeliveryTask, found: Described) -> None:
    if differing := differences(task, found.task):
        raise DeliveryError(f"Somebody else has just made {task.subject}, otherwise: {_told(differing)}.")


def _update(client: Client, task: DeliveryTask, differing: tuple[Difference, ...]) -> None:
    if any(one.setting == "type" for one in differing):
        raise DeliveryError(
            f"{_capital(task.subject)} is of another type ({_told(differing)}), which no update changes. "
            "Create it with on_drift: recreate; what was delivered stays, and base data are delivered again."
        )
    client.send(wire.update_delivery_task(task.table, task.name, task.destination))
    found = find(client, task.table, task.name)
    if found is None:
        raise missing(task.table, task.name)
    if left := differences(task, found.task):
        raise DeliveryError(
            f"The service has taken the update of {task.subject}, and yet: {_told(left)}. Write on_drift: recreate."
        )


def _is_listed(client: Client, table: str, name: str) -> bool:
    return any(one.name == name for one in client.send(wire.list_delivery_tasks(table)))


def _wait_until_gone(client: Client, table: str, name: str, sleep: Sleep) -> None:
    for _ in range(round(GONE_SECONDS / PAUSE_SECONDS)):
        if not _is_listed(client, table, name):
            return
        sleep(PAUSE_SECONDS)
    raise _still_there(table, name)


def _still_there(table: str, name: str) -> DeliveryError:
    return DeliveryError(
        f"The service has taken the deletion of the delivery task '{name}' of table '{table}', and still lists it."
    )


def _told(differing: tuple[Difference, ...]) -> str:
    return "; ".join(str(one) for one in differing)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
