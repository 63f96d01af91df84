"""What the emulator has delivered, read back and laid beside the table: losses are found and say why."""

from datetime import UTC, datetime

import pytest

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.emulator import LocalCloud
from airflow_tablestore.pipeline.delivery import task as tasks
from airflow_tablestore.pipeline.delivery.audit import audit
from airflow_tablestore.pipeline.delivery.prefix import partition
from airflow_tablestore.pipeline.delivery.task import Wish
from airflow_tablestore.pipeline.sinks.oss import ObjectStore, OssEndpoint
from airflow_tablestore.wire.delivery import (
    DeliveredColumn,
    DeliveryTask,
    Destination,
    EventTime,
    ParquetType,
    TaskType,
    TimeFormat,
)

pytestmark = pytest.mark.slow

ROLE = "acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery"
COLUMNS = (
    DeliveredColumn("id", "id", ParquetType.INT64),
    DeliveredColumn("city", "town", ParquetType.UTF8),
    DeliveredColumn("price", "price", ParquetType.DOUBLE),
)


class Place:
    """A cloud with a table of rides, whose clock stands still between the test's own steps."""

    def __init__(self, cloud):
        self.cloud, at, oss = cloud, cloud.tablestore, cloud.oss
        self.client = Client(Endpoint(at.endpoint, cloud.instance, at.access_key_id, at.access_key_secret))
        self.store = ObjectStore(OssEndpoint(oss.endpoint, oss.access_key_id, oss.access_key_secret), cloud.bucket)
        self.deliveries = cloud.emulator.tablestore_service().deliveries
        cloud.make_table("rides", key={"id": int}, rows=[{"id": 1, "city": "Oslo", "price": 1.5}])

    def task(self, prefix="$yyyy/$MM/$dd/$HH", columns=COLUMNS, **more):
        to = Destination(
            f"{self.cloud.prefix}{prefix}", self.cloud.bucket, "oss-cn-hangzhou.aliyuncs.com", ROLE, columns, **more
        )
        task = DeliveryTask("rides", "my-task", to, TaskType.BASE_INC)
        tasks.ensure(self.client, Wish(task, checks_table=False))
        return task

    def settle(self):
        for _ in range(4):
            self.deliveries.step()
        self.cloud.advance(125)
        for _ in range(2):
            self.deliveries.step()

    def audit(self, task, moment=None, optional=()):
        place = partition(task.destination.prefix, moment or self.cloud.emulator.now())
        return audit(self.client, self.store, task, place, optional)


@pytest.fixture
def place():
    with LocalCloud() as cloud:
        cloud.emulator.clock.move_to(1_795_000_000_000_000)  # 2026-11-18 11:06:40 UTC
        place = Place(cloud)
        yield place
        place.client.close()
        place.store.close()


def test_a_delivery_without_loss_is_whole(place):
    task = place.task()
    place.settle()
    place.cloud.put_rows("rides", [{"id": 2, "city": "Köln", "price": 2.5}])
    place.settle()

    found = place.audit(task)

    assert (found.is_whole, found.rows, found.table_rows, found.missing_rows) == (True, 2, 2, 0)
    assert [one.delivered for one in found.columns] == [2, 2, 2]


def test_values_that_were_dropped_are_found_with_the_reason(place):
    task = place.task()
    place.settle()
    place.cloud.put_rows("rides", [{"id": 2, "city": 7, "price": "dear"}, {"id": 3, "city": "Oslo", "price": 3.5}])
    place.settle()

    found = place.audit(task)

    lost = {one.name: (one.lost, dict(one.reasons), one.examples) for one in found.columns if one.lost}
    assert not found.is_whole
    assert lost == {
        "city": (1, {"integer, which is not delivered as UTF8": 1}, ["id=2"]),
        "price": (1, {"string, which is not delivered as DOUBLE": 1}, ["id=2"]),
    }
    assert any("1 values lost" in line for line in found.lines())


def test_values_that_may_be_of_another_type_are_told_and_no_failure(place):
    task = place.task()
    place.settle()
    place.cloud.put_rows("rides", [{"id": 2, "city": 7, "price": 2.5}])
    place.settle()

    found = place.audit(task, optional={"city"})

    assert (found.is_whole, found.columns[1].lost, found.columns[1].allowed) == (True, 1, 1)
    assert any("1 values lost (1 of them may be)" in line for line in found.lines())


def test_rows_whose_files_are_gone_are_missing(place):
    task = place.task()
    place.settle()
    place.store.delete([one.key for one in place.store.list(place.cloud.prefix)])

    found = place.audit(task)

    assert (found.is_whole, found.files, found.missing_rows, found.examples) == (False, 0, 1, ["id=1"])
    assert any("in another zone" in line for line in found.lines())


def test_what_changed_later_is_no_loss_of_the_former_hour(place):
    before = place.cloud.emulator.now()
    task = place.task()
    place.cloud.put_rows("rides", [{"id": 2, "city": "Köln", "price": 2.5}])
    place.settle()
    place.cloud.advance(3600)
    place.cloud.put_rows("rides", [{"id": 2, "city": "Bergen", "price": 0.5}])
    place.settle()

    former, later = place.audit(task, before), place.audit(task)

    assert (former.is_whole, former.table_rows, former.gone_since) == (True, 1, 1)
    assert (later.is_whole, later.table_rows, later.rows) == (True, 1, 1)


def test_files_of_another_definition_are_named(place):
    task = place.task()
    place.settle()
    prefix = partition(task.destination.prefix, place.cloud.emulator.now()).prefix
    place.store.put(f"{prefix}note.txt", b"no Parquet")

    found = place.audit(task)

    assert list(found.wrong_files.values()) == ["is no Parquet file (ArrowInvalid)"]
    assert not found.is_whole


def test_without_its_whole_key_a_delivery_is_counted_only(place):
    task = place.task(columns=COLUMNS[1:])
    place.settle()

    found = place.audit(task)

    assert (found.missing_rows, found.rows, found.table_rows, found.is_whole) == (-1, 1, 1, True)


def test_rows_are_looked_for_in_the_folder_of_their_event_time(place):
    task = place.task(event_time=EventTime("at", TimeFormat.UNIX))
    place.settle()
    day = 1_700_000_000
    place.cloud.put_rows("rides", [{"id": 5, "city": "Oslo", "price": 1.0, "at": day}])
    place.settle()

    found = place.audit(task, datetime.fromtimestamp(day, UTC))

    assert (found.is_whole, found.rows, found.table_rows) == (True, 1, 1)


def test_one_folder_for_all_is_laid_beside_the_whole_table(place):
    task = place.task(prefix="all")
    place.cloud.put_rows("rides", [{"id": 2, "city": "Köln", "price": 2.5}])
    place.settle()

    found = place.audit(task)

    assert (found.is_whole, found.table_rows) == (True, 2)
