"""Tablestore and OSS on 127.0.0.1: the real protocols, for tests and for trying things by hand.

    with Emulator() as cloud:
        os.environ.update(cloud.environment())

The services are ASGI apps (`tablestore/app.py`, `oss/app.py`), each over its own store under the data directory;
`server.py` serves them, this class puts them together and says how to reach them. Importing it loads no server.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from airflow_tablestore.emulator.accounts import (
    DEMO_ACCESS_KEY_ID,
    DEMO_ACCESS_KEY_SECRET,
    DEMO_BUCKET,
    DEMO_INSTANCE,
    REGION,
    Accounts,
    demo_accounts,
)
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.errors import TablestoreError

if TYPE_CHECKING:
    from airflow_tablestore.emulator.server import Server

__all__ = ["Emulator", "OssAccess", "TablestoreAccess"]


@dataclass(frozen=True, slots=True)
class TablestoreAccess:
    """How to reach the Tablestore service. Any instance name is accepted, each with tables of its own."""

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


class Emulator:
    """Both services in threads of this process.

    :param data_dir: where everything is kept, made when absent; None keeps it only while this runs.
    :param port: 0 takes free ports; else Tablestore listens there and OSS on the next.
    :raises SpecError: (from `start`) a port is taken, the directory is used by another emulator, or uvicorn is missing.
    """

    def __init__(self, data_dir: Path | None = None, port: int = 0):
        self.data_dir, self._port = data_dir, port
        self.clock = Clock()
        self.accounts: Accounts = demo_accounts()
        self._servers: tuple[Server, ...] = ()
        self._open = contextlib.ExitStack()

    def start(self) -> Emulator:
        """Serves; returns once both services accept requests."""
        from airflow_tablestore.emulator.oss.app import OssApp
        from airflow_tablestore.emulator.server import Server
        from airflow_tablestore.emulator.storage import claimed
        from airflow_tablestore.emulator.tablestore.app import TablestoreApp

        with contextlib.ExitStack() as opening:
            if self.data_dir is not None:
                opening.enter_context(claimed(self.data_dir))
            apps = (("Tablestore", TablestoreApp, "tablestore"), ("OSS", OssApp, "oss"))
            servers = []
            for offset, (name, make, folder) in enumerate(apps):
                app = make(self.data_dir and self.data_dir / folder, self.accounts, self.clock)
                server = Server(app, port=self._port and self._port + offset, name=name)
                servers.append(opening.enter_context(server))
            self._servers = tuple(servers)
            self._open = opening.pop_all()
        return self

    def stop(self) -> None:
        """Ends requests and closes the stores; what is not ephemeral stays."""
        self._servers = ()
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

    def environment(self) -> dict[str, str]:
        """The variables that make `tablestore_default` and `oss_default` Airflow connections to this emulator."""
        table, oss = self.tablestore, self.oss
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
        }

    def to_json(self) -> str:
        """Everything a program needs to use this emulator, on one line: `tablestore`, `oss`, `env`."""
        return json.dumps({"tablestore": asdict(self.tablestore), "oss": asdict(self.oss), "env": self.environment()})

    def _url(self, index: int) -> str:
        if not self._servers:
            raise TablestoreError("The emulator is not running: call start(), or use it in a with statement.")
        return self._servers[index].url
