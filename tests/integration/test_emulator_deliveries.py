"""Delivery over HTTP: a real emulator delivers into its own bucket, in the background, and tests steer it."""

import io
import json
import time
import urllib.request

import pyarrow.parquet as pq
import pytest

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.emulator import Emulator, LocalCloud
from airflow_tablestore.pipeline.delivery import task as tasks
from airflow_tablestore.pipeline.delivery.task import Wish
from airflow_tablestore.wire import delivery as wire
from airflow_tablestore.wire.delivery import DeliveredColumn, DeliveryTask, Destination, ParquetType, Phase

pytestmark = pytest.mark.slow

ROLE = "acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery"
COLUMNS = (DeliveredColumn("id", "id", ParquetType.INT64), DeliveredColumn("v", "v", ParquetType.UTF8))
PATIENCE_SECONDS = 120


def until(condition):
    """Waits; generous, since nothing here is about speed."""
    last = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < last, "it never came"
        time.sleep(0.05)
    return found


def post(emulator, path, body):
    request = urllib.request.Request(f"{emulator.tablestore.endpoint}/_emulator/{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def client_of(cloud):
    at = cloud.tablestore
    return Client(Endpoint(at.endpoint, cloud.instance, at.access_key_id, at.access_key_secret))


def task(bucket, prefix):
    return DeliveryTask("t", "my-task", Destination(prefix, bucket, "oss-cn-hangzhou.aliyuncs.com", ROLE, COLUMNS))


def delivered(emulator, bucket, prefix):
    store = emulator.objects_store()
    rows = []
    for key in store.keys(bucket, prefix):
        found = store.find(bucket, key)
        with store.read(found, 0, found.size) as reading:
            rows += pq.read_table(io.BytesIO(b"".join(reading.chunks()))).to_pylist()
    return rows


def test_the_emulator_delivers_in_the_background():
    with LocalCloud() as cloud, client_of(cloud) as client:
        cloud.make_table("t", key={"id": int}, rows=[{"id": 1, "v": "one"}])
        bucket, prefix = cloud.emulator.oss.bucket, cloud.prefix
        post(cloud.emulator, "delivery/cut", {"seconds": 0})
        client.send(wire.create_delivery_task(task(bucket, prefix)))
        describe = wire.describe_delivery_task("t", "my-task")

        until(lambda: client.send(describe).progress.phase is Phase.INCREMENTAL)
        cloud.put_rows("t", [{"id": 2, "v": "two"}])
        until(lambda: len(delivered(cloud.emulator, bucket, prefix)) == 2)

        assert delivered(cloud.emulator, bucket, prefix) == [{"id": 1, "v": "one"}, {"id": 2, "v": "two"}]
        until(lambda: client.send(describe).progress.reached_nanos > 0)  # kept after the file is written
        client.send(wire.delete_delivery_task("t", "my-task"))
        assert client.send(wire.list_delivery_tasks("t")) == ()


def test_tests_steer_a_task_over_http():
    with LocalCloud() as cloud, client_of(cloud) as client:
        cloud.make_table("t", key={"id": int}, rows=[])
        client.send(wire.create_delivery_task(task(cloud.emulator.oss.bucket, cloud.prefix)))
        describe = wire.describe_delivery_task("t", "my-task")
        named = {"instance": cloud.instance, "table": "t", "task": "my-task"}

        post(cloud.emulator, "delivery/fail", {**named, "code": "UNAUTHORIZED", "detail": "revoked"})
        told = until(lambda: (found := client.send(describe).progress).error and found)

        assert (told.error, told.detail) == ("UNAUTHORIZED", "revoked")
        post(cloud.emulator, "delivery/release", named)
        until(lambda: not client.send(describe).progress.error)
        post(cloud.emulator, "delivery/hold", named)
        url = f"{cloud.emulator.tablestore.endpoint}/_emulator/deliveries?instance={cloud.instance}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            (listed,) = json.load(answer)["tasks"]
        assert (listed["task"], listed["rows"], listed["dropped"]) == ("my-task", 0, {})


def test_a_task_goes_on_after_the_emulator_was_stopped(tmp_path):
    with LocalCloud(data_dir=tmp_path, instance="kept") as cloud, client_of(cloud) as client:
        cloud.make_table("t", key={"id": int}, rows=[{"id": 1, "v": "one"}])
        client.send(wire.create_delivery_task(task(cloud.bucket, "kept/")))

    with Emulator(tmp_path) as emulator:
        found = until(lambda: delivered(emulator, emulator.oss.bucket, "kept/"))

    assert found == [{"id": 1, "v": "one"}]


@pytest.mark.parametrize("kind", ["lost_answer", "reset", "wrong_md5"])
def test_lost_answers_to_create_and_delete_are_settled(kind):
    with LocalCloud() as cloud, client_of(cloud) as client:
        cloud.make_table("t", key={"id": int}, rows=[{"id": 1, "v": "one"}])
        wish = Wish(task(cloud.bucket, cloud.prefix), sleep=lambda seconds: None)

        cloud.faults.add(kind, operation="CreateDeliveryTask", count=1)
        made = tasks.ensure(client, wish)
        cloud.faults.add(kind, operation="DeleteDeliveryTask", count=1)
        was_there = tasks.delete(client, "t", "my-task", lambda seconds: None)

        assert (made.action, was_there) == ("created", True)
        assert client.send(wire.list_delivery_tasks("t")) == ()
