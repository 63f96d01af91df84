"""The numbers of a run's windows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from airflow_tablestore.operators.summary import Summary, summary_of
from airflow_tablestore.pipeline.incremental.export import WindowReport
from airflow_tablestore.pipeline.window import Window

START = datetime(2026, 11, 20, 4, tzinfo=UTC)
FIVE = timedelta(minutes=5)


def report(number=0, **told):
    window = Window(START + number * FIVE, START + (number + 1) * FIVE)
    given = {"rows": 7, "bytes": 99, "objects": 2, "seconds": 1.5, "dirty": 0, "late": 1, "partial_rows": 3}
    return WindowReport(pipeline="p", window=window, run="r", manifest=f"oss://b/{number}/", **(given | told))


def test_one_window_is_told_as_it_is():
    told = summary_of("p", report().window, [report()]).to_json()

    assert (told["window_start"], told["window_end"]) == ("2026-11-20T04:00:00Z", "2026-11-20T04:05:00Z")
    assert (told["windows"], told["rows"], told["bytes"], told["objects"]) == (1, 7, 99, 2)
    assert told["manifest"] == "oss://b/0/"


def test_a_range_is_the_sum_of_its_windows():
    span = Window(START, START + 3 * FIVE)

    told = summary_of("p", span, [report(0, was_published=True), report(1), report(2, loss="gone", rows=0)])

    assert (told.windows, told.windows_found_published, told.windows_lost) == (3, 1, 1)
    assert (told.rows, told.late, told.manifest) == (14, 3, "oss://b/2/")
    assert told.window_end == "2026-11-20T04:15:00Z"


def test_it_comes_back_from_json():
    summary = summary_of("p", report().window, [report()])

    assert Summary(**json.loads(json.dumps(summary.to_json()))) == summary


def test_the_asset_event_has_window_rows_bytes_and_manifest():
    extra = summary_of("p", report().window, [report()]).told_with_asset()

    assert {"window_start", "window_end", "rows", "bytes", "manifest"} <= set(extra)


def test_the_log_says_what_was_done():
    span = report().window

    assert str(summary_of("p", span, [report()])) == (
        "Published: 7 rows, 99 bytes in 2 object(s) (1 late, 3 partial): oss://b/0/"
    )
    assert "nothing was read" in str(summary_of("p", span, [report(was_published=True)]))
    assert "its loss was accepted" in str(summary_of("p", span, [report(loss="gone")]))
    assert str(summary_of("p", span, [report(0), report(1)])).startswith("2 windows are published: 14 rows")
