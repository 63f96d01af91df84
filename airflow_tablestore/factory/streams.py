"""When the runs of a stream come: when there is data, one after the other, by the clock, or when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetWatcher
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_tablestore.assets import tunnel_asset
from airflow_tablestore.sensors.tunnel import TunnelDataSensor
from airflow_tablestore.spec.kinds.stream import QUIET
from airflow_tablestore.spec.values import CONTINUOUS, ON_DATA
from airflow_tablestore.triggers.unread import POLL_SECONDS, TunnelTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset
    from airflow.timetables.base import Timetable

ALWAYS = datetime(2020, 1, 1, tzinfo=UTC)
"""Airflow 3.1 schedules no DAG that has no start, not even one whose runs are for no time."""


def stream_schedule(spec: Any) -> Timetable | str | Sequence[Asset] | None:
    """Airflow's schedule of a stream; `max_active_runs` of 1 is the DAG's."""
    if spec.schedule == CONTINUOUS:
        return "@continuous"
    if spec.schedule == ON_DATA:
        return [watched_tunnel(spec)]
    return CronTriggerTimetable(spec.schedule, timezone=spec.timezone) if spec.schedule else None


def watched_tunnel(spec: Any, poll_seconds: float = POLL_SECONDS) -> Asset:
    """What a stream's tunnel carries, watched for data that nobody has read."""
    source = spec.source
    trigger = TunnelTrigger(source.connection, source.table, source.tunnel, source.create_tunnel, poll_seconds)
    watcher = AssetWatcher(name=f"{spec.pipeline} unread", trigger=trigger)
    return tunnel_asset(source.connection, source.table, source.tunnel, [watcher])


def wait_for_data(spec: Any) -> TunnelDataSensor:
    """The first task of runs that follow each other: waits for data, or until the longest time of a run is over."""
    source = spec.source
    return TunnelDataSensor(
        task_id="wait",
        table=source.table,
        tunnel=source.tunnel,
        at_most=spec.run.at_most or QUIET,
        creates=source.create_tunnel,
        tablestore_conn_id=source.connection,
        poke_interval=min(POLL_SECONDS, _looks_often(spec.run.at_most)),
    )


def _looks_often(at_most: timedelta | None) -> float:
    """Seconds between two looks: several in each waiting, however short that is."""
    return max(1.0, (at_most or QUIET).total_seconds() / 10)
