"""`ledger show` and `ledger accept-loss`: what became of a pipeline's windows, and how it goes on behind a loss."""

from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from datetime import datetime

from airflow_tablestore.cli.services import OpenLedger, incremental_spec, opened_ledger
from airflow_tablestore.cli.session import OK, Session
from airflow_tablestore.cli.times import moment, on_grid
from airflow_tablestore.cli.windows import line_as_json, told_stretch
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.incremental.history import (
    LOOK_BACK,
    Fate,
    Line,
    acceptances,
    history,
    readable_from,
    stretches,
)
from airflow_tablestore.pipeline.window import EPOCH, Window
from airflow_tablestore.spec import IncrementalSpec
from airflow_tablestore.wire.table import describe_table


def show(arguments: Namespace, session: Session) -> int:
    """Print the pipeline's windows; those of one fate in one line."""
    spec = incremental_spec(arguments.spec)
    with opened_ledger(spec, session, session.tell) as known:
        found = _lines(known, _asked(arguments, spec, known.now()), known.now())
    if arguments.json:
        counts = Counter(line.fate.value for line in found)
        told = {"pipeline": spec.pipeline, "windows": [line_as_json(line) for line in found]}
        session.say(json.dumps(told | {"counts": {fate.value: counts[fate.value] for fate in Fate}}, indent=2))
        return OK
    for stretch in stretches(found):
        session.say(told_stretch(stretch))
    if not found:
        session.say("No window is due yet.")
    if any(line.fate in (Fate.LOST, Fate.EXPIRED) for line in found):
        session.tell(f"To go on behind lost windows: airflow-tablestore ledger accept-loss {arguments.spec} --help")
    return OK


def accept_loss(arguments: Namespace, session: Session) -> int:
    """Write down that the windows are lost and that this is accepted."""
    spec = incremental_spec(arguments.spec)
    reason = " ".join(arguments.reason.split())
    if not reason:
        raise SpecError([Problem("--reason: must not be empty", "say why it is right to go on without these records")])
    with opened_ledger(spec, session, session.tell) as known:
        now = known.now()
        span = _asked(arguments, spec, now)
        entries = acceptances(_lines(known, span, now), reason, now) if span else []
        for entry in entries:
            known.ledger.record(entry)
    if arguments.json:
        session.say(
            json.dumps({"pipeline": spec.pipeline, "accepted": [entry.to_json() for entry in entries]}, indent=2)
        )
        return OK
    for entry in entries:
        session.say(f"{entry.window} is accepted as lost")
    session.say(
        f"{len(entries)} window{'s' * (len(entries) != 1)} accepted; their runs now publish no rows and succeed."
    )
    return OK


def _asked(arguments: Namespace, spec: IncrementalSpec, now: datetime) -> Window | None:
    """From `--from` to `--to`; by default from the pipeline's start to the end of the newest window that is due."""
    grid = spec.grid
    begin, end = grid.ceil(spec.starts), grid.last_due(now, spec.window.lag).end
    if arguments.begin is not None:
        begin = on_grid(moment(arguments.begin, "--from", spec.timezone), grid, "--from")
    if arguments.end is not None:
        end = on_grid(moment(arguments.end, "--to", spec.timezone), grid, "--to")
    if begin >= end and arguments.end is not None:
        raise SpecError([Problem("--to: is not after --from", "name the end of the last window")])
    return Window(begin, end) if begin < end else None


def _lines(known: OpenLedger, span: Window | None, now: datetime) -> list[Line]:
    if span is None:
        return []
    stream = known.client.send(describe_table(known.export.source.table)).stream
    entries = known.ledger.windows(max(EPOCH, span.start - LOOK_BACK), span.end)
    return list(history(entries, known.spec.grid, span, readable_from(stream, now)))
