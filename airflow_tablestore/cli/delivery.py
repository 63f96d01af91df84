"""`delivery create | update | list | describe | delete | audit`, and `plan` of a delivery: delivery tasks by hand.

What a task is comes from a spec of kind delivery; looking at one and deleting it need its name alone.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from zoneinfo import ZoneInfo

from airflow_tablestore.cli.session import FAILED, OK, Session
from airflow_tablestore.cli.table import lines
from airflow_tablestore.cli.times import refuse_options
from airflow_tablestore.client import Client
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.connections import oss_endpoint, tablestore_client
from airflow_tablestore.pipeline.delivery.audit import audit as audited
from airflow_tablestore.pipeline.delivery.prefix import partition
from airflow_tablestore.pipeline.delivery.progress import look
from airflow_tablestore.pipeline.delivery.task import OnDrift, Outcome, Wish, check, differences, ensure, find
from airflow_tablestore.pipeline.delivery.task import delete as deleted
from airflow_tablestore.pipeline.delivery.task import update as updated
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.spec import PipelineSpec, load
from airflow_tablestore.spec.build_delivery import delivery_wish
from airflow_tablestore.spec.kinds.delivery import DeliverySpec
from airflow_tablestore.wire.delivery import list_delivery_tasks

_WOULD = {
    OnDrift.FAIL: "a run would fail",
    OnDrift.UPDATE: "a run would update it",
    OnDrift.RECREATE: "a run would delete it and make it anew, which delivers base data again",
}


def plan_delivery(arguments: Namespace, spec: DeliverySpec, session: Session) -> int:
    """Print what a run at this moment would do with the task.

    :raises SpecError: what the run itself would say about the task and its table.
    """
    refuse_options(arguments, spec.kind, "--window-start", "--window-end", "--run-date")
    wish = delivery_wish(spec)
    with _client(spec.source.connection, session) as client:
        warnings = check(client, wish.task, wish.optional)
        found = find(client, wish.task.table, wish.task.name)
    for warning in warnings:
        session.tell(f"warning: {warning}")
    differing = () if found is None else differences(wish.task, found.task)
    if found is None:
        told = "is not there: a run would make it"
    elif differing:
        told = f"stands with another definition: {_WOULD[wish.on_drift]}"
    else:
        told = "stands as the spec has it: a run would leave it"
    if arguments.json:
        whole = {"table": wish.task.table, "task": wish.task.name, "stands": found is not None, "plan": told}
        session.say(json.dumps({**whole, "differences": [str(one) for one in differing]}, indent=2))
        return OK
    session.say(f"{_capital(wish.task.subject)} {told}.")
    for one in differing:
        session.say(f"  {one}")
    session.say("Nothing was written.")
    return OK


def create(arguments: Namespace, session: Session) -> int:
    """Make the task of a spec, unless it stands."""
    return _done(arguments, session, ensure)


def update(arguments: Namespace, session: Session) -> int:
    """Give the task of a spec the spec's destination."""
    return _done(arguments, session, updated)


def _done(arguments: Namespace, session: Session, act: Callable[[Client, Wish], Outcome]) -> int:
    spec = _spec(arguments.spec)
    wish = delivery_wish(spec)
    with _client(spec.source.connection, session) as client:
        outcome = act(client, wish)
    for warning in outcome.warnings:
        session.tell(f"warning: {warning}")
    if arguments.json:
        session.say(json.dumps({"table": wish.task.table, "task": wish.task.name, **outcome.to_json()}))
        return OK
    session.say(f"{_capital(wish.task.subject)} is {outcome.action}.")
    for one in outcome.differences:
        session.say(f"  {one}")
    return OK


def list_(arguments: Namespace, session: Session) -> int:
    """The tasks of a table."""
    with _client(arguments.connection, session) as client:
        found = client.send(list_delivery_tasks(arguments.table))
    if arguments.json:
        session.say(json.dumps([{"table": one.table, "task": one.name, "type": one.type.value} for one in found]))
    elif not found:
        session.say(f"Table {arguments.table} has no delivery task.")
    for line in lines([(one.name, one.type.value) for one in found]) if not arguments.json else ():
        session.say(line)
    return OK


def describe(arguments: Namespace, session: Session) -> int:
    """How far a task is; exits with 1 when it is in error."""
    with _client(arguments.connection, session) as client:
        at = look(client, arguments.table, arguments.task)
    if arguments.json:
        session.say(json.dumps(at.to_json()))
    else:
        session.say(f"{_capital(str(at))}.")
        if at.error:
            session.say(f"It has stopped, {at.error}: {at.detail}")
    return FAILED if at.error else OK


def delete(arguments: Namespace, session: Session) -> int:
    """Delete a task; what it has delivered stays."""
    with _client(arguments.connection, session) as client:
        was_there = deleted(client, arguments.table, arguments.task)
    if arguments.json:
        session.say(json.dumps({"table": arguments.table, "task": arguments.task, "was_there": was_there}))
    else:
        gone = "is deleted; what it has delivered stays" if was_there else "was not there"
        session.say(f"The delivery task {arguments.task} of table {arguments.table} {gone}.")
    return OK


def audit(arguments: Namespace, session: Session) -> int:
    """Lay what was delivered into a folder beside the table; exits with 1 when something is missing."""
    spec = _spec(arguments.spec)
    wish = delivery_wish(spec)
    task = wish.task
    place = partition(task.destination.prefix, _moment(arguments.partition, spec, session), spec.folder_zone)
    connection = spec.audit.connection if spec.audit else "oss_default"
    end = oss_endpoint(session.connection(connection), task.destination.bucket)
    with (
        _client(spec.source.connection, session) as client,
        closing(ObjectStore(end, task.destination.bucket)) as store,
    ):
        found = audited(client, store, task, place, wish.optional)
    if arguments.json:
        session.say(json.dumps(found.to_json()))
    else:
        for line in found.lines():
            session.say(line)
    return OK if found.is_whole else FAILED


def _spec(path: str) -> DeliverySpec:
    spec: PipelineSpec = load(path)
    if not isinstance(spec, DeliverySpec):
        raise SpecError([Problem(f"a pipeline of kind '{spec.kind}' is no delivery", "name a delivery", file=path)])
    return spec


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _client(connection: str, session: Session) -> Client:
    return tablestore_client(lambda: session.connection(connection))


def _moment(given: str | None, spec: DeliverySpec, session: Session) -> datetime:
    if not given:
        return session.now()
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise SpecError([Problem(f"--partition: '{given}' is no time", "write 2026-11-20T00:00:00+08:00")]) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(spec.timezone))
