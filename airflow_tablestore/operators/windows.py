"""What the tasks of an incremental export have in common: their arguments, their window, their waiting, their telling.

The operators themselves are in `operators.incremental`; the rules of which window a run is for, in `operators.asked`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from airflow_tablestore.assets import as_inlets, assets_of_sink, assets_of_source
from airflow_tablestore.errors import NotDue
from airflow_tablestore.hooks.tablestore import TablestoreHook
from airflow_tablestore.operators.asked import Asked, Run, asked_by_run
from airflow_tablestore.operators.links import PublishedObjectsLink
from airflow_tablestore.operators.places import OpenPlace, opened_place
from airflow_tablestore.operators.retries import retried_only_where_it_helps

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_tablestore.operators.lineage import ExportLineage
    from airflow_tablestore.operators.summary import Summary
    from airflow_tablestore.pipeline.incremental.export import Incremental, WindowServices
    from airflow_tablestore.pipeline.window import Window
    from airflow_tablestore.spec.kinds.incremental import IncrementalSpec

WAITED_FOR_HERE_SECONDS = 10.0
"""A wait this short is slept through; a longer one is deferred."""

ANY_START = datetime(2026, 1, 1, tzinfo=UTC)
"""A spec says from when on its schedule runs. Here that is the DAG's to say; a task takes it only to check that windows
do not share a prefix, and that check looks at the year behind it."""


@dataclass(frozen=True, slots=True)
class OpenWindows:
    """An export with its services, and what a person wants to know of them."""

    export: Incremental
    services: WindowServices
    instance: str
    place: OpenPlace

    def objects_url(self, asked: Asked) -> str:
        """Where a person finds the objects: those of the window, or what all windows' prefixes begin with."""
        return self.place.url(self.export.target(asked.last), is_range=asked.is_range)


class IncrementalTask(BaseOperator):
    """What all tasks of an incremental export share: whose changes go where. Not used by itself.

    :param pipeline: names the export in its objects' keys, in its manifests and in the ledger.
    :param source: what a spec has under `source`: table, connection, mode, columns.
    :param sink: what a spec has under `sink`: type, bucket, prefix, format.
    :param window: what a spec has under `window`: every, lag.
    :param status_table: what a spec has under `status_table`: where the ledger is.
    :param limits: what a spec has under `limits`.
    :param timezone: the zone of times in placeholders and of calendar windows.
    """

    template_fields: Sequence[str] = ("pipeline", "source", "sink", "window", "status_table", "limits")
    ui_color = "#e4f3e4"

    def __init__(
        self,
        *,
        pipeline: str,
        source: Mapping[str, Any],
        sink: Mapping[str, Any],
        window: Mapping[str, Any] | None = None,
        status_table: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
        timezone: str = "UTC",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.source = source
        self.sink = sink
        self.window = window
        self.status_table = status_table
        self.limits = limits
        self.timezone = timezone

    def spec(self) -> IncrementalSpec:
        """The arguments, now without templates, as a spec.

        :raises SpecError: they do not make one; holds every problem.
        """
        parts = (self.source, self.sink, self.window, self.status_table, self.limits)
        return spec_of(self.pipeline, self.timezone, *parts)

    @contextmanager
    def open(self) -> Iterator[OpenWindows]:
        """The export, ready to go; errors that no retry can help end the task for good."""
        from airflow_tablestore.pipeline.incremental.export import WindowServices
        from airflow_tablestore.spec.build import incremental

        with retried_only_where_it_helps(self.task_id.rpartition(".")[0]), ExitStack() as opened:
            spec = self.spec()
            tablestore = TablestoreHook(spec.source.connection)
            client = opened.enter_context(tablestore.get_conn(max_retries=spec.source.max_retries))
            ledger, ledger_id = client, spec.connections()["status_table"]
            if ledger_id != spec.source.connection:
                ledger = opened.enter_context(TablestoreHook(ledger_id).get_conn())
            place = opened.enter_context(opened_place(spec.sink))
            export = incremental(spec, instance=tablestore.instance)
            services = WindowServices(client, ledger, place.store)
            yield OpenWindows(export, services, tablestore.instance, place)


class AskedTask(IncrementalTask):
    """What the tasks share that find out which windows a run is for, and wait until these are due.

    :param window_start: where the windows begin that a run without a place on the grid is for; a template.
    :param window_end: where they end; "" means the end of the window that begins at `window_start`.
    :param force: read and publish windows again that stand already. A template may say "True".
    :param repin: learn the columns' types anew instead of keeping those that the first run has pinned.
    :param deferrable: wait without a worker, in the triggerer; False keeps the worker.
    """

    template_fields = (*IncrementalTask.template_fields, "window_start", "window_end", "force", "repin")

    def __init__(
        self,
        *,
        window_start: str = "{{ params.window_start | default('', true) }}",
        window_end: str = "{{ params.window_end | default('', true) }}",
        force: bool | str = "{{ params.force | default(false) }}",
        repin: bool | str = "{{ params.repin | default(false) }}",
        deferrable: bool = True,
        inlets: Sequence[Asset] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs, inlets=as_inlets(assets_of_source(kwargs.get("source")), inlets))
        self.window_start = window_start
        self.window_end = window_end
        self.force = force
        self.repin = repin
        self.deferrable = deferrable

    def asked(self, context: Context, run: OpenWindows) -> Asked:
        """The windows that the run is for, once they are due.

        :raises SpecError: they cannot be told, see `asked_by_run`.
        :raises TaskDeferred: they are due later; the triggerer wakes the task up.
        :raises AirflowFailException: they are due so late that no task should wait.
        """
        its = context["dag_run"]
        about = Run(str(getattr(its.run_type, "value", its.run_type)), its.logical_date, *_interval(context))
        begin, end = (str(given or "") for given in (self.window_start, self.window_end))
        asked = asked_by_run(about, run.export.grid, begin, end, self.timezone)
        self._wait_until_due(run, asked.last)
        self.log.info("%s: %d window(s), %s.", self.pipeline, asked.count, asked.span)
        return asked

    def execute_when_due(self, context: Context, event: Mapping[str, Any]) -> Any:
        """What the triggerer wakes up; the service is asked again."""
        self.log.info("Woken up: the window was due at %s.", event["due_at"])
        return self.execute(context)

    def _wait_until_due(self, run: OpenWindows, window: Window) -> None:
        from airflow_tablestore.pipeline.incremental.export import check_due

        while True:
            try:
                return check_due(run.export, run.services, window)
            except NotDue as early:
                self._wait(run, window, early)

    def _wait(self, run: OpenWindows, window: Window, early: NotDue) -> None:
        from airflow_tablestore.triggers.windows import WindowDueTrigger

        here = datetime.now(UTC)
        now = run.services.client.service_time() or here
        left, most = early.due_at - now, window.length + run.export.lag
        if left > most:
            raise AirflowFailException(
                f"The window {window} is due at {early.due_at.isoformat()}, in {_rounded(left)}. A task waits at most "
                f"{most}, one window and its lag: run it again later, or leave it to the schedule."
            ) from early
        self.log.info("The window %s is due at %s; waiting %s.", window, early.due_at.isoformat(), _rounded(left))
        if self.deferrable and left.total_seconds() > WAITED_FOR_HERE_SECONDS:
            ahead = round((now - here).total_seconds(), 3)
            trigger = WindowDueTrigger(str(window), early.due_at.isoformat(), ahead)
            self.defer(trigger=trigger, method_name="execute_when_due")
        time.sleep(max(0.05, left.total_seconds()))


class PublishingTask(IncrementalTask):
    """What the tasks share that publish windows: asset events, the link to the objects, lineage."""

    operator_extra_links = (PublishedObjectsLink(),)

    def __init__(self, *, outlets: Sequence[Asset] | None = None, **kwargs: Any) -> None:
        self.published = assets_of_sink(kwargs.get("sink"))
        super().__init__(**kwargs, outlets=[*self.published, *(outlets or ())])
        self.lineage: ExportLineage | None = None

    def tell(self, context: Context, run: OpenWindows, asked: Asked, summary: Summary) -> dict[str, Any]:
        """Tell Airflow what is published; what the task returns."""
        from airflow_tablestore.operators.lineage import lineage_of_windows

        self.log.info("%s", summary)
        PublishedObjectsLink.remember(context, run.objects_url(asked))
        for asset in self.published:
            context["outlet_events"][asset].extra = summary.told_with_asset()
        output = run.place.dataset(run.export.target(asked.last))
        self.lineage = lineage_of_windows(run.export, run.services, run.instance, output, asked.last, summary)
        return summary.to_json()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any] | None:
        """What was read and written, for OpenLineage; None when nothing was published."""
        return self.lineage.facets() if self.lineage else None


def _interval(context: Context) -> tuple[datetime | None, datetime | None]:
    """The run's data interval; Airflow leaves it out where a run has none."""
    its = context["dag_run"]
    return its.data_interval_start, its.data_interval_end


def is_true(given: bool | str) -> bool:
    return str(given).strip().lower() == "true"


def _rounded(left: timedelta) -> timedelta:
    return timedelta(seconds=round(left.total_seconds()))


def spec_of(
    pipeline: str, timezone: str, source: Any, sink: Any, window: Any, status_table: Any, limits: Any
) -> IncrementalSpec:
    from airflow_tablestore.spec.kinds.incremental import IncrementalSpec

    named = {"source": source, "sink": sink, "window": window, "status_table": status_table, "limits": limits}
    parts = {name: part for name, part in named.items() if part is not None}
    return IncrementalSpec(pipeline=pipeline, timezone=timezone, start=ANY_START, **parts)
