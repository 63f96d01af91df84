"""`make up`: the emulator and an Airflow with its web UI, to try things by hand, until Ctrl-C.

What you do here is kept in `.up/` (tables, objects, runs) and is there again at the next `make up`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rich.console import Console

from tests.system import sample
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
            _load_once(services["tablestore"], out)
            out.print("Airflow is starting (about half a minute) ...")
            stack = Stack(FOLDER / "airflow", ROOT / "dags", services["env"], (*COMPONENTS, "triggerer"))
            with stack:
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


def _load_once(tablestore: dict[str, str], out: Console) -> None:
    client = sample.sdk_client(tablestore)
    if sample.TABLE in client.list_table():
        return
    out.print(f"Loading {ROWS:,} rows into {sample.TABLE} ...")
    sample.create_table(client)
    sample.load(client, ROWS)


def _say_where(stack: Stack, services: dict[str, dict[str, str]], out: Console) -> None:
    tablestore, oss = services["tablestore"], services["oss"]
    out.print(f"""
[bold]Airflow[/bold]     {stack.url}   (no login; unpause a DAG and trigger it)
[bold]DAGs[/bold]        {ROOT / "dags"}   (edit or add a spec: it shows up within ten seconds)
[bold]Tablestore[/bold]  {tablestore["endpoint"]}   instance {tablestore["instance"]}, table {sample.TABLE}
[bold]OSS[/bold]         {oss["endpoint"]}   bucket {oss["bucket"]}

For the command line or an Airflow of your own, in another terminal:""")
    for name, value in services["env"].items():
        out.print(f"export {name}='{value}'", soft_wrap=True)
    out.print("\nStop with Ctrl-C.")


if __name__ == "__main__":
    sys.exit(main())
