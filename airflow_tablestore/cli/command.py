"""What a command is: its name, its arguments, where the work is done; and the arguments that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: what argparse's `add_argument` takes, which is also what Airflow's `Arg` takes."""

    flags: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `place` names its function, (arguments, session) -> exit code, as module:function."""

    name: str
    help: str
    description: str
    arguments: tuple[Argument, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Group:
    """Commands under one word, such as `stream describe`."""

    name: str
    help: str
    commands: tuple[Command, ...]


def flag(name: str, help_: str) -> Argument:
    return Argument((name,), {"action": "store_true", "help": help_})


SPEC = Argument(("spec",), {"metavar": "SPEC", "help": "a spec file"})
JSON = flag("--json", "print JSON for programs")
DEBUG = flag("--debug", "show the traceback of an error (also: AIRFLOW_TABLESTORE_DEBUG=1)")
RUN_DATE = Argument(
    ("--run-date",),
    {
        "metavar": "TIME",
        "help": "the time that the run is about, for {run_date:…}; in ISO form, without a zone in the spec's timezone"
        " (default: now)",
    },
)

WINDOW_START = Argument(
    ("--window-start",),
    {
        "metavar": "TIME",
        "help": "incremental: where the first window begins; in ISO form, without a zone in the spec's timezone",
    },
)
WINDOW_END = Argument(
    ("--window-end",),
    {"metavar": "TIME", "help": "incremental: where the last window ends (default: the end of the first)"},
)

TABLE = Argument(("table",), {"metavar": "TABLE", "help": "a table's name"})
CONNECTION = Argument(
    ("--connection",),
    {"metavar": "ID", "default": "tablestore_default", "help": "the connection (default: tablestore_default)"},
)
