"""A server that only sends what was prepared, so that a client's cost stands alone: `python -m tests.bench.canned`.

It answers GetRange for the table of `answers`, each page as bytes that were put together, digested and signed when it
started. Nothing of a request is checked but its start key. Prints its port, ends with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from airflow_tablestore.wire import sign
from airflow_tablestore.wire.plainbuffer import encode_key
from airflow_tablestore.wire.proto import table_pb2
from tests.bench import answers

INSTANCE, KEY_ID, SECRET = "bench", "bench-id", "bench-secret"
URI = "/GetRange"
HEAD_END = b"\r\n\r\n"


def prepared(body: bytes) -> bytes:
    """A whole HTTP answer, with the MD5 and the signature that clients check."""
    headers = sign.sign_response(
        URI, body, access_key_id=KEY_ID, key=SECRET.encode(), request_id="canned", now=datetime.now(UTC)
    )
    headers["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + body


class Session(asyncio.Protocol):
    """One connection. `pages` holds the answers by the start key of their request; () is the table's beginning."""

    def __init__(self, pages: dict[bytes, bytes], first: bytes, latency: float):
        self._pages, self._first, self._latency = pages, first, latency
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(HEAD_END)
        if end < 0:
            return
        head = self._held[:end].lower()
        size = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        end += len(HEAD_END)
        if len(self._held) < end + size:
            return
        body, self._held = self._held[end : end + size], self._held[end + size :]
        request = table_pb2.GetRangeRequest.FromString(body)
        answer = self._pages.get(request.inclusive_start_primary_key, self._first)
        asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer)  # type: ignore[attr-defined]


async def serve(options: argparse.Namespace) -> None:
    pages: dict[bytes, bytes] = {}
    for number, body in enumerate(answers.bodies(options.pages, options.rows, is_matrix=options.matrix)):
        pages[encode_key(answers.key_of(number * options.rows))] = prepared(body)
    first = next(iter(pages.values()))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(pages, first, options.latency), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextlib.contextmanager
def running(
    pages: int, rows: int = answers.ROWS_PER_PAGE, *, latency: float = 0, is_matrix: bool = False
) -> Iterator[str]:
    """The address of such a server, a process of its own.

    :param latency: seconds between a request and its answer.
    """
    command = [sys.executable, "-m", "tests.bench.canned", str(pages), str(rows), "--latency", str(latency)]
    if is_matrix:
        command.append("--matrix")
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdin
        assert process.stdout
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError("the canned server did not start")
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.canned", description=__doc__)
    parser.add_argument("pages", type=int)
    parser.add_argument("rows", type=int, help="rows of a page")
    parser.add_argument("--latency", type=float, default=0)
    parser.add_argument("--matrix", action="store_true", help="answer SimpleRowMatrix")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
