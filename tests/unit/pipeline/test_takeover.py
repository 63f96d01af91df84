"""The first window of a pipeline, where a status table of DataX says how far DataX has read."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_tablestore.consumer.stream import BEGIN, END, Place, Position
from airflow_tablestore.pipeline.boundaries import Boundary
from airflow_tablestore.pipeline.incremental.export import export_window, ledger_of
from airflow_tablestore.pipeline.incremental.takeover import DataxRecords, Meeting, takeover_at
from tests.conformance.datax_status import datax_rows
from tests.conformance.memory_stream import MemoryStream
from tests.conformance.windows import EVERY, GRID, START, export, published_ids, services, window

VECTOR = json.loads((Path(__file__).parents[2] / "vectors/datax_status_table.json").read_text())


class Case:
    """A stream in which DataX has worked until now."""

    def __init__(self, shards: int = 1) -> None:
        self.stream = MemoryStream(now=START - timedelta(minutes=6), shards=shards)
        self.services, self.export = services(self.stream), export()

    def at(self, minutes: float) -> Case:
        self.stream.advance(seconds=(START + timedelta(minutes=minutes) - self.stream.now).total_seconds())
        return self

    def place_of_now(self, shard: str) -> str:
        """What DataX keeps of a shard that it has read to its end for now."""
        if self.stream.shards[shard].is_closed:
            return "SHARD_END"
        return self.stream.iterator_of_now(shard)

    def datax_ends(self, minutes: float, **how: Any) -> None:
        """DataX has read a window that ends so many minutes after the start."""
        places = how.pop("places", None) or {shard: self.place_of_now(shard) for shard in self.stream.shards}
        table = self.stream.status = self.stream.status or {}
        end = START + timedelta(minutes=minutes)
        table.update(datax_rows(self.stream.stream_id, how.pop("table", "t"), end, places, **how))

    def found(self) -> Any:
        return takeover_at(ledger_of(self.export, self.services), self.stream.stream_id, "t", START, GRID)

    def ids(self, number: int) -> list[int] | None:
        return published_ids(self.services.store, self.export, window(number))  # type: ignore[arg-type]


@pytest.fixture
def case() -> Case:
    return Case()


def test_the_vector_reads_as_a_boundary():
    stream = MemoryStream(now=START)
    stream.status = {
        (VECTOR["stream"], row["type"], row["value"]): row["cells"]
        | {name: base64.b64decode(text) for name, text in row.get("binary", {}).items()}
        for row in VECTOR["rows"]
    }
    status = ledger_of(export(), services(stream)).status

    found = DataxRecords(status, VECTOR["stream"], VECTOR["table"]).at(VECTOR["end_millis"])

    assert found == Boundary(
        VECTOR["stream"],
        VECTOR["end_millis"] * 1000,
        {"a1f0": END, "b2e4": Position(Place.AT, VECTOR["rows"][2]["cells"]["Checkpoint"]), "c3d8": BEGIN},
    )


def test_the_writer_of_these_tests_keeps_to_the_vector():
    places = {row["value"].partition("\t")[2]: row["cells"]["Checkpoint"] for row in VECTOR["rows"][1:4]}
    written = dict(datax_rows(VECTOR["stream"], VECTOR["table"], START, places, version=VECTOR["version"]))

    assert START.timestamp() * 1000 == VECTOR["end_millis"]
    assert [key[1:] for key in written] == [(row["type"], row["value"]) for row in VECTOR["rows"][:4]]
    assert set(written[VECTOR["stream"], "DataxJobDesc", VECTOR["rows"][0]["value"]]) == {
        *VECTOR["rows"][0]["cells"],
        *VECTOR["rows"][0]["binary"],
    }


def test_the_first_window_begins_at_the_places_that_datax_has_kept(case):
    case.at(-3).stream.write()
    case.at(0).datax_ends(0)
    behind = case.stream.write(at=START - timedelta(seconds=1))  # visible after DataX had read
    inside = case.at(1).stream.write()

    report = export_window(case.export, case.at(11).services, window(0))

    assert case.ids(0) == [behind, inside]
    assert report.late == 1
    assert report.takeover.startswith("DataX has read to 2026-11-20 08:00:00 UTC: reading goes on from its records")


def test_without_the_records_the_place_is_searched_by_time(case):
    case.at(-3).stream.write()
    behind = case.at(0).stream.write(at=START - timedelta(seconds=1))
    inside = case.at(1).stream.write()

    report = export_window(case.export, case.at(11).services, window(0))

    assert behind not in (case.ids(0) or [])
    assert case.ids(0) == [inside]
    assert report.takeover == ""


def test_later_windows_do_not_look_at_datax_any_more(case):
    case.at(0).datax_ends(0)
    export_window(case.export, case.at(11).services, window(0))
    case.datax_ends(5)

    report = export_window(case.export, case.at(16).services, window(1))

    assert report.takeover == ""


def test_shards_that_datax_has_ended_are_not_read_and_their_children_from_the_beginning(case):
    (parent,) = case.stream.open
    case.at(-3).stream.write(parent)
    left, right = case.stream.split(parent)
    case.datax_ends(0, places={parent: "SHARD_END", left: "TRIM_HORIZON", right: "TRIM_HORIZON"})
    first, second = case.at(1).stream.write(left), case.stream.write(right)

    export_window(case.export, case.at(11).services, window(0))

    assert sorted(case.ids(0) or []) == [first, second]


def test_a_gap_is_told_with_its_length_and_what_to_write(case):
    case.at(-5).datax_ends(-5)

    found = case.at(11).found()

    assert found.meeting is Meeting.GAP
    assert found.boundary is None
    assert "What was written in these 0:05:00 is exported by neither" in found.told
    assert "write start: 2026-11-20T07:55:00+00:00." in found.told


def test_a_gap_is_in_the_report_of_the_first_window(case):
    case.at(-5).datax_ends(-5)

    report = export_window(case.export, case.at(11).services, window(0))

    assert report.takeover.startswith("There is a gap: DataX has read to 2026-11-20 07:55:00 UTC")


def test_after_a_gap_the_start_may_be_corrected(case):
    case.at(0).datax_ends(0)
    behind = case.stream.write(at=START - timedelta(seconds=1))
    inside, later = case.at(1).stream.write(), case.at(6).stream.write()
    first_try = export_window(case.export, case.at(16).services, window(1))

    corrected = export_window(case.export, case.services, window(0))

    assert first_try.takeover.startswith("There is a gap")
    assert corrected.takeover.startswith("DataX has read to 2026-11-20 08:00:00 UTC: reading goes on")
    assert (case.ids(0), case.ids(1)) == ([behind, inside], [later])


def test_a_window_behind_an_exported_one_does_not_look_at_datax(case):
    export_window(case.export, case.at(11).services, window(0))
    case.at(16).datax_ends(10)

    assert takeover_at(ledger_of(case.export, case.services), case.stream.stream_id, "t", window(2).start, GRID) is None


def test_an_end_off_the_grid_names_the_window_before_it(case):
    case.at(-3).datax_ends(-3)

    assert "write start: 2026-11-20T07:55:00+00:00; what was written from there to" in case.found().told


def test_an_overlap_is_told(case):
    case.at(5).datax_ends(5)

    found = case.found()

    assert found.meeting is Meeting.OVERLAP
    assert "comes a second time" in found.told


def test_records_of_the_time_count_although_datax_has_gone_on(case):
    case.at(0).datax_ends(0)
    case.at(5).datax_ends(5)

    found = case.found()

    assert found.boundary is not None
    assert found.meeting is Meeting.OVERLAP
    assert "It has gone on to 2026-11-20 08:05:00 UTC since" in found.told


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"shards": ["shard-1", "shard-9"]}, "the job has not ended: 1 of 2 shards have none"),
        ({"shards": []}, "shard shard-1 does not belong to the job"),
        ({"version": "another"}, "they were written by several runs"),
        ({"table": "other"}, "they are of table other"),
        ({"places": {"shard-1": ""}}, "that of shard shard-1 holds no place"),
    ],
)
def test_records_that_are_not_complete_are_not_used(case, how, told):
    case.at(0).datax_ends(0, **{"places": {"shard-1": "TRIM_HORIZON"}, **how})

    found = case.found()

    assert found.meeting is Meeting.BROKEN
    assert told in found.told


def test_a_job_that_failed_does_not_hide_the_one_before_it(case):
    case.at(-5).datax_ends(-5)
    case.datax_ends(0, shards=["shard-1", "shard-9"], places={"shard-1": "TRIM_HORIZON"})

    assert case.found().reached == START - EVERY


def test_older_versions_of_datax_count_shards_instead_of_describing_the_job(case):
    (shard,), key = case.at(0).stream.open, f"{int(START.timestamp() * 1000):16d}"
    stream, kind = case.stream.stream_id, "CheckpointForDataxReader"
    case.stream.status = {
        (stream, kind, key): {"ShardCount": 1},
        (stream, kind, f"{key}\t{shard}"): {"Checkpoint": case.place_of_now(shard), "SkipCount": 0},
    }

    assert case.found().meeting is Meeting.MEETS

    case.stream.status[stream, kind, key] = {"ShardCount": 2}
    assert "1 of 2 shards have one" in case.found().told


def test_a_status_table_without_rows_of_datax_is_nothing(case):
    assert case.found() is None

    case.stream.status = {}
    assert case.found() is None


def test_rows_of_datax_are_left_as_they_are(case):
    case.at(0).datax_ends(0)
    before = dict(case.stream.status)

    export_window(case.export, case.at(11).services, window(0))

    assert {key: row for key, row in case.stream.status.items() if key in before} == before
