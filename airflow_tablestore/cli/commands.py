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


@dataclass(frozen=True, slots=True)
class Group:
    """Commands under one word, such as `stream describe`."""

    name: str
    help: str
    commands: tuple[Command, ...]


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

STREAM = Group(
    "stream",
    "switch a table's change log on or off, look at it",
    (
        Command(
            "enable",
            "switch a table's stream on",
            "Switches the stream (change log) of a table on, or changes how long it keeps records. Records that are "
            "there stay.",
            (
                TABLE,
                Argument(
                    ("--hours",),
                    {
                        "type": int,
                        "required": True,
                        "metavar": "N",
                        "help": "how long records are kept, 1 to 168; take more than your longest outage",
                    },
                ),
                CONNECTION,
                JSON,
            ),
            "airflow_tablestore.cli.stream:enable",
        ),
        Command(
            "disable",
            "switch a table's stream off; its records are gone",
            "Switches the stream of a table off. Its records are gone, exported or not; a stream that is switched on "
            "later is another one.",
            (TABLE, CONNECTION, JSON),
            "airflow_tablestore.cli.stream:disable",
        ),
        Command(
            "describe",
            "show shards, retention and how old the oldest record is",
            "Shows the stream of a table: retention, the age of the oldest record, the shards as a tree with what each "
            "holds. How many records wait is not told by the service. Exits with 2 when the table has no stream.",
            (TABLE, CONNECTION, JSON),
            "airflow_tablestore.cli.stream:describe",
        ),
        Command(
            "tail",
            "print changes as they come",
            "Prints each change of a table as one line of JSON, as they come, until Ctrl-C or SIGTERM. Changes of one "
            "row come in their order, children of a shard after their parents; between shards there is no order.",
            (
                TABLE,
                Argument(
                    ("--from",),
                    {
                        "dest": "begin",
                        "metavar": "TIME",
                        "help": "begin with the changes of this time: oldest, now, or ISO form, in UTC without a zone "
                        "(default: now; with --until-caught-up oldest)",
                    },
                ),
                _flag("--until-caught-up", "end when there is nothing more for now"),
                CONNECTION,
                _flag("--json", "print JSON, which it does anyway"),
            ),
            "airflow_tablestore.cli.stream:tail",
        ),
    ),
)

TUNNEL_NAME = Argument(("tunnel",), {"metavar": "TUNNEL", "help": "a tunnel's name"})

TUNNEL = Group(
    "tunnel",
    "make, look at, read and delete a table's tunnels",
    (
        Command(
            "create",
            "make a tunnel, unless it stands",
            "Makes a tunnel. One that stands as it is wanted is left as it is; one of this name that is different is "
            "an error, and nothing is changed. A table without a stream gets one.",
            (
                TABLE,
                TUNNEL_NAME,
                Argument(
                    ("--type",),
                    {
                        "choices": ["BaseData", "Stream", "BaseAndStream"],
                        "default": "Stream",
                        "help": "what it carries: the rows, the changes, or first the rows and then the changes "
                        "(default: Stream)",
                    },
                ),
                Argument(
                    ("--start",),
                    {
                        "metavar": "TIME",
                        "help": "from when on it carries changes: earliest, latest, or ISO form, in UTC without a zone "
                        "(default: latest)",
                    },
                ),
                Argument(
                    ("--end",),
                    {
                        "metavar": "TIME",
                        "help": "until when it carries changes; it is over then (default: it goes on)",
                    },
                ),
                CONNECTION,
                JSON,
            ),
            "airflow_tablestore.cli.tunnel:create",
        ),
        Command(
            "list",
            "list tunnels",
            "Lists the tunnels of a table, or of the whole instance.",
            (Argument(("table",), {"metavar": "TABLE", "nargs": "?", "help": "a table's name"}), CONNECTION, JSON),
            "airflow_tablestore.cli.tunnel:list_all",
        ),
        Command(
            "describe",
            "show channels, who holds them, and their lag",
            "Shows a tunnel: its type and stage, its channels with their owners, and how far each is behind. Exits "
            "with 2 when there is none of this name.",
            (TABLE, TUNNEL_NAME, CONNECTION, JSON),
            "airflow_tablestore.cli.tunnel:describe",
        ),
        Command(
            "delete",
            "delete a tunnel and how far it was",
            "Deletes a tunnel and how far it was; its workers are told at their next call. Exits with 0 also when there"
            " was none.",
            (TABLE, TUNNEL_NAME, CONNECTION, JSON),
            "airflow_tablestore.cli.tunnel:delete",
        ),
        Command(
            "tail",
            "print records as they come; they are consumed",
            "Prints each record of a tunnel as one line of JSON, as they come, until Ctrl-C or SIGTERM. It is a worker "
            "of the tunnel like any other: it gets its share of the channels, and what it has printed is confirmed, so "
            "no other worker gets it. Make a tunnel of its own to look on.",
            (
                TABLE,
                TUNNEL_NAME,
                _flag("--until-caught-up", "end when there is nothing more for now"),
                CONNECTION,
                _flag("--json", "print JSON, which it does anyway"),
            ),
            "airflow_tablestore.cli.tunnel:tail",
        ),
        Command(
            "drain",
            "drain a tunnel into the sink of a spec",
            "Works on the tunnel of a spec of kind stream until it has caught up, or as long as the spec says. Start "
            "it several times and the workers share the channels. Ctrl-C and SIGTERM end it in order. Connections come "
            "from AIRFLOW_CONN_*.",
            (SPEC, JSON),
            "airflow_tablestore.cli.drain:drain_tunnel",
        ),
    ),
)

REASON = {"metavar": "TEXT", "required": True, "help": "why it is right to go on without these records"}

LEDGER = Group(
    "ledger",
    "see what became of a pipeline's windows, accept a loss",
    (
        Command(
            "show",
            "list windows: published, missing, lost",
            "Lists the windows of an incremental pipeline with what became of each; with --json one by one, else those "
            "of one fate in a line. missing: can still be exported. expired: was not exported, and the stream has "
            "forgotten it. lost: a run has found that out. accepted: a person has said that the pipeline may go on.",
            (
                SPEC,
                Argument(
                    ("--from",),
                    {"dest": "begin", "metavar": "TIME", "help": "where the first begins (default: the spec's start)"},
                ),
                Argument(
                    ("--to",),
                    {"dest": "end", "metavar": "TIME", "help": "where the last ends (default: the newest that is due)"},
                ),
                JSON,
            ),
            "airflow_tablestore.cli.ledger:show",
        ),
        Command(
            "accept-loss",
            "let a pipeline go on behind lost windows",
            "Writes into the ledger that the lost windows of a time are accepted: their runs then publish no rows, say "
            "so in the manifest, and succeed. Windows that are published stay as they are. Exits with 2, and changes "
            "nothing, when one of them can still be exported.",
            (
                SPEC,
                Argument(
                    ("--from",),
                    {"dest": "begin", "metavar": "TIME", "required": True, "help": "where the first begins"},
                ),
                Argument(
                    ("--to",), {"dest": "end", "metavar": "TIME", "required": True, "help": "where the last ends"}
                ),
                Argument(("--reason",), REASON),
                JSON,
            ),
            "airflow_tablestore.cli.ledger:accept_loss",
        ),
    ),
)

TASK = Argument(("task",), {"metavar": "TASK", "help": "the task's name"})

DELIVERY = Group(
    "delivery",
    "make, watch, audit and delete delivery tasks",
    (
        Command(
            "create",
            "make the task of a spec, unless it stands",
            "Checks the task of a spec against the table, then makes it, unless it stands. Doing it again changes "
            "nothing. What happens to one with another definition is on_drift in the spec.",
            (SPEC, JSON),
            "airflow_tablestore.cli.delivery:create",
        ),
        Command(
            "update",
            "give a task that stands the spec's definition",
            "Changes where a task delivers and what. Its type stays; on_drift: recreate and create change that.",
            (SPEC, JSON),
            "airflow_tablestore.cli.delivery:update",
        ),
        Command(
            "list",
            "list the tasks of a table",
            "Lists the delivery tasks of a table with their types.",
            (TABLE, CONNECTION, JSON),
            "airflow_tablestore.cli.delivery:list_",
        ),
        Command(
            "describe",
            "show how far a task is",
            "Shows phase, progress and lag of a delivery task, and what has stopped it. Exits with 1 when it is in "
            "error.",
            (TABLE, TASK, CONNECTION, JSON),
            "airflow_tablestore.cli.delivery:describe",
        ),
        Command(
            "delete",
            "delete a task; what it has delivered stays",
            "Deletes a delivery task and waits until it is gone. What it has delivered stays. One that is not there is "
            "no failure.",
            (TABLE, TASK, CONNECTION, JSON),
            "airflow_tablestore.cli.delivery:delete",
        ),
        Command(
            "audit",
            "compare a delivered folder with the table",
            "Reads the Parquet of one folder back and lays it beside the table, of which it reads all: rows that are "
            "missing, values that were dropped, and why. Exits with 1 when something is missing.",
            (
                SPEC,
                Argument(
                    ("--partition",),
                    {
                        "metavar": "TIME",
                        "help": "a time in the folder; in ISO form, else in the spec's timezone (default: now)",
                    },
                ),
                JSON,
            ),
            "airflow_tablestore.cli.delivery:audit",
        ),
    ),
)

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
        "Reads the table's description and split points; shows the tasks, columns and places of a run. Of an "
        "incremental pipeline shows which windows are due and which of them are not exported. Of a stream shows the "
        "tunnel, how far it is behind, and what nobody has read, counted up to 10,000 changes. Of a "
        "delivery checks the task against the table and shows where it stands otherwise. Writes nothing.",
        (SPEC, RUN_DATE, WINDOW_START, WINDOW_END, JSON),
        "airflow_tablestore.cli.plan:plan",
    ),
    Command(
        "schema-of",
        "show the columns that a pipeline has pinned",
        "Shows the columns and types that the first run has pinned and later ones keep.",
        (SPEC, RUN_DATE, _flag("--repin", "show what learning them anew would change"), JSON),
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
            _flag("--force", "incremental: also export windows again that are published already"),
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
            _flag("--dry-run", "only tell what would be read"),
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
            _flag("--write-probe", "also write and remove a small object under <prefix>_pending/"),
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
            _flag("--force", "replace files that are there"),
            JSON,
        ),
        "airflow_tablestore.cli.convert:convert_job",
    ),
    STREAM,
    TUNNEL,
    LEDGER,
    DELIVERY,
)
