"""The part of the demo about restore: a published export written back into a table that was not there.

It follows the export that it restores. The oracle is the table that was exported; both are read with the official SDK.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.system import compare, sample
from tests.system.demo_exports import KEY_NAMES
from tests.system.demo_runs import Runs
from tests.system.demo_verdicts import Verdict

DAG, EXPORT = "gps_restore", "gps_full"
COPY = "ots_gps_data_copy"


@dataclass
class Restore:
    """One run, as soon as the export is published."""

    services: dict[str, Any] = field(repr=False)
    title = f"{sample.TABLE}: a published export restored into {COPY}"
    dags = (DAG,)

    def begin(self, runs: Runs) -> None:
        self._started: list[tuple[str, str]] = []

    def step(self, runs: Runs) -> bool:
        """Whether all is done; begins when the export has ended."""
        if self._started:
            return runs.seen[self._started[0]].is_over
        exported = [run for run in runs.of(EXPORT) if run.is_over]
        if exported and exported[0].state == "success":
            self._started.append(runs.start(DAG))
            runs.say(f"{EXPORT} is published; {DAG} writes it into {COPY}")
        return bool(exported) and not self._started

    def verdicts(self, runs: Runs) -> Iterator[Verdict]:
        if not self._started:
            yield Verdict(DAG, "nothing", 0, "table", 0, f"{EXPORT} published nothing to restore")
            return
        problem, given = runs.failures(self._started), {}
        if not problem:
            client = sample.sdk_client(self.services["tablestore"])
            expected = compare.table_rows(client, sample.TABLE, KEY_NAMES)
            given = compare.table_rows(client, COPY, KEY_NAMES)
            problem = compare.difference(expected, given.items(), compare.as_is)
        yield Verdict(DAG, "Tablestore: 1 new table", len(given), "table", runs.seen[self._started[0]].seconds, problem)
