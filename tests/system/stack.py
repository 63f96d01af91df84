"""A whole Airflow on this machine: database, API server, scheduler, DAG processor, triggerer, as a user would run them.

Everything lives under one folder and listens on 127.0.0.1; nothing of the caller's own Airflow is read. State is asked
for over the REST API only.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.system.processes import end, kill_tree

BIN = Path(sys.executable).parent
SQL = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
COMPONENTS = ("api-server", "scheduler", "dag-processor")
_PORTS = itertools.count(os.getpid() * 16)


class StackBroke(Exception):
    """Airflow did not come up, or one of its processes ended."""


def free_port() -> int:
    """A port that nobody has, apart from those that the system gives to connections and to port 0.

    Its server comes later, so nobody else may get it meanwhile: processes side by side begin at different numbers.
    """
    while True:
        port = 20_000 + next(_PORTS) % 10_000
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("", port))
            return port


def settings(home: Path, dags: Path, port: int) -> dict[str, str]:
    """Airflow's configuration, as environment variables. What is tuned here is for two cores and short tasks."""
    base = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        # Airflow gives up within seconds what a slow machine only does later.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "400",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "180",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
        "AIRFLOW__API__BASE_URL": base,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        # With the default of 5 a task's slot stays taken for up to 5 s after it has ended.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # With one a second, the default of 3 would end a task whose API server waits for SQLite.
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "15",
        "TZ": "UTC",
        # All that it talks to is on this machine.
        "NO_PROXY": "*",
        "no_proxy": "*",
        **_keys(home),
    }


def _keys(home: Path) -> dict[str, str]:
    """This stack's own secrets; kept beside its database, which is unreadable with others."""
    kept = home / "keys.json"
    if not kept.exists():
        keys = {
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        }
        home.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            json.dump(keys, file)
    return dict(json.loads(kept.read_text()))


@dataclass
class Stack:
    """One Airflow. Use as a context manager; `extra` are more environment variables, such as connections."""

    home: Path
    dags: Path
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)
    components: Sequence[str] = COMPONENTS
    port: int = 0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.port = self.port or free_port()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
        self.environment = {**inherited, **settings(self.home, self.dags, self.port), **self.extra}
        self.environment["PATH"] = f"{BIN}{os.pathsep}{self.environment.get('PATH', '')}"
        self._session = requests.Session()
        patient = HTTPAdapter(max_retries=Retry(3, allowed_methods=["GET"], backoff_factor=0.5))
        self._session.mount("http://", patient)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Stack:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Migrate the database and start every component; returns at once, see `wait_healthy`."""
        with (self.home / "db-migrate.log").open("wb") as log:
            done = subprocess.run([BIN / "airflow", "db", "migrate"], env=self.environment, stdout=log, stderr=log)
        if done.returncode:
            raise StackBroke(f"airflow db migrate failed; see {self.home / 'db-migrate.log'}")
        for name in self.components:
            self.launch(name, [name])

    def launch(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start one more `airflow …` that belongs to this Airflow and is ended with it, such as a worker.

        :param name: heads its log file; a process of this name that has ended is replaced.
        """
        # SQLite has one writer at a time, and on a busy machine its turn may take longer than the default of 5 s; only
        # the API server must not wait for longer, see `api`.
        patient = {} if name == "api-server" else {SQL: f"sqlite:///{self.home}/airflow.db?timeout=60"}
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [BIN / "airflow", *command],
                env={**patient, **self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.processes[name]

    def kill(self, name: str) -> None:
        """SIGKILL one of its processes with all its children; it is no longer one that should be alive."""
        kill_tree(self.processes.pop(name))

    def wait_healthy(self, dag_ids: Sequence[str] = (), seconds: float = 400) -> None:
        """Return when every component reports healthy and the named DAGs are known.

        :raises StackBroke: not within the time (a DAG file that does not import is named), or a component has ended.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.check_alive()
            try:
                health = requests.get(f"{self.url}/api/v2/monitor/health", timeout=30).json()
                states = [health[c]["status"] for c in ("metadatabase", "scheduler", "dag_processor")]
                if set(states) == {"healthy"} and set(dag_ids) <= set(self.dag_ids()):
                    return
            except (requests.RequestException, KeyError, ValueError):
                pass  # not listening yet
            time.sleep(0.5)
        missing, why = sorted(dag_ids), ""
        with contextlib.suppress(requests.RequestException, KeyError, ValueError):  # it may not even answer
            missing = sorted(set(dag_ids) - set(self.dag_ids()))
            why = "".join(f"\na DAG file does not import:\n{error}" for error in self.import_errors())
        told = f"Airflow was not ready after {seconds:.0f} s (missing DAGs: {missing}); logs: {self.home}"
        raise StackBroke(told + why)

    def stop(self) -> None:
        """End every process, its children included. Safe to call twice."""
        end(self.processes.values())
        self.processes.clear()

    def dag_ids(self) -> list[str]:
        return [d["dag_id"] for d in self.api("GET", "dags", params={"limit": "100"})["dags"]]

    def import_errors(self) -> list[str]:
        return [e["stack_trace"] for e in self.api("GET", "importErrors")["import_errors"]]

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, about: datetime | None = None) -> str:
        """Unpause the DAG and start a run as a person would; its run id.

        :param about: its logical date, not before the DAG's start; None: it has none.
        """
        self.api("PATCH", f"dags/{dag_id}", json={"is_paused": False})
        body = {"logical_date": about.isoformat() if about else None, "conf": dict(conf or {})}
        return str(self.api("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def backfill(self, dag_id: str, first: datetime, last: datetime) -> str:
        """Ask for the runs of a schedule from `first` to `last`, as the web UI does; why Airflow refused, "" if not.

        With SQLite it refuses while another process writes, Airflow 3.1 with no more than a 500, and may leave half a
        backfill behind. That is cancelled here, so asking again is safe.
        """
        asked = {
            "dag_id": dag_id,
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "max_active_runs": 1,
            "reprocess_behavior": "failed",  # what was cancelled counts as that
            "run_backwards": False,
            "dag_run_conf": {},
        }
        # Airflow 3.3 looks this up when it is not told, which begins to write in one session; its other session then
        # waits for the first in vain, whenever the database is SQLite. Airflow 3.1 does not know the word.
        if "run_on_latest_version" in self._fields("BackfillPostBody"):
            asked["run_on_latest_version"] = True
        try:
            self.api("POST", "backfills", json=asked)
        except requests.HTTPError as refused:
            if refused.response is None or refused.response.status_code not in (409, 500, 503):
                raise
            for half in self.api("GET", "backfills", params={"dag_id": dag_id})["backfills"]:
                if half["completed_at"] is None:
                    with contextlib.suppress(requests.HTTPError):  # refused for the same reason: the next one meets it
                        self.api("PUT", f"backfills/{half['id']}/cancel")
            return str(refused)
        return ""

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self.api("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        answer = self.api("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", params={"limit": "1000"})
        return list(answer["task_instances"])

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.api("GET", path, params={"map_index": str(map_index), "deserialize": "false"})["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int, map_index: int = -1) -> str:
        """A task's log as text."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
        answer = self.api("GET", path, params={"map_index": str(map_index), "full_content": "true"})
        content = answer["content"]
        return "\n".join(_told(entry) for entry in content)

    def api(self, method: str, path: str, **kwargs: Any) -> Any:
        """One REST call, as an administrator. Raises requests.HTTPError with the server's own detail.

        With SQLite the server may stop itself: it writes its audit log on its event loop, which a task's open
        transaction needs to come to its end. After some seconds it gives up and undoes the call, so it is made again.
        Airflow 3.1 does not say why; there only what may be done twice is.
        """
        if "Authorization" not in self._session.headers:
            token = requests.get(f"{self.url}/auth/token", timeout=60).json()["access_token"]
            self._session.headers["Authorization"] = f"Bearer {token}"
        for pause in (0.5, 1, 2, 4, 8, 8, 0):
            answer = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=60, **kwargs)
            if answer.status_code != 500 or not (method in ("GET", "PATCH") or "Database error" in answer.text):
                break
            time.sleep(pause)
        if answer.status_code >= 500:
            self._session.close()  # the server may hang up behind such an answer; the next call connects anew
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text[:500]}", response=answer)
        return answer.json() if answer.content else None

    def _fields(self, model: str) -> set[str]:
        """What this Airflow's API knows of a request's body."""
        schema = requests.get(f"{self.url}/openapi.json", timeout=30).json()
        return set(schema["components"]["schemas"][model]["properties"])

    def check_alive(self) -> None:
        """:raises StackBroke: a component has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise StackBroke(f"airflow {name} ended with {process.returncode}; see {self.home / f'{name}.log'}")


def _told(entry: Any) -> str:
    """A line of a task's log; with the exceptions that Airflow puts beside it."""
    if not isinstance(entry, dict):
        return str(entry)
    raised = [f"{one.get('exc_type')}: {one.get('exc_value')}" for one in entry.get("error_detail") or ()]
    return "\n".join([str(entry.get("event", entry)), *raised])
