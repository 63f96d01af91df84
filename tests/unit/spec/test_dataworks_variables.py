"""Scheduling variables: which time they mean."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_tablestore.spec.dataworks.variables import Meant, assignments, meant, strftime

MINUTES, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.mark.parametrize("mark", ["$", "#"])
@pytest.mark.parametrize(
    ("text", "format", "offset"),
    [
        ("[yyyymmddhh24miss-10/24/60]", "%Y%m%d%H%M%S", -10 * MINUTES),
        ("[yyyymmddhh24miss - 5 / 24 / 60]", "%Y%m%d%H%M%S", -5 * MINUTES),
        ("[yyyymmdd]", "%Y%m%d", timedelta(0)),
        ("[yyyymmdd-7]", "%Y%m%d", -7 * DAY),
        ("[yyyy-mm-dd hh24:mi:ss-1/24]", "%Y-%m-%d %H:%M:%S", -60 * MINUTES),
        ("[hh24]", "%H", timedelta(0)),
        ("{yyyymmdd}", "%Y%m%d", -DAY),
        ("{yyyymmdd-1}", "%Y%m%d", -2 * DAY),
        ("{bdp.system.bizdate}", "%Y%m%d", -DAY),
        ("{bdp.system.cyctime}", "%Y%m%d%H%M%S", timedelta(0)),
    ],
)
def test_a_variable_is_a_time_relative_to_the_scheduled_one(mark, text, format, offset):
    assert meant(mark + text, {}) == Meant(format, offset)


def test_braces_around_a_time_of_day_mean_the_scheduled_time():
    found = meant("#{yyyymmddhh24miss-10/24/60}", {})

    assert found is not None
    assert found.offset == -10 * MINUTES


def test_a_name_is_what_the_schedule_assigns():
    parameters = assignments("start=$[yyyymmddhh24miss-10/24/60] day=${bdp.system.bizdate} x=bizdate")

    assert meant("${start}", parameters) == Meant("%Y%m%d%H%M%S", -10 * MINUTES)
    assert meant("${day}", parameters) == meant("${x}", parameters) == Meant("%Y%m%d", -DAY)


@pytest.mark.parametrize("text", ["${start}", "$[foo]", "2026", "", "${a}", "$[yyyymmdd-1/0]", "$[yyyymmdd-99999999]"])
def test_what_is_no_time_is_none(text):
    assert meant(text, {"a": "${b}", "b": "${a}"}) is None


def test_months_have_no_length():
    found = meant("$[add_months(yyyymmdd,-1)]", {})

    assert found is not None
    assert found.is_inexact


def test_mm_is_the_month_and_after_an_hour_the_minute():
    assert strftime("yyyymmddhh24miss") == "%Y%m%d%H%M%S"
    assert strftime("yyyy-MM-dd HH:mm:ss") == "%Y-%m-%d %H:%M:%S"
