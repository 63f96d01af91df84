"""Windows of a table's changes into objects: one task, or three where a window is mapped over workers.

Thin: each operator builds the export from its arguments, finds out which windows its run is for, calls one function of
`pipeline.incremental.export` and returns its numbers. A window that is not due yet is waited for without a worker.
`incremental` puts the tasks together for a DAG file written by hand; the factory does the same for a spec.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Param, TaskGroup, TriggerRule, XComArg, conf

from airflow_tablestore.assets import as_inlets, assets_of_source
from airflow_tablestore.operators.asked import Asked
from airflow_tablestore.operators.full_export import RETRIES, RETRY_DELAY, is_fixed
from airflow_tablestore.operators.summary import Summary, summary_of
from airflow_tablestore.operators.windows import (
    AskedTask,
    IncrementalTask,
    OpenWindows,
    PublishingTask,
    is_true,
    spec_of,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, Context

    from airflow_tablestore.pipeline.incremental.export import WindowReport

LABEL = "{{ part_label }}"
"""Each mapped task puts its part's label there, so that the grid shows shards and not numbers."""


class ExportWindowOperator(PublishingTask, AskedTask):
    """Waits until its run's window is due, then reads all shards side by side and publishes.

    A window that is published already is not read again. A run for a range publishes each window of it by itself.
    Its outlet is the asset of the objects, with the window, rows, bytes and manifest.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        with self.open() as run:
            asked = self.asked(context, run)
            reports = _exported(self, context, run, asked)
            return self.tell(context, run, asked, summary_of(self.pipeline, asked.span, reports))


class PlanWindowOperator(AskedTask):
    """Waits until its run's window is due, fixes where it begins, divides its shards into parts and claims its prefix.

    Returns the parts, one mapped task each; what they share is in XCom `head`. A run for a range is exported right
    here, window by window, and has no parts.
    """

    def execute(self, context: Context) -> list[dict[str, Any]]:
        from airflow_tablestore.pipeline.incremental.export import plan_window

        with self.open() as run:
            asked = self.asked(context, run)
            if asked.is_range:
                summary = summary_of(self.pipeline, asked.span, _exported(self, context, run, asked))
                context["ti"].xcom_push(key="head", value={"done": summary.to_json()})
                return []
            arguments: dict[str, Any] = {
                "most_parts": conf.getint("core", "max_map_length"),
                "attempts": (self.retries or 0) + 1,
                "force": is_true(self.force),
                "repin": is_true(self.repin),
            }
            plan = plan_window(run.export, run.services, asked.span, **arguments)
        self.log.info("The window %s has %d part(s).", asked.span, len(plan.parts))
        context["ti"].xcom_push(key="head", value=plan.head.to_json())
        return [part.to_json() for part in plan.parts]


class ExportShardsOperator(IncrementalTask):
    """Uploads the changes of one part of a window; nothing is visible yet. Expand it over the plan's parts.

    :param head: XCom `head` of the plan.
    :param part: one part of the plan.
    """

    template_fields = (*IncrementalTask.template_fields, "head", "part")

    def __init__(
        self,
        *,
        head: Mapping[str, Any],
        part: Mapping[str, Any],
        map_index_template: str = LABEL,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs, map_index_template=map_index_template)
        self.head = head
        self.part = part

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.incremental.export import ShardPart, WindowHead, export_part
        from airflow_tablestore.pipeline.progress import LogProgress

        head, part = WindowHead.from_json(dict(self.head)), ShardPart.from_json(dict(self.part))
        context["part_label"] = part.label  # type: ignore[typeddict-unknown-key]
        with self.open() as run:
            progress, attempt = LogProgress(self.log), context["ti"].try_number
            report = export_part(run.export, run.services, head, part, attempt=attempt, progress=progress)
        told = "%d rows are uploaded in %d object(s); %d late, %d partial, %d dirty; %.1f s."
        counts = (report.rows, len(report.objects), report.late, report.partial_rows, report.dirty, report.seconds)
        self.log.info(told, *counts)
        return report.to_json()


class PublishWindowOperator(PublishingTask):
    """Fixes where the window ends and makes all its objects visible at once, with their manifest.

    Its outlet is the asset of the objects, with the window, rows, bytes and manifest.

    :param head: XCom `head` of the plan.
    :param reports: what the export tasks returned.
    """

    template_fields = (*PublishingTask.template_fields, "head", "reports")

    def __init__(
        self,
        *,
        head: Mapping[str, Any] | XComArg,
        reports: Sequence[Mapping[str, Any]] | XComArg,
        inlets: Sequence[Asset] | None = None,
        **kwargs: Any,
    ) -> None:
        # A window that stands already has no parts, so the mapped task before this one is skipped.
        rule = {"trigger_rule": TriggerRule.NONE_FAILED} | kwargs
        super().__init__(**rule, inlets=as_inlets(assets_of_source(kwargs.get("source")), inlets))
        self.head: Any = head
        self.reports: Any = reports

    def execute(self, context: Context) -> dict[str, Any]:
        with self.open() as run:
            if "done" in self.head:
                summary = Summary(**self.head["done"])
                return self.tell(context, run, _asked_of(summary, run), summary)
            report = self._published(context, run)
            asked = Asked(report.window, report.window)
            return self.tell(context, run, asked, summary_of(self.pipeline, report.window, [report]))

    def _published(self, context: Context, run: OpenWindows) -> WindowReport:
        from airflow_tablestore.pipeline.incremental.export import PartReport, WindowHead, publish_window

        head = WindowHead.from_json(dict(self.head))
        # A slice of the lazy sequence is one request; iterating over it makes one for each part.
        reports = [PartReport.from_json(dict(report)) for report in (self.reports or ())[:]]
        return publish_window(run.export, run.services, head, reports, attempt=context["ti"].try_number)


def incremental(
    *,
    pipeline: str,
    source: Mapping[str, Any],
    sink: Mapping[str, Any],
    window: Mapping[str, Any] | None = None,
    status_table: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    timezone: str = "UTC",
    group_id: str = "incremental",
    retries: int = RETRIES,
    retry_delay: timedelta = RETRY_DELAY,
    **task_arguments: Any,
) -> TaskGroup:
    """An incremental export as one task group, for a DAG file written by hand.

    `source`, `sink`, `window`, `status_table` and `limits` hold what a spec has under these keys; their strings are
    templates. Schedule the DAG with the timetable of the same windows. With `params=window_params()` in the DAG people
    can ask for windows in Airflow's form.

    :param task_arguments: handed to all tasks, such as `pool` or `execution_timeout`.
    :raises SpecError: the arguments make no export. Found while the DAG is parsed, when they hold no templates.
    """
    given = (source, sink, window, status_table, limits)
    if all(is_fixed(one) for one in (pipeline, *given)):
        spec_of(pipeline, timezone, *given)
    with TaskGroup(group_id) as group:
        window_tasks(
            pipeline=pipeline,
            source=source,
            sink=sink,
            window=window,
            status_table=status_table,
            limits=limits,
            timezone=timezone,
            is_mapped=_is_mapped(limits),
            retries=retries,
            retry_delay=retry_delay,
            **task_arguments,
        )
    return group


def window_tasks(
    *,
    is_mapped: bool = False,
    waits_for_previous_run: bool = False,
    outlets: Sequence[Asset] = (),
    **arguments: Any,
) -> None:
    """The tasks of one run, in the DAG or group that is being built.

    :param is_mapped: plan, one mapped export per part, publish; else the one task `export` does everything.
    :param outlets: assets beside that of the objects; like it, they are updated by the publication alone.
    """
    if not is_mapped:
        ExportWindowOperator(task_id="export", outlets=outlets, depends_on_past=waits_for_previous_run, **arguments)
        return
    # The two tasks right behind the plan are all that a run has, so waiting for them is waiting for the whole run.
    waiting: dict[str, Any] = {"wait_for_downstream": True} if waits_for_previous_run else {}
    plan = PlanWindowOperator(task_id="plan", **arguments, **waiting)
    head = XComArg(plan, key="head")
    export = ExportShardsOperator.partial(task_id="export", head=head, map_index_template=LABEL, **arguments).expand(
        part=plan.output
    )
    PublishWindowOperator(task_id="publish", head=head, reports=export.output, outlets=outlets, **arguments)


def window_params() -> dict[str, Param]:
    """The params with which a person asks for windows: the form that Airflow shows when a run is triggered."""
    moment: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}
    return {
        "window_start": Param(
            None,
            title="First window: start",
            description="For windows other than that of the logical date, which is then to be left empty or off the "
            "grid. Alone, it asks for the one window that starts here.",
            **moment,
        ),
        "window_end": Param(
            None,
            title="Last window: end",
            description="Every window up to here is published by itself; those that stand already are passed over.",
            **moment,
        ),
        "force": Param(
            False,
            type="boolean",
            title="Export again",
            description="Read and publish windows again that stand already.",
        ),
    }


def _exported(task: AskedTask, context: Context, run: OpenWindows, asked: Asked) -> Iterator[WindowReport]:
    """The windows of a run, one after another, each published before the next is read."""
    from airflow_tablestore.pipeline.incremental.export import export_range, export_window
    from airflow_tablestore.pipeline.progress import LogProgress

    arguments: dict[str, Any] = {
        "attempt": context["ti"].try_number,
        "progress": LogProgress(task.log),
        "force": is_true(task.force),
        "repin": is_true(task.repin),
    }
    if not asked.is_range:
        yield export_window(run.export, run.services, asked.span, **arguments)
        return
    begin, end = asked.span.start, asked.span.end
    reports = export_range(run.export, run.services, begin, end, **arguments, stops_at_loss=task.depends_on_past)
    for number, report in enumerate(reports, start=1):
        told = "stood already" if report.was_published else f"{report.rows:,} rows"
        task.log.info("Window %d of %d, %s: %s.", number, asked.count, report.window, told)
        yield report


def _asked_of(summary: Summary, run: OpenWindows) -> Asked:
    from airflow_tablestore.pipeline.window import Window

    span = Window(datetime.fromisoformat(summary.window_start), datetime.fromisoformat(summary.window_end))
    return Asked(span, run.export.grid.before(run.export.grid.holding(span.end)), summary.windows)


def _is_mapped(limits: Any) -> bool:
    """Whether workers are asked for, be it in a mapping or in a model of the spec."""
    workers = limits.get("workers") if isinstance(limits, Mapping) else getattr(limits, "workers", None)
    return workers is not None
