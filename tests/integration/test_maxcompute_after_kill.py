"""The MaxCompute service is killed (SIGKILL) in the middle of uploads; afterwards everything acknowledged is there.

The judge is the writers' own journal. A commit that was not acknowledged is there completely or not at all.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from odps import ODPS, errors, options
from odps.tunnel import TableTunnel
from urllib3.exceptions import HTTPError

pytestmark = pytest.mark.slow

ROWS = 300


def start(data_dir):
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_tablestore.emulator", "up", "--data-dir", str(data_dir), "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    told = json.loads(process.stdout.readline())["maxcompute"]
    return process, ODPS(
        told["access_key_id"], told["access_key_secret"], project=told["project"], endpoint=told["endpoint"]
    )


def rows_of(number, half):
    return [[number, half * ROWS + n, f"row {number} {n}"] for n in range(ROWS)]


def appended(tunnel, journal):
    for number in range(10_000):
        uploaded(tunnel, journal, number, "appended", overwrite=False)


def overwritten(tunnel, journal):
    for number in range(10_000):
        uploaded(tunnel, journal, number, "overwritten", overwrite=True)


def uploaded(tunnel, journal, number, table, *, overwrite):
    session = tunnel.create_upload_session(table, overwrite=overwrite)
    for block in (0, 1):
        with session.open_record_writer(block) as writer:
            for row in rows_of(number, block):
                writer.write(session.new_record(row))
    journal["sent"] = number
    session.commit([0, 1])
    journal["done"] = number


def streamed(tunnel, journal):
    session = tunnel.create_stream_upload_session("streamed")
    for number in range(10_000):
        journal["sent"] = number
        with session.open_record_writer() as writer:
            for row in rows_of(number, 0):
                writer.write(session.new_record(row))
        journal["done"] = number


def writing(odps, work):
    journal = {"sent": -1, "done": -1}

    def until_killed():
        with pytest.raises((OSError, HTTPError, errors.ODPSError)):  # those of requests are the first
            work(TableTunnel(odps), journal)

    thread = threading.Thread(target=until_killed)
    thread.start()
    return thread, journal


@pytest.fixture(autouse=True)
def impatient():
    """pyodps tries again for a while when nobody answers."""
    kept, options.retry_times = options.retry_times, 0
    yield
    options.retry_times = kept


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    process, odps = start(tmp_path)
    for table in ("appended", "overwritten", "streamed"):
        odps.create_table(table, "number bigint, n bigint, v string")
    work = {table.__name__: writing(odps, table) for table in (appended, overwritten, streamed)}
    patience = time.monotonic() + 120
    while min(journal["done"] for _, journal in work.values()) < 2 and time.monotonic() < patience:
        time.sleep(0.05)
    process.kill()
    process.wait()
    for thread, _ in work.values():
        thread.join()

    process, odps = start(tmp_path)
    try:
        found = {table: numbers(odps, table) for table in work}
    finally:
        process.terminate()
        process.wait()

    for table, size in (("appended", 2 * ROWS), ("streamed", ROWS)):
        _, journal = work[table]
        assert journal["done"] >= 2
        assert found[table] in [dict.fromkeys(range(last + 1), size) for last in journal.values()]
    assert found["overwritten"] in [{last: 2 * ROWS} for last in work["overwritten"][1].values()]
    check_pieces(tmp_path / "maxcompute")


def numbers(odps, table):
    """How many different rows each upload has."""
    query = f"select number, count(distinct n) from {table} group by number"
    with odps.execute_sql(query).open_reader(tunnel=True) as reader:
        return {record[0]: record[1] for record in reader}


def check_pieces(folder):
    """Nothing is stored that nobody names."""
    with sqlite3.connect(folder / "maxcompute.sqlite") as connection:
        query = "SELECT count(*) FROM pieces WHERE id NOT IN (SELECT piece FROM lists)"
        assert connection.execute(query).fetchone() == (0,)
