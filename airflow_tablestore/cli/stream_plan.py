"""`plan` of a stream: the tunnel as it is, what nobody has read yet, the place, and what a run would do."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.cli.session import OK, Session
from airflow_tablestore.cli.table import lines
from airflow_tablestore.cli.times import refuse_options
from airflow_tablestore.client import Client
from airflow_tablestore.pipeline.connections import oss_endpoint, tablestore_endpoint
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.pipeline.tunnel.channels import claimed_by
from airflow_tablestore.pipeline.tunnel.tunnels import Looked, look, refuse_drift
from airflow_tablestore.pipeline.tunnel.unread import HELD, Found, Unread, look_for_unread, unread_of
from airflow_tablestore.spec.build_stream import stream, tunnel_of
from airflow_tablestore.spec.explain_stream import stream_story
from airflow_tablestore.spec.kinds.stream import StreamOssSink, StreamSpec
from airflow_tablestore.wire.tunnel import list_tunnels

MOST_COUNTED = 10_000
"""Changes that are counted, at the price of reading them; the service tells no number."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is there. `looked` is None where no tunnel is; `owner` is the pipeline that has the prefix, if any."""

    looked: Looked | None
    unread: Unread
    owner: str | None


def plan_stream(arguments: Namespace, spec: StreamSpec, session: Session) -> int:
    """Print what a run at this moment would do.

    :raises SpecError: what the run itself would say about the tunnel.
    """
    refuse_options(arguments, spec.kind, "--window-start", "--window-end", "--run-date")
    with Client(tablestore_endpoint(session.connection(spec.source.connection))) as client:
        looked, unread = _tunnel(client, spec)
    found = Standing(looked, unread, _owner(spec, session))
    if arguments.json:
        session.say(json.dumps(_as_json(spec, found), indent=2, ensure_ascii=False))
        return OK
    for line in lines(_rows(spec, found)):
        session.say(line)
    for sentence in stream_story(spec):
        session.say(f"  {sentence}")
    session.say("Nothing was written.")
    return OK


def _tunnel(client: Client, spec: StreamSpec) -> tuple[Looked | None, Unread]:
    source = spec.source
    if not any(one.name == source.tunnel for one in client.send(list_tunnels(source.table))) and source.create_tunnel:
        return None, look_for_unread(client, source.table, source.tunnel, creates=True)
    looked = look(client, source.table, source.tunnel)
    if source.create_tunnel:
        refuse_drift(looked.tunnel, tunnel_of(spec))
    return looked, unread_of(client, looked, most=MOST_COUNTED)


def _owner(spec: StreamSpec, session: Session) -> str | None:
    if not isinstance(spec.sink, StreamOssSink):
        return None
    at = oss_endpoint(session.connection(spec.sink.connection), spec.sink.bucket)
    with closing(ObjectStore(at, spec.sink.bucket)) as store:
        return claimed_by(store, prefix_of(spec))


def prefix_of(spec: StreamSpec) -> str:
    """The prefix of the objects, rendered; "" for a sink that has none."""
    return str(getattr(stream(spec).target, "prefix", ""))


def told_of(unread: Unread) -> str:
    """What nobody has read, in words; a count is of the changes that were seen."""
    if unread.found is not Found.CHANGES or unread.since is None:
        return unread.told
    count = f"{unread.count:,} or more" if unread.is_more else f"{unread.count:,}"
    return f"{count} changes since {unread.since.isoformat()}"


def holders(looked: Looked) -> list[str]:
    """The clients that hold channels now."""
    held = {one.client_id for one in looked.description.channels if one.client_id and one.status in HELD}
    return sorted(held)


def behind_of(looked: Looked) -> str:
    """How far the readers are behind, in words."""
    behind = looked.behind_seconds
    return "not known" if behind is None else f"{behind:.1f} s"


def _rows(spec: StreamSpec, found: Standing) -> list[tuple[str, str]]:
    source, looked = spec.source, found.looked
    name = f"{source.tunnel} of table {source.table}"
    if looked is None:
        tunnel = [("Tunnel", f"{name}: there is none; a run makes it ({source.tunnel_type})")]
    else:
        its, held = looked.tunnel, holders(looked)
        stage = "expired: nobody can read it any more" if its.is_expired else its.stage
        by = f", held by {len(held)} worker(s)" if held else ", held by nobody"
        tunnel = [
            ("Tunnel", f"{name}: {its.type}, {stage}"),
            ("Channels", f"{len(looked.description.channels):,}{by}"),
            ("Behind", behind_of(looked)),
        ]
    place = [("Place", _place(spec))]
    if isinstance(spec.sink, StreamOssSink):
        place.append(("Claimed", f"by pipeline '{found.owner}'" if found.owner else "by nobody yet"))
    return [*tunnel, ("Unread", told_of(found.unread)), *place, ("Workers", str(spec.run.workers))]


def _place(spec: StreamSpec) -> str:
    if isinstance(spec.sink, StreamOssSink):
        return f"oss://{spec.sink.bucket}/{prefix_of(spec)}"
    return f"table {spec.sink.table} over connection '{spec.sink.connection}'"


def _as_json(spec: StreamSpec, found: Standing) -> dict[str, Any]:
    unread = found.unread
    return {
        "pipeline": spec.pipeline,
        "tunnel": None if found.looked is None else found.looked.to_json(),
        "makes_tunnel": found.looked is None,
        "unread": {
            "found": unread.found.value,
            "is_there": unread.is_there,
            "since": None if unread.since is None else unread.since.isoformat(),
            "count": unread.count if unread.found is Found.CHANGES else None,
            "is_more": unread.is_more,
        },
        "place": _place(spec),
        "claimed_by": found.owner,
        "workers": spec.run.workers,
        "told": stream_story(spec),
    }
