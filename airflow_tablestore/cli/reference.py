"""The reference page of the commands, in Markdown, from their definitions.

Run `python -m airflow_tablestore.cli.reference docs/reference/commands.md` after a change to `commands`; a test checks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from airflow_tablestore.cli.parser import parser

HEAD = """\
# Commands

<!-- Made from airflow_tablestore/cli/commands.py and groups.py: edit those, then run
     python -m airflow_tablestore.cli.reference docs/reference/commands.md -->

`airflow-tablestore COMMAND`, or `airflow tablestore COMMAND` where Airflow is installed (all but `emulator`). The first
takes connections from `AIRFLOW_CONN_*` in the environment, the second from wherever Airflow keeps them.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done; 1 the pipeline or a check failed, or lint found
an error; 2 the spec, a connection or the call must be changed; 130 interrupted. Errors are one block without a
traceback; `--debug` or `AIRFLOW_TABLESTORE_DEBUG=1` adds it."""


def page() -> str:
    """The whole page."""
    return "\n\n".join([HEAD, *_sections(parser(), "airflow-tablestore")]) + "\n"


def _sections(of: argparse.ArgumentParser, name: str) -> Iterator[str]:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from _section(inner, f"{name} {word}")


def _section(of: argparse.ArgumentParser, name: str) -> Iterator[str]:
    arguments = [a for a in of._actions if not isinstance(a, argparse._HelpAction | argparse._SubParsersAction)]
    if of.description:
        rows = "\n".join(f"| `{_name(a)}` | {_cell(a.help)} |" for a in arguments)
        yield f"## {name}\n\n{of.description}\n\n| argument | what it does |\n| --- | --- |\n{rows}"
    yield from _sections(of, name)


def _name(action: Any) -> str:
    if not action.option_strings:
        return str(action.metavar or action.dest) + (" …" if action.nargs == "+" else "")
    flag = ", ".join(action.option_strings)
    return f"{flag} {action.metavar}" if action.metavar else flag


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def main(arguments: Sequence[str]) -> None:
    """Write the page to the file that is named."""
    Path(arguments[0]).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
