"""Windows as Airflow sees them: what is scheduled, what a person's run is about, what a backfill runs."""

from __future__ import annotations

import importlib.metadata
import itertools
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow.serialization import serialized_objects
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.utils.types import DagRunType

from airflow_tablestore.errors import SpecError
from airflow_tablestore.timetables.windows import CalendarWindowTimetable, LaggedWindowTimetable

FIVE = timedelta(minutes=5)
BERLIN = "Europe/Berlin"


def at(text):
    return pendulum.parse(text, tz="UTC")


def interval(start, end):
    return DataInterval(at(start), at(end))


def restriction(earliest=None, latest=None, *, catchup=True):
    return TimeRestriction(earliest and at(earliest), latest and at(latest), catchup)


def lagged(every=FIVE, lag=FIVE, now="2026-11-21T02:26:40"):
    return LaggedWindowTimetable(every, lag, clock=lambda: at(now))


def following(timetable, last, limits=None):
    return timetable.next_dagrun_info(
        last_automated_data_interval=last, restriction=limits or restriction("2026-11-21T00:00")
    )


def scheduled(timetable, begin, count):
    """The first runs after a start."""
    last, found = None, []
    for _ in range(count):
        found.append(following(timetable, last, restriction(begin)))
        last = found[-1].data_interval
    return found


def hours_of(info):
    return (info.data_interval.end - info.data_interval.start).total_seconds() / 3600


def stored(timetable):
    """The DAG of a timetable, as the scheduler has it from the database."""
    dag = DAG("windows", schedule=timetable, start_date=datetime(2026, 11, 1, tzinfo=UTC))
    as_stored = getattr(serialized_objects, "DagSerialization", serialized_objects.SerializedDAG)
    return as_stored.from_dict(as_stored.to_dict(dag))


def test_the_run_at_t_has_the_window_from_ten_to_five_minutes_before():
    info = following(lagged(), interval("2026-11-21T02:10", "2026-11-21T02:15"))

    assert info.data_interval == interval("2026-11-21T02:15", "2026-11-21T02:20")
    assert info.logical_date == at("2026-11-21T02:15")
    assert info.run_after == at("2026-11-21T02:25")


def test_the_first_window_is_the_first_whole_one_after_the_start():
    info = following(lagged(), None, restriction("2026-11-21T00:02"))

    assert info.data_interval == interval("2026-11-21T00:05", "2026-11-21T00:10")


def test_without_a_start_nothing_is_caught_up():
    assert following(lagged(), None, restriction()) is None


def test_after_an_outage_every_missed_window_comes():
    runs = scheduled(lagged(), "2026-11-20T00:00", 400)

    assert runs[0].logical_date == at("2026-11-20T00:00")
    assert all(one.data_interval.end == two.data_interval.start for one, two in itertools.pairwise(runs))
    assert all(run.run_after == run.data_interval.end + FIVE for run in runs)


def test_without_catchup_the_newest_due_window_comes_first():
    limits = restriction("2026-11-01T00:00", catchup=False)

    first = following(lagged(), None, limits)
    after_outage = following(lagged(), interval("2026-11-21T01:00", "2026-11-21T01:05"), limits)
    after_newest = following(lagged(), interval("2026-11-21T02:15", "2026-11-21T02:20"), limits)

    assert first.data_interval == interval("2026-11-21T02:15", "2026-11-21T02:20")
    assert after_outage == first
    assert after_newest.data_interval == interval("2026-11-21T02:20", "2026-11-21T02:25")


def test_a_start_that_is_moved_on_is_kept():
    info = following(
        lagged(), interval("2026-11-21T02:10", "2026-11-21T02:15"), restriction("2026-11-22T00:00", catchup=True)
    )

    assert info.logical_date == at("2026-11-22T00:00")


def test_no_window_starts_after_the_end_date():
    last = interval("2026-11-21T02:10", "2026-11-21T02:15")

    assert following(lagged(), last, restriction("2026-11-21T00:00", "2026-11-21T02:15")) is not None
    assert following(lagged(), last, restriction("2026-11-21T00:00", "2026-11-21T02:14")) is None


def test_another_length_begins_where_the_last_window_ended():
    last = interval("2026-11-21T02:00", "2026-11-21T02:05")

    runs = [following(lagged(every=timedelta(hours=1)), last)]
    runs.append(following(lagged(every=timedelta(hours=1)), runs[0].data_interval))

    assert runs[0].data_interval == interval("2026-11-21T02:05", "2026-11-21T03:00")
    assert runs[1].data_interval == interval("2026-11-21T03:00", "2026-11-21T04:00")


def test_a_dag_that_had_no_windows_goes_on_to_the_next():
    last = DataInterval.exact(at("2026-11-21T02:00"))  # what a bare cron string makes

    assert following(lagged(), last).data_interval == interval("2026-11-21T02:05", "2026-11-21T02:10")


@pytest.mark.parametrize("date", ["2026-11-21T02:10", "2026-11-21T02:25", "2026-11-21T09:00"])
def test_a_manual_run_on_the_grid_is_that_very_window(date):
    window = lagged().infer_manual_data_interval(run_after=at(date))

    assert window == DataInterval(at(date), at(date) + FIVE)


@pytest.mark.parametrize(
    ("date", "start"),
    [
        ("2026-11-21T02:26:40", "2026-11-21T02:15"),  # "now" in the form: the newest that is due
        ("2026-11-21T09:00:01", "2026-11-21T02:15"),
        ("2026-11-20T07:13:00", "2026-11-20T07:10"),
    ],
)
def test_a_manual_run_off_the_grid_has_a_window_that_is_due(date, start):
    assert lagged().infer_manual_data_interval(run_after=at(date)) == DataInterval(at(start), at(start) + FIVE)


def reached(timetable, slot, rounds):
    """The dates that the scheduler comes to when it finds the slot taken, and goes on from the run that has it."""
    dates, taken = [], timetable.infer_manual_data_interval(run_after=at(slot))
    for _ in range(rounds):
        info = following(timetable, taken)
        dates.append(info.logical_date)
        taken = (
            timetable.infer_manual_data_interval(run_after=at(slot)) if dates[-1] == at(slot) else info.data_interval
        )
    return dates


def test_a_manual_run_on_a_coming_date_neither_blocks_nor_swallows_a_window():
    slot = "2026-11-21T02:30"

    stock = reached(CronDataIntervalTimetable("*/5 * * * *", "UTC"), slot, rounds=4)
    ours = reached(lagged(), slot, rounds=4)

    assert stock == [at(slot)] * 4  # the fault this is about: for ever the same date
    assert lagged().infer_manual_data_interval(run_after=at(slot)) == DataInterval(at(slot), at(slot) + FIVE)
    assert ours == [at(slot) + n * FIVE for n in (1, 2, 3, 4)]


def test_a_manual_run_with_an_interval_of_its_own_does_not_lead_the_schedule_back():
    run = SimpleNamespace(
        run_type=DagRunType.MANUAL,
        logical_date=at("2026-11-21T02:30"),
        run_after=at("2026-11-21T02:30"),
        data_interval_start=at("2026-11-20T00:00"),
        data_interval_end=at("2026-11-20T01:00"),
        partition_key=None,
        partition_date=None,
    )
    if not hasattr(CronDataIntervalTimetable, "run_info_from_dag_run"):
        pytest.skip("this Airflow does not ask the timetable what a run stands for")

    info = lagged().run_info_from_dag_run(dag_run=run)
    run.run_type = DagRunType.SCHEDULED
    of_another_grid = lagged().run_info_from_dag_run(dag_run=run)

    assert info.data_interval == interval("2026-11-21T02:30", "2026-11-21T02:35")
    assert of_another_grid.data_interval == interval("2026-11-20T00:00", "2026-11-20T01:00")


def test_a_shorter_lag_gives_no_run_id_twice():
    before = following(lagged(lag=timedelta(minutes=10)), interval("2026-11-21T01:55", "2026-11-21T02:00"))
    after = following(lagged(lag=FIVE), before.data_interval)

    ids = [
        lagged().generate_run_id(
            run_type=DagRunType.SCHEDULED, run_after=info.run_after, data_interval=info.data_interval
        )
        for info in (before, after)
    ]

    assert before.run_after == after.run_after
    assert ids == ["scheduled__2026-11-21T02:00:00+00:00", "scheduled__2026-11-21T02:05:00+00:00"]


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28T23:00", 23), ("2026-10-24T22:00", 25), ("2026-11-20T23:00", 24)]
)
def test_a_day_is_due_after_its_local_end(day, hours):
    daily = CalendarWindowTimetable("day", BERLIN, FIVE)

    info = scheduled(daily, day, 1)[0]

    assert info.logical_date == at(day)
    assert info.data_interval.end == at(day) + timedelta(hours=hours)
    assert info.run_after == info.data_interval.end + FIVE


@pytest.mark.parametrize("day", ["2026-03-28T12:00", "2026-10-24T12:00"])
def test_hours_are_contiguous_when_clocks_are_moved(day):
    runs = scheduled(CalendarWindowTimetable("hour", BERLIN, FIVE), day, 48)

    assert all(one.data_interval.end == two.data_interval.start for one, two in itertools.pairwise(runs))
    assert {hours_of(run) for run in runs} == {1}


@pytest.mark.parametrize(
    "timetable",
    [
        LaggedWindowTimetable(FIVE),
        LaggedWindowTimetable(timedelta(hours=2), FIVE, anchor=datetime(2026, 1, 1, 1, tzinfo=UTC)),
        CalendarWindowTimetable("day", "Asia/Shanghai", timedelta(minutes=10)),
        CalendarWindowTimetable("hour", BERLIN),
    ],
    ids=lambda timetable: timetable.summary,
)
def test_what_airflow_stores_is_the_same_timetable(timetable):
    again = stored(timetable).timetable

    assert type(again) is type(timetable)
    assert again == timetable
    assert again.serialize() == timetable.serialize()
    assert following(again, None) == following(timetable, None)


@pytest.mark.parametrize(
    ("timetable", "summary", "description"),
    [
        (
            LaggedWindowTimetable(FIVE, FIVE),
            "every 5m, 5m behind",
            "A window every 5m, exported 5m after it has closed",
        ),
        (
            CalendarWindowTimetable("day", "Asia/Shanghai"),
            "every day of Asia/Shanghai",
            "A window every day of Asia/Shanghai, exported as soon as it has closed",
        ),
    ],
)
def test_the_ui_tells_what_is_exported_when(timetable, summary, description):
    again = stored(timetable).timetable

    assert again.summary == summary
    assert again.description == description


@pytest.mark.parametrize(
    ("begin", "end", "starts"),
    [
        ("2026-11-20T00:00", "2026-11-20T00:20", ["00:00", "00:05", "00:10", "00:15", "00:20"]),
        ("2026-11-20T00:01", "2026-11-20T00:13", ["00:05", "00:10"]),
        ("2026-11-20T00:01", "2026-11-20T00:04", []),
    ],
)
def test_a_backfill_runs_exactly_the_windows_that_start_in_it(begin, end, starts):
    infos = list(stored(LaggedWindowTimetable(FIVE, FIVE)).iter_dagrun_infos_between(at(begin), at(end)))

    assert [info.logical_date for info in infos] == [at(f"2026-11-20T{start}") for start in starts]
    assert all(info.data_interval == (info.logical_date, info.logical_date + FIVE) for info in infos)
    assert all(info.run_after == info.data_interval.end + FIVE for info in infos)


def test_a_backfill_of_days_has_the_day_that_is_longer():
    dag = stored(CalendarWindowTimetable("day", BERLIN))

    infos = list(dag.iter_dagrun_infos_between(at("2026-10-23T22:00"), at("2026-10-26T00:00")))

    assert [hours_of(info) for info in infos] == [24, 25, 24]


def test_a_run_by_hand_exports_the_window_of_its_date(run_dag):
    from airflow.providers.standard.operators.python import PythonOperator

    windows = []
    with DAG(
        "window_by_hand", schedule=LaggedWindowTimetable(FIVE, FIVE), start_date=datetime(2026, 1, 1, tzinfo=UTC)
    ) as dag:

        def note(data_interval_start, data_interval_end):
            windows.append(DataInterval(data_interval_start, data_interval_end))

        PythonOperator(task_id="note", python_callable=note)

    run = run_dag(dag, logical_date=at("2026-01-05T10:15"))

    assert str(run.state) == "success"
    assert windows == [interval("2026-01-05T10:15", "2026-01-05T10:20")]


def test_airflow_finds_the_timetables_by_the_entry_point():
    found = importlib.metadata.entry_points(group="airflow.plugins", name="airflow_tablestore")

    assert [entry.value for entry in found] == ["airflow_tablestore.plugin:TablestorePlugin"]
    assert set(next(iter(found)).load().timetables) == {LaggedWindowTimetable, CalendarWindowTimetable}


@pytest.mark.parametrize(
    "make",
    [
        lambda: LaggedWindowTimetable(FIVE, -FIVE),
        lambda: LaggedWindowTimetable(FIVE, timedelta(milliseconds=1)),
        lambda: LaggedWindowTimetable(timedelta(0)),
        lambda: CalendarWindowTimetable("week", "UTC"),
        lambda: CalendarWindowTimetable("day", "Europe/Atlantis"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(make):
    with pytest.raises(SpecError):
        make()
