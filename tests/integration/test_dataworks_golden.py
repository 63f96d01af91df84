"""A job of DataWorks, converted and used as it is: both forms run on the emulator and publish the same objects."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import OK, Session
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.local_cloud import LocalCloud
from airflow_tablestore.pipeline.boundaries import micros_of
from airflow_tablestore.pipeline.connections import from_environment
from airflow_tablestore.pipeline.window import FixedGrid

pytestmark = pytest.mark.slow

FIVE = timedelta(minutes=5)
VECTORS = Path(__file__).parents[1] / "vectors/dataworks"


class Team:
    """Who has a job, and runs it in two forms."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud, self.folder = cloud, folder
        self.environment = cloud.environment()

    def call(self, *words: str) -> str:
        session = Session(io.StringIO(), io.StringIO(), lambda name: from_environment(name, self.environment))
        assert main([*words], session) == OK, session.err.getvalue() + session.out.getvalue()
        return session.out.getvalue()

    def name_connections(self) -> None:
        """The connections have the names of the documents' data sources."""
        for given, name in (("TABLESTORE_DEFAULT", "OTSSTREAM"), ("MAXCOMPUTE_DEFAULT", "ODPS_FIRST")):
            self.environment[f"AIRFLOW_CONN_{name}"] = self.environment[f"AIRFLOW_CONN_{given}"]

    def forms(self, job: Path, schedule: dict[str, str], prefix: str) -> dict[str, str]:
        """The spec files of both forms of a job for table `gps`, each with a prefix of its own."""
        places = {form: f"{self.cloud.prefix}{form}/{prefix}" for form in ("converted", "inline")}
        keys = {"pipeline": "converted", "source.table": "gps", "sink.bucket": self.cloud.bucket}
        words = [f"--set={key}={value}" for key, value in (keys | {"sink.prefix": f'"{places["converted"]}"'}).items()]
        self.call("convert", str(job), "--schedule", json.dumps(schedule), "-o", str(self.folder), *words)
        sink = {"bucket": self.cloud.bucket, "prefix": places["inline"]}
        inline = {"pipeline": "inline", "kind": "dataworks", "job": str(job), "source": {"table": "gps"}, "sink": sink}
        (self.folder / "inline.yaml").write_text(json.dumps(inline | schedule))
        return {form: str(self.folder / f"{form}.yaml") for form in places}

    def published(self, form: str) -> dict[str, list[bytes]]:
        """The bodies of the data objects below the form's prefix, by folder."""
        found: dict[str, list[bytes]] = {}
        base = f"{self.cloud.prefix}{form}/"
        for key, body in sorted(self.cloud.objects(base).items()):
            folder, _, name = key.removeprefix(base).rpartition("/")
            if name.endswith(".csv"):
                found.setdefault(folder, []).append(body)
        return found


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def team(running: Emulator, tmp_path: Path) -> Iterator[Team]:
    running.reset()
    with LocalCloud(emulator=running) as cloud:
        yield Team(cloud, tmp_path)


def test_a_full_export_publishes_the_same_objects_in_both_forms(team):
    team.cloud.make_table("gps", key={"uid": str})
    team.cloud.put_rows(
        "gps",
        [{"uid": f"u{n:02}", "column1": f'a "{n}", b', "column2": n} for n in range(40)]
        + [{"uid": "u99", "column2": 7}],
    )

    for form, spec in team.forms(VECTORS / "full_export_oss.json", {}, "full/").items():
        assert json.loads(team.call("run", spec, "--json"))["rows"] == 41, form

    converted = team.published("converted")
    assert converted == team.published("inline")
    text = b"".join(converted["full"])
    assert text.count(b"\n") == 41
    assert b'"a ""0"", b",0\n' in text
    assert b"null,7\n" in text


def test_windows_publish_the_same_objects_in_both_forms(team, running):
    start = FixedGrid(FIVE).floor(datetime.now(UTC) - timedelta(minutes=40))
    running.clock.move_to(micros_of(start) - 60_000_000)
    team.cloud.make_table("gps", key={"uid": str})
    team.call("stream", "enable", "gps", "--hours", "24")
    for number, seconds in enumerate((10, 20, 310)):
        running.clock.move_to(micros_of(start) + seconds * 1_000_000)
        team.cloud.put_rows("gps", [{"uid": f"u{number}", "name": f"n{number}"}])
    schedule = {"start": start.isoformat(), "cycle": "5 minutes"}
    span = ("--window-start", start.isoformat(), "--window-end", (start + 2 * FIVE).isoformat())

    for spec in team.forms(VECTORS / "incremental_oss.json", schedule, "{window_start:%Y%m%d%H%M}/").values():
        team.call("run", spec, *span)

    converted = team.published("converted")
    assert converted == team.published("inline")
    assert [b"".join(bodies) for _, bodies in sorted(converted.items())] == [b"u0,n0\nu1,n1\n", b"u2,n2\n"]


@pytest.mark.parametrize("with_sequence", [False, True], ids=["as it is", "with sequence"])
def test_the_first_document_loads_its_table_in_both_forms(team, running, with_sequence):
    start = FixedGrid(FIVE).floor(datetime.now(UTC) - timedelta(minutes=40))
    running.clock.move_to(micros_of(start) - 60_000_000)
    team.cloud.make_table("person", key={"id": int})
    team.call("stream", "enable", "person", "--hours", "24")
    running.clock.move_to(micros_of(start) + 10_000_000)
    team.cloud.put_rows("person", [{"id": 1, "name": "Ada"}])
    running.clock.move_to(micros_of(start) + 20_000_000)
    team.cloud.put_rows("person", [{"id": 1, "name": "Bo", "n": 7}])
    team.name_connections()
    for table in ("person_converted", "person_inline"):
        columns = "id BIGINT, colname STRING, version BIGINT, colvalue STRING, optype STRING, sequenceinfo STRING"
        team.cloud.sql(f"CREATE TABLE {table} ({columns}) PARTITIONED BY (pt STRING)")
    text = (VECTORS / "person_changes.json").read_text()
    assert '"isExportSequenceInfo": false' in text
    job, told = team.folder / "person.json", {"start": start.isoformat()}
    job.write_text(text.replace(": false", ": true") if with_sequence else text)
    words = ("--set", "pipeline=converted", "--set", "sink.table=person_converted", "-o", str(team.folder))
    team.call("convert", str(job), "--schedule", json.dumps(told), *words)
    inline = {"pipeline": "inline", "kind": "dataworks", "job": str(job), "sink": {"table": "person_inline"}}
    (team.folder / "inline.yaml").write_text(json.dumps(inline | told))

    for form in ("converted", "inline"):
        team.call("run", str(team.folder / f"{form}.yaml"), "--window-start", start.isoformat())

    converted, as_it_is = (team.cloud.sql(f"SELECT * FROM person_{form}") for form in ("converted", "inline"))
    assert converted == as_it_is
    cells = [row for row in converted if row["optype"] == "U"]
    assert [(row["id"], row["colname"], row["colvalue"]) for row in cells] == [
        (1, "name", "Ada"),
        (1, "name", "Bo"),
        (1, "n", "7"),
    ]
    sequences = [row["sequenceinfo"] for row in converted]
    if not with_sequence:
        assert set(sequences) == {None}
        return
    assert all(sequences)
    assert [row["version"] for row in cells] == sorted(row["version"] for row in cells)
    assert sorted(sequences) == sequences
    assert len({row["sequenceinfo"] for row in cells}) >= 2


def test_the_full_export_of_the_documents_loads_its_range_in_both_forms(team):
    team.cloud.make_table("keyed", key={"a": str, "b": str, "c": str, "d": int})
    rows = [{"a": f"a{n}", "b": "b", "c": "c", "d": n, "column1": f"x{n}", "column2": n} for n in range(20)]
    team.cloud.put_rows("keyed", rows)
    team.name_connections()
    typed = [{"name": f"column{n}", "type": "integer" if n == 2 else "string"} for n in range(1, 6)]
    set_ = {"pipeline": "converted", "source.connection": "otsstream", "source.table": "keyed"}
    set_ |= {"sink.connection": "odps_first", "sink.table": "all_converted", "sink.create_table": "true"}
    words = [f"--set={key}={value}" for key, value in (set_ | {"source.columns": json.dumps(typed)}).items()]
    team.call("convert", str(VECTORS / "full_export_maxcompute.json"), "-o", str(team.folder), *words)
    changed = {"source": {"connection": "otsstream", "table": "keyed", "columns": typed}}
    changed |= {"sink": {"connection": "odps_first", "table": "all_inline", "create_table": True}}
    told = {"pipeline": "inline", "kind": "dataworks", "job": str(VECTORS / "full_export_maxcompute.json")}
    (team.folder / "inline.yaml").write_text(json.dumps(told | changed))

    for form in ("converted", "inline"):
        team.call("run", str(team.folder / f"{form}.yaml"))

    query = "SELECT * FROM all_{} ORDER BY column2"
    converted, as_it_is = (team.cloud.sql(query.format(form)) for form in ("converted", "inline"))
    assert converted == as_it_is
    assert [(row["column1"], row["column2"], row["column5"]) for row in converted] == [
        (f"x{n}", n, None) for n in range(20)
    ]


def test_a_restore_writes_what_the_job_would_write(team):
    team.cloud.make_table("copy", key={"uid": str})
    team.cloud.put_object(f"{team.cloud.prefix}raw/1.csv", b'u1,7\nu2,null\n"u,3",9\n')
    job = {
        "reader": {
            "plugin": "oss",
            "parameter": {
                "bucket": team.cloud.bucket,
                "object": [f"{team.cloud.prefix}raw/*.csv"],
                "column": [{"index": 0, "type": "string"}, {"index": 1, "type": "long"}],
                "fieldDelimiter": ",",
                "nullFormat": "null",
            },
        },
        "writer": {
            "plugin": "ots",
            "parameter": {
                "table": "copy",
                "primaryKey": ["uid"],
                "column": [{"name": "n", "type": "int"}],
                "writeMode": "PutRow",
            },
        },
    }
    (team.folder / "back.json").write_text(json.dumps(job))
    (team.folder / "inline.yaml").write_text("pipeline: inline\nkind: dataworks\njob: back.json\n")

    team.call("convert", str(team.folder / "back.json"), "-o", str(team.folder))
    written = []
    for spec in ("back.yaml", "inline.yaml"):
        team.call("run", str(team.folder / spec))
        written.append(team.cloud.rows("copy"))

    assert written[0] == written[1] == [{"uid": "u,3", "n": 9}, {"uid": "u1", "n": 7}, {"uid": "u2"}]
