"""`kind: delivery`: what lint says, what explain tells, and what it becomes."""

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.delivery.task import OnDrift
from airflow_tablestore.spec.build_delivery import delivery_wish
from airflow_tablestore.spec.explain import story
from airflow_tablestore.spec.kinds.delivery import DeliverySpec
from airflow_tablestore.spec.load import parse
from airflow_tablestore.wire.delivery import (
    DeliveredColumn,
    DeliveryTask,
    Destination,
    Encoding,
    EventTime,
    ParquetType,
    TaskType,
    TimeFormat,
)

DOCUMENTED = """\
pipeline: sample_delivery
kind: delivery
source: {table: sampleTable}
delivery:
  task: sampledeliverytask
  type: BaseIncTask
  bucket: datadeliverytest
  endpoint: oss-cn-hangzhou.aliyuncs.com
  prefix: sample/year=$yyyy/month=$MM
  role: acs:ram::17************45:role/aliyunserviceroleforotsdatadelivery
  schema:
    - {column: PK1, to: PK1, type: INT64}
    - {column: PK2, to: PK2, type: UTF8}
    - {column: Col1, to: Col1, type: DOUBLE}
wait: {phase: incremental, max_lag: 10m}
"""
GOOD = DOCUMENTED.replace("sampledeliverytask", "my-task").replace("17************45", "1234567890")


def found(text):
    return [(p.path, p.line, p.is_warning) for p in parse(text).problems]


def with_(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


def test_the_documented_example_is_valid_and_says_what_to_look_at():
    document = parse(DOCUMENTED)

    assert document.spec is not None
    assert found(DOCUMENTED) == [("delivery.task", 5, True), ("delivery.role", 10, True)]
    assert found(GOOD) == []


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        (with_("my-task", "My-Task"), "delivery.task", 5),
        (with_("my-task", "seventeen-letters"), "delivery.task", 5),
        (with_("BaseIncTask", "Everything"), "delivery.type", 6),
        (with_("datadeliverytest", "Bucket_"), "delivery.bucket", 7),
        (with_("oss-cn", "datadeliverytest.oss-cn"), "delivery.endpoint", 8),
        (with_("$MM", "$month"), "delivery.prefix", 9),
        (with_("sample/year=$yyyy/month=$MM", "'{run_date:%Y}/'"), "delivery.prefix", 9),
        (with_("acs:ram::1234567890:role/", ""), "delivery.role", 10),
        (with_("to: PK2", "to: PK1"), "delivery.schema[1].to", 13),
        (with_("column: Col1", "column: PK1"), "delivery.schema[2].column", 14),
        (with_("type: DOUBLE", "type: REAL"), "delivery.schema[2].type", 14),
        (with_("type: UTF8", "type: UTF8, encoding: DELTA_BINARY_PACKED"), "delivery.schema[1].encoding", 13),
        (with_("phase: incremental", "phase: done"), "wait.phase", 15),
        (with_("BaseIncTask", "BaseTask"), "wait.max_lag", 15),
        (with_("max_lag: 10m", "max_lag: soon"), "wait.max_lag", 15),
        (with_("prefix: sample", "ossPrefix: sample"), "delivery.ossPrefix", 9),
        (with_("table: sampleTable", "table: 'sample table'"), "source.table", 3),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text, path, line):
    assert (path, line, False) in found(text)


@pytest.mark.parametrize(
    ("rule", "text", "path"),
    [
        ("a table is named", with_("{table: sampleTable}", "{}"), "source.table"),
        ("a name has 3 characters at least", with_("my-task", "my"), "delivery.task"),
        ("a name has 16 characters at most", with_("my-task", "a" * 17), "delivery.task"),
        ("a name has lower-case letters", with_("my-task", "myTask"), "delivery.task"),
        ("a name has digits and hyphens beside them, nothing else", with_("my-task", "my_task"), "delivery.task"),
        ("a name begins with a letter or digit", with_("my-task", "'-task'"), "delivery.task"),
        ("a name ends with a letter or digit", with_("my-task", "task-"), "delivery.task"),
        ("a task has a name", with_("  task: my-task\n", ""), "delivery.task"),
        ("variables are $yyyy, $MM, $dd, $HH and $mm", with_("$MM", "$hh"), "delivery.prefix"),
        ("variables have their case", with_("$yyyy", "$YYYY"), "delivery.prefix"),
        ("a folder is named", with_("sample/year=$yyyy/month=$MM", "''"), "delivery.prefix"),
        ("a bucket is named", with_("  bucket: datadeliverytest\n", ""), "delivery.bucket"),
        ("a bucket has a bucket's name", with_("datadeliverytest", "data_delivery"), "delivery.bucket"),
        ("an endpoint is named", with_("  endpoint: oss-cn-hangzhou.aliyuncs.com\n", ""), "delivery.endpoint"),
        ("an endpoint is one of OSS", with_("oss-cn-hangzhou.", "i.cn-hangzhou.ots."), "delivery.endpoint"),
        ("a role is an ARN", with_("acs:ram::1234567890:role/", "acs:ram::1234567890:user/"), "delivery.role"),
        ("data are delivered as Parquet", with_("  role:", "  format: csv\n  role:"), "delivery.format"),
        (
            "an event time has a column",
            with_("  role:", "  event_time: {format: Unix}\n  role:"),
            "delivery.event_time",
        ),
        (
            "an event time has a known format",
            with_("  role:", "  event_time: {column: at, format: ISO}\n  role:"),
            "delivery.event_time.format",
        ),
        ("a schema is given", GOOD.split("  schema:")[0], "delivery.schema"),
        ("a schema has a column", GOOD.split("  schema:")[0] + "  schema: []\n", "delivery.schema"),
        ("a field has a source", with_("column: Col1, ", ""), "delivery.schema[2]"),
        ("a field has a type", with_(", type: DOUBLE", ""), "delivery.schema[2]"),
        ("a type is one of Parquet", with_("DOUBLE", "VARCHAR"), "delivery.schema[2].type"),
        ("a column is delivered once", with_("column: PK2", "column: PK1"), "delivery.schema[1].column"),
        ("a type is Base, Inc or BaseInc", with_("BaseIncTask", "FullTask"), "delivery.type"),
    ],
)
def test_each_rule_of_the_documentation_is_held(rule, text, path):
    errors = [place for place, _, is_warning in found(text) if not is_warning]

    assert any(place == path or place.startswith(f"{path}.") for place in errors), f"{rule}: {errors}"


def test_a_task_delivers_base_and_incremental_data_unless_told_otherwise():
    spec = parse(with_("  type: BaseIncTask\n", "")).spec

    assert delivery_wish(spec).task.type is TaskType.BASE_INC


def test_everything_that_is_wrong_is_told_at_once():
    text = GOOD.replace("my-task", "X").replace("$MM", "$M").replace("to: PK2", "to: PK1").replace("DOUBLE", "REAL")

    assert {path for path, _, _ in found(text)} == {
        "delivery.task",
        "delivery.prefix",
        "delivery.schema[1].to",
        "delivery.schema[2].type",
    }


def test_a_partition_that_is_never_complete_is_not_waited_for():
    text = with_("phase: incremental", "partition: true").replace("sample/year=$yyyy/month=$MM", "sample")

    assert ("delivery.prefix", 9, False) in found(text)


@pytest.mark.parametrize("wish", ["wait: {partition: true}", "audit: {}"])
def test_a_folder_that_comes_back_later_is_neither_awaited_nor_audited(wish):
    text = with_("sample/year=$yyyy/month=$MM", "sample/month=$MM").split("wait:")[0] + wish + "\n"

    assert ("delivery.prefix", 9, False) in found(text)


def test_a_folder_by_event_time_may_get_rows_after_it_was_awaited():
    text = with_("phase: incremental, max_lag: 10m", "partition: true").replace(
        "  role:", "  event_time: {column: at, format: Unix}\n  role:"
    )

    assert [(path, is_warning) for path, _, is_warning in found(text)] == [("wait.partition", True)]


def test_a_spec_becomes_the_task():
    text = with_("type: UTF8}", "type: utf8, encoding: plain_dictionary, optional: true}").replace(
        "  role:", "  on_drift: update\n  event_time: {column: at, format: rfc3339}\n  role:"
    )

    wish = delivery_wish(parse(text).spec)

    role = "acs:ram::1234567890:role/aliyunserviceroleforotsdatadelivery"
    columns = (
        DeliveredColumn("PK1", "PK1", ParquetType.INT64),
        DeliveredColumn("PK2", "PK2", ParquetType.UTF8, Encoding.PLAIN_DICTIONARY),
        DeliveredColumn("Col1", "Col1", ParquetType.DOUBLE),
    )
    assert wish.task == DeliveryTask(
        "sampleTable",
        "my-task",
        Destination(
            "sample/year=$yyyy/month=$MM",
            "datadeliverytest",
            "oss-cn-hangzhou.aliyuncs.com",
            role,
            columns,
            EventTime("at", TimeFormat.RFC3339),
        ),
        TaskType.BASE_INC,
    )
    assert (wish.on_drift, wish.optional) == (OnDrift.UPDATE, {"PK2"})


def test_a_column_keeps_its_name_unless_another_is_given():
    assert delivery_wish(parse(with_("to: PK2, ", "")).spec).task.destination.columns[1].to == "PK2"


def test_a_spec_in_python_is_checked_as_a_file_is():
    with pytest.raises(SpecError) as error:
        DeliverySpec(
            pipeline="p",
            source={"table": "t"},
            delivery={"task": "X", "bucket": "b", "endpoint": "", "prefix": "", "role": "", "schema": []},
        )

    assert [problem.path for problem in error.value.problems] == [
        f"delivery.{key}" for key in ("task", "bucket", "endpoint", "role", "prefix", "schema")
    ]


def test_the_story_says_what_is_delivered_waited_for_and_compared():
    text = GOOD.replace("max_lag: 10m", "partition: true") + "audit: {fails: false}\n"

    told = " ".join(story(parse(text).spec))

    for words in (
        "makes the delivery task 'my-task'",
        "Deletes are not delivered",
        "the folder of the run's data interval is complete",
        "compares them with the table",
        "which is told",
    ):
        assert words in told
