"""A table that follows another one while its workers are killed: it ends as the writer's own journal says."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from pathlib import Path

import pytest
import tablestore as sdk

from airflow_tablestore.emulator import Emulator
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType
from tests.integration.copying import COPY, copied
from tests.integration.tunnel_writing import ALWAYS, Written, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
KILLS = 2


class Changing(Written):
    """Every fourth change of a key deletes its row, so that a put that comes again too late would be seen."""

    def write(self, key: int) -> None:
        version = self.versions[key] + 1
        row = [("id", key)]
        if version % 4:
            self.sdk.put_row("t", sdk.Row(row, [("v", version)]), ALWAYS)
        else:
            self.sdk.delete_row("t", sdk.Row(row), ALWAYS)
        self.versions[key] = version

    @property
    def journal(self) -> dict[int, int]:
        return {key: last for key, last in enumerate(self.versions) if last % 4}

    def copy(self) -> dict[int, int]:
        """What stands in the copy; nothing before it is made."""
        found: dict[int, int] = {}
        begin, end = [("id", sdk.INF_MIN)], [("id", sdk.INF_MAX)]
        with contextlib.suppress(sdk.OTSServiceError):
            _, _, rows, _ = self.sdk.get_range(COPY, sdk.Direction.FORWARD, begin, end)
            found = {row.primary_key[0][1]: row.attribute_columns[0][1] for row in rows}
        return found


def start(written: Written) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.integration.copying", written.endpoint, "NEVER"]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_workers_killed_under_load_leave_the_table_that_the_journal_says():
    chance = random.Random(11)
    with Emulator() as emulator, Changing(emulator, keys=12) as written:
        written.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))
        workers = [start(written) for _ in range(2)]
        for _ in range(KILLS):
            before = written.copy()
            until(lambda before=before: written.copy() != before)
            victim = workers.pop(chance.randrange(2))
            victim.kill()
            victim.wait()
            workers.append(start(written))
        written.finish()
        for worker in workers:
            worker.kill()
            worker.wait()
        # A killed worker's channels are its own until it was silent for too long; only then there is more to take.
        until(lambda: not any(one.client_id for one in written.channels() if one.status != "TERMINATED"))
        report = copied(written.endpoint)

        assert written.copy() == written.journal
        assert report.dirty == 0
