"""One load of MaxCompute in a process of its own, to be killed: python -m tests.integration.loading ENDPOINT PROJECT …

The source's rows are in memory and known; the warehouse is the emulator's, over the network.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any

from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.full_export.export import FullExport, Services, TableSelection, Unknown, run
from airflow_tablestore.pipeline.sinks.maxcompute import MaxCompute, MaxComputeEndpoint
from airflow_tablestore.pipeline.target import TableTarget
from tests.conformance.memory_table import MemoryTable, numbered

ROWS, SPLITS = 40, 2
PARTITION = (("pt", "20261121"),)
CHANGING = frozenset({"create_table", "run_sql", "begin", "put_block", "commit"})
"""The verbs after which the warehouse is another one."""


class Doomed:
    """A warehouse that kills its process before, or after, its n-th change."""

    def __init__(self, warehouse: MaxCompute, nth: int, is_after: bool):
        self._warehouse, self._left, self._is_after = warehouse, nth, is_after

    def pausing(self, sleep: Any) -> Doomed:
        return self

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._warehouse, name)
        if name not in CHANGING:
            return act

        def asked(*args: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._is_after:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = act(*args, **named)
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return asked


def table(text: str) -> MemoryTable:
    """Known rows, cut into as many parts as there are splits."""
    points = [(("id", number * ROWS // SPLITS),) for number in range(1, SPLITS)]
    return MemoryTable(numbered(ROWS, text=text), points=points, page_rows=10)


def export(**target: Any) -> FullExport:
    source = TableSelection("t", tasks=SPLITS, unknown=Unknown.DROP)
    named = {"table": "t", "partition": PARTITION, "truncates": True, "creates": True} | target
    return FullExport("loaded", source, TableTarget(**named), Limits(threads=1), "demo", "status")


def warehouse(endpoint: str, project: str, **settings: Any) -> MaxCompute:
    return MaxCompute(MaxComputeEndpoint(endpoint, project, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET), **settings)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoint")
    parser.add_argument("project")
    parser.add_argument("run")
    parser.add_argument("--nth", type=int, default=0)
    parser.add_argument("--after", action="store_true")
    asked = parser.parse_args()
    place: Any = Doomed(warehouse(asked.endpoint, asked.project), asked.nth, asked.after)
    report = run(export(), Services(table(asked.run), place), run=asked.run)
    sys.stdout.write(f"{report.rows}\n")


if __name__ == "__main__":
    main()
