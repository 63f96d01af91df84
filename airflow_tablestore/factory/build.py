"""A spec as an Airflow DAG: pure translation, nothing is asked and nothing depends on the time of day.

Each kind adds one entry to `KINDS`. What the author wrote reaches the operators as literals, so no template engine
reads it; braces in prefixes are rendered by the engine, from the run's own date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import DAG, BaseNotifier, Param, literal
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.factory.executor import executor_settings
from airflow_tablestore.factory.streams import ALWAYS, stream_schedule, wait_for_data
from airflow_tablestore.operators.delivery import AuditDeliveryOperator, CreateDeliveryTaskOperator
from airflow_tablestore.operators.full_export import export_tasks
from airflow_tablestore.operators.incremental import window_params, window_tasks
from airflow_tablestore.operators.restore import restore_tasks
from airflow_tablestore.operators.snapshot import SnapshotOperator
from airflow_tablestore.operators.tunnel import stream_tasks
from airflow_tablestore.sensors.delivery import DeliveryTaskSensor
from airflow_tablestore.spec.values import CONTINUOUS
from airflow_tablestore.timetables.windows import timetable_of

if TYPE_CHECKING:
    import pendulum
    from airflow.providers.common.compat.sdk import Asset
    from airflow.timetables.base import Timetable

    from airflow_tablestore.spec.common import Notifier, PipelineSpec
    from airflow_tablestore.spec.load import Document

TAG = "tablestore"
REPIN = Param(
    False,
    type="boolean",
    title="Learn the columns anew",
    description="Look at the table again, instead of keeping the columns and types that the first run has pinned.",
)


def dag_of(document: Document, spec: PipelineSpec) -> DAG:
    """The DAG of a spec that has no errors.

    :param document: where the spec was read from; its data are what the tasks get.
    :raises SpecError: this kind of pipeline becomes no DAG.
    """
    kind = KINDS.get(spec.kind)
    if kind is None:
        told = f"a pipeline of kind '{spec.kind}' does not become a DAG in this version"
        raise SpecError([Problem(told, "run it with airflow-tablestore run", path="kind")])
    with DAG(
        spec.pipeline,
        description=spec.description,
        schedule=kind.schedule(spec),
        start_date=_start(spec),
        catchup=spec.catchup,
        max_active_runs=1,
        tags=sorted({TAG, spec.kind, *spec.tags}),
        default_args=_task_defaults(spec),
        params={**kind.params, **({"repin": REPIN} if kind.pins else {})},
        doc_md=_page(document, spec),
    ) as dag:
        kind.tasks(document.data, spec)
    return dag


def _cron(spec: PipelineSpec) -> Timetable | None:
    return CronTriggerTimetable(spec.schedule, timezone=spec.timezone) if spec.schedule else None


def _full_export(data: Mapping[str, Any], spec: PipelineSpec) -> None:
    export_tasks(
        pipeline=spec.pipeline,
        source=literal(data["source"]),
        sink=literal(data["sink"]),
        limits=literal(data.get("limits") or {}),
        status_table=literal(data["status_table"]) if data.get("status_table") else None,
        timezone=spec.timezone,
        repin="{{ params.repin }}",
        waits_for_previous_run=spec.self_dependent,
    )


def _windows(spec: Any) -> Timetable:
    return timetable_of(spec.grid, spec.window.lag)


def _incremental(data: Mapping[str, Any], spec: PipelineSpec) -> None:
    given: dict[str, Any] = {
        name: literal(data[name]) for name in ("window", "status_table", "limits") if data.get(name)
    }
    window_tasks(
        pipeline=spec.pipeline,
        source=literal(data["source"]),
        sink=literal(data["sink"]),
        timezone=spec.timezone,
        is_mapped=spec.limits.workers is not None,
        waits_for_previous_run=spec.self_dependent,
        **given,
    )


RUN_MOMENT = "{{ data_interval_start or dag_run.run_after }}"
"""A run by hand has no data interval; it is about the folder of its own time."""


def _delivery(data: Mapping[str, Any], spec: Any) -> None:
    """Create, wait, audit; a run that is to wait or audit for nothing is its first task alone."""
    given = {"source": literal(data["source"]), "delivery": literal(data["delivery"]), "timezone": spec.timezone}
    last: Any = CreateDeliveryTaskOperator(task_id="create", depends_on_past=spec.self_dependent, **given)
    its, wait = spec.delivery, spec.wait
    if wait is not None:
        sensor = DeliveryTaskSensor(
            task_id="wait",
            table=spec.source.table,
            task_name=its.task,
            tablestore_conn_id=spec.source.connection,
            phase=wait.phase,
            max_lag=wait.max_lag,
            partition=RUN_MOMENT if wait.partition else None,
            bucket=its.bucket,
            prefix=its.prefix,
            zone=spec.folder_zone,
            stuck_after=wait.stuck_after,
            timeout=wait.timeout.total_seconds(),
            poke_interval=wait.poll.total_seconds(),
        )
        last = last >> sensor
    if spec.audit is not None:
        audit = spec.audit
        last >> AuditDeliveryOperator(
            task_id="audit", oss_conn_id=audit.connection, fails=audit.fails, partition=RUN_MOMENT, **given
        )


def _stream(data: Mapping[str, Any], spec: Any) -> None:
    given: dict[str, Any] = {name: literal(data[name]) for name in ("run", "limits") if data.get(name)}
    stream_tasks(
        pipeline=spec.pipeline,
        source=literal(data["source"]),
        sink=literal(data["sink"]),
        workers=spec.run.workers,
        timezone=spec.timezone,
        waits_for_previous_run=spec.self_dependent,
        waits_for_data=wait_for_data(spec) if spec.schedule == CONTINUOUS else None,
        **given,
    )


def _restore(data: Mapping[str, Any], spec: Any) -> None:
    restore_tasks(
        pipeline=spec.pipeline,
        source=literal(data["source"]),
        sink=literal(data["sink"]),
        limits=literal(data.get("limits") or {}),
        timezone=spec.timezone,
        to=spec.moment.isoformat() if spec.moment else None,
        waits_for_previous_run=spec.self_dependent,
    )


def _snapshot(data: Mapping[str, Any], spec: Any) -> None:
    given: dict[str, Any] = {name: literal(data[name]) for name in ("source", "sink", "limits") if data.get(name)}
    SnapshotOperator(
        task_id="snapshot",
        pipeline=spec.pipeline,
        **given,
        to=spec.moment(spec.to).isoformat() if spec.to else None,
        lag=spec.lag,
        timezone=spec.timezone,
        depends_on_past=spec.self_dependent,
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of pipeline becomes a DAG: its tasks, its schedule, and the params that people can set.

    `pins`: its first run pins columns, so people can have them learnt anew.
    """

    tasks: Callable[[Mapping[str, Any], PipelineSpec], None]
    schedule: Callable[[PipelineSpec], Timetable | str | Sequence[Asset] | None] = _cron
    params: Mapping[str, Param] = field(default_factory=dict)
    pins: bool = True


KINDS = {
    "full_export": Kind(_full_export),
    "incremental": Kind(_incremental, _windows, window_params()),
    "delivery": Kind(_delivery, pins=False),
    "stream": Kind(_stream, stream_schedule, pins=False),
    "restore": Kind(_restore, pins=False),
    "snapshot": Kind(_snapshot, pins=False),
}


def _start(spec: PipelineSpec) -> pendulum.DateTime | None:
    import pendulum

    if spec.starts is None:
        return pendulum.instance(ALWAYS) if spec.schedule == CONTINUOUS else None
    return pendulum.instance(spec.starts).in_timezone(spec.timezone)


def _task_defaults(spec: PipelineSpec) -> dict[str, Any]:
    """Airflow's own arguments of every task; those that the author left out are Airflow's to choose."""
    given = spec.airflow
    chosen = {
        "owner": spec.owner,
        "pool": given.pool,
        "queue": given.queue,
        "priority_weight": given.priority_weight,
        "execution_timeout": given.execution_timeout,
        "executor_config": executor_settings(given.executor_config),
        "on_failure_callback": _notifier(given.on_failure) if given.on_failure else None,
    }
    retries: dict[str, int | timedelta] = {"retries": spec.retry.times, "retry_delay": spec.retry.delay}
    return retries | {name: value for name, value in chosen.items() if value is not None}


def _notifier(wanted: Notifier) -> BaseNotifier:
    """The author's notifier. Nothing but a notifier is ever called: a spec is data, and must not run what it names.

    :raises SpecError: the path leads to something else.
    """
    found = import_string(wanted.notifier)
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        told = f"{wanted.notifier} is no Airflow notifier"
        raise SpecError([Problem(told, "name a class derived from BaseNotifier", path="airflow.on_failure.notifier")])
    return found(**wanted.arguments)


def _page(document: Document, spec: PipelineSpec) -> str:
    """What the DAG's page in Airflow shows: the author's words, what a run will do, and the spec as it was written."""
    from airflow_tablestore.spec.explain import story

    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", document.text)), default=0))
    parts = [
        spec.description or "",
        "\n".join(f"* {sentence}" for sentence in story(spec)),
        f"Made from `{document.file}`:",
        f"{fence}yaml\n{document.text.rstrip()}\n{fence}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
