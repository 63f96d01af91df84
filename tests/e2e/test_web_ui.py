"""A person starts runs and backfills in Airflow's web UI; what is published afterwards is what was written.

Airflow, PostgreSQL, the emulator and Chromium are real and started here; the oracles are the functions and journals of
the writers, never the emulator. Windows are small and lie in the last hour, so that nothing waits for the clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.ui import Ui, opened
from tests.system import compare, sample
from tests.system.debian import Absent, not_run
from tests.system.past import MINUTE, Past, minute_of
from tests.system.place import Place, write_dags
from tests.system.servers import postgres
from tests.system.services import emulator
from tests.system.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.airflow]

ROWS = 2_000
EVERY = timedelta(minutes=5)
FULL = """
pipeline: full
kind: full_export
source: {table: ots_gps_data, split: [user_0002]}
sink: {type: oss, bucket: backup, prefix: full/}
"""
WINDOWS = """
pipeline: {name}
kind: incremental
source: {{table: ots_gps_live, columns: [uid, ts, name, speed, change]}}
window: {{every: {every}, lag: 5m}}
start: {start}
catchup: {catchup}
sink: {{type: oss, bucket: backup, prefix: "{name}/{{window_start:%Y%m%d%H%M}}/"}}
"""


@dataclass
class Windows:
    """A place with pipelines of windows, and what was written to their table since `begin`.

    `asked`: windows of five minutes that are exported when somebody asks, without catch-up. `minutely`: windows of a
    minute, with catch-up, whose first is `begin_minutely`; its scheduler has not made a run yet.
    """

    place: Place
    past: Past
    begin: datetime
    begin_minutely: datetime

    def start(self, number: int) -> datetime:
        """Where the window of `asked` with this number begins, counted from 0."""
        return self.begin + number * EVERY

    def differences(self, dag_id: str, start: datetime, length: timedelta) -> str:
        folder = self.place.folder / dag_id / f"{start:%Y%m%d%H%M}"
        return self.past.differences(prefix(dag_id, start), start, start + length, folder)

    def is_published(self, dag_id: str, start: datetime) -> bool:
        store = compare.bucket(self.place.services["oss"])
        return bool(store.list_objects_v2(prefix(dag_id, start), max_keys=1).object_list)


def prefix(dag_id: str, start: datetime) -> str:
    return f"{dag_id}/{start:%Y%m%d%H%M}/"


@pytest.fixture(scope="session")
def windows(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    folder = tmp_path_factory.mktemp("e2e")
    newest_due = minute_of(datetime.now(UTC) - EVERY, 5)
    begin, begin_minutely = newest_due - 9 * EVERY, newest_due - 6 * MINUTE
    specs = {
        "full": FULL,
        "asked": WINDOWS.format(name="asked", every="5m", start=begin.isoformat(), catchup="false"),
        "minutely": WINDOWS.format(name="minutely", every="1m", start=begin_minutely.isoformat(), catchup="true"),
    }
    with ExitStack() as running:
        try:
            database = running.enter_context(postgres())
        except Absent as reason:
            not_run(reason)
        services = running.enter_context(emulator(folder / "emulator", folder / "emulator.log"))
        own = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}"}
        dags = write_dags(folder / "dags", specs)
        stack = running.enter_context(Stack(folder / "airflow", dags, {**services["env"], **own}))
        client = sample.sdk_client(services["tablestore"])
        sample.create_table(client)
        sample.load(client, ROWS)
        past = Past(services)
        past.create_table(begin - MINUTE)
        past.write(begin, newest_due, a_minute=8)
        past.come_to_now()
        stack.wait_healthy(list(specs))
        assert stack.import_errors() == []
        yield Windows(Place(stack, services, folder, ROWS), past, begin, begin_minutely)


@pytest.fixture
def place(windows: Windows) -> Place:
    return windows.place


@pytest.fixture
def ui(browser: Any, place: Place) -> Iterator[Ui]:
    with opened(browser, place.stack.url) as person:
        yield person


def test_a_run_triggered_in_the_form_publishes_the_table(place, ui):
    form = ui.open_form("full")

    form.trigger("full")
    ui.wait_green("full")

    assert place.differences("full") == ""


def test_a_backfill_of_part_of_a_day_publishes_each_of_its_windows(windows, ui):
    form = ui.open_form("asked")
    form.choose_backfill()
    form.set_time("From", windows.start(1))
    form.set_time("To", windows.start(4))
    form.set_active_runs(2)
    form.expect_text("4 runs will be triggered.")

    form.start_backfill()
    ui.wait_green("asked", 4, "backfill")

    assert [windows.differences("asked", windows.start(number), EVERY) for number in (1, 2, 3, 4)] == [""] * 4
    assert not windows.is_published("asked", windows.start(0))
    assert not windows.is_published("asked", windows.start(5))


def test_a_run_for_the_range_in_the_form_publishes_each_of_its_windows(windows, ui):
    form = ui.open_form("asked")
    form.clear_time("Logical Date")
    form.set_time("First window: start", windows.start(5))
    form.set_time("Last window: end", windows.start(8))

    form.trigger("asked")
    ui.wait_green("asked", 1, "manual")

    assert [windows.differences("asked", windows.start(number), EVERY) for number in (5, 6, 7)] == [""] * 3


def test_a_manual_run_on_a_date_of_the_schedule_loses_no_window_and_blocks_none(windows, ui):
    dates = [windows.begin_minutely + number * MINUTE for number in range(6)]

    form = ui.open_form("minutely")  # unpaused with the trigger, so the scheduler comes to the taken date afterwards
    form.set_time("Logical Date", dates[2])
    taken = form.trigger("minutely")
    windows.place.until(lambda: set(dates) <= succeeded(windows.place, "minutely"))

    types = {run["dag_run_id"]: run["run_type"] for run in runs(windows.place, "minutely") if date(run) in dates}
    assert types.pop(taken) == "manual"
    assert list(types.values()) == ["scheduled"] * 5
    assert [windows.differences("minutely", start, MINUTE) for start in dates] == [""] * 6


def runs(place: Place, dag_id: str) -> list[dict[str, Any]]:
    found = place.stack.api("GET", f"dags/{dag_id}/dagRuns", params={"limit": "100"})["dag_runs"]
    return [run for run in found if run["logical_date"] is not None]


def date(run: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(run["logical_date"])


def succeeded(place: Place, dag_id: str) -> set[datetime]:
    return {date(run) for run in runs(place, dag_id) if run["state"] == "success"}
