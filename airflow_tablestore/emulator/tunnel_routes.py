"""`/_emulator/tunnels` and `/_emulator/tunnel/…`: what tests do to tunnels, over HTTP.

Each takes a JSON object with the tunnel's id and what it needs itself; `Tunnels` does the work, and tests in the same
process call that: `emulator.tablestore_service().tunnels`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict

from airflow_tablestore.emulator.accounts import DEMO_INSTANCE
from airflow_tablestore.errors import SpecError
from airflow_tablestore.wire.proto import tunnel_pb2 as pb

if TYPE_CHECKING:
    from airflow_tablestore.emulator import Emulator

Handler = Callable[["Emulator", Mapping[str, str], Any], Any]


def _list(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    if not parameters.keys() <= {"instance"}:
        raise SpecError("Only an instance can be named.")
    tunnels, instance = emulator.tablestore_service().tunnels, parameters.get("instance", DEMO_INSTANCE)
    found = []
    for one in tunnels.list(instance, pb.ListTunnelRequest()).tunnels:
        request = pb.DescribeTunnelRequest(table_name=one.table_name, tunnel_name=one.tunnel_name)
        found.append(MessageToDict(tunnels.describe(instance, request), preserving_proto_field_name=True))
    return {"tunnels": found}


def _expire(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    emulator.tablestore_service().tunnels.expire(*_texts(told, ("tunnel",)))
    return {"expired": True}


def _drop(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    emulator.tablestore_service().tunnels.drop_client(*_texts(told, ("tunnel", "client")))
    return {"dropped": True}


def _move(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    emulator.tablestore_service().tunnels.move(*_texts(told, ("tunnel", "channel", "client"), may_lack="client"))
    return {"asked_back": True}


def _texts(told: Any, names: tuple[str, ...], may_lack: str = "") -> list[str]:
    if (
        not isinstance(told, Mapping)
        or not told.keys() <= set(names)
        or any(not isinstance(told.get(name, ""), str) for name in names)
        or any(not told.get(name) for name in names if name != may_lack)
    ):
        raise SpecError(f"An object with the ids {', '.join(names)} is needed, and nothing else.")
    return [str(told.get(name, "")) for name in names]


TUNNEL_ROUTES: Mapping[tuple[str, str], Handler] = {
    ("/_emulator/tunnels", "GET"): _list,
    ("/_emulator/tunnel/expire", "POST"): _expire,
    ("/_emulator/tunnel/drop-client", "POST"): _drop,
    ("/_emulator/tunnel/move", "POST"): _move,
}
