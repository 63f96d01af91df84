"""`make bench` with tiny tables: every part runs, reads what it says, and is written down."""

from __future__ import annotations

import csv
import json
import shutil
import time

import pytest

from airflow_tablestore.client import Client
from airflow_tablestore.native import library
from airflow_tablestore.wire.decode.native import NativeDecoder
from tests.bench import answers, canned, folding, golang, pairs, reading, report, scale, shapes, specs, warehouse

pytestmark = pytest.mark.slow

ROWS = 40
needs_library = pytest.mark.skipif(library() is None, reason="the C library was not built")


def is_built_for_go() -> bool:
    return bool(shutil.which("go")) and (golang.Path(golang.__file__).parents[2] / ".judges/go/modules").exists()


@needs_library
def test_readers_are_compared(tmp_path):
    figures = [
        *reading.decoding(2, 1, ROWS),
        *reading.in_memory(2, 1, ROWS),
        *reading.over_http(tmp_path, 2, 1, ROWS),
        *reading.threads(2, 1, ROWS),
    ]

    assert len({figure.name for figure in figures}) == 9
    assert all(figure.ours > 0 and figure.theirs > 0 for figure in figures)


@needs_library
def test_odd_tables_are_compared():
    figures = list(shapes.decoding(1, 20))

    assert len({figure.name for figure in figures}) == 2 * len(shapes.SHAPES)
    assert all(figure.ours > 0 and figure.theirs > 0 for figure in figures)


@needs_library
@pytest.mark.parametrize("shape", shapes.SHAPES, ids=lambda shape: shape.name.partition(",")[0])
def test_odd_tables_are_what_they_say(shape):
    block = shape.blocks(1)[0]

    decoded = NativeDecoder(shape.wanted).decode(block)

    assert decoded.records.num_rows == shape.rows_a_block
    assert bool(decoded.conflicts) == shape.name.startswith("mixed")
    assert not decoded.others


def test_both_sides_read_the_same_table_from_the_canned_server(tmp_path):
    reading.quiet()
    with canned.running(3, ROWS) as url, Client(reading.endpoint(url)) as client:
        with (tmp_path / "ours.csv").open("wb") as file:
            ours = reading.to_csv(client, file)
        theirs = reading.sdk_file(url, tmp_path / "theirs.csv")

    header, *rows = csv.reader((tmp_path / "ours.csv").read_text().splitlines())
    others = list(csv.reader((tmp_path / "theirs.csv").read_text().splitlines()))
    assert ours == theirs == 3 * ROWS
    assert tuple(header) == answers.NAMES
    assert rows == [[{"True": "true", "False": "false"}.get(cell, cell) for cell in row] for row in others]


def test_the_canned_server_can_answer_matrices_and_late():
    with canned.running(2, ROWS, latency=0.2, is_matrix=False) as url, Client(reading.endpoint(url)) as client:
        began = time.monotonic()
        rows = reading.to_csv(client, reading.Nothing())

    assert rows == 2 * ROWS
    assert time.monotonic() - began >= 0.4


@pytest.mark.skipif(not is_built_for_go(), reason="the Go client is not on this machine")
def test_the_go_client_is_compared(tmp_path):
    (figure,) = golang.in_memory(tmp_path, 2, 1, ROWS)

    assert min(figure.ours, figure.theirs) > 0


@pytest.mark.airflow
def test_specs_become_dags(tmp_path):
    (tmp_path / "specs").mkdir()
    for number in range(2):
        spec = specs.yaml.safe_dump(specs._spec(number))
        (tmp_path / f"specs/bench_{number:04d}.yaml").write_text(spec)

    told = specs._turn("ours", tmp_path / "specs", tmp_path, {})

    assert (told["dags"], told["tasks"]) == (2, 6)
    assert min(told["build"], told["serialize"]) > 0


def test_whole_runs_are_compared(tmp_path):
    measured = list(scale.whole_runs(tmp_path, [500, 1000], lambda text: None, 1, ["csv"]))

    figures = [one for one in measured if isinstance(one, pairs.Figure)]
    assert [one.less_is_better for one in figures] == [False, False, True, True]
    assert all(one.ratio > 0 for one in figures)
    assert sum(isinstance(one, tuple) for one in measured) == 3


def test_loads_into_maxcompute_are_compared(tmp_path):
    figures = list(warehouse.measured(tmp_path, [1000], lambda text: None, 1))

    assert [one.at_least for one in figures] == [8, None, 8, None]
    assert all(one.ours > 0 and one.theirs > 0 for one in figures)


def test_what_was_measured_is_written_down(tmp_path):
    figures = [
        pairs.Figure("fast", 300.0, 100.0, "things a second", "by hand", 2, 4),
        pairs.Figure("slow", 100.0, 100.0, "things a second", "by hand", 2, 4),
        pairs.Figure("memory", 110.0, 100.0, "MB at most", "by hand", 1.1, 1.0, less_is_better=True),
    ]

    report.write(tmp_path, figures, [("start", "1 s", "by hand")], 0.5)

    told = json.loads((tmp_path / "latest.json").read_text())
    assert told[0] == {
        "name": "fast",
        "ours": 300.0,
        "theirs": 100.0,
        "ratio": 3.0,
        "unit": "things a second",
        "at_least": 2,
        "aim": 4,
    }
    page = (tmp_path / "README.md").read_text()
    assert "| fast | 300 | 100 | **3.00** | 2 | 4 |" in page
    assert "| start | 1 s | by hand |" in page
    plot = (tmp_path / "ratios.svg").read_text()
    assert ">3.0x<" in plot
    assert "memory" not in plot


def test_a_snapshot_is_compared_with_reading_the_table_again(tmp_path):
    figure, told = folding.measured(tmp_path / "fold", lambda text: None, rows=500, percents=[10], rounds=2)

    assert isinstance(figure, pairs.Figure)
    assert min(figure.ours, figure.theirs) > 0
    assert "500 rows, 10 % changed" in told[0]
