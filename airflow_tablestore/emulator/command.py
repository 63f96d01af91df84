"""`airflow-tablestore emulator up`: serve until told to stop, and say how to connect.

Importing this loads argparse and nothing else; the servers are loaded when the command runs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from airflow_tablestore.emulator import control
from airflow_tablestore.emulator.storage import default_data_dir, directory

if TYPE_CHECKING:
    from airflow_tablestore.emulator import Emulator

Commands = Any
"""What `ArgumentParser.add_subparsers` returns; argparse keeps its class private."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """Adds `emulator` with its own commands; each sets `handler`, a function from the arguments to the exit code."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "emulator", help="Tablestore, OSS and MaxCompute on this machine, for trying and testing"
    )
    inner = parser.add_subparsers(dest="emulator_command", metavar="COMMAND", required=True)
    add_up_parser(inner)
    control.add_parsers(inner)
    return parser


def add_up_parser(commands: Commands) -> argparse.ArgumentParser:
    """Adds `up`."""
    up: argparse.ArgumentParser = commands.add_parser(
        "up",
        help="serve until SIGTERM or Ctrl-C",
        description="Serves Tablestore, OSS and MaxCompute on 127.0.0.1 until SIGTERM or Ctrl-C; says how to connect.",
    )
    place = up.add_mutually_exclusive_group()
    place.add_argument(
        "--data-dir",
        type=directory,
        metavar="D",
        help="keep tables and objects here (default: airflow-tablestore/emulator in $XDG_STATE_HOME or ~/.local/state)",
    )
    place.add_argument("--ephemeral", action="store_true", help="keep nothing after the stop")
    up.add_argument(
        "--port",
        type=_port,
        default=0,
        metavar="N",
        help="Tablestore on N, OSS on N+1, MaxCompute on N+2; 0 (default) takes free ports",
    )
    up.add_argument(
        "--instance",
        action="append",
        default=[],
        metavar="NAME",
        dest="instances",
        help="make this Tablestore instance too (may be repeated); 'demo' is always there",
    )
    up.add_argument("--json", action="store_true", help="print one JSON object for programs instead of the text")
    up.set_defaults(handler=up_handler)
    return up


def up_handler(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT; 0 then.

    :raises SpecError: a port or the data directory is taken, the extra `emulator` is not installed, or an instance
        cannot have that name.
    """
    data_dir = None if arguments.ephemeral else (arguments.data_dir or default_data_dir()).expanduser().absolute()
    return up(
        data_dir=data_dir,
        port=arguments.port,
        instances=arguments.instances,
        is_json=arguments.json,
        out=sys.stdout,
    )


def up(*, data_dir: Path | None, port: int, is_json: bool, out: TextIO, instances: Sequence[str] = ()) -> int:
    """Starts all services, tells about them on `out`, and waits for SIGTERM or SIGINT."""
    from airflow_tablestore.emulator import Emulator

    with _held(_STOP_SIGNALS), Emulator(data_dir, port, instances) as emulator:
        out.write(emulator.to_json() + "\n" if is_json else greeting(emulator))
        out.flush()
        signal.sigwait(_STOP_SIGNALS)
    return 0


def greeting(emulator: Emulator) -> str:
    """Where the services are, where the data is kept, how to use and how to stop them."""
    table, oss, data = emulator.tablestore, emulator.oss, emulator.maxcompute
    others = [name for name in emulator.tablestore_service().instances.names() if name != table.instance]
    kept = f"{emulator.data_dir} (kept)" if emulator.data_dir else "nothing is kept after the stop"
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in emulator.environment().items())
    return (
        "The emulator is up.\n\n"
        f"  Tablestore  {table.endpoint}   instance {', '.join([table.instance, *others])}\n"
        f"  OSS         {oss.endpoint}   bucket {oss.bucket}\n"
        f"  MaxCompute  {data.endpoint}   project {data.project}\n"
        f"  Access key  {table.access_key_id} / {table.access_key_secret}\n"
        f"  Data        {kept}\n\n"
        "For Airflow and for airflow-tablestore, in another shell:\n\n"
        f"{exports}\n\n"
        f"See what it does: airflow-tablestore emulator status --url {table.endpoint}\n"
        f"Stop it with Ctrl-C, or: kill {os.getpid()}\n"
    )


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port < 65534:  # OSS and MaxCompute take the next ones
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65533")
    return port


@contextlib.contextmanager
def _held(signals: Collection[signal.Signals]) -> Iterator[None]:
    """Keeps signals for `sigwait`, in this thread and those it starts; what came meanwhile is forgotten at the end.

    Not a handler that sets an event: Python runs handlers in the main thread only once that wakes up, and a signal that
    arrives as it falls asleep does not wake it.
    """
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        while waiting := signal.sigpending() & set(signals):
            signal.sigwait(waiting)
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
