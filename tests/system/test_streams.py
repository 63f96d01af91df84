"""Streams whose runs begin by themselves in a real Airflow: on data, and one after the other. Nobody triggers any."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.system.place import Place
from tests.system.streams import AT_MOST_SECONDS, SCHEDULES, Streams

QUIET_SECONDS = 60
"""Longer than a triggerer takes to start and to look twice at a tunnel, with its pause of 30 s."""


@pytest.fixture
def streams(place: Place) -> Iterator[Streams]:
    streams = Streams(place)
    streams.create_tables()
    streams.write(50)
    streams.switch(on=True)
    yield streams
    streams.switch(on=False)


def test_runs_begin_by_themselves_when_there_is_data_and_at_no_other_time(streams):
    place = streams.place
    place.until(lambda: all(streams.is_drained(name) for name in SCHEDULES))

    for _ in range(3):  # what was asked for while the first run began may come as late as here, and then no more
        place.until(lambda: streams.is_idle("eager"))
        began, before = time.monotonic(), {name: len(streams.runs(name)) for name in SCHEDULES}
        place.stack.kill("triggerer")
        place.stack.launch("triggerer", ["triggerer"])
        place.until(lambda began=began: time.monotonic() - began > QUIET_SECONDS)
        more = {name: len(streams.runs(name)) - before[name] for name in SCHEDULES}
        most = (time.monotonic() - began) / AT_MOST_SECONDS + 1
        assert more["steady"] <= most
        if more["eager"] == 0:
            break
    assert more["eager"] == 0

    streams.write(20)
    place.until(lambda: all(streams.is_drained(name) for name in SCHEDULES))
    place.until(lambda: streams.is_idle("eager"))

    runs = {name: streams.runs(name) for name in SCHEDULES}
    assert len(runs["eager"]) <= before["eager"] + 2
    assert {run["run_type"] for run in runs["eager"]} == {"asset_triggered"}
    assert {run["run_type"] for run in runs["steady"]} == {"scheduled"}
    assert not [run for name in SCHEDULES for run in runs[name] if run["state"] == "failed"]
