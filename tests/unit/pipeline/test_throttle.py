"""Limits of a run, shared by its tasks and threads."""

from __future__ import annotations

import pytest

from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.throttle import Throttle


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def throttle(time: Time, tasks: int = 1, **limits: float) -> Throttle:
    return Throttle(Limits(**limits), tasks, clock=time.clock, sleep=time.sleep)  # type: ignore[arg-type]


def test_rows_take_the_time_that_the_limit_gives_them():
    time = Time()
    slow = throttle(time, rows_per_second=100)

    for _ in range(10):
        slow.took(50, 1)

    assert time.now == pytest.approx(5.0)


def test_mbps_counts_megabits_and_is_divided_over_the_tasks():
    time = Time()
    slow = throttle(time, tasks=4, mbps=8)

    slow.took(1, 1_000_000)

    assert time.now == pytest.approx(4.0)


def test_time_that_work_took_by_itself_is_not_waited_for_again():
    time = Time()
    slow = throttle(time, rows_per_second=10)

    slow.took(10, 0)
    time.now += 60
    slow.took(10, 0)

    assert time.now == pytest.approx(62.0)


def test_without_limits_nobody_waits():
    time = Time()

    throttle(time).took(10**9, 10**12)

    assert time.now == 0
