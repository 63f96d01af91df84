"""Workers drain a tunnel while a writer writes and shards split and merge; the writer's journal is the judge."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.consumer.tunnel import TunnelReader
from airflow_tablestore.consumer.tunnel.reader import Until
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.wire.sign import Credentials
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType
from tests.integration.tunnel_worker import SETTINGS
from tests.integration.tunnel_writing import PATIENCE_SECONDS, Journal, Written, start_worker, until

pytestmark = pytest.mark.slow

KILLS = 6


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def finished(worker) -> None:
    _, told = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0, told


def test_rows_and_changes_are_drained_while_a_writer_writes(emulator, tmp_path):
    with Written(emulator) as written:
        until(lambda: min(written.versions) > 0)
        id_ = written.tunnel(TunnelType.BASE_AND_STREAM)
        journal = Journal(tmp_path / "journal")
        before = sum(written.versions)
        worker = start_worker(written, id_, journal, "NEVER")
        until(lambda: sum(written.versions) > before + 600)
        written.finish()
        until(lambda: journal.last() == dict(enumerate(written.versions)))
        worker.terminate()
        worker.wait()

    assert sum(micros == 0 for *_, micros, _, _ in journal.lines()) == written.keys
    for key, versions in journal.changes().items():
        assert versions == list(range(versions[0], written.versions[key] + 1))


def test_a_worker_ends_when_it_has_caught_up(emulator, tmp_path):
    with Written(emulator) as written:
        id_ = written.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))
        until(lambda: sum(written.versions) > 300)
        reached = list(written.versions)
        journal = Journal(tmp_path / "journal")

        finished(start_worker(written, id_, journal, "CAUGHT_UP"))

        last = journal.last()
        assert all(last.get(key, 0) >= version for key, version in enumerate(reached))


def test_killed_workers_lose_nothing_and_keep_the_order_of_each_key(emulator, tmp_path):
    chance = random.Random(11)
    journal = Journal(tmp_path / "journal")
    with Written(emulator) as written:
        id_ = written.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))
        workers = [start_worker(written, id_, journal, "NEVER", 0.02, 2) for _ in range(2)]
        for _ in range(KILLS):
            seen = len(journal.lines())
            until(lambda seen=seen: len(journal.lines()) > seen + chance.randrange(10, 60))
            victim = chance.choice([one for one in workers if one.pid in journal.workers()])
            victim.kill()
            victim.wait()
            workers.remove(victim)
            workers.append(start_worker(written, id_, journal, "NEVER", 0.02, 2))
        written.finish()
        until(lambda: journal.last() == dict(enumerate(written.versions)))
        for worker in workers:
            worker.kill()
            worker.wait()

    changes = journal.changes()
    assert {key: versions[-1] for key, versions in changes.items()} == dict(enumerate(written.versions))
    for versions in changes.values():
        assert versions == list(range(1, len(versions) + 1))
    assert len(journal.workers()) >= KILLS, "each kill must hit one that has taken something"


def test_two_workers_share_a_tunnel(emulator, tmp_path):
    journal = Journal(tmp_path / "journal")
    with Written(emulator) as written:
        until(lambda: min(written.versions) > 0)
        id_ = written.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))
        written.split()
        written.split()
        workers = [start_worker(written, id_, journal, "NEVER") for _ in range(2)]
        until(lambda: len(journal.workers()) == 2)
        written.finish()
        until(lambda: journal.last() == dict(enumerate(written.versions)))
        for worker in workers:
            worker.terminate()
            worker.wait()

    for versions in journal.changes().values():
        assert versions == list(range(1, len(versions) + 1))
    assert journal.repeats() == 0


def test_a_reader_uses_credentials_that_are_refreshed(emulator):
    at = emulator.tablestore
    asked = []

    def credentials() -> Credentials:
        asked.append(len(asked))
        return Credentials(at.access_key_id, at.access_key_secret)

    written = Written(emulator, keys=1)
    id_ = written.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))
    written.write(0)
    found = 0
    with Client(Endpoint(at.endpoint, at.instance, "expired", "expired"), credentials=credentials) as client:
        for batch in TunnelReader(client, id_, settings=SETTINGS, until=Until.CAUGHT_UP):
            found += len(batch.records)
            batch.done()
    written.client.close()

    assert found == 1
    assert len(asked) > 5


def test_a_channel_whose_reads_fail_is_given_back_when_it_is_asked_for(emulator):
    with Written(emulator, keys=1) as written:
        written.finish()
        id_ = written.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))
        with TunnelReader(written.client, id_, settings=SETTINGS) as reader:
            until(lambda: [one.status for one in written.channels()] == ["OPEN"])
            emulator.faults.add("error", operation="tunnel/readrecords", code="OTSTunnelServerUnavailable")
            (channel,) = written.channels()
            before = version(emulator)

            emulator.tablestore_service().tunnels.move(id_, channel.id)

            until(lambda: version(emulator) == before + 3)  # asked back, given back, given out again
            assert not reader.has_ended


def version(emulator: Emulator) -> int:
    """Of the only channel of all tunnels."""
    with emulator.tablestore_service().store.reading() as connection:
        return int(connection.execute("SELECT version FROM tunnel_channels").fetchone()[0])
