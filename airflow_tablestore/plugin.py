"""What Airflow has to register before it can store it by name: the timetables.

Found through the `airflow.plugins` entry point. Every Airflow process imports it at its start, so it must stay light: a
provider's own `plugins` key would not do, for Airflow reads that one only when it loads all providers at once.
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_tablestore.timetables.windows import CalendarWindowTimetable, LaggedWindowTimetable


class TablestorePlugin(AirflowPlugin):
    """The timetables of this package."""

    name = "airflow_tablestore"
    timetables = [LaggedWindowTimetable, CalendarWindowTimetable]  # noqa: RUF012 - Airflow's own attribute
