"""`make bench ONLY=windows` with few changes: it measures windows that hold what was written."""

from __future__ import annotations

import pytest

from tests.bench import windows

pytestmark = pytest.mark.slow


def test_windows_are_measured_and_their_requests_do_not_grow(tmp_path):
    told = list(windows.measured(tmp_path, lambda text: None, few=2000, many=4000, batch=2, rounds=1, airflow_runs=0))

    figures = {name: figure for name, figure, _ in told}
    assert list(figures) == [
        "window of 2,000 changes",
        "requests for a window behind 1 h of changes",
        "requests for a window behind 24 h of changes",
        "window of 4,000 changes, memory",
    ]
    assert figures["requests for a window behind 1 h of changes"].startswith("1 DescribeStream, ")
    assert (
        figures["requests for a window behind 1 h of changes"]
        == figures["requests for a window behind 24 h of changes"]
    )
    assert "MB for a full export of the same rows" in figures["window of 4,000 changes, memory"]


def test_a_window_with_other_rows_than_were_written_is_no_figure(tmp_path):
    (tmp_path / "specs").mkdir()
    with windows.emulator(tmp_path / "data", tmp_path / "log") as services:
        changes = windows.Changes(services, tmp_path, "few")
        changes.write(2000)

        with pytest.raises(RuntimeError, match="2000 rows were published, of 2001"):
            changes.run(2001, changes.spec(), "--window-start", changes.start.isoformat())


@pytest.mark.parametrize(("seconds", "p95"), [([2.0], 2.0), ([float(n) for n in range(1, 21)], 19.05)])
def test_of_twenty_runs_the_slowest_is_left_out_of_p95(seconds, p95):
    assert windows._p95(seconds) == pytest.approx(p95)
