"""What a snapshot holds: one moment of both services, streams with their places; and loads that are killed."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import oss2
import pytest
import tablestore as sdk

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.snapshot import load, save
from airflow_tablestore.emulator.storage import claimed
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.stream import describe_stream, get_shard_iterator, get_stream_records, list_streams

pytestmark = pytest.mark.slow

ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)
LONG = 100_000


class Cloud:
    """One emulator as its users see it: a table `rides` with a stream, and the bucket."""

    def __init__(self, emulator: Emulator):
        at, objects = emulator.tablestore, emulator.oss
        self.writer = sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)
        self.client = Client(Endpoint(at.endpoint, at.instance, at.access_key_id, at.access_key_secret))
        auth = oss2.Auth(objects.access_key_id, objects.access_key_secret)
        self.bucket = oss2.Bucket(auth, objects.endpoint, objects.bucket)

    def __enter__(self) -> Cloud:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def make_table(self) -> None:
        throughput = sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
        self.writer.create_table(sdk.TableMeta("rides", [("id", "INTEGER")]), sdk.TableOptions(), throughput)
        request = pb.UpdateTableRequest(table_name="rides")
        request.stream_spec.enable_stream = True
        self.client.send(Call("/UpdateTable", request.SerializeToString(), lambda body: None))

    def put(self, *ids: int) -> None:
        for id_ in ids:
            self.writer.put_row("rides", sdk.Row([("id", id_)], [("n", id_)]), ALWAYS)

    def rows(self) -> list[int]:
        start, end = [("id", sdk.INF_MIN)], [("id", sdk.INF_MAX)]
        found = self.writer.get_range("rides", sdk.Direction.FORWARD, start, end, max_version=1)[2]
        return [row.primary_key[0][1] for row in found]

    def keys(self) -> list[str]:
        return [found.key for found in oss2.ObjectIterator(self.bucket)]

    def stream(self) -> str:
        return self.client.send(list_streams("rides"))[0].id

    def shards(self) -> tuple:
        return self.client.send(describe_stream(self.stream())).shards

    def records(self, iterator: str) -> list[tuple]:
        page = self.client.send(get_stream_records(iterator))
        return [(record.decoded().key[0][1], record.sequence, record.action) for record in page.records]


# ---- streams


def test_a_loaded_stream_goes_on_where_it_was(tmp_path):
    with Emulator(tmp_path / "a") as emulator, Cloud(emulator) as cloud:
        cloud.make_table()
        cloud.put(1, 9)
        emulator.tablestore_service().streams.split_shard("demo", "rides", None, (("id", 5),))
        cloud.put(2, 8)
        stream, shards = cloud.stream(), cloud.shards()
        places = [cloud.client.send(get_shard_iterator(stream, shard.id)).iterator for shard in shards]
        before = [cloud.records(place) for place in places]
        save(emulator.data_dir / "tablestore", emulator.data_dir / "oss", tmp_path / "s")

    with claimed(tmp_path / "b") as folder:
        load(tmp_path / "s", folder)

    with Emulator(tmp_path / "b") as emulator, Cloud(emulator) as cloud:
        assert (cloud.stream(), cloud.shards()) == (stream, shards)
        assert [cloud.records(place) for place in places] == before
        assert [[id_ for id_, _, _ in page] for page in before] == [[1, 9], [2], [8]]
        cloud.put(3, 7)
        assert [[id_ for id_, _, _ in cloud.records(place)] for place in places] == [[1, 9], [2, 3], [8, 7]]
        later = [cloud.records(place)[-1][1].timestamp for place in places[1:]]
        assert min(later) > max(page[-1][1].timestamp for page in before)


# ---- one moment


@pytest.mark.parametrize("body", [b"short", b"l" * LONG], ids=["short", "long"])
def test_both_services_are_of_one_moment(tmp_path, body):
    with Emulator(tmp_path / "a") as emulator, Cloud(emulator) as cloud:
        cloud.make_table()
        stop, started, broken = threading.Event(), threading.Event(), []

        def write() -> None:
            n = 0
            try:
                while not stop.is_set():
                    cloud.bucket.put_object(f"{n:06}", body)  # first the object, then the row that tells of it
                    cloud.put(n)
                    cloud.bucket.delete_object(f"{n - 5:06}")
                    n += 1
                    if n == 10:
                        started.set()
            except (oss2.exceptions.OssError, sdk.OTSClientError, sdk.OTSServiceError) as error:
                broken.append(error)
                started.set()

        writer = threading.Thread(target=write)
        writer.start()
        assert started.wait(120)
        for n in range(4):
            save(emulator.data_dir / "tablestore", emulator.data_dir / "oss", tmp_path / f"s{n}")
        stop.set()
        writer.join()

    assert broken == []
    for n in range(4):
        with claimed(tmp_path / f"b{n}") as folder:
            load(tmp_path / f"s{n}", folder)
        with Emulator(folder) as emulator, Cloud(emulator) as cloud:
            newest_row, keys = cloud.rows()[-1], cloud.keys()
            assert int(keys[-1]) - newest_row in (0, 1)
            assert int(keys[0]) - newest_row in (-5, -4)
            assert all(cloud.bucket.get_object(key).read() == body for key in keys)


# ---- killed loads

KILLED = """
import os, signal, sys
from airflow_tablestore.emulator.__main__ import main

left, folder = int(sys.argv[1]), sys.argv[2]

def count(event, arguments):
    global left
    if event in ("os.rename", "os.rmdir", "shutil.rmtree") and folder in str(arguments[0]):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
sys.exit(main(["snapshot", "load", sys.argv[3], "--data-dir", folder, "--force"]))
"""


def killed_at(step: int, folder: Path, file: Path) -> bool:
    """Whether a load was killed right before its n-th rename or removal, or came to its end with fewer."""
    ran = subprocess.run([sys.executable, "-c", KILLED, str(step), str(folder), str(file)], capture_output=True)
    assert ran.returncode in (0, -9), ran.stderr
    return ran.returncode == -9


def fill(folder: Path, number: int) -> None:
    with Emulator(folder) as emulator, Cloud(emulator) as cloud:
        cloud.make_table()
        cloud.put(number)
        cloud.bucket.put_object(f"{number:06}", b"l" * LONG)


def test_a_killed_load_leaves_the_old_data_or_the_new(tmp_path):
    fill(tmp_path / "new", 2)
    save(tmp_path / "new" / "tablestore", tmp_path / "new" / "oss", tmp_path / "s")
    folder, found = tmp_path / "data", []

    for step in range(1, 8):
        fill(folder, 1)
        assert killed_at(step, folder, tmp_path / "s")
        with Emulator(folder) as emulator, Cloud(emulator) as cloud:
            found.append((cloud.rows(), cloud.keys()))
            assert cloud.bucket.get_object(cloud.keys()[0]).read() == b"l" * LONG
            emulator.reset()
        assert sorted(entry.name for entry in folder.iterdir()) == ["emulator.lock", "maxcompute", "oss", "tablestore"]

    old, new = ([1], ["000001"]), ([2], ["000002"])
    assert found == sorted(found), "once the new data is there, it stays"
    assert {str(one) for one in found} == {str(old), str(new)}


def test_a_snapshot_of_a_killed_load_is_of_what_was_loaded(tmp_path):
    fill(tmp_path / "new", 2)
    save(tmp_path / "new" / "tablestore", tmp_path / "new" / "oss", tmp_path / "s")
    fill(tmp_path / "data", 1)
    assert killed_at(3, tmp_path / "data", tmp_path / "s")  # one service of two is there

    save(tmp_path / "data" / "tablestore", tmp_path / "data" / "oss", tmp_path / "again")

    with claimed(tmp_path / "other") as folder:
        load(tmp_path / "again", folder)
    with Emulator(folder) as emulator, Cloud(emulator) as cloud:
        assert (cloud.rows(), cloud.keys()) == ([2], ["000002"])
