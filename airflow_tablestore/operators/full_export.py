"""A table's rows into objects or into another table, as three tasks: plan, one mapped export per split, publish.

Thin: each operator builds the export from its arguments, calls one function of `pipeline.full_export.export` and
returns its report. `full_export` puts the three together for a DAG file written by hand; the factory does so for specs.
Between the tasks go keys, upload ids and counts, never rows and never secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, TaskGroup, XComArg, conf

from airflow_tablestore.assets import as_inlets, assets_of_sink, assets_of_source
from airflow_tablestore.hooks.tablestore import TablestoreHook
from airflow_tablestore.operators.links import PublishedObjectsLink
from airflow_tablestore.operators.places import OpenPlace, opened_place
from airflow_tablestore.operators.retries import retried_only_where_it_helps

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_tablestore.operators.lineage import ExportLineage
    from airflow_tablestore.pipeline.full_export.export import FullExport, Services
    from airflow_tablestore.spec.kinds.full_export import FullExportSpec

TOLD_WITH_ASSET = ("rows", "bytes", "objects", "manifest")
RETRIES, RETRY_DELAY = 3, timedelta(minutes=2)
LABEL = "{{ split_label }}"
"""Each mapped task puts its split's label there, so that the grid shows key ranges and not numbers."""


@dataclass(frozen=True, slots=True)
class OpenExport:
    """An export with its services, and what a person wants to know of them."""

    export: FullExport
    services: Services
    instance: str
    place: OpenPlace


class FullExportTask(BaseOperator):
    """What the three tasks share: which rows go where. Not used by itself.

    :param pipeline: names the export in its objects' keys and in its manifest.
    :param source: what a spec has under `source`: table, connection, columns, range, split.
    :param sink: what a spec has under `sink`: type, bucket, prefix, format.
    :param limits: what a spec has under `limits`.
    :param status_table: what a spec has under `status_table`: where a table's loads are on record.
    :param timezone: the zone of dates in placeholders of the prefix.
    """

    template_fields: Sequence[str] = ("pipeline", "source", "sink", "limits", "status_table")
    ui_color = "#fff1e0"

    def __init__(
        self,
        *,
        pipeline: str,
        source: Mapping[str, Any],
        sink: Mapping[str, Any],
        limits: Mapping[str, Any] | None = None,
        status_table: Mapping[str, Any] | None = None,
        timezone: str = "UTC",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.source = source
        self.sink = sink
        self.limits = limits
        self.status_table = status_table
        self.timezone = timezone

    def spec(self) -> FullExportSpec:
        """The arguments, now without templates, as a spec.

        :raises SpecError: they do not make one; holds every problem.
        """
        return _spec(self.pipeline, self.timezone, self.source, self.sink, self.limits, self.status_table)

    @contextmanager
    def open(self, context: Context) -> Iterator[OpenExport]:
        """The export of this run, ready to go; errors that no retry can help end the task for good."""
        from airflow_tablestore.pipeline.full_export.export import Services
        from airflow_tablestore.spec.build import full_export

        with retried_only_where_it_helps(self.task_id.rpartition(".")[0]), ExitStack() as opened:
            spec = self.spec()
            tablestore = TablestoreHook(spec.source.connection)
            client = opened.enter_context(tablestore.get_conn())
            ledger, ledger_id = client if spec.ledger else None, spec.connections().get("status_table")
            if ledger_id and ledger_id != spec.source.connection:
                ledger = opened.enter_context(TablestoreHook(ledger_id).get_conn())
            place = opened.enter_context(opened_place(spec.sink))
            export = full_export(spec, run_date=moment(context), instance=tablestore.instance)
            yield OpenExport(export, Services(client, place.store, ledger), tablestore.instance, place)


class PlanFullExportOperator(FullExportTask):
    """Divides the table into splits, pins the columns and claims the prefix.

    Returns the splits, one mapped task each; what they share is in XCom `head`.

    :param repin: learn the columns anew instead of keeping those of the standing export. A template may say "True".
    """

    template_fields = (*FullExportTask.template_fields, "repin")

    def __init__(self, *, repin: bool | str = False, inlets: Sequence[Asset] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs, inlets=as_inlets(assets_of_source(kwargs.get("source")), inlets))
        self.repin = repin

    def execute(self, context: Context) -> list[dict[str, Any]]:
        from airflow_tablestore.pipeline.full_export.export import plan
        from airflow_tablestore.pipeline.run import run_key

        key = run_key(moment(context), context["run_id"])
        with self.open(context) as run:
            most, repin = conf.getint("core", "max_map_length"), str(self.repin).strip().lower() == "true"
            attempts = (self.retries or 0) + 1
            planned = plan(run.export, run.services, run=key, most_splits=most, attempts=attempts, repin=repin)
        self.log.info("Run %s has %d split(s).", key, len(planned.splits))
        context["ti"].xcom_push(key="head", value=planned.head.to_json())
        return [split.to_json() for split in planned.splits]


class ExportSplitOperator(FullExportTask):
    """Uploads the rows of one split; nothing is visible yet. Expand it over the plan's splits.

    :param head: XCom `head` of the plan.
    :param split: one split of the plan.
    """

    template_fields = (*FullExportTask.template_fields, "head", "split")

    def __init__(
        self,
        *,
        head: Mapping[str, Any],
        split: Mapping[str, Any],
        map_index_template: str = LABEL,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs, map_index_template=map_index_template)
        self.head = head
        self.split = split

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.full_export.export import export_split
        from airflow_tablestore.pipeline.full_export.plan import PlanHead, Split
        from airflow_tablestore.pipeline.progress import LogProgress

        head, split = PlanHead.from_json(dict(self.head)), Split.from_json(dict(self.split))
        context["split_label"] = split.label  # type: ignore[typeddict-unknown-key]
        with self.open(context) as run:
            progress = LogProgress(self.log)
            attempt = context["ti"].try_number
            report = export_split(run.export, run.services, head, split, attempt=attempt, progress=progress)
        told = "%d rows are uploaded in %d object(s); %d dirty record(s); %.1f s."
        self.log.info(told, report.rows, len(report.objects), report.dirty, report.seconds)
        return report.to_json()


class PublishExportOperator(FullExportTask):
    """Makes all uploaded objects visible at once, with their manifest, and removes what they replace.

    Its outlet is the asset of the objects, with rows, bytes, objects and manifest.

    :param head: XCom `head` of the plan.
    :param reports: what the export tasks returned.
    """

    template_fields = (*FullExportTask.template_fields, "head", "reports")
    operator_extra_links = (PublishedObjectsLink(),)

    def __init__(
        self,
        *,
        head: Mapping[str, Any] | XComArg,
        reports: Sequence[Mapping[str, Any]] | XComArg,
        inlets: Sequence[Asset] | None = None,
        outlets: Sequence[Asset] | None = None,
        **kwargs: Any,
    ) -> None:
        self.published = assets_of_sink(kwargs.get("sink"))
        super().__init__(
            **kwargs,
            inlets=as_inlets(assets_of_source(kwargs.get("source")), inlets),
            outlets=[*self.published, *(outlets or ())],
        )
        self.head: Any = head
        self.reports: Any = reports
        self.lineage: ExportLineage | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.operators.lineage import ExportLineage
        from airflow_tablestore.pipeline.full_export.export import publish
        from airflow_tablestore.pipeline.full_export.plan import PlanHead, SplitReport

        head = PlanHead.from_json(dict(self.head))
        # A slice of the lazy sequence is one request; iterating over it makes one for each split.
        reports = [SplitReport.from_json(dict(report)) for report in self.reports[:]]
        with self.open(context) as run:
            target = run.export.target
            PublishedObjectsLink.remember(context, run.place.url(target))
            report = publish(run.export, run.services, head, reports, attempt=context["ti"].try_number)
        told = "%d rows, %d bytes in %d object(s) are published: %s"
        self.log.info(told, report.rows, report.bytes, report.objects, report.manifest)
        for asset in self.published:
            context["outlet_events"][asset].extra = {key: report.to_json()[key] for key in TOLD_WITH_ASSET}
        self.lineage = ExportLineage(
            instance=run.instance,
            table=run.export.source.table,
            output=run.place.dataset(target),
            schema=head.schema,
            report=report,
        )
        return report.to_json()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any] | None:
        """What was read and written, for OpenLineage; None when nothing was published."""
        return self.lineage.facets() if self.lineage else None


def full_export(
    *,
    pipeline: str,
    source: Mapping[str, Any],
    sink: Mapping[str, Any],
    limits: Mapping[str, Any] | None = None,
    status_table: Mapping[str, Any] | None = None,
    timezone: str = "UTC",
    group_id: str = "full_export",
    retries: int = RETRIES,
    retry_delay: timedelta = RETRY_DELAY,
    **task_arguments: Any,
) -> TaskGroup:
    """A full export as one task group, for a DAG file written by hand.

    `source`, `sink`, `limits` and `status_table` hold what a spec has under these keys; their strings are templates.

    :param task_arguments: handed to all three tasks, such as `pool` or `execution_timeout`.
    :raises SpecError: the arguments make no export. Found while the DAG is parsed, when they hold no templates.
    """
    if all(is_fixed(given) for given in (pipeline, source, sink, limits, status_table)):
        _spec(pipeline, timezone, source, sink, limits, status_table)
    with TaskGroup(group_id) as group:
        export_tasks(
            pipeline=pipeline,
            source=source,
            sink=sink,
            limits=limits,
            status_table=status_table,
            timezone=timezone,
            retries=retries,
            retry_delay=retry_delay,
            **task_arguments,
        )
    return group


def export_tasks(
    *,
    repin: bool | str = False,
    waits_for_previous_run: bool = False,
    outlets: Sequence[Asset] = (),
    **arguments: Any,
) -> None:
    """The three tasks, chained, in the DAG or group that is being built.

    :param outlets: assets beside that of the objects; like it, they are updated by the publication alone.
    """
    # The two tasks right behind the plan are all that a run has, so waiting for them is waiting for the whole run.
    waiting: dict[str, Any] = {"wait_for_downstream": True} if waits_for_previous_run else {}
    plan = PlanFullExportOperator(task_id="plan", repin=repin, **arguments, **waiting)
    head = XComArg(plan, key="head")
    export = ExportSplitOperator.partial(task_id="export", head=head, map_index_template=LABEL, **arguments).expand(
        split=plan.output
    )
    PublishExportOperator(task_id="publish", head=head, reports=export.output, outlets=outlets, **arguments)


def moment(context: Context) -> datetime:
    """The time that a run is about: its logical date, or when it was due. Stays the same when tasks are cleared."""
    run = context["dag_run"]
    return run.logical_date or run.run_after


def _spec(pipeline: str, timezone: str, source: Any, sink: Any, limits: Any, status_table: Any) -> FullExportSpec:
    from airflow_tablestore.spec.kinds.full_export import FullExportSpec

    parts: dict[str, Any] = {"source": source, "sink": sink, "limits": limits or {}, "status_table": status_table}
    return FullExportSpec(pipeline=pipeline, timezone=timezone, **parts)


def is_fixed(value: Any) -> bool:
    """Whether a value is what it will be at run time: no template and no other task's answer in it."""
    if isinstance(value, Mapping):
        return all(is_fixed(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return all(is_fixed(inner) for inner in value)
    return "{{" not in value and "{%" not in value if isinstance(value, str) else not hasattr(value, "resolve")
