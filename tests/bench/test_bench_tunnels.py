"""`make bench ONLY=tunnels` with few records: it measures tunnels that were drained to their end."""

from __future__ import annotations

import pytest

from tests.bench import tunnels

pytestmark = pytest.mark.slow


def test_workers_memory_and_lag_are_measured(tmp_path):
    memory, workers, objects, table, lag = tunnels.measured(
        tmp_path, lambda text: None, rows=1000, changes=2000, writes=5, rounds=1, has_go=False
    )

    assert memory[0] == "tunnel worker, memory with a slow sink"
    assert workers.name == "two tunnel workers / one"
    assert "2,000 changes in 4 channels" in workers.how
    assert objects[0] == "tunnel drained into OSS, parquet"
    assert table[0] == "tunnel drained into MaxCompute, mode stream"
    assert lag[0] == "tunnel, from a write to its batch"


def test_a_tunnel_with_other_records_than_were_written_is_no_figure():
    with pytest.raises(RuntimeError, match="7 records were drained of 8"):
        tunnels._expect(8, 7)
