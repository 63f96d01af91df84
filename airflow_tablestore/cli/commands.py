"""The commands as data: names, arguments, and where the work is done.

`parser` makes parsers of argparse from it, the provider commands of Airflow. Importing this imports nothing but data.
"""

from __future__ import annotations

from airflow_tablestore.cli.command import (
    JSON,
    RUN_DATE,
    SPEC,
    WINDOW_END,
    WINDOW_START,
    Argument,
    Command,
    Group,
    flag,
)
from airflow_tablestore.cli.groups import DELIVERY, LEDGER, STREAM, TUNNEL

GROUP = "tablestore"
GROUP_HELP = "Check, explain and run pipelines for Alibaba Cloud Tablestore"

COMMANDS: tuple[Command | Group, ...] = (
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
            flag("--markdown", "print the reference page of the keys instead"),
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
        "Reads the table's description and split points; shows the tasks, columns and places of a run. Of an "
        "incremental pipeline shows which windows are due and which of them are not exported. Of a stream shows the "
        "tunnel, how far it is behind, and what nobody has read, counted up to 10,000 changes. Of a "
        "delivery checks the task against the table and shows where it stands otherwise. Of a restore or a snapshot "
        "shows which publications it takes, or what is missing. Writes nothing.",
        (SPEC, RUN_DATE, WINDOW_START, WINDOW_END, JSON),
        "airflow_tablestore.cli.plan:plan",
    ),
    Command(
        "schema-of",
        "show the columns that a pipeline has pinned",
        "Shows the columns and types that the first run has pinned and later ones keep.",
        (SPEC, RUN_DATE, flag("--repin", "show what learning them anew would change"), JSON),
        "airflow_tablestore.cli.schema_of:schema_of",
    ),
    Command(
        "run",
        "run a pipeline here, without Airflow",
        "Runs a pipeline in this process and prints its report. An incremental one exports each window from "
        "--window-start to --window-end by itself; with --json one line for each. Connections come from "
        "AIRFLOW_CONN_*. Exits with 1 when the run fails, with 2 when the spec or a connection must be changed.",
        (
            SPEC,
            WINDOW_START,
            WINDOW_END,
            flag("--force", "incremental: also export windows again that are published already"),
            RUN_DATE,
            Argument(
                ("--run-id",),
                {"metavar": "ID", "help": "names the run, as in Airflow; equal time and id give equal objects"},
            ),
            flag("--repin", "learn the columns anew instead of keeping those that the first run has pinned"),
            JSON,
        ),
        "airflow_tablestore.cli.run:run",
    ),
    Command(
        "verify",
        "compare a table with what was published from it",
        "Lays the table of a full export, or the target of a restore, beside the objects that a manifest lists, or "
        "beside the table of MaxCompute that was loaded: "
        "counts and checksums by key range, then the keys that differ. Reads both sides once, and again what differs. "
        "Exits with 1 when something differs. With --dry-run tells what that would read: rows, requests, read capacity "
        "units.",
        (
            SPEC,
            RUN_DATE,
            flag("--dry-run", "only tell what would be read"),
            Argument(
                ("--export-run",),
                {"metavar": "RUN", "help": "one of several runs that were appended there (default: the last one)"},
            ),
            Argument(
                ("--most",),
                {"metavar": "N", "default": "20", "help": "keys named of each kind of difference (default: 20)"},
            ),
            JSON,
        ),
        "airflow_tablestore.cli.verify:verify",
    ),
    Command(
        "doctor",
        "check connections, rights and clocks for a spec",
        "Checks everything that a run of the spec will need, from credentials to rights, and says what to do. "
        "Only reads, unless --write-probe. Exits with 1 when a check fails.",
        (
            SPEC,
            RUN_DATE,
            flag("--write-probe", "also write and remove a small object under <prefix>_pending/"),
            JSON,
        ),
        "airflow_tablestore.cli.doctor:doctor",
    ),
    Command(
        "convert",
        "turn a DataWorks or DataX job into a spec and a DAG",
        "Turns a script-mode job of DataWorks, or a job of DataX, into a spec with a comment at each choice, a DAG "
        "file beside it, and a report: the connections that are needed, and what became of every parameter. "
        "Credentials in the job go nowhere. Without -o prints the spec, and the report beside it. Exits with 2 when "
        "keys are left that only you can fill in.",
        (
            Argument(("job",), {"metavar": "JOB.json", "help": "the job's file"}),
            Argument(
                ("--schedule",),
                {
                    "metavar": "TEXT|FILE",
                    "help": "what DataWorks keeps beside the job: a file, or in one line, with cycle, parameters, "
                    "rerun, self_dependent, start, timezone; or a cron expression, or assignments such as "
                    "'start_time=$[yyyymmddhh24miss-10/24/60]' alone",
                },
            ),
            Argument(
                ("--set",),
                {
                    "action": "append",
                    "default": [],
                    "dest": "given",
                    "metavar": "KEY=VALUE",
                    "help": "a key of the spec that you set yourself, such as sink.bucket=backup; may be repeated",
                },
            ),
            Argument(
                ("-o", "--output"),
                {"metavar": "DIR", "help": "write <pipeline>.yaml, <pipeline>.py and <pipeline>.report.md there"},
            ),
            flag("--force", "replace files that are there"),
            JSON,
        ),
        "airflow_tablestore.cli.convert:convert_job",
    ),
    STREAM,
    TUNNEL,
    LEDGER,
    DELIVERY,
)
