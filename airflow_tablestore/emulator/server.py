"""One uvicorn server per ASGI app, each in a thread of this process, on 127.0.0.1 only.

The apps know nothing about sockets and this module knows nothing about services. An app is any ASGI application with
`close()`, which is called once, after the last request.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Any, Protocol

from airflow_tablestore.errors import SpecError

HOST = "127.0.0.1"
START_SECONDS = 60.0
"""A busy machine takes its time to load uvicorn; a server that cannot start is told at once."""
DRAIN_SECONDS = 3
"""How long a stopping server waits for answers that are on their way."""
CONNECTION = "airflow_tablestore.connection"
"""Where a request's scope holds the `Connection` that it came through."""


class App(Protocol):
    """An ASGI application that owns a store."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def close(self) -> None: ...


class Connection:
    """A client's connection, for those who make it fail."""

    def __init__(self, transport: asyncio.Transport):
        self._transport = transport

    @property
    def is_open(self) -> bool:
        """Whether it has not been ended from here."""
        return not self._transport.is_closing()

    def end(self) -> None:
        """Sends what is written so far and ends the connection."""
        self._transport.close()

    def reset(self) -> None:
        """Ends the connection with a TCP reset; what was not sent is lost."""
        held = self._transport.get_extra_info("socket")
        if held is not None:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class Server:
    """An app that is being served; `port` 0 takes a free port.

    :raises SpecError: (from `start`) the port is taken, or uvicorn is not installed.
    """

    def __init__(self, app: App, *, port: int = 0, name: str = "emulator"):
        self._app, self._wanted_port, self._name = app, port, name
        self._uvicorn: Any = None
        self._connections: dict[Any, Connection] = {}
        self._thread: threading.Thread | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens, as clients want it."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> Server:
        """Listens and answers; returns once requests are accepted."""
        try:
            uvicorn = _uvicorn()
            listener = _listener(self._wanted_port, self._name)
        except SpecError:
            self._app.close()
            raise
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._connected,
            http=_protocol(self._connections),
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,  # longer than clients keep idle connections, so that they never race with us
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, args=(listener,), name=f"{self._name}-server", daemon=True)
        self._thread.start()
        patience = time.monotonic() + START_SECONDS
        while not self._uvicorn.started:
            if not self._thread.is_alive() or time.monotonic() > patience:
                self.stop()
                raise SpecError(f"The {self._name} server did not start on {self.url}.")
            time.sleep(0.002)
        return self

    def stop(self) -> None:
        """Ends requests, then closes the app. Calling it again does nothing."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._uvicorn.should_exit = True
        thread.join()
        self._app.close()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _connected(self, scope: Any, receive: Any, send: Any) -> None:
        connection = self._connections.get(tuple(scope["client"]))
        await self._app({**scope, CONNECTION: connection}, receive, send)

    def _serve(self, listener: socket.socket) -> None:
        with listener:
            asyncio.run(self._uvicorn.serve(sockets=[listener]))


def _uvicorn() -> Any:
    try:
        import uvicorn
    except ImportError as error:
        raise SpecError("The emulator needs its extra: pip install 'airflow-tablestore[emulator]'") from error
    return uvicorn


def _protocol(connections: dict[Any, Connection]) -> type[asyncio.Protocol]:
    """uvicorn's own protocol, which also tells of each connection under its peer's address."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class Told(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.peer = transport.get_extra_info("peername")
            connections[self.peer] = Connection(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            connections.pop(self.peer, None)

    return Told


def _listener(port: int, name: str) -> socket.socket:
    # asyncio turns Nagle's algorithm off only for sockets that name TCP; with it on, answers may wait 40 ms for an ACK
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise SpecError(
            f"Port {port} of {HOST} is not free for {name} ({error.strerror}). "
            "Stop what listens there, or choose another with --port N (--port 0 takes free ports)."
        ) from error
    listener.listen(2048)
    return listener
