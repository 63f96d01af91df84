"""MaxCompute's part of the emulator as a whole: what is kept, saved, reset, counted, and where it listens."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from odps import ODPS
from odps.tunnel import TableTunnel

from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.__main__ import main
from airflow_tablestore.errors import SpecError

pytestmark = pytest.mark.slow


def client(emulator: Emulator) -> ODPS:
    at = emulator.maxcompute
    return ODPS(at.access_key_id, at.access_key_secret, project=at.project, endpoint=at.endpoint)


def begun(emulator: Emulator, rows, **settings):
    """An upload session with one block, not committed."""
    session = TableTunnel(client(emulator)).create_upload_session("t", **settings)
    with session.open_record_writer(0) as writer:
        for row in rows:
            writer.write(session.new_record(row))
    return session


def rows(emulator: Emulator):
    with client(emulator).execute_sql("select * from demo.t order by id").open_reader(tunnel=True) as reader:
        return [record.values for record in reader]


def filled(emulator: Emulator) -> None:
    client(emulator).create_table("t", "id bigint")
    begun(emulator, [[1], [2]]).commit([0])


def test_tables_and_sessions_are_there_after_a_restart(tmp_path):
    with Emulator(tmp_path) as emulator:
        filled(emulator)
        session = begun(emulator, [[3]])

    with Emulator(tmp_path) as emulator:
        again = TableTunnel(client(emulator)).create_upload_session("t", upload_id=session.id)
        again.commit([0])

        assert rows(emulator) == [[1], [2], [3]]


def test_a_snapshot_has_the_tables(tmp_path, capsys):
    with Emulator(tmp_path / "a") as emulator:
        filled(emulator)
        assert main(["snapshot", "save", str(tmp_path / "s"), "--url", emulator.tablestore.endpoint]) == 0
        begun(emulator, [[9]]).commit([0])

    assert main(["snapshot", "load", str(tmp_path / "s"), "--data-dir", str(tmp_path / "b")]) == 0

    assert "1 table and" in capsys.readouterr().out
    with Emulator(tmp_path / "b") as loaded:
        assert rows(loaded) == [[1], [2]]


def test_a_reset_leaves_no_table(tmp_path):
    with Emulator() as emulator:
        filled(emulator)
        counted = emulator.status()["maxcompute"]["rows"]

        emulator.reset()

        assert counted == {"demo": {"t": 2}}
        assert emulator.status()["maxcompute"]["rows"] == {}
        assert not client(emulator).exist_table("t")


def three_free_ports() -> int:
    """Below those that connections get by themselves, and those that other tests look for."""
    for first in range(10_000, 20_000, 97):
        try:
            for port in range(first, first + 3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no three free ports in a row")


def test_it_listens_behind_the_others():
    port = three_free_ports()

    with Emulator(port=port) as emulator:
        assert emulator.maxcompute.endpoint == f"http://127.0.0.1:{port + 2}/api"
        with pytest.raises(SpecError, match="not free"):
            Emulator(port=port + 2).start()


def test_starting_it_loads_neither_pyarrow_nor_duckdb():
    program = (
        "import sys\n"
        "from airflow_tablestore.emulator import Emulator\n"
        "with Emulator():\n"
        "    print([name for name in ('pyarrow', 'duckdb', 'odps') if name in sys.modules])\n"
    )

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert told.stdout == "[]\n"
