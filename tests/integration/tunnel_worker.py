"""A worker as a process of its own: `python tunnel_worker.py ENDPOINT TUNNEL JOURNAL UNTIL [PAUSE_SECONDS [TIMEOUT]]`.

Each record that it takes is one line in the journal, which many workers share; a batch is done when its lines are.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.consumer.tunnel import Batch, Settings, TunnelReader
from airflow_tablestore.consumer.tunnel.reader import Until
from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, DEMO_INSTANCE

SETTINGS = Settings(
    heartbeat_seconds=0.2, timeout_seconds=60, checkpoint_seconds=0.2, pause_seconds=0.2, reconnect_seconds=1
)


def main(
    endpoint: str, tunnel: str, journal: str, until: str, pause_seconds: float = 0.0, timeout_seconds: float = 60
) -> None:
    """Drains the tunnel."""
    out = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def take(batch: Batch) -> None:
        lines = []
        for record in batch.records:
            row = record.decoded()
            value = row.cells[0].value if row.cells else None
            micros = row.sequence.timestamp if row.sequence else 0
            lines.append(json.dumps([row.key[0][1], value, record.action.value, micros, batch.channel, os.getpid()]))
        os.write(out, "".join(f"{line}\n" for line in lines).encode())
        time.sleep(pause_seconds)

    with Client(Endpoint(endpoint, DEMO_INSTANCE, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET)) as client:
        settings = replace(SETTINGS, timeout_seconds=int(timeout_seconds))
        TunnelReader(client, tunnel, settings=settings, until=Until[until]).run(take)


if __name__ == "__main__":
    main(*sys.argv[1:5], *map(float, sys.argv[5:]))
