"""Airflow's own scheduler, step by step, when a person's runs sit on dates that it has not come to yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pendulum
import pytest
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.providers.common.compat.sdk import DAG
from airflow.serialization import serialized_objects
from airflow.timetables.base import DataInterval
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select

from airflow_tablestore.timetables.windows import LaggedWindowTimetable

FIVE = timedelta(minutes=5)
START = datetime(2026, 1, 5, 10, tzinfo=UTC)


class Schedule:
    """A DAG in Airflow's database, whose scheduler takes one step when it is told to."""

    def __init__(self, dag, keep):
        self.parse = partial(keep, dag)
        self.parse()
        self.dag_id = dag.dag_id
        as_stored = getattr(serialized_objects, "DagSerialization", serialized_objects.SerializedDAG)
        self.dag = as_stored.from_dict(as_stored.to_dict(dag))
        self.runner = SchedulerJobRunner(job=Job())

    def trigger(self, logical_date, interval=None, run_type=DagRunType.MANUAL):
        """A person's run, with the data interval that Airflow's API would give it."""
        with create_session() as session:
            self.dag.create_dagrun(
                run_id=f"{run_type.value}__{logical_date.isoformat()}",
                logical_date=logical_date,
                data_interval=interval
                or self.dag.timetable.infer_manual_data_interval(run_after=pendulum.instance(logical_date)),
                run_after=logical_date,
                run_type=run_type,
                triggered_by=DagRunTriggeredByType.REST_API,
                state=DagRunState.SUCCESS,
                session=session,
            )

    def step(self, times):
        """What the scheduler does when the next run is due; the runs are over at once, as one at a time is allowed."""
        for _ in range(times):
            with create_session() as session:
                model = session.get(DagModel, self.dag_id)
                self.runner._create_dag_runs([model], session)
                for run in self._runs(session):
                    run.state = DagRunState.SUCCESS
                model.exceeds_max_non_backfill = False

    def windows(self):
        with create_session() as session:
            return [(run.data_interval_start, run.data_interval_end) for run in self._runs(session)]

    def _runs(self, session):
        ordered = select(DagRun).where(DagRun.dag_id == self.dag_id).order_by(DagRun.logical_date)
        return list(session.scalars(ordered))


@pytest.fixture
def schedule(keep_dag):
    def make(name, timetable):
        return Schedule(DAG(name, schedule=timetable, start_date=START, catchup=True), keep_dag)

    return make


def grid(count):
    return [(START + n * FIVE, START + (n + 1) * FIVE) for n in range(count)]


def test_a_manual_run_on_a_coming_date_is_that_window_and_the_schedule_goes_on(schedule):
    of_windows = schedule("manual_in_the_way", LaggedWindowTimetable(FIVE, FIVE))
    of_windows.step(2)

    of_windows.trigger(START + 3 * FIVE)
    of_windows.step(6)

    assert of_windows.windows() == grid(len(of_windows.windows()))
    assert len(of_windows.windows()) >= 7


def test_a_manual_run_with_an_interval_of_its_own_does_not_stop_the_schedule(schedule):
    of_windows = schedule("manual_with_interval", LaggedWindowTimetable(FIVE, FIVE))
    of_windows.step(2)

    of_windows.trigger(START + 3 * FIVE, DataInterval(START - 20 * FIVE, START - 18 * FIVE))
    of_windows.step(6)

    taken, *_ = [n for n, window in enumerate(of_windows.windows()) if window != grid(9)[n]]
    assert taken == 3
    assert of_windows.windows()[4:] == grid(len(of_windows.windows()))[4:]
    assert len(of_windows.windows()) >= 7


@pytest.mark.parametrize("steps_before", [0, 2])
def test_a_backfill_ahead_of_the_schedule_hides_no_window(schedule, steps_before):
    of_windows = schedule(f"backfilled_ahead_of_{steps_before}", LaggedWindowTimetable(FIVE, FIVE))
    if not hasattr(of_windows.dag.timetable, "next_dagrun_info_v2"):
        pytest.skip("this Airflow does not ask the timetable what a run stands for")
    of_windows.step(steps_before)

    for n in (4, 5):
        of_windows.trigger(START + n * FIVE, run_type=DagRunType.BACKFILL_JOB)
    for _ in range(8):
        of_windows.parse()  # here Airflow looks for the last run anew
        of_windows.step(1)

    assert of_windows.windows() == grid(len(of_windows.windows()))
    assert len(of_windows.windows()) >= 8


def test_a_backfill_that_the_schedule_comes_to_is_passed(schedule):
    of_windows = schedule("backfilled_in_the_way", LaggedWindowTimetable(FIVE, FIVE))
    for n in range(4):
        of_windows.trigger(START + n * FIVE, run_type=DagRunType.BACKFILL_JOB)

    of_windows.step(8)

    assert of_windows.windows() == grid(len(of_windows.windows()))
    assert len(of_windows.windows()) >= 7


def test_these_steps_show_the_fault_of_stock_schedules(schedule):
    stock = schedule("stock_in_the_way", CronDataIntervalTimetable("*/5 * * * *", "UTC"))
    stock.step(2)

    stock.trigger(START + 3 * FIVE)
    stock.step(6)

    if len(stock.windows()) > 4:
        pytest.skip("this Airflow does not have it: apache/airflow#41208")
    assert stock.windows() == [*grid(3), grid(3)[2]]  # [10:15, 10:20) never comes, nor anything after it
