"""A restore to a moment that is killed before its n-th write: python -m tests.integration.restoring_past …

The connections are in the environment, as the command line reads them.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime
from functools import partial
from typing import Any

from airflow_tablestore.client import Client
from airflow_tablestore.pipeline.connections import from_environment, oss_endpoint, tablestore_endpoint
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.restore.job import Restore, RowTarget
from airflow_tablestore.pipeline.restore.point_in_time import run
from airflow_tablestore.pipeline.restore.restore import RestoreServices
from airflow_tablestore.pipeline.sinks.oss import ObjectStore


class DoomedClient:
    """A client that ends its process before its n-th write."""

    def __init__(self, client: Client, nth: int):
        self._client, self._left = client, nth

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def send(self, call: Any) -> Any:
        self._left -= call.operation == "BatchWriteRow"
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._client.send(call)

    def pausing(self, sleep: Any) -> DoomedClient:
        return self


def main() -> None:
    bucket, base, changes, to, table, nth = sys.argv[1:]
    told = partial(from_environment, environ=os.environ)
    client: Any = DoomedClient(Client(tablestore_endpoint(told("tablestore_default"))), int(nth))
    store = ObjectStore(oss_endpoint(told("oss_default"), bucket), bucket)
    source = PointInTime(base, changes, datetime.fromisoformat(to))
    target = RowTarget(table, creates=True, batch_rows=5)
    run(Restore("back", source, target, Limits(threads=1)), RestoreServices(client, store))


if __name__ == "__main__":
    main()
