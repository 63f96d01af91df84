"""`/_emulator/shards` and `/_emulator/stream/…`: what tests do to streams, over HTTP.

Each takes a JSON object with `table`, perhaps `instance`, and what it needs itself; `Streams` does the work, and tests
in the same process call that: `emulator.tablestore_service().streams`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_tablestore.emulator.accounts import DEMO_INSTANCE
from airflow_tablestore.errors import SpecError

if TYPE_CHECKING:
    from airflow_tablestore.emulator import Emulator

Handler = Callable[["Emulator", Mapping[str, str], Any], Any]


def _shards(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    place = _place(dict(parameters), ())
    found = emulator.tablestore_service().streams.shards(*place)
    return {
        "stream": emulator.tablestore_service().streams.table(*place).stream_id,
        "shards": [
            {
                "id": shard.id,
                "parents": [parent for parent in (shard.parent, shard.sibling) if parent],
                "is_open": shard.is_open,
                "records": shard.next - shard.first,
                "expired": shard.first,
            }
            for shard in found
        ],
    }


def _split(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    place = _place(told, ("shard", "at"))
    at = told.get("at")
    if at is not None and (
        not isinstance(at, Mapping) or not at or any(type(value) not in (str, int) for value in at.values())
    ):
        raise SpecError('at is the beginning of a key, like {"id": 5}.')
    key = None if at is None else tuple(at.items())
    shard = None if told.get("shard") is None else str(told["shard"])
    return {"made": emulator.tablestore_service().streams.split_shard(*place, shard, key)}


def _merge(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    place = _place(told, ("shards",))
    pair = told.get("shards")
    if not isinstance(pair, list) or len(pair) != 2:
        raise SpecError("shards is a list of two shard ids.")
    return {"made": [emulator.tablestore_service().streams.merge_shards(*place, str(pair[0]), str(pair[1]))]}


def _expire(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    place = _place(told, ("before",))
    before = None
    if told.get("before") is not None:
        try:
            moment = datetime.fromisoformat(str(told["before"]))
        except ValueError as error:
            raise SpecError("before is a time in ISO form, like 2030-01-31T12:00:00+00:00.") from error
        if moment.tzinfo is None:
            raise SpecError("before needs its offset from UTC, like 2030-01-31T12:00:00+00:00.")
        before = round(moment.timestamp() * 1_000_000)
    emulator.tablestore_service().streams.expire(*place, before)
    return _shards(emulator, {"instance": place[0], "table": place[1]}, None)


def _renew(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    return {"stream": emulator.tablestore_service().renew_stream(*_place(told, ()))}


def _hold(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    emulator.tablestore_service().streams.hold(*_place(told, ()))
    return {"held": True}


def _release(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    emulator.tablestore_service().streams.release(*_place(told, ()))
    return {"held": False}


def _place(told: Any, more: tuple[str, ...]) -> tuple[str, str]:
    known = {"table", "instance", *more}
    if not isinstance(told, Mapping) or not told.get("table") or not told.keys() <= known:
        raise SpecError(f"A table is needed, and nothing else than {', '.join(sorted(known))}.")
    return str(told.get("instance", DEMO_INSTANCE)), str(told["table"])


STREAM_ROUTES: Mapping[tuple[str, str], Handler] = {
    ("/_emulator/shards", "GET"): _shards,
    ("/_emulator/stream/split", "POST"): _split,
    ("/_emulator/stream/merge", "POST"): _merge,
    ("/_emulator/stream/expire", "POST"): _expire,
    ("/_emulator/stream/renew", "POST"): _renew,
    ("/_emulator/stream/hold", "POST"): _hold,
    ("/_emulator/stream/release", "POST"): _release,
}
