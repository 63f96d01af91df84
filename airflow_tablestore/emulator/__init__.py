"""Tablestore, OSS and MaxCompute on 127.0.0.1: the real protocols, for tests and for trying things by hand.

    with Emulator() as cloud:
        os.environ.update(cloud.environment())

The services are ASGI apps (`tablestore/app.py`, `oss/app.py`, `maxcompute/app.py`), each over its own store under the
data directory; `server.py` serves them, this class puts them together and says how to reach them. Importing it loads
no server.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from airflow_tablestore import __version__
from airflow_tablestore.emulator.accounts import (
    DEMO_ACCESS_KEY_ID,
    DEMO_ACCESS_KEY_SECRET,
    DEMO_BUCKET,
    DEMO_INSTANCE,
    DEMO_PROJECT,
    REGION,
    Accounts,
    demo_accounts,
)
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.faults import Fault, Faults
from airflow_tablestore.emulator.local_cloud import LocalCloud
from airflow_tablestore.emulator.traffic import Exchange, RequestLog
from airflow_tablestore.errors import TablestoreError

if TYPE_CHECKING:
    from airflow_tablestore.emulator.maxcompute.app import MaxComputeApp
    from airflow_tablestore.emulator.maxcompute.store import Store as MaxComputeStore
    from airflow_tablestore.emulator.oss.app import OssApp
    from airflow_tablestore.emulator.oss.store import Store as ObjectStore
    from airflow_tablestore.emulator.server import Server
    from airflow_tablestore.emulator.tablestore.app import TablestoreApp
    from airflow_tablestore.emulator.tablestore.service import Service

__all__ = ["Emulator", "Fault", "LocalCloud", "MaxComputeAccess", "OssAccess", "TablestoreAccess"]

_STOPPED = "The emulator is not running: call start(), or use it in a with statement."


@dataclass(frozen=True, slots=True)
class TablestoreAccess:
    """How to reach the Tablestore service. The instance is there."""

    endpoint: str
    instance: str = DEMO_INSTANCE
    access_key_id: str = DEMO_ACCESS_KEY_ID
    access_key_secret: str = field(default=DEMO_ACCESS_KEY_SECRET, repr=False)


@dataclass(frozen=True, slots=True)
class OssAccess:
    """How to reach the OSS service, path-style. The bucket is there."""

    endpoint: str
    bucket: str = DEMO_BUCKET
    access_key_id: str = DEMO_ACCESS_KEY_ID
    access_key_secret: str = field(default=DEMO_ACCESS_KEY_SECRET, repr=False)


@dataclass(frozen=True, slots=True)
class MaxComputeAccess:
    """How to reach the MaxCompute service. Any project name is accepted, each with tables of its own."""

    endpoint: str
    project: str = DEMO_PROJECT
    access_key_id: str = DEMO_ACCESS_KEY_ID
    access_key_secret: str = field(default=DEMO_ACCESS_KEY_SECRET, repr=False)


class Emulator:
    """The services in threads of this process.

    :param data_dir: where everything is kept, made when absent; None keeps it only while this runs.
    :param port: 0 takes free ports; else Tablestore listens there, OSS on the next, MaxCompute on the one after.
    :param instances: of Tablestore, to be made beside the demo instance.
    :raises SpecError: (from `start`) a port is taken, the directory is used by another emulator or cannot be used,
        uvicorn is missing, or a name cannot be an instance's.
    """

    def __init__(self, data_dir: Path | None = None, port: int = 0, instances: Iterable[str] = ()):
        self.data_dir, self._port, self._instances = data_dir, port, tuple(instances)
        self.clock = Clock()
        self.accounts: Accounts = demo_accounts()
        self.faults, self.traffic = Faults(), RequestLog()
        self._started_at: datetime | None = None
        self._servers: tuple[Server, ...] = ()
        self._apps: tuple[TablestoreApp, OssApp, MaxComputeApp] | None = None
        self._open = contextlib.ExitStack()

    def start(self) -> Emulator:
        """Serves; returns once all services accept requests."""
        from airflow_tablestore.emulator.admin import Admin
        from airflow_tablestore.emulator.gate import Gate
        from airflow_tablestore.emulator.maxcompute import asked as maxcompute_asked
        from airflow_tablestore.emulator.maxcompute.app import MaxComputeApp
        from airflow_tablestore.emulator.oss import asked as oss_asked
        from airflow_tablestore.emulator.oss.app import OssApp
        from airflow_tablestore.emulator.server import Server
        from airflow_tablestore.emulator.storage import announced, claimed, usable
        from airflow_tablestore.emulator.tablestore import asked as tablestore_asked
        from airflow_tablestore.emulator.tablestore.app import TablestoreApp

        admin = Admin(self)
        folder, port = self.data_dir, self._port
        with usable(folder), contextlib.ExitStack() as opening:
            if folder is not None:
                opening.enter_context(claimed(folder))
            tables = TablestoreApp(folder and folder / "tablestore", self.accounts, self.clock)
            describe = partial(tablestore_asked.asked, of_stream=tables.service.streams.table_of)
            gate = Gate(tables, describe, needs_body=True, faults=self.faults, log=self.traffic, admin=admin)
            servers = [opening.enter_context(Server(gate, port=port, name="Tablestore"))]
            for name in self._instances:
                tables.service.instances.make(name)
            objects = OssApp(folder and folder / "oss", self.accounts, self.clock)
            gate = Gate(objects, oss_asked.asked, needs_body=False, faults=self.faults, log=self.traffic, admin=admin)
            servers.append(opening.enter_context(Server(gate, port=port and port + 1, name="OSS")))
            data = MaxComputeApp(folder and folder / "maxcompute", self.accounts, self.clock)
            gate = Gate(
                data, maxcompute_asked.asked, needs_body=False, faults=self.faults, log=self.traffic, admin=admin
            )
            servers.append(opening.enter_context(Server(gate, port=port and port + 2, name="MaxCompute")))
            opening.callback(tables.service.deliveries.stop)  # before any store is closed
            tables.service.deliveries.start(objects.store)
            if folder is not None:
                opening.enter_context(announced(folder, [server.url for server in servers]))
            self._servers, self._apps = tuple(servers), (tables, objects, data)
            self._started_at = datetime.now(UTC)
            self._open = opening.pop_all()
        return self

    def stop(self) -> None:
        """Ends requests and closes the stores; what is not ephemeral stays."""
        self._servers, self._apps = (), None
        self._open.close()

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def tablestore(self) -> TablestoreAccess:
        """How to reach Tablestore."""
        return TablestoreAccess(self._url(0))

    @property
    def oss(self) -> OssAccess:
        """How to reach OSS."""
        return OssAccess(self._url(1))

    @property
    def maxcompute(self) -> MaxComputeAccess:
        """How to reach MaxCompute."""
        return MaxComputeAccess(f"{self._url(2)}/api")

    def environment(self) -> dict[str, str]:
        """The variables that make `tablestore_default`, `oss_default` and `maxcompute_default` connections to this."""
        table, oss, data = self.tablestore, self.oss, self.maxcompute
        return {
            "AIRFLOW_CONN_TABLESTORE_DEFAULT": json.dumps(
                {
                    "conn_type": "tablestore",
                    "host": table.endpoint,
                    "login": table.access_key_id,
                    "password": table.access_key_secret,
                    "extra": {"instance": table.instance},
                }
            ),
            "AIRFLOW_CONN_OSS_DEFAULT": json.dumps(
                {
                    "conn_type": "oss",
                    "schema": oss.bucket,
                    "extra": {
                        "auth_type": "AK",
                        "access_key_id": oss.access_key_id,
                        "access_key_secret": oss.access_key_secret,
                        "endpoint": oss.endpoint,
                        "region": REGION,
                    },
                }
            ),
            "AIRFLOW_CONN_MAXCOMPUTE_DEFAULT": json.dumps(
                {
                    "conn_type": "maxcompute",
                    "extra": {
                        "project": data.project,
                        "endpoint": data.endpoint,
                        "access_key_id": data.access_key_id,
                        "access_key_secret": data.access_key_secret,
                    },
                }
            ),
        }

    def to_json(self) -> str:
        """Everything a program needs to use this emulator, on one line: `tablestore`, `oss`, `maxcompute`, `env`."""
        services: dict[str, Any] = {"tablestore": self.tablestore, "oss": self.oss, "maxcompute": self.maxcompute}
        return json.dumps({**{name: asdict(one) for name, one in services.items()}, "env": self.environment()})

    # ---- for tests: the log, the clock of data, and starting anew; `faults` is an attribute

    def requests(self, operation: str | None = None) -> list[Exchange]:
        """The latest requests, oldest first; of one operation when it is named."""
        return [exchange for exchange in self.traffic.list() if operation in (None, exchange.operation)]

    def now(self) -> datetime:
        """The time of data, in UTC. Signatures go by the wall clock always."""
        return datetime.fromtimestamp(self.clock.micros() / 1_000_000, UTC)

    def advance(self, seconds: float) -> None:
        """Moves the time of data, by which cells get their versions and expire."""
        self.clock.advance(seconds)

    def make_instance(self, name: str) -> None:
        """Makes a Tablestore instance, unless it is there; who names another one is refused, as by the service.

        :raises SpecError: no instance can have that name.
        """
        self._running()[0].service.instances.make(name)

    def reset(self) -> None:
        """Makes everything as after the first start: no tables, the one empty bucket, no faults, an empty log.

        Instances stay, without tables.

        Data in a data directory is deleted too. The clock of data is the wall clock again.
        """
        tables, objects, data = self._running()
        self.faults.clear()
        self.clock.reset()
        tables.service.store.clear()
        objects.store.clear()
        objects.store.create_bucket(DEMO_BUCKET)
        data.store.clear()
        self.traffic.clear()

    def status(self) -> dict[str, Any]:
        """What is served and what is stored, for people and programs; no secrets."""
        from airflow_tablestore.emulator import status

        tables, objects, data = self._running()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started": self._started_at and self._started_at.isoformat(timespec="seconds"),
            "data_dir": self.data_dir and str(self.data_dir),
            "clock": {"now": self.now().isoformat(), "ahead_seconds": self.clock.ahead_seconds},
            "tablestore": {"endpoint": self.tablestore.endpoint, **status.of_tablestore(tables.service)},
            "oss": {"endpoint": self.oss.endpoint, **status.of_oss(objects.store)},
            "maxcompute": {"endpoint": self.maxcompute.endpoint, **status.of_maxcompute(data.store)},
            "faults": self.faults.list(),
            "requests": self.traffic.total,
        }

    def tablestore_service(self) -> Service:
        """The operations themselves, beside the network and its faults."""
        return self._running()[0].service

    def objects_store(self) -> ObjectStore:
        """The objects themselves, beside the network and its faults."""
        return self._running()[1].store

    def maxcompute_store(self) -> MaxComputeStore:
        """MaxCompute's tables themselves, beside the network and its faults."""
        return self._running()[2].store

    def _running(self) -> tuple[TablestoreApp, OssApp, MaxComputeApp]:
        if self._apps is None:
            raise TablestoreError(_STOPPED)
        return self._apps

    def _url(self, index: int) -> str:
        if not self._servers:
            raise TablestoreError(_STOPPED)
        return self._servers[index].url
