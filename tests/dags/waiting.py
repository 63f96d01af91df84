"""What a trigger tells first, without a triggerer."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from airflow import __version__
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import BaseHook
from packaging.version import Version

PATIENCE_SECONDS = 60.0
ASKS_ALONE = Version(__version__) >= Version("3.3")
"""Whether a connection can be awaited outside of a triggerer. Airflow 3.1 asks the process that started it, only."""


def first_word(trigger: Any) -> dict[str, Any]:
    """The payload of the first event of a trigger that went through its serialized form, as every trigger does."""
    path, arguments = trigger.serialize()
    again = import_string(path)(**arguments)
    if ASKS_ALONE:

        async def first() -> Any:
            return await anext(aiter(again.run()))

        return asyncio.run(asyncio.wait_for(first(), PATIENCE_SECONDS)).payload
    connection, end = BaseHook.get_connection(again.connection), time.monotonic() + PATIENCE_SECONDS
    while (answer := again.answer(connection)) is None:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(again.poll_seconds)
    return answer
