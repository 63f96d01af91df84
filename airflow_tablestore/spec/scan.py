"""What no key of any spec may hold: credentials, and marks of Jinja.

Read over the raw data, so that it is found wherever it stands, also below a key that nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from airflow_tablestore.spec.problems import Finding, Loc, finding, holds_key_id, names_secret

JINJA_MARKS = ("{{", "{%", "{#")
_JINJA_WORDS = {
    "ds_nodash": "{run_date:%Y%m%d}",
    "ts_nodash": "{run_date:%Y%m%dT%H%M%S}",
    "ds": "{run_date:%Y-%m-%d}",
    "ts": "{run_date:%Y-%m-%dT%H:%M:%S}",
    "logical_date": "{run_date:%Y%m%d}",
    "execution_date": "{run_date:%Y%m%d}",
    "data_interval_start": "{run_date:%Y%m%d}",
    "data_interval_end": "{run_date:%Y%m%d}",
    "dag": "{pipeline}",
    "dag_run": "{run_date:%Y%m%d}",
}


def forbidden(data: Mapping[str, object]) -> list[Finding]:
    """Every place that holds a credential or a Jinja mark."""
    time = "window_start" if data.get("kind") == "incremental" else "run_date"
    return [one for loc, value in _leaves(data) for one in _problems(loc, value, time)]


def _leaves(data: object, at: Loc = ()) -> Iterator[tuple[Loc, object]]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _leaves(value, (*at, key))
    elif isinstance(data, list | tuple):
        for position, value in enumerate(data):
            yield from _leaves(value, (*at, position))
    elif data is not None and not isinstance(data, datetime):
        yield at, data


def _problems(loc: Loc, value: object, time: str) -> Iterator[Finding]:
    key = next((step for step in reversed(loc) if isinstance(step, str)), "")
    if (names_secret(key) and value != "") or (isinstance(value, str) and holds_key_id(value)):
        yield finding(
            loc,
            "a credential does not belong into a spec",
            "put it into the Airflow connection, name that one here, and replace this key: it has been seen",
        )
    elif isinstance(value, str) and any(mark in value for mark in JINJA_MARKS):
        yield finding(loc, "Jinja is not rendered in a spec", f"write {_instead_of(value, time)}")


def _instead_of(text: str, time: str) -> str:
    """The placeholder that says what this template probably means.

    :param time: the placeholder that stands for a run's time.
    """
    if time == "window_start" and "data_interval_end" in text:
        return "{window_end:%Y%m%d}"
    meant = next((mark for word, mark in _JINJA_WORDS.items() if word in text), "")
    return (meant or "{run_date:%Y%m%d}, {table} or {pipeline}").replace("run_date", time)
