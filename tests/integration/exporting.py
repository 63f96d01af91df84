"""One export in a process of its own, to be killed or frozen: python -m tests.integration.exporting FOLDER RUN …

The table is in memory and its rows are known, the store is a folder; so what is tested is the engine alone, and the
process starts in half a second.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.full_export.export import (
    FullExport,
    ObjectTarget,
    Services,
    TableSelection,
    WriteMode,
    run,
)
from tests.conformance.exports import PIPELINE, PREFIX
from tests.conformance.folder_store import FolderStore
from tests.conformance.memory_table import MemoryTable, numbered

ROWS, SPLITS = 40, 2

CHANGING = frozenset({"put", "put_if_absent", "delete", "initiate", "upload_part", "complete", "abort"})
"""The verbs after which the store is another one: a kill between two others leaves nothing new to find."""


class Doomed:
    """A store that stops its process before its n-th change: for good (SIGKILL) or until SIGCONT (SIGSTOP)."""

    def __init__(self, store: FolderStore, nth: int, with_signal: signal.Signals):
        self._store, self._left, self._signal = store, nth, with_signal

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._store, name)
        if name not in CHANGING:
            return act

        def asked(*args: Any) -> Any:
            self._count()
            return act(*args)

        return asked

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._count()
            self._store.delete([key])

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._signal)


def table(text: str) -> MemoryTable:
    """Known rows, cut into as many parts as there are splits."""
    points = [(("id", number * ROWS // SPLITS),) for number in range(1, SPLITS)]
    return MemoryTable(numbered(ROWS, text=text), points=points, page_rows=10)


def export(mode: str) -> FullExport:
    source = TableSelection("t", tasks=SPLITS)
    target = ObjectTarget("fake", PREFIX, Csv(header=False), WriteMode(mode))
    return FullExport(PIPELINE, source, target, Limits(threads=1))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("run")
    parser.add_argument("--mode", default="truncate")
    parser.add_argument("--nth", type=int, default=0)
    parser.add_argument("--signal", type=lambda name: signal.Signals[name], default=signal.SIGKILL)
    asked = parser.parse_args()
    store: Any = FolderStore(asked.folder)
    if asked.nth:
        store = Doomed(store, asked.nth, asked.signal)
    report = run(export(asked.mode), Services(table(asked.run), store), run=asked.run)
    sys.stdout.write(f"{report.rows}\n")


if __name__ == "__main__":
    main()
