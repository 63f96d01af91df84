"""`/_emulator/` on each port: what is going on, faults, log, clock, streams and reset, as JSON over HTTP.

For programs and for the command line; tests in the same process call `Emulator` instead. Only for this machine: a
request that names another host, or that a web page sent, is refused, so no page in a browser can reach it.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from airflow_tablestore.emulator.delivery_routes import DELIVERY_ROUTES
from airflow_tablestore.emulator.stream_routes import STREAM_ROUTES
from airflow_tablestore.emulator.tunnel_routes import TUNNEL_ROUTES
from airflow_tablestore.errors import SpecError

if TYPE_CHECKING:
    from airflow_tablestore.emulator import Emulator

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Parameters = Mapping[str, str]
Handler = Callable[["Emulator", Parameters, Any], Any]

LONGEST_BODY = 1024 * 1024
_LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}


class _NotHere(SpecError):
    """What is asked for is not there: 404."""


class Admin:
    """The routes over one emulator; the same on each port."""

    def __init__(self, emulator: Emulator):
        self._emulator = emulator

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""
        status, told = await self._answer(scope, receive)
        body = json.dumps(told, indent=2).encode() + b"\n"
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Mapping[str, Any], receive: Receive) -> tuple[int, Any]:
        refusal = _stranger(scope["headers"])
        if refusal:
            return 403, {"error": refusal}
        path, method = scope["path"].rstrip("/"), scope["method"]
        methods = {known: handler for (at, known), handler in ROUTES.items() if at == path}
        if not methods:
            return 404, {"error": f"There is no {path}.", "routes": [f"{m} {p}" for p, m in ROUTES]}
        if method not in methods:
            return 405, {"error": f"{path} takes {', '.join(sorted(methods))}, not {method}."}
        parameters = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        try:
            told = _decoded(await _received(receive))
            return 200, await asyncio.to_thread(methods[method], self._emulator, parameters, told)
        except _NotHere as error:
            return 404, {"error": str(error)}
        except SpecError as error:
            return 400, {"error": str(error)}


def _stranger(headers: list[tuple[bytes, bytes]]) -> str:
    """Why a request is none of this machine's own programs'; empty when it is."""
    told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
    try:
        host = urlsplit(f"//{told.get('host', '')}").hostname
    except ValueError:
        host = None
    if host not in _LOCAL_HOSTS:
        return "Only requests to 127.0.0.1 or localhost are answered here."
    if "origin" in told or told.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "Requests of web pages are not answered here."
    return ""


async def _received(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > LONGEST_BODY:
            raise SpecError(f"The body is longer than {LONGEST_BODY} bytes.")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _decoded(body: bytes) -> Any:
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"The body is not JSON: {error}.") from error


# ---- what is answered


def _status(emulator: Emulator, parameters: Parameters, told: Any) -> Any:
    return emulator.status()


def _list_faults(emulator: Emulator, parameters: Parameters, told: Any) -> Any:
    return {"faults": emulator.faults.list()}


def _add_faults(emulator: Emulator, parameters: Parameters, told: Any) -> Any:
    from airflow_tablestore.emulator.faults import fault_from

    wanted = [
        fault_from(one) for one in (told if isinstance(told, list) else [told])
    ]  # all are right, or none is added
    return {"added": [emulator.faults.add(fault) for fault in wanted]}


def _remove_faults(emulator: Emulator, parameters: Parameters, told: Any) -> Any:
    wanted = parameters.get("id")
    if wanted is None:
        removed = len(emulator.faults.list())
        emulator.faults.clear()
        return {"removed": removed}
    if not (wanted.isascii() and wanted.isdigit() and emulator.faults.remove(int(wanted[:18]))):
        raise _NotHere(f"There is no fault {wanted!r}; GET /_emulator/faults lists those that are there.")
    return {"removed": 1}


def _list_instances(emulator: Emulator, parameters: Parameters, told: Any) -> Any:
    return {"instances": emulator.tablestore_service().instances.names()}


def _make_instance(emulator: Emulator, parameters: Parameters, told: Any) -> Any:
    if not isinstance(told, Mapping) or told.keys() != {"name"} or not isinstance(told["name"], str):
        raise SpecError('The body is {"name": "my-instance"}.')
    emulator.make_instance(told["name"])
    return _list_instances(emulator, parameters, None)


def _requests(emulator: Emulator, parameters: Parameters, told: Any) -> Any:
    most = _count(parameters.get("limit", "100"))
    found = [
        exchange.as_json()
        for exchange in emulator.requests()
        if all(getattr(exchange, name) == parameters[name] for name in _ASKABLE if name in parameters)
    ]
    return {"total": emulator.traffic.total, "requests": found[len(found) - min(most, len(found)) :]}


_ASKABLE = ("service", "instance", "operation", "table")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise SpecError(f"limit is {text!r}: a whole number is wanted.")
    return int(text[:9])


def _get_clock(emulator: Emulator, parameters: Parameters, told: Any) -> Any:
    return {"now": emulator.now().isoformat(), "ahead_seconds": emulator.clock.ahead_seconds}


def _set_clock(emulator: Emulator, parameters: Parameters, told: Any) -> Any:
    if not isinstance(told, Mapping) or len(told) != 1 or not told.keys() <= {"advance_seconds", "now"}:
        raise SpecError('The body is {"advance_seconds": 3600} or {"now": "2030-01-31T12:00:00+00:00"}.')
    if "now" in told:
        emulator.clock.move_to(_micros(told["now"]))
    else:
        emulator.advance(_seconds(told["advance_seconds"]))
    return _get_clock(emulator, parameters, None)


def _seconds(told: object) -> float:
    is_number = isinstance(told, int | float) and not isinstance(told, bool) and math.isfinite(told)
    if not is_number or abs(told) > 1e9:  # type: ignore[arg-type]
        raise SpecError(f"advance_seconds is {told!r}: a number of seconds is wanted.")
    return float(told)  # type: ignore[arg-type]


def _micros(told: object) -> int:
    try:
        moment = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.year < 1970:
        raise SpecError(f"now is {told!r}: a time in ISO form from 1970 on is wanted, like 2030-01-31T12:00:00+00:00.")
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000)


def _reset(emulator: Emulator, parameters: Parameters, told: Any) -> Any:
    emulator.reset()
    return emulator.status()


ROUTES: Mapping[tuple[str, str], Handler] = {
    ("/_emulator/status", "GET"): _status,
    ("/_emulator/instances", "GET"): _list_instances,
    ("/_emulator/instances", "POST"): _make_instance,
    ("/_emulator/faults", "GET"): _list_faults,
    ("/_emulator/faults", "POST"): _add_faults,
    ("/_emulator/faults", "DELETE"): _remove_faults,
    ("/_emulator/requests", "GET"): _requests,
    ("/_emulator/clock", "GET"): _get_clock,
    ("/_emulator/clock", "POST"): _set_clock,
    ("/_emulator/reset", "POST"): _reset,
    **STREAM_ROUTES,
    **TUNNEL_ROUTES,
    **DELIVERY_ROUTES,
}
