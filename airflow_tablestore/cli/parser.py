"""`airflow-tablestore`: from the words of a command line to the command's function."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from airflow_tablestore import __version__
from airflow_tablestore.cli.command import DEBUG, Command, Group
from airflow_tablestore.cli.commands import COMMANDS
from airflow_tablestore.cli.session import Session, call


def main(words: Sequence[str] | None = None, session: Session | None = None) -> int:
    """Run the command that the words name; the exit code comes back (`sys.exit` is the entry point's business)."""
    arguments = parser().parse_args(words)
    return call(arguments.place, arguments, session or Session())


def parser() -> argparse.ArgumentParser:
    """The parser of all commands. Building it imports none of what they need."""
    top = argparse.ArgumentParser(
        prog="airflow-tablestore",
        description="Pipelines for Alibaba Cloud Tablestore, described by short specs.",
        epilog="airflow-tablestore COMMAND --help tells more about one.",
    )
    top.add_argument("--version", action="version", version=f"airflow-tablestore {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        _add(commands, command)
    emulator = importlib.import_module("airflow_tablestore.emulator.command").add_parser(commands)
    emulator.set_defaults(place=f"{__name__}:emulator")
    return top


def _add(commands: argparse._SubParsersAction[argparse.ArgumentParser], command: Command | Group) -> None:
    if isinstance(command, Group):
        words = commands.add_parser(command.name, help=command.help)
        inner = words.add_subparsers(dest=f"{command.name}_command", metavar="COMMAND", required=True)
        for one in command.commands:
            _add(inner, one)
        return
    made = commands.add_parser(command.name, help=command.help, description=command.description)
    for argument in (*command.arguments, DEBUG):
        made.add_argument(*argument.flags, **argument.settings)
    made.set_defaults(place=command.place)


def emulator(arguments: argparse.Namespace, session: Session) -> int:
    """The emulator's own command, which writes to the real stdout until it is told to stop."""
    code: int = arguments.handler(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
