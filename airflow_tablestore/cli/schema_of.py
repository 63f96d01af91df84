"""`schema-of`: the columns that a pipeline has pinned, or would pin. Nothing is written."""

from __future__ import annotations

import json
from argparse import Namespace

from airflow_tablestore.cli.services import export_spec, opened, opened_ledger
from airflow_tablestore.cli.session import OK, Session, moment_of
from airflow_tablestore.cli.table import lines
from airflow_tablestore.cli.times import refuse_options
from airflow_tablestore.pipeline.contract import OTHER_COLUMN
from airflow_tablestore.pipeline.full_export.export import pinned_schema, sink_of
from airflow_tablestore.pipeline.sources.pinning import Pinned
from airflow_tablestore.pipeline.sources.stream import pin_changes
from airflow_tablestore.spec import FullExportSpec, IncrementalSpec
from airflow_tablestore.wire.table import describe_table


def schema_of(arguments: Namespace, session: Session) -> int:
    """Print the columns that the next run will have, or with `--repin` what learning them anew would change."""
    spec = export_spec(arguments.spec)
    if isinstance(spec, IncrementalSpec):
        pinned, anew, is_pinned = _of_windows(arguments, spec, session)
    else:
        pinned, anew, is_pinned = _of_full(arguments, spec, session)
    shown = anew or pinned
    if arguments.json:
        told = {"pinned": is_pinned, "schema": pinned.schema.to_json()}
        told |= {"repinned": anew.schema.to_json()} if anew else {}
        session.say(json.dumps(told, indent=2, ensure_ascii=False))
        return OK
    before = {column.name: column.type.value for column in pinned.schema.columns}
    rows = [
        (
            column.name,
            column.type.value,
            "key" if column.is_key else "declared" if column.is_declared else "",
            _change(before, column.name, column.type.value) if anew else "",
        )
        for column in shown.schema.columns
    ]
    gone = [name for name in before if name not in {column.name for column in shown.schema.columns}]
    rows += [(name, before[name], "", "no longer seen") for name in gone]
    rows += [(OTHER_COLUMN, "json", "unknown columns", "")] if shown.schema.keeps_others else []
    for line in lines(rows):
        session.say(line)
    for warning in shown.warnings:
        session.tell(f"warning: {warning}")
    if anew:
        session.tell(
            f"Nothing was changed. To pin these: airflow-tablestore run {arguments.spec} --repin, "
            "or trigger the DAG with 'Learn the columns anew'."
        )
    elif not is_pinned:
        session.tell("Nothing is published yet; the first run pins these.")
    return OK


_Found = tuple[Pinned, Pinned | None, bool]
"""The columns, what they would be when learnt anew (if that is asked), and whether they are pinned already."""


def _of_full(arguments: Namespace, spec: FullExportSpec, session: Session) -> _Found:
    with opened(spec, moment_of(arguments, session, spec.timezone), session, session.tell) as ready:
        pinned = pinned_schema(ready.export, ready.services)
        anew = pinned_schema(ready.export, ready.services, repin=True) if arguments.repin else None
        sink = sink_of(ready.export, ready.services)
        return pinned, anew, sink.pinned(sink.standing(), ready.export.source.table) is not None


def _of_windows(arguments: Namespace, spec: IncrementalSpec, session: Session) -> _Found:
    refuse_options(arguments, spec.kind, "--run-date")
    with opened_ledger(spec, session, session.tell) as known:
        source, earlier = known.export.source, known.ledger.schema()
        table = known.client.send(describe_table(source.table))
        pinned = pin_changes(known.client, source, table, earlier)
        anew = pin_changes(known.client, source, table) if arguments.repin else None
        return pinned, anew, earlier is not None


def _change(before: dict[str, str], name: str, type_name: str) -> str:
    if name not in before:
        return "new"
    return "" if before[name] == type_name else f"was {before[name]}"
