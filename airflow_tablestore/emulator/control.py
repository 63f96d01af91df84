"""`airflow-tablestore emulator status|requests|faults|clock|reset|snapshot`: look at a running one and steer it.

Which one: `--url` or `--port`, else the one that the environment's connection names, else the one that uses the data
directory. Importing this loads argparse and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_tablestore.emulator.storage import address_of, claimed, default_data_dir, directory
from airflow_tablestore.errors import SpecError

if TYPE_CHECKING:
    from airflow_tablestore.emulator.remote import Remote

Commands = Any
"""What `ArgumentParser.add_subparsers` returns; argparse keeps its class private."""

_SERVICES = ("tablestore", "oss", "maxcompute")
CONNECTION_VARIABLE = "AIRFLOW_CONN_TABLESTORE_DEFAULT"


def add_parsers(commands: Commands) -> None:
    """Adds the commands; each sets `handler`, a function from the arguments to the exit code."""
    _add(commands, "status", "show what a running emulator serves and holds", _status)
    requests = _add(commands, "requests", "list the latest requests to a running emulator", _requests)
    requests.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default: 20)")
    reset = _add(commands, "reset", "make a running emulator empty: no tables, objects, faults", _reset, has_json=False)
    reset.add_argument("--force", action="store_true", help="also when it keeps its data in a directory")
    _add_faults(commands)
    clock = _add(commands, "clock", "show or move the time of stored data", _clock)
    clock.add_argument("--advance", type=float, metavar="SECONDS", help="how far to move it; negative goes back")
    _add_snapshot(commands)


def _add_faults(commands: Commands) -> None:
    parser: argparse.ArgumentParser = commands.add_parser("faults", help="make requests go wrong on purpose")
    inner = parser.add_subparsers(dest="faults_command", metavar="COMMAND", required=True)
    _add(inner, "list", "show the rules and how often each struck", _list_faults)
    add = _add(inner, "add", "add a rule", _add_fault, has_json=False)
    add.add_argument("kind", help="error, row_error, latency, reset, cut_body, wrong_md5, wrong_crc or lost_answer")
    for name, help_ in (
        ("service", "tablestore, oss or maxcompute (default: all)"),
        ("instance", "of this instance, bucket or project; a pattern like 'test-*'"),
        ("operation", "only this operation; a pattern like 'Get*'"),
        ("table", "only this table, or 'bucket/key'; a pattern"),
        ("code", "the error's code, like OTSServerBusy"),
        ("message", "the error's text (default: the service's)"),
    ):
        add.add_argument(f"--{name}", metavar="TEXT", help=help_)
    for name, help_ in (
        ("status", "the error's HTTP status (default: the service's)"),
        ("count", "strike so often, then no more"),
        ("skip", "let so many pass first"),
        ("seed", "another sequence of chances"),
    ):
        add.add_argument(f"--{name}", type=int, metavar="N", help=help_)
    add.add_argument("--probability", type=float, metavar="P", help="strike with this chance, up to 1")
    add.add_argument("--seconds", type=float, metavar="S", help="how long a latency is")
    clear = _add(inner, "clear", "remove one rule, or all", _clear_faults, has_json=False)
    clear.add_argument("id", nargs="?", type=int, help="the rule's number (default: all)")


def _add_snapshot(commands: Commands) -> None:
    parser: argparse.ArgumentParser = commands.add_parser("snapshot", help="save everything in one file, or load it")
    inner = parser.add_subparsers(dest="snapshot_command", metavar="COMMAND", required=True)
    save = _add(inner, "save", "save tables and objects, also of a running emulator", _save, has_json=False)
    save.add_argument("file", type=Path, metavar="FILE")
    load: argparse.ArgumentParser = inner.add_parser("load", help="load a snapshot while no emulator runs there")
    load.add_argument("file", type=Path, metavar="FILE")
    load.add_argument("--data-dir", type=directory, metavar="D", help="where to (default: as of `emulator up`)")
    load.add_argument("--force", action="store_true", help="give up the data that is there")
    load.set_defaults(handler=_load)


def _add(commands: Commands, name: str, help_: str, handler: Any, *, has_json: bool = True) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_)
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--url", metavar="URL", help="the address of either of its services")
    place.add_argument("--port", type=int, metavar="N", help="the port of either of its services")
    place.add_argument("--data-dir", type=directory, metavar="D", help="the emulator that uses this directory")
    if has_json:
        parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(handler=handler)
    return parser


def _remote(arguments: argparse.Namespace) -> Remote:
    from airflow_tablestore.emulator.remote import Remote

    if arguments.url:
        return Remote(arguments.url)
    if arguments.port is not None:
        return Remote(f"http://127.0.0.1:{arguments.port}")
    named = None if arguments.data_dir else _in_environment()
    if named:
        return Remote(named)
    folder = _data_dir(arguments)
    url = address_of(folder)
    if url is None:
        raise SpecError(
            f"No emulator uses {folder}. Name yours with --port N, or start one: airflow-tablestore emulator up"
        )
    return Remote(url)


def _in_environment() -> str | None:
    """The address in the connection that `emulator up` told to export, if it is one of this machine."""
    try:
        told = json.loads(os.environ.get(CONNECTION_VARIABLE, ""))
    except ValueError:
        return None
    host = told.get("host") if isinstance(told, dict) else None
    return host if isinstance(host, str) and host.startswith("http://127.0.0.1:") else None


def _data_dir(arguments: argparse.Namespace) -> Path:
    return (arguments.data_dir or default_data_dir()).expanduser().absolute()


# ---- handlers


def _status(arguments: argparse.Namespace) -> int:
    return _told(arguments, _remote(arguments).get("status"), _status_text)


def _requests(arguments: argparse.Namespace) -> int:
    return _told(arguments, _remote(arguments).get(f"requests?limit={max(arguments.limit, 0)}"), _requests_text)


def _list_faults(arguments: argparse.Namespace) -> int:
    return _told(arguments, _remote(arguments).get("faults"), lambda told: _faults_text(told["faults"]) + "\n")


def _add_fault(arguments: argparse.Namespace) -> int:
    from airflow_tablestore.emulator.faults import Fault

    given = {field.name: getattr(arguments, field.name) for field in fields(Fault)}
    rule = {name: value for name, value in given.items() if value is not None}
    (number,) = _remote(arguments).post("faults", rule)["added"]
    _print(f"Fault {number} is on. End it with: airflow-tablestore emulator faults clear {number}\n")
    return 0


def _clear_faults(arguments: argparse.Namespace) -> int:
    path = "faults" if arguments.id is None else f"faults?id={arguments.id}"
    removed = _remote(arguments).delete(path)["removed"]
    _print(f"{_counted(removed, 'fault')} removed.\n")
    return 0


def _clock(arguments: argparse.Namespace) -> int:
    remote = _remote(arguments)
    moved = arguments.advance is not None
    told = remote.post("clock", {"advance_seconds": arguments.advance}) if moved else remote.get("clock")
    return _told(arguments, told, lambda clock: f"The time of data is {_clock_text(clock)}.\n")


def _reset(arguments: argparse.Namespace) -> int:
    remote = _remote(arguments)
    told = remote.get("status")
    if told["data_dir"] and not arguments.force and _holds_something(told):
        _print(_status_text(told))
        raise SpecError(
            f"This would delete what is kept in {told['data_dir']}. "
            "Save it first (emulator snapshot save FILE), or give it up with --force."
        )
    remote.post("reset")
    _print("The emulator is empty: no tables, one empty bucket, no faults.\n")
    return 0


def _save(arguments: argparse.Namespace) -> int:
    from airflow_tablestore.emulator.snapshot import save

    folder = _data_dir(arguments)
    tablestore, oss, maxcompute = folder / "tablestore", folder / "oss", folder / "maxcompute"
    if arguments.url or arguments.port is not None or (not arguments.data_dir and _in_environment()):
        told = _remote(arguments).get("status")
        tablestore, oss, maxcompute = (Path(told[name]["folder"]) for name in ("tablestore", "oss", "maxcompute"))
    saved = save(tablestore, oss, arguments.file.absolute(), maxcompute)
    _print(
        f"{_counted(saved.tables, 'table')} and {_counted(saved.objects, 'object')} saved in {arguments.file} "
        f"({_bytes(saved.size)}).\nLoad it with: airflow-tablestore emulator snapshot load {arguments.file}\n"
    )
    return 0


def _load(arguments: argparse.Namespace) -> int:
    from airflow_tablestore.emulator.snapshot import load

    with claimed(_data_dir(arguments)) as folder:
        loaded = load(arguments.file, folder, replaces=arguments.force)
    _print(
        f"{_counted(loaded.tables, 'table')} and {_counted(loaded.objects, 'object')} loaded into {folder}.\n"
        "Serve them with: airflow-tablestore emulator up"
        + (f" --data-dir {arguments.data_dir}\n" if arguments.data_dir else "\n")
    )
    return 0


# ---- texts


def _status_text(told: Mapping[str, Any]) -> str:
    rows, streams = told["tablestore"]["rows"], told["tablestore"]["streams"]
    tables = [
        (f"{at}.{name}", _counted(n, "row") + _stream_text(streams.get(at, {}).get(name)))
        for at, names in rows.items()
        for name, n in names.items()
    ]
    data = [
        (f"{at}.{name}", _counted(n, "row"))
        for at, names in told["maxcompute"]["rows"].items()
        for name, n in names.items()
    ]
    buckets = [
        (name, f"{_counted(held['objects'], 'object')}, {_bytes(held['bytes'])}" + _uploads_text(told, name))
        for name, held in told["oss"]["buckets"].items()
    ]
    kept = f"{told['data_dir']} (kept)" if told["data_dir"] else "nothing is kept after the stop"
    lines = [
        f"The emulator is up since {told['started']} (process {told['pid']}).",
        "",
        f"  Tablestore  {told['tablestore']['endpoint']}",
        *_columns(tables or [("no tables", "")]),
        f"  OSS         {told['oss']['endpoint']}",
        *_columns(buckets or [("no buckets", "")]),
        f"  MaxCompute  {told['maxcompute']['endpoint']}",
        *_columns(data or [("no tables", "")]),
        f"  Data        {kept}; {_bytes(sum(told[one]['disk_bytes'] for one in _SERVICES))} on the disk",
        f"  Clock       {_clock_text(told['clock'])}",
        f"  Requests    {told['requests']:,}",
        f"  Faults      {'none' if not told['faults'] else ''}".rstrip(),
        *([_faults_text(told["faults"], indent=" " * 14)] if told["faults"] else []),
    ]
    return "\n".join(lines) + "\n"


def _stream_text(stream: Mapping[str, Any] | None) -> str:
    if stream is None:
        return ""
    shards = f"{stream['open_shards']} of {_counted(stream['shards'], 'shard')} open"
    return f"; stream of {stream['hours']} h with {_counted(stream['records'], 'record')}, {shards}"


def _uploads_text(told: Mapping[str, Any], bucket: str) -> str:
    begun = told["oss"]["uploads"].get(bucket)
    return f"; {_counted(begun['uploads'], 'unfinished upload')}" if begun else ""


def _requests_text(told: Mapping[str, Any]) -> str:
    if not told["requests"]:
        return "No requests yet.\n"
    lines = [
        f"{r['at'][11:23]}  {r['status'] or '---'}  {r['millis']:>8.1f} ms  {r['operation']:<24} "
        f"{r['instance'] + ' ' if r['service'] != 'oss' else ''}{r['table']}"
        + (f"  <- {r['fault']}" if r["fault"] else "")
        for r in told["requests"]
    ]
    return "\n".join(lines) + "\n"


def _faults_text(faults: Sequence[Mapping[str, Any]], indent: str = "") -> str:
    if not faults:
        return "No faults: everything works."
    lines = []
    for fault in faults:
        rest = {name: fault[name] for name in fault if name not in ("id", "kind", "occasions", "struck", "service")}
        words = " ".join(f"{name}={value}" for name, value in rest.items())
        struck = f"struck {fault['struck']} of {fault['occasions']}"
        service = "" if fault["service"] == "*" else f" {fault['service']}"
        lines.append(f"{indent}{fault['id']}  {fault['kind']}{service} {words}".rstrip() + f"  ({struck})")
    return "\n".join(lines)


def _clock_text(clock: Mapping[str, Any]) -> str:
    ahead = clock["ahead_seconds"]
    if not ahead:
        return f"{clock['now'][:19]} UTC, the wall clock"
    return f"{clock['now'][:19]} UTC, {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} the wall clock"


def _columns(pairs: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in pairs)
    return [f"              {name:<{width}}  {text}".rstrip() for name, text in pairs]


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return _counted(size, "byte")


def _holds_something(told: Mapping[str, Any]) -> bool:
    objects = sum(held["objects"] for held in told["oss"]["buckets"].values())
    has_rows = bool(told["tablestore"]["rows"] or told["maxcompute"]["rows"])
    return has_rows or objects > 0 or len(told["oss"]["buckets"]) > 1


def _told(arguments: argparse.Namespace, told: Any, text: Any) -> int:
    _print(json.dumps(told, indent=2) + "\n" if arguments.json else text(told))
    return 0


def _print(text: str) -> None:
    sys.stdout.write(text)
