"""A table that follows another one, as a process of its own: `python -m tests.integration.copying URL UNTIL`."""

from __future__ import annotations

import sys

from airflow_tablestore.pipeline.tunnel.copy_target import TableCopy
from airflow_tablestore.pipeline.tunnel.drain import Drain, DrainReport, drain
from airflow_tablestore.pipeline.tunnel.tunnels import Wanted
from tests.integration.draining import IMPATIENT, SETTINGS, client_of

COPY = "copy"


def copied(url: str, *, until_caught_up: bool = True) -> DrainReport:
    job = Drain(
        pipeline="copy",
        wanted=Wanted("t", "n"),
        target=TableCopy(COPY, creates=True, batch_rows=5),
        until_caught_up=until_caught_up,
        flush_seconds=0.05,
        settings=SETTINGS if until_caught_up else IMPATIENT,
    )
    with client_of(url) as client:
        return drain(job, client, client)


if __name__ == "__main__":
    copied(sys.argv[1], until_caught_up=sys.argv[2] == "CAUGHT_UP")
