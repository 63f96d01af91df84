"""`plan`: what a run would do, read from the services. Nothing is written."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_tablestore.cli.services import OpenExport, export_spec, opened
from airflow_tablestore.cli.session import OK, Session, moment_of
from airflow_tablestore.cli.table import lines, size
from airflow_tablestore.cli.times import refuse_options
from airflow_tablestore.consumer.table import KeyRange, Sender, cut_by_size
from airflow_tablestore.errors import Rejected
from airflow_tablestore.pipeline.contract import OTHER_COLUMN, Constant, Picked, Schema
from airflow_tablestore.pipeline.full_export.division import UNSUPPORTED, divide
from airflow_tablestore.pipeline.full_export.export import pinned_schema, sink_of
from airflow_tablestore.pipeline.full_export.plan import Split
from airflow_tablestore.pipeline.manifest import Manifest
from airflow_tablestore.spec import IncrementalSpec, load
from airflow_tablestore.spec.kinds.delivery import DeliverySpec
from airflow_tablestore.spec.kinds.restore import RestoreSpec
from airflow_tablestore.spec.kinds.snapshot import SnapshotSpec
from airflow_tablestore.spec.kinds.stream import StreamSpec
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.row import Row
from airflow_tablestore.wire.table import (
    MEBIBYTE,
    RangeRead,
    TableDescription,
    compute_split_points,
    describe_table,
    get_range,
)

FINER_BYTES = (256 * MEBIBYTE, 16 * MEBIBYTE, MEBIBYTE)
FEW_PARTS = 8
"""With fewer parts than these an estimate is mostly guessed ends, so finer points are asked for."""

SAMPLED_ROWS = 200
"""Read once to tell how large a row is. A table that one page holds is counted instead."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A run, as far as it can be known before. `is_counted`: the rows and bytes are no estimates.

    `split_bytes` are estimates, one for each split; empty when the service gives none.
    """

    table: TableDescription
    splits: tuple[Split, ...]
    split_bytes: tuple[int, ...]
    schema: Schema
    warnings: tuple[str, ...]
    standing: Manifest | None
    rows: int
    bytes: int
    is_counted: bool


def plan(arguments: Namespace, session: Session) -> int:
    """Print what a run at this moment would do."""
    spec = load(arguments.spec)
    if isinstance(spec, RestoreSpec):
        from airflow_tablestore.cli.restore import plan_restore

        return plan_restore(arguments, spec, session)
    if isinstance(spec, StreamSpec):
        from airflow_tablestore.cli.stream_plan import plan_stream

        return plan_stream(arguments, spec, session)
    if isinstance(spec, DeliverySpec):
        from airflow_tablestore.cli.delivery import plan_delivery

        return plan_delivery(arguments, spec, session)
    if isinstance(spec, SnapshotSpec):
        from airflow_tablestore.cli.snapshot import plan_snapshot

        return plan_snapshot(arguments, spec, session)
    spec = export_spec(arguments.spec)
    if isinstance(spec, IncrementalSpec):
        from airflow_tablestore.cli.windows import plan_windows

        return plan_windows(arguments, spec, session)
    refuse_options(arguments, spec.kind, "--window-start", "--window-end")
    moment = moment_of(arguments, session, spec.timezone)
    with opened(spec, moment, session, session.tell) as ready:
        preview = _preview(ready)
        if arguments.json:
            session.say(json.dumps(_as_json(ready, preview, moment), indent=2, ensure_ascii=False))
        else:
            _print(ready, preview, session)
    return OK


def _preview(ready: OpenExport) -> Preview:
    """:raises SpecError: what the run itself would say about a range, a column or the prefix."""
    export, services = ready.export, ready.services
    pinned = pinned_schema(export, services)
    table = services.client.send(describe_table(export.source.table))
    splits = divide(services.client, export.source, table, limits=export.limits)
    split_bytes = _estimates(services.client, table, splits)
    rows, count, is_counted = _size(services.client, table, splits, sum(split_bytes))
    standing = sink_of(export, services).standing()
    return Preview(table, splits, split_bytes, pinned.schema, pinned.warnings, standing, rows, count, is_counted)


def _estimates(sender: Sender, table: TableDescription, splits: tuple[Split, ...]) -> tuple[int, ...]:
    """About how many bytes each split has, by the coarsest split points that say enough; () without any."""
    spans = [
        KeyRange(split.slices[0].range.begin, split.slices[-1].range.end, split.slices[0].range.is_backward)
        for split in splits
    ]
    parts: list[list[int]] = []
    for size_ in FINER_BYTES:
        try:
            points = sender.send(compute_split_points(table.name, size_))
        except Rejected as error:
            if error.code not in UNSUPPORTED:
                raise
            return ()
        parts = [[estimate for _, estimate in cut_by_size(table, span, points, size_)] for span in spans]
        if sum(map(len, parts)) >= FEW_PARTS + len(spans):
            break
    return tuple(map(sum, parts))


def _size(sender: Sender, table: TableDescription, splits: tuple[Split, ...], estimated: int) -> tuple[int, int, bool]:
    """Rows and bytes of the range: counted when one page holds it, else from the estimate and a page's rows."""
    whole, last = splits[0].slices[0].range, splits[-1].slices[-1].range
    limit = SAMPLED_ROWS if estimated > len(splits) * MEBIBYTE else 0
    page = sender.send(get_range(RangeRead(table.name, whole.begin, last.end, whole.is_backward, limit=limit)))
    sample = decode_rows(page.rows)
    sampled = sum(map(_row_bytes, sample))
    if page.next_key is None:
        return len(sample), sampled, True
    return (len(sample) * estimated // sampled if sampled else 0), estimated, False


def _row_bytes(row: Row) -> int:
    """The data size of a row as the service counts it: names and values, and 8 bytes for each version.

    Source: Tablestore documentation, "Data storage usage".
    """
    return sum(len(name) + _value_bytes(value) for name, value in row.key) + sum(
        len(cell.name) + _value_bytes(cell.value) + 8 for cell in row.cells
    )


def _value_bytes(value: object) -> int:
    if isinstance(value, bool):
        return 1
    return len(value.encode()) if isinstance(value, str) else len(value) if isinstance(value, bytes) else 8


def _print(ready: OpenExport, preview: Preview, session: Session) -> None:
    export, sink = ready.export, sink_of(ready.export, ready.services)
    about = "" if preview.is_counted else "about "
    has_estimate = preview.is_counted or preview.bytes > 0
    keys = ", ".join(f"{key.name} ({key.type.value})" for key in preview.table.keys)
    session.say(f"Table     {export.source.table}: key {keys}")
    session.say(
        f"Rows      {about}{preview.rows:,} in {about}{size(preview.bytes)}"
        if has_estimate
        else "Rows      the service gives no estimate"
    )
    session.say(f"Place     {sink.place}, {sink.mode}")
    session.say(f"Standing  {_told_standing(preview.standing)}")
    session.say(f"Columns   {len(_output(ready, preview.schema))}:")
    for line in lines([(c["name"], c["type"], c["from"]) for c in _output(ready, preview.schema)], indent="  "):
        session.say(line)
    session.say(f"Tasks     {len(preview.splits)}:")
    estimates = preview.split_bytes or (0,) * len(preview.splits)
    rows = [
        (split.label, _counted(len(split.slices), "slice"), f"about {size(estimate)}" if estimate else "")
        for split, estimate in zip(preview.splits, estimates, strict=True)
    ]
    for line in lines(rows, indent="  "):
        session.say(line)
    for warning in preview.warnings:
        session.tell(f"warning: {warning}")
    session.say("Nothing was written.")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _told_standing(standing: Manifest | None) -> str:
    if standing is None:
        return "nothing is published there"
    return f"run {standing.run} with {standing.rows:,} rows in {_counted(len(standing.objects), 'object')}"


def _output(ready: OpenExport, schema: Schema) -> list[dict[str, str]]:
    """The columns of the objects, each with its type and where it comes from."""
    types = {column.name: column for column in schema.columns}
    chosen = ready.export.source.columns or tuple(Picked(c.name, c.name) for c in schema.columns)
    told = []
    for column in chosen:
        if isinstance(column, Constant):
            told.append({"name": column.to, "type": column.type.value, "from": "a constant"})
        else:
            pinned = types[column.name]
            origin = f"column {column.name}" if column.to != column.name else "key" if pinned.is_key else ""
            told.append({"name": column.to, "type": pinned.type.value, "from": origin})
    if schema.keeps_others:
        told.append({"name": OTHER_COLUMN, "type": "json", "from": "cells of unknown columns"})
    return told


def _as_json(ready: OpenExport, preview: Preview, moment: datetime) -> dict[str, Any]:
    export, standing, sink = ready.export, preview.standing, sink_of(ready.export, ready.services)
    return {
        "pipeline": export.pipeline,
        "run_date": moment.isoformat(),
        "table": export.source.table,
        "key": [{"name": key.name, "type": key.type.value} for key in preview.table.keys],
        "rows": preview.rows,
        "bytes": preview.bytes,
        "is_counted": preview.is_counted,
        "place": sink.place,
        "write_mode": sink.mode,
        "standing": None
        if standing is None
        else {"run": standing.run, "rows": standing.rows, "objects": len(standing.objects)},
        "columns": _output(ready, preview.schema),
        "splits": [
            {
                "number": split.number,
                "label": split.label,
                "slices": len(split.slices),
                "bytes": estimate,
            }
            for split, estimate in zip(
                preview.splits, preview.split_bytes or (None,) * len(preview.splits), strict=True
            )
        ],
        "warnings": list(preview.warnings),
    }
