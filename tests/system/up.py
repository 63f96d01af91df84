"""`make up`: the emulator and an Airflow with its web UI, to try things by hand, until Ctrl-C.

What you do here is kept in `.up/` (tables, objects, runs) and is there again at the next `make up`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.system import demo_delivery, sample, writer
from tests.system.services import emulator, stop_on_signals
from tests.system.stack import COMPONENTS, Stack, StackBroke

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".up"
ROWS = 20_000


def main() -> int:
    out = Console(highlight=False)
    FOLDER.mkdir(exist_ok=True)
    stop_on_signals()
    try:
        with emulator(FOLDER / "emulator", FOLDER / "emulator.log") as services:
            _load_once(services, out)
            out.print("Airflow is starting (about half a minute) ...")
            stack = Stack(FOLDER / "airflow", ROOT / "dags", services["env"], (*COMPONENTS, "triggerer"))
            with stack, _fleet(services):
                stack.wait_healthy()
                _say_where(stack, services, out)
                while True:
                    time.sleep(1)
                    stack.check_alive()
    except KeyboardInterrupt:
        out.print("\nStopped. `make up` brings everything back; delete .up/ to begin anew.")
        return 0
    except (StackBroke, RuntimeError) as broke:
        out.print(f"[red]{broke}[/red]")
        return 1


def _load_once(services: dict[str, Any], out: Console) -> None:
    client = sample.sdk_client(services["tablestore"])
    if demo_delivery.TABLE not in client.list_table():
        demo_delivery.prepare(services)
    if sample.TABLE in client.list_table():
        return
    out.print(f"Loading {ROWS:,} rows into {sample.TABLE} ...")
    sample.create_table(client)
    sample.load(client, ROWS)


@contextlib.contextmanager
def _fleet(services: dict[str, Any]) -> Iterator[None]:
    """A table that goes on changing, for the pipelines of windows: one change a second."""
    if writer.TABLE not in sample.sdk_client(services["tablestore"]).list_table():
        writer.create_table(services)
    with (FOLDER / "writer.log").open("wb") as log:
        fleet = subprocess.Popen(
            [sys.executable, "-m", "tests.system.writer", str(FOLDER / "journal.jsonl"), "1"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    try:
        if fleet.stdin:
            fleet.stdin.write(json.dumps(services) + "\n")
            fleet.stdin.flush()
        yield
    finally:
        fleet.terminate()
        fleet.wait()


def _say_where(stack: Stack, services: dict[str, dict[str, str]], out: Console) -> None:
    tablestore, oss, maxcompute = (services[name] for name in ("tablestore", "oss", "maxcompute"))
    out.print(f"""
[bold]Airflow[/bold]     {stack.url}   (no login; unpause a DAG and trigger it)
[bold]DAGs[/bold]        {ROOT / "dags"}   (edit or add a spec: it shows up within ten seconds)
[bold]Tablestore[/bold]  {tablestore["endpoint"]}   instance {tablestore["instance"]}, table {sample.TABLE}
[bold]OSS[/bold]         {oss["endpoint"]}   bucket {oss["bucket"]}
[bold]MaxCompute[/bold]  {maxcompute["endpoint"]}   project {maxcompute["project"]}

{writer.TABLE} changes once a second. Before you unpause gps_incremental or gps_changes…, tell its spec from when on:
start: {datetime.now(UTC):%Y-%m-%dT%H:%M:00Z}

For the command line or an Airflow of your own, in another terminal:""")
    for name, value in services["env"].items():
        out.print(f"export {name}='{value}'", soft_wrap=True)
    out.print("\nStop with Ctrl-C.")


if __name__ == "__main__":
    sys.exit(main())
