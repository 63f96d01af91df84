"""Loads of one window into MaxCompute, killed before the first change, before the second …, each into its own table.

python -m tests.integration.loading_window TABLESTORE MAXCOMPUTE PROJECT START COUNT MODE
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from typing import Any

import airflow_tablestore.pipeline.incremental.planning
import airflow_tablestore.pipeline.incremental.reading
import airflow_tablestore.pipeline.incremental.table  # noqa: F401
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.incremental.export import Incremental, WindowServices, export_window
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection
from airflow_tablestore.pipeline.target import TableTarget
from airflow_tablestore.pipeline.window import Window
from tests.conformance.windows import EVERY, GRID, LAG
from tests.integration.exporting_window import SteppedClient, Steps, client_of
from tests.integration.loading import CHANGING, warehouse

COLUMNS = ("id", "colname", "version", "colvalue", "optype", "sequenceinfo")
"""Those of the documentation's example of the stream reader with MaxCompute."""


class SteppedWarehouse:
    def __init__(self, real: Any, steps: Steps):
        self._real, self._steps = real, steps

    def pausing(self, sleep: Any) -> SteppedWarehouse:
        return self

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._real, name)
        if name not in CHANGING:
            return act

        def asked(*args: Any, **named: Any) -> Any:
            self._steps.before(name)
            return act(*args, **named)

        return asked


def export_of(name: str, mode: str) -> Incremental:
    def target(window: Window) -> TableTarget:
        partition = (("pt", f"{window.start:%Y%m%d}"), ("hm", f"{window.start:%H%M}"))
        return TableTarget(f"loaded_{name}", partition, COLUMNS, truncates=mode == "truncate", creates=True)

    source = ChangeSelection("t", ChangeMode.MULTI_VERSION, with_sequence=True)
    return Incremental(f"p_{name}", "demo", source, GRID, LAG, target, Limits(threads=1), status_table=f"status_{name}")


def stepped(client: Any, place: Any, steps: Steps) -> WindowServices:
    asked: Any = SteppedClient(client, steps)
    to: Any = SteppedWarehouse(place, steps)
    return WindowServices(asked, asked, to)


def main() -> None:
    url, endpoint, project, start, count, mode = sys.argv[1:]
    begin = datetime.fromisoformat(start).astimezone(UTC)
    for nth in range(1, int(count) + 1):
        child = os.fork()
        if not child:
            try:
                with client_of(url) as client:
                    services = stepped(client, warehouse(endpoint, project), Steps(nth))
                    export_window(export_of(f"{mode}_{nth}", mode), services, Window(begin, begin + EVERY))
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL}\n")


if __name__ == "__main__":
    main()
