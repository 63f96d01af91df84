"""What is printed of a run that published rows."""

from __future__ import annotations

import json
from collections.abc import Sequence

from airflow_tablestore.cli.session import Session
from airflow_tablestore.cli.table import lines, size
from airflow_tablestore.pipeline.contract import Report


def say_report(report: Report, session: Session, *, as_json: bool, before: Sequence[tuple[str, str]] = ()) -> None:
    """Print the report: one line of JSON, or a table below the rows of `before`."""
    if as_json:
        session.say(json.dumps(report.to_json(), ensure_ascii=False))
        return
    for line in lines([*before, *_rows(report)]):
        session.say(line)


def _rows(report: Report) -> list[tuple[str, str]]:
    return [
        ("pipeline", report.pipeline),
        ("run", report.run),
        ("rows", f"{report.rows:,}"),
        ("bytes", f"{report.bytes:,} ({size(report.bytes)})"),
        ("objects", f"{report.objects:,}"),
        ("seconds", f"{report.seconds:.1f}"),
        ("rows/s", f"{report.rows_per_second:,.0f}"),
        ("dirty records", f"{report.dirty:,}"),
        ("unknown cells", f"{report.others:,}"),
        ("manifest", report.manifest),
    ]
