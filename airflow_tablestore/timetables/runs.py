"""Where a schedule stands, and which runs it has before it: asked of Airflow's database.

Only the scheduler and the DAG processor come here, on the session in which they have just read a run of the DAG.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_tablestore.pipeline.window import in_utc

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun


@dataclass(frozen=True, slots=True)
class RunsAhead:
    """The logical date that is to be scheduled next, and the dates from it on that have a run; in UTC."""

    next_date: datetime
    dates: frozenset[datetime]


def runs_ahead(run: DagRun) -> RunsAhead | None:
    """What lies between the schedule and this run; None when the schedule is past it, or nothing is to come."""
    # Here and not above: every Airflow process imports the timetables, few have a database.
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    session = object_session(run)
    if session is None or run.logical_date is None:
        return None
    next_date = session.scalar(select(DagModel.next_dagrun).where(DagModel.dag_id == run.dag_id))
    if next_date is None or next_date > run.logical_date:
        return None
    dates = session.scalars(
        select(DagRun.logical_date).where(
            DagRun.dag_id == run.dag_id, DagRun.logical_date >= next_date, DagRun.logical_date <= run.logical_date
        )
    )
    return RunsAhead(in_utc(next_date), frozenset(in_utc(date) for date in dates if date is not None))
