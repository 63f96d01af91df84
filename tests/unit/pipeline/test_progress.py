"""What a person is told while a long export runs."""

from __future__ import annotations

import logging

from airflow_tablestore.pipeline.progress import LogProgress, Meter


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_percent_and_time_left_come_from_the_estimate_of_bytes():
    clock = Clock()
    meter = Meter(estimated_bytes=1000, clock=clock)

    clock.now = 10.0
    meter.add(50, 250)

    assert (meter.percent, meter.seconds_left, meter.rate) == (25, 30.0, 5.0)
    assert str(meter).endswith("5 rows/s, ~25%, ~30 s left")


def test_work_that_outgrows_its_estimate_stays_below_100_percent():
    meter = Meter(estimated_bytes=10, clock=Clock())

    meter.add(1, 500)

    assert meter.percent == 99
    assert meter.seconds_left == 0


def test_without_an_estimate_nothing_is_guessed():
    meter = Meter(clock=Clock())

    meter.add(1, 1)

    assert "%" not in str(meter)


def test_a_line_is_logged_when_one_is_due_and_not_before(caplog):
    clock = Clock()
    log = logging.getLogger("progress")
    progress = LogProgress(log, every_seconds=5, clock=clock)

    with caplog.at_level(logging.INFO, "progress"):
        progress.advance(1, 10)
        clock.now = 5.0
        progress.advance(1, 10)
        clock.now = 9.9
        progress.advance(1, 10)

    assert [r.message.split(",")[0] for r in caplog.records] == ["2 rows"]
