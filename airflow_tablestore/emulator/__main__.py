"""`python -m airflow_tablestore.emulator up` and so on: the same as `airflow-tablestore emulator up`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_tablestore.emulator.command import add_up_parser
from airflow_tablestore.emulator.control import add_parsers
from airflow_tablestore.errors import SpecError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command of the emulator; 2 when the user must change something."""
    parser = argparse.ArgumentParser(prog="python -m airflow_tablestore.emulator", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add_up_parser(commands)
    add_parsers(commands)
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.handler(arguments)
    except SpecError as error:
        print(error, file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
