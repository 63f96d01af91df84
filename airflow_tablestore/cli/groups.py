"""The commands that stand under a word of their own, as data: stream, tunnel, ledger, delivery."""

from __future__ import annotations

from airflow_tablestore.cli.command import CONNECTION, JSON, SPEC, TABLE, Argument, Command, Group, flag

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
                flag("--until-caught-up", "end when there is nothing more for now"),
                CONNECTION,
                flag("--json", "print JSON, which it does anyway"),
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
                flag("--until-caught-up", "end when there is nothing more for now"),
                CONNECTION,
                flag("--json", "print JSON, which it does anyway"),
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
