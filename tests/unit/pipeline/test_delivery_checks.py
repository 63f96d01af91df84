"""Each rule of a delivery task, broken by itself and all together."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.delivery.checks import Draft, region_faults, table_faults, text_faults
from airflow_tablestore.pipeline.delivery.prefix import Partition, fixed_part, folder, partition, partitions
from airflow_tablestore.pipeline.sources.pinning import Sample
from airflow_tablestore.wire.delivery import (
    DeliveredColumn,
    DeliveryTask,
    Destination,
    Encoding,
    EventTime,
    ParquetType,
    TimeFormat,
)
from airflow_tablestore.wire.row import ColumnType
from airflow_tablestore.wire.table import KeyColumn, TableDescription

ROLE = "acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery"
GOOD = DeliveryTask(
    "sampleTable",
    "sampledelivery",
    Destination(
        "sample/year=$yyyy/month=$MM",
        "datadeliverytest",
        "oss-cn-hangzhou.aliyuncs.com",
        ROLE,
        (
            DeliveredColumn("PK1", "PK1", ParquetType.INT64),
            DeliveredColumn("PK2", "PK2", ParquetType.UTF8),
            DeliveredColumn("Col1", "Col1", ParquetType.DOUBLE),
        ),
    ),
)
TABLE = TableDescription(
    "sampleTable",
    (KeyColumn("PK1", ColumnType.INTEGER), KeyColumn("PK2", ColumnType.STRING)),
    (("defined", ColumnType.BOOLEAN),),
)
SAMPLE = Sample(
    10,
    {
        "Col1": Counter({ColumnType.DOUBLE: 10}),
        "mixed": Counter({ColumnType.STRING: 7, ColumnType.INTEGER: 2}),
        "at": Counter({ColumnType.STRING: 10}),
    },
)


def changed(**settings):
    return replace(GOOD, destination=replace(GOOD.destination, **settings))


def found(task):
    return [(fault.problem().path, fault.is_warning) for fault in text_faults(Draft.of(task))]


def beside_table(column, *, optional=(), sample=SAMPLE, event=None):
    task = changed(columns=(column,), event_time=event)
    return [(f.problem().path, f.is_warning, f.message) for f in table_faults(task, TABLE, sample, optional)]


def test_the_documented_task_has_nothing_wrong():
    assert found(GOOD) == []
    assert list(table_faults(GOOD, TABLE, SAMPLE)) == []


@pytest.mark.parametrize("name", ["ab", "a" * 17, "Task", "-task", "task-", "ta_sk", "tä-sk", "", "a b", "task\n"])
def test_a_name_that_the_service_refuses_is_found(name):
    assert found(replace(GOOD, name=name)) == [("delivery.task", False)]


def test_the_documentations_own_name_is_longer_than_the_documentation_allows():
    assert found(replace(GOOD, name="sampledeliverytask")) == [("delivery.task", True)]


@pytest.mark.parametrize("name", ["abc", "a" * 16, "1-2", "a--b"])
def test_a_name_at_its_bounds_is_right(name):
    assert found(replace(GOOD, name=name)) == []


@pytest.mark.parametrize(
    "prefix",
    ["a/$yy", "a/$DD", "a/$yyyyMM", "a/$", "a/$hour", "a/{run_date}", "/a", "a//b", "", "/", "a\x00", "a/" + "b" * 900],
)
def test_a_prefix_that_the_service_would_not_fill_in_is_found(prefix):
    assert ("delivery.prefix", False) in found(changed(prefix=prefix))


@pytest.mark.parametrize(
    ("prefix", "hint"),
    [("a/$yyyyMM", "$yyyy$MM"), ("a/$DD", "'$dd'"), ("a/$hh", "'$HH'"), ("a/$what", "known: $yyyy")],
)
def test_a_wrong_time_variable_comes_with_the_right_one(prefix, hint):
    (fault, *_) = text_faults(Draft(prefix=prefix))

    assert hint in fault.hint


@pytest.mark.parametrize(
    "role",
    ["aliyunserviceroleforotsdatadelivery", "acs:ram::12:user/x", "acs:ram:cn:12:role/x", "acs:ram::12:role/", ""],
)
def test_what_is_no_role_is_found(role):
    assert found(changed(role=role)) == [("delivery.role", False)]


def test_the_role_of_somebody_else_and_stars_in_it_are_worth_a_warning():
    assert found(changed(role="acs:ram::17****45:role/mine")) == [("delivery.role", True)] * 2


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "oss-cn-hangzhou.aliyuncs.com/bucket",
        "ftp://oss-cn-hangzhou.aliyuncs.com",
        "datadeliverytest.oss-cn-hangzhou.aliyuncs.com",
        "mine.cn-hangzhou.ots.aliyuncs.com",
        "cn-hangzhou.aliyuncs.com",
        "http://user@oss-cn-hangzhou.aliyuncs.com",
        "a b",
        "http://[",
        "oss-cn-hangzhou.aliyuncs.com:port",
    ],
)
def test_what_is_no_endpoint_of_oss_is_found(endpoint):
    assert found(changed(endpoint=endpoint)) == [("delivery.endpoint", False)]


@pytest.mark.parametrize(
    "endpoint",
    ["oss-cn-hangzhou-internal.aliyuncs.com", "https://oss-cn-beijing.aliyuncs.com", "http://127.0.0.1:8001"],
)
def test_an_endpoint_with_or_without_its_scheme_is_right(endpoint):
    assert found(changed(endpoint=endpoint)) == []


@pytest.mark.parametrize(
    ("endpoint", "instance", "count"),
    [
        ("oss-cn-hangzhou.aliyuncs.com", "https://i.cn-hangzhou.ots.aliyuncs.com", 0),
        ("https://oss-cn-hangzhou-internal.aliyuncs.com", "https://i.cn-hangzhou.vpc.tablestore.aliyuncs.com", 0),
        ("oss-cn-beijing.aliyuncs.com", "https://i.cn-hangzhou.ots-internal.aliyuncs.com", 1),
        ("oss-cn-beijing-internal.aliyuncs.com", "https://i.cn-hangzhou.ots.aliyuncs.com", 1),
        ("http://127.0.0.1:8001", "https://i.cn-hangzhou.ots.aliyuncs.com", 0),
        ("oss-cn-beijing.aliyuncs.com", "http://127.0.0.1:8000", 0),
    ],
)
def test_a_bucket_is_in_the_region_of_the_instance(endpoint, instance, count):
    assert [fault.place for fault in region_faults(endpoint, instance)] == [("endpoint",)] * count


@pytest.mark.parametrize("bucket", ["ab", "Bucket", "-bucket", "bucket-", "bu_cket", "b" * 64])
def test_a_bucket_that_cannot_exist_is_found(bucket):
    assert found(changed(bucket=bucket)) == [("delivery.bucket", False)]


def test_columns_are_delivered_once_and_under_one_name():
    columns = (
        DeliveredColumn("a", "x", ParquetType.INT64),
        DeliveredColumn("b", "x", ParquetType.INT64),
        DeliveredColumn("a", "y", ParquetType.INT64),
    )

    assert found(changed(columns=columns)) == [("delivery.schema[1].to", False), ("delivery.schema[2].column", False)]
    assert found(changed(columns=())) == [("delivery.schema", False)]


@pytest.mark.parametrize(
    ("type_", "encoding", "is_right"),
    [
        (ParquetType.INT64, Encoding.DELTA_BINARY_PACKED, True),
        (ParquetType.UTF8, Encoding.DELTA_BINARY_PACKED, False),
        (ParquetType.DOUBLE, Encoding.DELTA_LENGTH_BYTE_ARRAY, False),
        (ParquetType.UTF8, Encoding.DELTA_BYTE_ARRAY, True),
        (ParquetType.BOOL, Encoding.PLAIN_DICTIONARY, True),
    ],
)
def test_an_encoding_is_for_some_types(type_, encoding, is_right):
    wrong = found(changed(columns=(DeliveredColumn("a", "a", type_, encoding),)))

    assert wrong == ([] if is_right else [("delivery.schema[0].encoding", False)])


def test_everything_that_is_wrong_is_told_at_once():
    columns = (DeliveredColumn("a", "x", ParquetType.INT64), DeliveredColumn("b", "x", ParquetType.INT64))
    wrong = replace(GOOD, name="X", destination=Destination("$day", "B", "nowhere/", "me", columns))

    assert [path for path, _ in found(wrong)] == [
        f"delivery.{key}" for key in ("task", "bucket", "endpoint", "role", "prefix", "schema[1].to")
    ]


# ---- beside the table


@pytest.mark.parametrize(
    ("column", "type_"),
    [
        ("PK1", ParquetType.UTF8),
        ("PK2", ParquetType.INT64),
        ("defined", ParquetType.INT64),
        ("Col1", ParquetType.INT64),
    ],
)
def test_a_type_that_would_drop_every_value_is_found(column, type_):
    ((path, is_warning, message),) = beside_table(DeliveredColumn(column, "x", type_))

    assert (path, is_warning) == ("delivery.schema[0].type", False)
    assert "dropped" in message


def test_values_of_a_second_type_are_found_and_may_be_meant():
    column = DeliveredColumn("mixed", "x", ParquetType.UTF8)

    ((path, is_warning, message),) = beside_table(column)
    ((_, is_warning_now, _),) = beside_table(column, optional={"mixed"})

    assert (path, is_warning, is_warning_now) == ("delivery.schema[0].type", False, True)
    assert "of 9 values of 'mixed' that were looked at 2 are integer" in message


def test_a_column_that_no_row_has_is_found_and_may_be_meant():
    column = DeliveredColumn("Coll", "x", ParquetType.DOUBLE)

    assert [one[:2] for one in beside_table(column)] == [("delivery.schema[0].column", False)]
    assert [one[:2] for one in beside_table(column, optional={"Coll"})] == [("delivery.schema[0].column", True)]
    assert [one[:2] for one in beside_table(column, sample=Sample(0, {}))] == [("delivery.schema[0].column", True)]


def test_a_pair_of_types_that_is_not_documented_is_worth_a_warning():
    assert [one[:2] for one in beside_table(DeliveredColumn("PK1", "x", ParquetType.DATE))] == [
        ("delivery.schema[0].type", True)
    ]


@pytest.mark.parametrize(
    ("column", "format_", "path"),
    [
        ("at", TimeFormat.RFC3339, None),
        ("PK1", TimeFormat.UNIX, None),
        ("PK1", TimeFormat.RFC822, "delivery.event_time.format"),
        ("at", TimeFormat.UNIX, "delivery.event_time.format"),
        ("nowhere", TimeFormat.UNIX, "delivery.event_time.column"),
    ],
)
def test_an_event_time_is_a_column_in_its_format(column, format_, path):
    found_ = beside_table(DeliveredColumn("PK1", "x", ParquetType.INT64), event=EventTime(column, format_))

    assert [one[0] for one in found_] == ([] if path is None else [path])


# ---- folders

MOMENT = datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC)


def test_a_folder_has_the_time_filled_in():
    assert folder("a/y=$yyyy/m=$MM/d=$dd/h=$HH/$mm", MOMENT) == "a/y=2026/m=12/d=31/h=23/59/"
    assert folder("a/$yyyy$MM$dd/", MOMENT, "Asia/Shanghai") == "a/20270101/"
    assert fixed_part("a/b-$yyyy/c") == "a/"


@pytest.mark.parametrize(
    ("prefix", "start", "end"),
    [
        ("$yyyy", datetime(2026, 1, 1), datetime(2027, 1, 1)),
        ("$yyyy/$MM", datetime(2026, 12, 1), datetime(2027, 1, 1)),
        ("$yyyy/$MM/$dd", datetime(2026, 12, 31), datetime(2027, 1, 1)),
        ("$yyyy/$MM/$dd/$HH", datetime(2026, 12, 31, 23), datetime(2027, 1, 1)),
        ("$yyyy/$MM/$dd/$HH/$mm", datetime(2026, 12, 31, 23, 59), datetime(2027, 1, 1)),
    ],
)
def test_a_partition_lasts_as_long_as_its_finest_variable(prefix, start, end):
    found_ = partition(prefix, MOMENT)

    assert (found_.start, found_.end) == (start.replace(tzinfo=UTC), end.replace(tzinfo=UTC))
    assert folder(prefix, found_.start) == found_.prefix != folder(prefix, found_.end)


def test_days_are_those_of_the_zone():
    found_ = partition("$yyyy/$MM/$dd", MOMENT, "Asia/Shanghai")

    assert found_.prefix == "2027/01/01/"
    assert found_.start == datetime(2027, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai"))


def test_a_day_in_which_the_clock_is_moved_has_its_own_length():
    found_ = partition("$yyyy/$MM/$dd", datetime(2026, 3, 29, 12, tzinfo=UTC), "Europe/Berlin")

    assert (found_.end - found_.start).total_seconds() == 23 * 3600


def test_folders_without_a_variable_are_one_without_an_end():
    assert partition("a", MOMENT) == Partition("a/")


def test_folders_that_come_back_are_no_partitions():
    with pytest.raises(SpecError, match=r"no \$yyyy, \$MM, \$dd"):
        partition("a/$HH", MOMENT)
    assert [one[0] for one in found(changed(prefix="a/$HH"))] == ["delivery.prefix"]


def test_a_span_touches_its_partitions_in_order():
    found_ = partitions("$yyyy$MM$dd$HH", datetime(2026, 1, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 3, tzinfo=UTC))

    assert [one.prefix for one in found_] == ["2026010101/", "2026010102/"]
