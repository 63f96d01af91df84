"""Tunnels of a table, owned by a DAG: make, delete, list, describe, and drain into a sink.

Thin: each operator builds what it needs from its arguments, calls one function of `pipeline.tunnel.tunnels` or
`pipeline.tunnel.drain`, and returns what that found. Doing any of them again does no harm: Airflow may retry.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator, TriggerRule

from airflow_tablestore.assets import DEFAULT_CONNECTION, as_inlets, assets_of_sink, assets_of_source
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.hooks.tablestore import TablestoreHook
from airflow_tablestore.operators.places import opened_for_stream
from airflow_tablestore.operators.retries import retried_only_where_it_helps

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, Context

    from airflow_tablestore.client import Client
    from airflow_tablestore.pipeline.tunnel.drain import Drain
    from airflow_tablestore.pipeline.tunnel.tunnels import Wanted
    from airflow_tablestore.sensors.tunnel import TunnelDataSensor
    from airflow_tablestore.spec.kinds.stream import StreamSpec

COLOR = "#dff0ee"
TOLD_WITH_ASSET = ("rows", "bytes", "objects")


class TableTunnelsOperator(BaseOperator):
    """What the operators share that name a table. Not used by itself.

    :param table: the table's name.
    :param tablestore_conn_id: the connection of the table.
    """

    template_fields: Sequence[str] = ("table", "tablestore_conn_id")
    ui_color = COLOR

    def __init__(self, *, table: str, tablestore_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.tablestore_conn_id = tablestore_conn_id

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client; errors that no retry can help end the task for good."""
        with retried_only_where_it_helps(), TablestoreHook(self.tablestore_conn_id).get_conn() as client:
            yield client


class TunnelOperator(TableTunnelsOperator):
    """What the operators share that name a tunnel. Not used by itself.

    :param tunnel: the tunnel's name.
    """

    template_fields = (*TableTunnelsOperator.template_fields, "tunnel")

    def __init__(self, *, tunnel: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tunnel = tunnel


class CreateTunnelOperator(TunnelOperator):
    """Makes a tunnel, unless it stands. One of this name that is different is an error, and is not changed.

    Returns the tunnel: id, type, stage, and whether it was there.

    :param tunnel_type: BaseData, Stream or BaseAndStream.
    :param start: from when on it carries changes: "earliest", "latest", or a time with its zone; a template.
    :param end: until when; "" lets it go on.
    """

    template_fields = (*TunnelOperator.template_fields, "tunnel_type", "start", "end")

    def __init__(self, *, tunnel_type: str = "Stream", start: str = "", end: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tunnel_type = tunnel_type
        self.start = start
        self.end = end

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.tunnel.tunnels import ensure_tunnel, tunnel_json

        with self.client() as client:
            ensured = ensure_tunnel(client, self.wanted())
        did = "stands already" if ensured.was_there else "is made"
        self.log.info("Tunnel %s of table %s %s: %s", self.tunnel, self.table, did, ensured.tunnel.id)
        return {**tunnel_json(ensured.tunnel), "was_there": ensured.was_there}

    def wanted(self) -> Wanted:
        """The tunnel, from the arguments as they are now.

        :raises SpecError: a type that there is not, or a time that is none.
        """
        from airflow_tablestore.pipeline.tunnel.tunnels import Wanted
        from airflow_tablestore.wire.tunnel import StartFlag, TunnelType

        if self.tunnel_type not in tuple(TunnelType):
            hint = f"write {', '.join(TunnelType)}"
            raise SpecError([Problem(f"tunnel_type: '{self.tunnel_type}' is no type of a tunnel", hint)])
        flags = {flag.value.lower(): flag for flag in StartFlag}
        start = None if not self.start or self.start in flags else _moment(self.start, "start")
        end = _moment(self.end, "end") if self.end else None
        return Wanted(self.table, self.tunnel, TunnelType(self.tunnel_type), start, end, flags.get(self.start))


class DeleteTunnelOperator(TunnelOperator):
    """Deletes a tunnel and how far it was. Returns whether there was one."""

    def execute(self, context: Context) -> bool:
        from airflow_tablestore.pipeline.tunnel.tunnels import remove_tunnel

        with self.client() as client:
            was_there = remove_tunnel(client, self.table, self.tunnel)
        self.log.info("Tunnel %s of table %s %s.", self.tunnel, self.table, "is gone" if was_there else "was not there")
        return was_there


class ListTunnelsOperator(TableTunnelsOperator):
    """Lists the tunnels of a table. Returns them, and shows them in the log as a table."""

    def execute(self, context: Context) -> list[dict[str, Any]]:
        from airflow_tablestore.pipeline.tunnel.tunnels import tunnel_json
        from airflow_tablestore.wire.tunnel import list_tunnels

        with self.client() as client:
            found = [tunnel_json(tunnel) for tunnel in client.send(list_tunnels(self.table))]
        rows = [("tunnel", "type", "stage", "id"), *((t["name"], t["type"], t["stage"], t["id"]) for t in found)]
        self.log.info("%d tunnel(s).\n%s", len(found), _as_table(rows))
        return found


class DescribeTunnelOperator(TunnelOperator):
    """Looks at a tunnel. Returns it with its channels, their owners, how far each is, and the recovery point (RPO); the
    log shows the channels as a table."""

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.tunnel.tunnels import look

        with self.client() as client:
            found = look(client, self.table, self.tunnel)
        behind = found.behind_seconds
        told = "how far it is behind is not known" if behind is None else f"it is {behind:.1f} s behind"
        self.log.info("Tunnel %s, %s; %s.\n%s", self.tunnel, found.tunnel.stage, told, _as_table(found.table()))
        return found.to_json()


class ConsumeTunnelOperator(BaseOperator):
    """One worker of a stream: drains a tunnel into objects or a table until it has caught up, for a time, or for ever.

    Map it over several numbers for several workers; the service shares the tunnel's channels between them. A task that
    dies leaves what the next one settles, so Airflow's retries are safe.

    :param pipeline: names the stream in its objects' keys and in the channels' manifests.
    :param source: what a spec has under `source`: table, tunnel, connection, tunnel_type, create_tunnel.
    :param sink: what a spec has under `sink`: type, and bucket, prefix, format, or mode, table, partition, columns.
    :param run: what a spec has under `run`: until, at_most, flush. How many workers there are is said by mapping.
    :param limits: what a spec has under `limits`.
    :param worker: which of the mapped workers this is; shown in the log.
    :param continuous: go on until the task is stopped, whatever `run` says of its end.
    :param timezone: the spec's.
    """

    template_fields: Sequence[str] = ("pipeline", "source", "sink", "run_settings", "limits", "worker")
    ui_color = COLOR

    def __init__(
        self,
        *,
        pipeline: str,
        source: Mapping[str, Any],
        sink: Mapping[str, Any],
        run: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
        worker: int = 1,
        continuous: bool = False,
        timezone: str = "UTC",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.source = source
        self.sink = sink
        self.run_settings = run
        self.limits = limits
        self.worker = worker
        self.continuous = continuous
        self.timezone = timezone
        self._stop: threading.Event | None = None

    def spec(self) -> StreamSpec:
        """The arguments, now without templates, as a spec.

        :raises SpecError: they do not make one; holds every problem.
        """
        return _spec(self.pipeline, self.timezone, self.source, self.sink, self.run_settings, self.limits)

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.progress import LogProgress
        from airflow_tablestore.pipeline.tunnel.drain import drain
        from airflow_tablestore.spec.build_stream import stream

        with retried_only_where_it_helps():
            spec, stop = self.spec(), threading.Event()
            self._stop = stop
            tablestore = TablestoreHook(spec.source.connection)
            with tablestore.get_conn() as client, opened_for_stream(spec.sink) as place:
                export, progress = self._lasting(stream(spec)), LogProgress(self.log)
                report = drain(export, client, place, progress=progress, stop=stop)
        told = "Worker %s: %d rows in %d write(s) of %d channel(s); %d settled for others; about %d read units; %.1f s."
        counts = (report.rows, report.objects, report.channels, report.settled, report.read_units, report.seconds)
        self.log.info(told, self.worker, *counts)
        return report.to_json()

    def _lasting(self, export: Drain) -> Drain:
        return replace(export, until_caught_up=False, at_most_seconds=None) if self.continuous else export

    def on_kill(self) -> None:
        """Ends the work in order: what is in hands is written and confirmed, and the channels are handed over."""
        if self._stop is not None:
            self._stop.set()


class TellStreamOperator(BaseOperator):
    """Adds up what the workers of a run did, and updates the asset of the sink.

    When none of them has found anything new it is skipped, so that no asset is updated.

    :param sink: what a spec has under `sink`.
    :param reports: what the workers returned.
    """

    template_fields: Sequence[str] = ("sink", "reports")
    ui_color = COLOR

    def __init__(
        self, *, sink: Mapping[str, Any], reports: Any, outlets: Sequence[Asset] | None = None, **kwargs: Any
    ) -> None:
        self.published = assets_of_sink(sink)
        super().__init__(**kwargs, outlets=[*self.published, *(outlets or ())])
        self.sink = sink
        self.reports = reports

    def execute(self, context: Context) -> dict[str, Any]:
        reports = list((self.reports or ())[:])
        counted = (*TOLD_WITH_ASSET, "settled", "lost_channels", "dirty", "read_units")
        told = {name: sum(report[name] for report in reports) for name in counted}
        told["workers"] = len(reports)
        if not (told["objects"] or told["settled"]):
            raise AirflowSkipException("Nothing new has come.")
        for asset in self.published:
            context["outlet_events"][asset].extra = {name: told[name] for name in TOLD_WITH_ASSET}
        self.log.info("%s", told)
        return told


def stream_tasks(
    *,
    pipeline: str,
    source: Any,
    sink: Any,
    run: Any = None,
    limits: Any = None,
    workers: int = 1,
    timezone: str = "UTC",
    waits_for_previous_run: bool = False,
    waits_for_data: TunnelDataSensor | None = None,
    outlets: Sequence[Asset] = (),
    **arguments: Any,
) -> None:
    """The tasks of one run, in the DAG or group that is being built: mapped workers, and one that tells.

    :param waits_for_data: the task that lets the workers begin.
    """
    drain = ConsumeTunnelOperator.partial(
        task_id="drain",
        pipeline=pipeline,
        source=source,
        sink=sink,
        run=run,
        limits=limits,
        timezone=timezone,
        depends_on_past=waits_for_previous_run,
        inlets=as_inlets(assets_of_source(source)),  # given here, for a mapped task has no other inlets than these
        **arguments,
    ).expand(worker=list(range(1, workers + 1)))
    if waits_for_data is not None:
        waits_for_data >> drain
    TellStreamOperator(
        task_id="tell",
        sink=sink,
        reports=drain.output,
        outlets=outlets,
        trigger_rule=TriggerRule.ALL_SUCCESS,
        **arguments,
    )


def _spec(pipeline: str, timezone: str, source: Any, sink: Any, run: Any, limits: Any) -> StreamSpec:
    from airflow_tablestore.spec.kinds.stream import StreamSpec

    named = {"source": source, "sink": sink, "run": run, "limits": limits}
    parts: dict[str, Any] = {name: part for name, part in named.items() if part is not None}
    return StreamSpec(pipeline=pipeline, timezone=timezone, **parts)


def _moment(text: str, argument: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        hint = "write 2026-11-20T00:00:00+08:00"
        raise SpecError([Problem(f"{argument}: '{text}' is no time", hint)]) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _as_table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join("  ".join(f"{c:{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
