"""Which time `--run-date` means."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime

import pytest

from airflow_tablestore.cli.session import Session, moment_of
from airflow_tablestore.errors import SpecError

NOW = datetime(2026, 11, 21, 4, 22, 12, tzinfo=UTC)


def moment(run_date: str, timezone: str = "Asia/Shanghai") -> datetime:
    return moment_of(Namespace(run_date=run_date), Session(now=lambda: NOW), timezone)


def test_a_time_without_a_zone_is_in_the_specs_timezone():
    assert moment("2026-11-20T20:00:00") == datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_a_time_with_a_zone_keeps_it():
    assert moment("2026-11-20T20:00:00+00:00") == datetime(2026, 11, 20, 20, tzinfo=UTC)


def test_no_time_is_now():
    assert moment("") == NOW


def test_what_is_no_time_is_refused():
    with pytest.raises(SpecError, match="garbage"):
        moment("garbage")
