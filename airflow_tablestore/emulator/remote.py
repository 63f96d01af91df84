"""An emulator that runs in another process, asked through its `/_emulator/` routes."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from airflow_tablestore.errors import SpecError

_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Remote:
    """The emulator at an address of this machine: the one of either service.

    :raises SpecError: the address is none of this machine's.
    """

    url: str

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            is_local = parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS and parts.port is not None
        except ValueError:
            is_local = False
        if not is_local:
            raise SpecError(f"{self.url!r} is no emulator's address; it looks like http://127.0.0.1:8080.")

    def get(self, path: str) -> Any:
        """What a route tells."""
        return self._ask("GET", path, None)

    def post(self, path: str, told: object = None) -> Any:
        """What a route answers to this value."""
        return self._ask("POST", path, told)

    def delete(self, path: str) -> Any:
        """What a route answers to a deletion."""
        return self._ask("DELETE", path, None)

    def _ask(self, method: str, path: str, told: object) -> Any:
        """:raises SpecError: nobody answers there, it is no emulator, or it refuses (in its words)."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
        try:
            connection.request(method, f"/_emulator/{path}", None if told is None else json.dumps(told))
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
            found = json.loads(body)
        except OSError as error:
            raise SpecError(
                f"No emulator answers at {self.url} ({error.strerror or error}). "
                "Start one with: airflow-tablestore emulator up"
            ) from error
        except (http.client.HTTPException, ValueError) as error:
            raise SpecError(f"What answers at {self.url} is no emulator of this version.") from error
        finally:
            connection.close()
        if status != 200:
            text = found.get("error") if isinstance(found, dict) else None
            raise SpecError(str(text or f"{self.url} answered {status}."))
        return found
