"""Objects back into a table, as three tasks: plan, one mapped write per part, finish; or as one.

Thin: each operator builds the restore from its arguments, calls one function of `pipeline.restore.restore` and returns
its report. `restore` puts the three together for a DAG file written by hand; the factory does so for specs. Between the
tasks go keys of objects, their sizes and counts, never rows and never secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, TaskGroup, TriggerRule, XComArg, conf

from airflow_tablestore.assets import as_inlets, assets_of_sink
from airflow_tablestore.hooks.oss import ObjectStoreHook
from airflow_tablestore.hooks.tablestore import TablestoreHook
from airflow_tablestore.operators.full_export import RETRIES, RETRY_DELAY, is_fixed, moment
from airflow_tablestore.operators.links import PublishedObjectsLink
from airflow_tablestore.operators.retries import retried_only_where_it_helps

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_tablestore.operators.lineage import RestoreLineage
    from airflow_tablestore.pipeline.progress import LogProgress
    from airflow_tablestore.pipeline.restore.job import Restore
    from airflow_tablestore.pipeline.restore.plan import RestoreReport
    from airflow_tablestore.pipeline.restore.point_in_time import PointReport
    from airflow_tablestore.pipeline.restore.restore import RestoreServices
    from airflow_tablestore.pipeline.sources.objects import Found
    from airflow_tablestore.spec.kinds.restore import RestoreSpec

TOLD_WITH_ASSET = ("rows", "written", "dirty", "objects", "run")
"""What both reports have."""

LABEL = "{{ part_label }}"
"""Each mapped task puts its part's label there, so that the grid shows objects and not numbers."""


@dataclass(frozen=True, slots=True)
class OpenRestore:
    """A restore with its services, and what a person wants to know of them."""

    restore: Restore
    services: RestoreServices
    instance: str
    bucket: str
    prefix: str
    url: str


class RestoreTask(BaseOperator):
    """What all tasks of a restore share: which objects go into which table. Not used by itself.

    :param pipeline: names the restore in its report, and is the `{pipeline}` of the prefix.
    :param source: what a spec has under `source`: type, bucket, prefix or objects.
    :param sink: what a spec has under `sink`: type, table, connection, write, create_table.
    :param limits: what a spec has under `limits`.
    :param timezone: the zone of dates in placeholders of the prefix.
    :param to: the moment whose rows the table shall hold, with its zone; `RestoreOperator` alone does that.
    """

    template_fields: Sequence[str] = ("pipeline", "source", "sink", "limits", "to")
    ui_color = "#e3f1e6"

    def __init__(
        self,
        *,
        pipeline: str,
        source: Mapping[str, Any],
        sink: Mapping[str, Any],
        limits: Mapping[str, Any] | None = None,
        timezone: str = "UTC",
        to: str | datetime | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.source = source
        self.sink = sink
        self.limits = limits
        self.timezone = timezone
        self.to = to

    def spec(self) -> RestoreSpec:
        """The arguments, now without templates, as a spec.

        :raises SpecError: they do not make one; holds every problem.
        """
        return _spec(self.pipeline, self.timezone, self.source, self.sink, self.limits, self.to)

    @contextmanager
    def open(self, context: Context) -> Iterator[OpenRestore]:
        """The restore of this run, ready to go; errors that no retry can help end the task for good."""
        from airflow_tablestore.pipeline.restore.restore import RestoreServices
        from airflow_tablestore.spec.build_restore import restore, source_prefix

        with retried_only_where_it_helps(self.task_id.rpartition(".")[0]):
            spec, when = self.spec(), moment(context)
            tablestore, objects = TablestoreHook(spec.sink.connection), ObjectStoreHook(spec.source.connection)
            prefix, bucket = source_prefix(spec, when), spec.source.bucket
            opened = tablestore.get_conn(max_retries=spec.sink.max_retries)
            with opened as client, closing(objects.store(bucket)) as store:
                services = RestoreServices(client, store)
                url = objects.objects_url(bucket, prefix)
                yield OpenRestore(restore(spec, run_date=when), services, tablestore.instance, bucket, prefix, url)


class PlanRestoreOperator(RestoreTask):
    """Finds the objects, proves that they are whole, compares the key, makes the table if it is missing and shall be.

    Returns the parts, one mapped task each; what they share is in XCom `head`.
    """

    operator_extra_links = (PublishedObjectsLink(),)

    def __init__(self, *, inlets: Sequence[Asset] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs, inlets=as_inlets(assets_of_sink(kwargs.get("source")), inlets))

    def execute(self, context: Context) -> list[dict[str, Any]]:
        from airflow_tablestore.pipeline.restore.restore import plan

        with self.open(context) as run:
            PublishedObjectsLink.remember(context, run.url)
            planned = plan(run.restore, run.services, most_parts=conf.getint("core", "max_map_length"))
        self.log.info("%d object(s) in %d part(s).", len(planned.found.objects), len(planned.parts))
        context["ti"].xcom_push(key="head", value=planned.head_json())
        return [part.to_json() for part in planned.parts]


class WritePartOperator(RestoreTask):
    """Writes the rows of one part's objects into the table. Expand it over the plan's parts.

    A task that was killed or cleared writes the rows of its part again, as they are.

    :param head: XCom `head` of the plan.
    :param part: one part of the plan.
    """

    template_fields = (*RestoreTask.template_fields, "head", "part")

    def __init__(
        self, *, head: Mapping[str, Any], part: Mapping[str, Any], map_index_template: str = LABEL, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs, map_index_template=map_index_template)
        self.head = head
        self.part = part

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.progress import LogProgress
        from airflow_tablestore.pipeline.restore.plan import RestorePlan
        from airflow_tablestore.pipeline.restore.restore import write_part

        planned = RestorePlan.from_json(dict(self.head), [dict(self.part)])
        (part,) = planned.parts
        context["part_label"] = part.label  # type: ignore[typeddict-unknown-key]
        with self.open(context) as run:
            progress, tasks = LogProgress(self.log), int(self.head["parts"])
            report = write_part(run.restore, run.services, planned, part, progress=progress, tasks=tasks)
        told = "%d rows of %d object(s) are written; %d dirty record(s); %.1f s."
        self.log.info(told, report.written, len(report.objects), report.dirty, report.seconds)
        return report.to_json()


class _FinishingTask(RestoreTask):
    """A task after which the table is whole: its outlet is the asset of the table."""

    def __init__(
        self, *, inlets: Sequence[Asset] | None = None, outlets: Sequence[Asset] | None = None, **kwargs: Any
    ) -> None:
        self.restored = assets_of_sink(kwargs.get("sink"))
        super().__init__(
            **kwargs,
            inlets=as_inlets(assets_of_sink(kwargs.get("source")), inlets),
            outlets=[*self.restored, *(outlets or ())],
        )
        self.lineage: RestoreLineage | None = None

    def tell(
        self, context: Context, run: OpenRestore, found: Found, report: RestoreReport | PointReport
    ) -> dict[str, Any]:
        """The report, once it is in the log, with the asset and ready for lineage."""
        from airflow_tablestore.operators.lineage import RestoreLineage
        from airflow_tablestore.operators.places import Dataset

        table, told = run.restore.target.table, "Table %s: %d rows of %d object(s) are written; %d dirty record(s)."
        self.log.info(told, table, report.written, report.objects, report.dirty)
        for asset in self.restored:
            context["outlet_events"][asset].extra = {key: report.to_json()[key] for key in TOLD_WITH_ASSET}
        objects = Dataset(f"oss://{run.bucket}", run.prefix.rstrip("/"))
        self.lineage = RestoreLineage(run.instance, table, objects, found.columns, report.written)
        return report.to_json()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any] | None:
        """What was read and written, for OpenLineage; None when the restore did not end well."""
        return self.lineage.facets() if self.lineage else None


class FinishRestoreOperator(_FinishingTask):
    """Compares what was written with what was planned; then the table is what the objects say.

    Its outlet is the asset of the table, with rows, written, dirty, objects and the export's run.

    :param head: XCom `head` of the plan.
    :param parts: what the plan returned.
    :param reports: what the write tasks returned.
    """

    template_fields = (*RestoreTask.template_fields, "head", "parts", "reports")

    def __init__(
        self,
        *,
        head: Mapping[str, Any] | XComArg,
        parts: Sequence[Mapping[str, Any]] | XComArg,
        reports: Sequence[Mapping[str, Any]] | XComArg,
        **kwargs: Any,
    ) -> None:
        # An export without rows may have no objects, so the mapped task before this one is skipped.
        super().__init__(**({"trigger_rule": TriggerRule.NONE_FAILED} | kwargs))
        self.head: Any = head
        self.parts: Any = parts
        self.reports: Any = reports

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.restore.plan import PartReport, RestorePlan
        from airflow_tablestore.pipeline.restore.restore import finish

        planned = RestorePlan.from_json(dict(self.head), [dict(part) for part in self.parts])
        # A slice of the lazy sequence is one request; iterating over it makes one for each part.
        reports = [PartReport.from_json(dict(report)) for report in (self.reports or ())[:]]
        with self.open(context) as run:
            return self.tell(context, run, planned.found, finish(run.restore, planned, reports))


class RestoreOperator(_FinishingTask):
    """A whole restore in one task: plans, writes part after part, and compares. With `to`, one to a moment.

    Its outlet is the asset of the table, with rows, written, dirty, objects and the export's run. A task that was
    killed or cleared writes all rows again, as they are; for more than an hour's work the mapped tasks are better.
    """

    operator_extra_links = (PublishedObjectsLink(),)

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.progress import LogProgress
        from airflow_tablestore.pipeline.restore.restore import finish, plan, write_part

        with self.open(context) as run:
            PublishedObjectsLink.remember(context, run.url)
            progress = LogProgress(self.log)
            if self.to:
                return self._at_moment(context, run, progress)
            planned = plan(run.restore, run.services)
            reports = [
                write_part(run.restore, run.services, planned, part, progress=progress) for part in planned.parts
            ]
            return self.tell(context, run, planned.found, finish(run.restore, planned, reports))

    def _at_moment(self, context: Context, run: OpenRestore, progress: LogProgress) -> dict[str, Any]:
        from airflow_tablestore.pipeline.restore import point_in_time

        planned = point_in_time.survey(run.restore, run.services)
        windows, base = len(planned.materials.changes), planned.materials.chain.base.prefix
        self.log.info("The export at %s and %d window(s) after it give the table at %s.", base, windows, self.to)
        report = point_in_time.run(run.restore, run.services, progress=progress)
        return self.tell(context, run, planned.materials.base, report)


def restore(
    *,
    pipeline: str,
    source: Mapping[str, Any],
    sink: Mapping[str, Any],
    limits: Mapping[str, Any] | None = None,
    timezone: str = "UTC",
    to: str | datetime | None = None,
    group_id: str = "restore",
    retries: int = RETRIES,
    retry_delay: timedelta = RETRY_DELAY,
    **task_arguments: Any,
) -> TaskGroup:
    """A restore as one task group, for a DAG file written by hand.

    `source`, `sink`, `limits` and `to` hold what a spec has under these keys; their strings are templates.

    :param task_arguments: handed to all tasks, such as `pool` or `execution_timeout`.
    :raises SpecError: the arguments make no restore. Found while the DAG is parsed, when they hold no templates.
    """
    if all(is_fixed(given) for given in (pipeline, source, sink, limits, to)):
        _spec(pipeline, timezone, source, sink, limits, to)
    with TaskGroup(group_id) as group:
        restore_tasks(
            pipeline=pipeline,
            source=source,
            sink=sink,
            limits=limits,
            timezone=timezone,
            to=to,
            retries=retries,
            retry_delay=retry_delay,
            **task_arguments,
        )
    return group


def restore_tasks(*, waits_for_previous_run: bool = False, outlets: Sequence[Asset] = (), **arguments: Any) -> None:
    """The three tasks, chained, in the DAG or group that is being built; the one task of a restore to a moment.

    :param outlets: assets beside that of the table; like it, they are updated by the last task alone.
    """
    if arguments.get("to"):
        RestoreOperator(task_id="restore", outlets=outlets, depends_on_past=waits_for_previous_run, **arguments)
        return
    # The two tasks right behind the plan are all that a run has, so waiting for them is waiting for the whole run.
    waiting: dict[str, Any] = {"wait_for_downstream": True} if waits_for_previous_run else {}
    plan = PlanRestoreOperator(task_id="plan", **arguments, **waiting)
    head = XComArg(plan, key="head")
    write = WritePartOperator.partial(task_id="write", head=head, map_index_template=LABEL, **arguments).expand(
        part=plan.output
    )
    FinishRestoreOperator(
        task_id="finish", head=head, parts=plan.output, reports=write.output, outlets=outlets, **arguments
    )


def _spec(pipeline: str, timezone: str, source: Any, sink: Any, limits: Any, to: Any = None) -> RestoreSpec:
    from airflow_tablestore.spec.kinds.restore import RestoreSpec

    parts: dict[str, Any] = {"source": source, "sink": sink, "limits": limits or {}, "to": to or None}
    return RestoreSpec(pipeline=pipeline, timezone=timezone, **parts)
