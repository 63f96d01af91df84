"""`/_emulator/deliveries` and `/_emulator/delivery/…`: what tests do to delivery tasks, over HTTP.

Each takes a JSON object; `Deliveries` does the work, and tests in the same process call that:
`emulator.tablestore_service().deliveries`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_tablestore.emulator.accounts import DEMO_INSTANCE
from airflow_tablestore.emulator.tablestore.delivery_worker import Cut
from airflow_tablestore.errors import SpecError

if TYPE_CHECKING:
    from airflow_tablestore.emulator import Emulator

Handler = Callable[["Emulator", Mapping[str, str], Any], Any]


def _list(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    if not parameters.keys() <= {"instance"}:
        raise SpecError("Only an instance can be named.")
    deliveries, instance = emulator.tablestore_service().deliveries, parameters.get("instance", DEMO_INSTANCE)
    return {"cut": asdict(deliveries.cut), "tasks": deliveries.report(instance)}


def _hold(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    emulator.tablestore_service().deliveries.hold(*_task(told))
    return {"held": True}


def _fail(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    named = _task(told, also=("code", "detail"))
    code, detail = str(told.get("code", "UNAUTHORIZED")), str(told.get("detail", "a test wants it so"))
    emulator.tablestore_service().deliveries.fail(*named, code, detail)
    return {"failed": True}


def _release(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    emulator.tablestore_service().deliveries.release(*_task(told))
    return {"released": True}


def _cut(emulator: Emulator, parameters: Mapping[str, str], told: Any) -> Any:
    deliveries = emulator.tablestore_service().deliveries
    known = asdict(deliveries.cut)
    is_right = isinstance(told, Mapping) and told.keys() <= known.keys()
    if not is_right or any(
        isinstance(one, bool) or not isinstance(one, int | float) or one < 0 for one in told.values()
    ):
        raise SpecError('The body is {"seconds": 1, "bytes": 1000000}, or one of the two.')
    deliveries.cut = Cut(**{**known, **told})
    return {"cut": asdict(deliveries.cut)}


def _task(told: Any, also: tuple[str, ...] = ()) -> tuple[str, str, str]:
    names = ("instance", "table", "task")
    if (
        not isinstance(told, Mapping)
        or not told.keys() <= {*names, *also}
        or not all(isinstance(one, str) for one in told.values())
        or not all(told.get(name) for name in names[1:])
    ):
        raise SpecError("An object with table, task and perhaps an instance is needed, and nothing else.")
    return told.get("instance") or DEMO_INSTANCE, told["table"], told["task"]


DELIVERY_ROUTES: Mapping[tuple[str, str], Handler] = {
    ("/_emulator/deliveries", "GET"): _list,
    ("/_emulator/delivery/hold", "POST"): _hold,
    ("/_emulator/delivery/fail", "POST"): _fail,
    ("/_emulator/delivery/release", "POST"): _release,
    ("/_emulator/delivery/cut", "POST"): _cut,
}
