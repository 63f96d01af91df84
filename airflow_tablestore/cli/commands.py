"""The commands as data: names, arguments, and where the work is done.

`parser` makes parsers of argparse from it, the provider commands of Airflow. Importing this imports nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GROUP = "tablestore"
GROUP_HELP = "Check, explain and run pipelines for Alibaba Cloud Tablestore"


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


def _flag(name: str, help_: str) -> Argument:
    return Argument((name,), {"action": "store_true", "help": help_})


SPEC = Argument(("spec",), {"metavar": "SPEC", "help": "a spec file"})
JSON = _flag("--json", "print JSON for programs")
DEBUG = _flag("--debug", "show the traceback of an error (also: AIRFLOW_TABLESTORE_DEBUG=1)")
RUN_DATE = Argument(
    ("--run-date",),
    {
        "metavar": "TIME",
        "help": "the time that the run is about, for {run_date:…}; in ISO form, without a zone in the spec's timezone"
        " (default: now)",
    },
)

COMMANDS = (
    Command(
        "lint",
        "find every problem of specs",
        "Finds every problem of specs, each with its place and what to do. Asks no service. Exits with 1 on errors.",
        (Argument(("paths",), {"nargs": "+", "metavar": "PATH", "help": "spec files, or directories of them"}), JSON),
        "airflow_tablestore.cli.offline:lint",
    ),
    Command(
        "schema",
        "print the JSON Schema of specs",
        "Prints the JSON Schema of specs, with which editors complete and check them. Exits with 0.",
        (
            Argument(("--kind",), {"metavar": "KIND", "help": "of this kind of pipeline only"}),
            _flag("--markdown", "print the reference page of the keys instead"),
        ),
        "airflow_tablestore.cli.offline:schema",
    ),
    Command(
        "explain",
        "tell what a spec means",
        "Tells every key of a spec with its value and where that comes from, and what a run will do. Asks no service.",
        (SPEC, JSON),
        "airflow_tablestore.cli.offline:explain",
    ),
    Command(
        "plan",
        "show what a run would do; writes nothing",
        "Reads the table's description and split points; shows the tasks, columns and places of a run. Writes nothing.",
        (SPEC, RUN_DATE, JSON),
        "airflow_tablestore.cli.plan:plan",
    ),
    Command(
        "schema-of",
        "show the columns that a pipeline has pinned",
        "Shows the columns and types that the first run has pinned and later ones keep.",
        (SPEC, RUN_DATE, _flag("--repin", "show what learning them anew would change"), JSON),
        "airflow_tablestore.cli.plan:schema_of",
    ),
    Command(
        "run",
        "run a pipeline here, without Airflow",
        "Runs a pipeline in this process and prints its report. Connections come from AIRFLOW_CONN_*. "
        "Exits with 1 when the run fails, with 2 when the spec or a connection must be changed.",
        (
            SPEC,
            RUN_DATE,
            Argument(
                ("--run-id",),
                {"metavar": "ID", "help": "names the run, as in Airflow; equal time and id give equal objects"},
            ),
            _flag("--repin", "learn the columns anew instead of keeping those that the first run has pinned"),
            JSON,
        ),
        "airflow_tablestore.cli.run:run",
    ),
    Command(
        "doctor",
        "check connections, rights and clocks for a spec",
        "Checks everything that a run of the spec will need, from credentials to rights, and says what to do. "
        "Only reads, unless --write-probe. Exits with 1 when a check fails.",
        (
            SPEC,
            RUN_DATE,
            _flag("--write-probe", "also write and remove a small object under <prefix>_pending/"),
            JSON,
        ),
        "airflow_tablestore.cli.doctor:doctor",
    ),
)
