"""`tunnel create | list | describe | delete | tail`: the tunnels of a table, by hand.

The official Python SDK can do none of these. How a tunnel is read is decided in `consumer.tunnel`.
"""

from __future__ import annotations

import json
import threading
from argparse import Namespace
from datetime import UTC, datetime

from airflow_tablestore.cli.change_line import record_line
from airflow_tablestore.cli.session import OK, Session
from airflow_tablestore.cli.stream import stopped_by_signals
from airflow_tablestore.cli.table import lines
from airflow_tablestore.client import Client
from airflow_tablestore.consumer.tunnel import Settings, TunnelReader, Until
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.connections import tablestore_client
from airflow_tablestore.pipeline.tunnel.tunnels import (
    Looked,
    Wanted,
    ensure_tunnel,
    find_tunnel,
    look,
    remove_tunnel,
    time_of,
    tunnel_json,
)
from airflow_tablestore.wire.tunnel import StartFlag, TunnelType, list_tunnels

TAKE_SECONDS = 0.2
"""So often `tail` looks whether it shall stop."""


def create(arguments: Namespace, session: Session) -> int:
    """Make a tunnel, unless it stands as it is wanted."""
    wanted = _wanted(arguments)
    with _client(arguments, session) as client:
        ensured = ensure_tunnel(client, wanted)
    tunnel = ensured.tunnel
    if arguments.json:
        session.say(json.dumps({**tunnel_json(tunnel), "was_there": ensured.was_there}))
        return OK
    did = "stands already, as it is wanted" if ensured.was_there else "is made"
    session.say(f"Tunnel {tunnel.name} of table {tunnel.table} ({tunnel.type}) {did}.")
    session.say(f"Tunnel id: {tunnel.id}")
    return OK


def list_all(arguments: Namespace, session: Session) -> int:
    """The tunnels of a table, or of the instance."""
    with _client(arguments, session) as client:
        found = client.send(list_tunnels(arguments.table))
    if arguments.json:
        session.say(json.dumps([tunnel_json(tunnel) for tunnel in found]))
        return OK
    rows = [("table", "tunnel", "type", "stage", "made", "id")]
    for one in found:
        stage = "expired" if one.is_expired else one.stage
        rows.append((one.table, one.name, one.type, stage, time_of(one.created_nanos), one.id))
    for line in lines(rows) if found else ["There are no tunnels."]:
        session.say(line)
    return OK


def describe(arguments: Namespace, session: Session) -> int:
    """A tunnel, its channels, who holds them, and how far behind each is."""
    with _client(arguments, session) as client:
        found = look(client, arguments.table, arguments.tunnel)
    if arguments.json:
        session.say(json.dumps(found.to_json()))
        return OK
    for line in lines(_facts(found)):
        session.say(line)
    session.say()
    for line in lines(found.table(), right=(4,), indent="  "):
        session.say(line)
    return OK


def _facts(found: Looked) -> list[tuple[str, str]]:
    told, behind = tunnel_json(found.tunnel), found.behind_seconds
    return [
        ("tunnel", f"{told['name']} ({told['id']})"),
        ("table", told["table"]),
        ("type", told["type"]),
        ("stage", "expired: nobody can read it any more" if told["is_expired"] else told["stage"]),
        ("start", told["start"] or "-"),
        ("end", told["end"] or "none: it goes on"),
        ("behind", "not known" if behind is None else f"{behind:.1f} s"),
        ("channels", str(len(found.description.channels))),
    ]


def delete(arguments: Namespace, session: Session) -> int:
    """Delete a tunnel and how far it was."""
    with _client(arguments, session) as client:
        was_there = remove_tunnel(client, arguments.table, arguments.tunnel)
    if arguments.json:
        session.say(json.dumps({"table": arguments.table, "name": arguments.tunnel, "was_there": was_there}))
        return OK
    did = "is deleted, with how far it was" if was_there else "was not there"
    session.say(f"Tunnel {arguments.tunnel} of table {arguments.table} {did}.")
    return OK


def tail(arguments: Namespace, session: Session) -> int:
    """Print each record as a line of JSON, as a worker of the tunnel; what is printed is confirmed."""
    stop, count = threading.Event(), 0
    until = Until.CAUGHT_UP if arguments.until_caught_up else Until.NEVER
    with stopped_by_signals(stop), _client(arguments, session) as client:
        tunnel = find_tunnel(client, arguments.table, arguments.tunnel)
        with TunnelReader(client, tunnel.id, settings=Settings(checkpoint_seconds=1), until=until) as reader:
            while not (stop.is_set() or reader.has_ended):
                batch = reader.take(TAKE_SECONDS)
                if batch is None:
                    continue
                for record in batch.records:
                    session.say(record_line(record, batch.channel))
                session.out.flush()  # who reads the pipe sees each record at once
                batch.done()
                count += len(batch.records)
    session.tell(f"{count:,} record{'' if count == 1 else 's'}.")
    return OK


def _wanted(arguments: Namespace) -> Wanted:
    start, end = arguments.start, arguments.end
    flags = {flag.value.lower(): flag for flag in StartFlag}
    return Wanted(
        table=arguments.table,
        name=arguments.tunnel,
        type=TunnelType(arguments.type),
        start=None if start is None or start in flags else _moment(start, "--start"),
        end=None if end is None else _moment(end, "--end"),
        flag=flags.get(start),
    )


def _moment(given: str, option: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        words = "earliest, latest, or " if option == "--start" else ""
        hint = f"write {words}2026-11-20T00:00:00+08:00"
        raise SpecError([Problem(f"{option}: '{given}' is no time", hint)]) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _client(arguments: Namespace, session: Session) -> Client:
    return tablestore_client(lambda: session.connection(arguments.connection))
