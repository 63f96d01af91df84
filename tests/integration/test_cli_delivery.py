"""`airflow-tablestore delivery …` against the emulator, without Airflow."""

import io
import json

import pytest

from airflow_tablestore.cli.parser import main
from airflow_tablestore.cli.session import Session
from airflow_tablestore.pipeline.connections import from_environment

pytestmark = pytest.mark.slow

SPEC = """\
pipeline: orders_delivery
kind: delivery
source: {{table: orders}}
delivery:
  task: orders-task
  bucket: {bucket}
  endpoint: oss-cn-hangzhou.aliyuncs.com
  prefix: {prefix}{folder}
  role: acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery
  schema:
    - {{column: id, type: INT64}}
    - {{column: city, type: UTF8}}
"""


@pytest.fixture
def cloud(tablestore_cloud):
    tablestore_cloud.make_table("orders", key={"id": int}, rows=[{"id": 1, "city": "Oslo"}])
    return tablestore_cloud


@pytest.fixture
def spec(cloud, tmp_path):
    def write(folder="all", **more):
        file = tmp_path / "orders.yaml"
        file.write_text(SPEC.format(bucket=cloud.bucket, prefix=cloud.prefix, folder=folder))
        return str(file)

    return write


@pytest.fixture
def run(cloud):
    def call(*words):
        out, err = io.StringIO(), io.StringIO()
        environ = cloud.environment()
        session = Session(out, err, lambda name: from_environment(name, environ))
        code = main([*words], session)
        return code, out.getvalue(), err.getvalue()

    return call


def test_a_task_is_made_listed_described_audited_and_deleted(cloud, spec, run):
    file = spec()
    assert run("delivery", "create", file)[:2] == (0, "The delivery task 'orders-task' of table 'orders' is created.\n")
    assert json.loads(run("delivery", "create", file, "--json")[1])["action"] == "unchanged"
    assert run("delivery", "list", "orders")[:2] == (0, "orders-task  BaseIncTask\n")
    deliveries = cloud.emulator.tablestore_service().deliveries
    for _ in range(4):
        deliveries.step()

    code, told, _ = run("delivery", "describe", "orders", "orders-task", "--json")
    assert (code, json.loads(told)["phase"]) == (0, "incremental")
    code, told, _ = run("delivery", "audit", file)
    assert (code, "1 rows in 1 files; the table has 1 rows" in told) == (0, True)

    assert "is deleted" in run("delivery", "delete", "orders", "orders-task")[1]
    assert "was not there" in run("delivery", "delete", "orders", "orders-task")[1]
    assert run("delivery", "list", "orders")[1] == "Table orders has no delivery task.\n"


def test_a_loss_and_an_error_have_an_exit_code(cloud, spec, run):
    file = spec()
    run("delivery", "create", file)
    deliveries = cloud.emulator.tablestore_service().deliveries
    for _ in range(4):
        deliveries.step()
    for key in cloud.objects():
        cloud.emulator.objects_store().delete(cloud.bucket, [key])
    deliveries.fail(cloud.instance, "orders", "orders-task", "UNAUTHORIZED", "revoked")
    deliveries.step()

    assert run("delivery", "audit", file, "--json")[0] == 1
    code, told, _ = run("delivery", "describe", "orders", "orders-task")
    assert (code, "UNAUTHORIZED: revoked" in told) == (1, True)


def test_another_definition_is_told_and_updated(spec, run):
    run("delivery", "create", spec())
    file = spec("elsewhere")

    code, _, told = run("delivery", "create", file)
    assert (code, "prefix: wanted" in told) == (1, True)
    assert "is updated" in run("delivery", "update", file)[1]


def test_a_plan_says_what_a_run_would_do_and_does_nothing(cloud, spec, run):
    file = spec()

    assert "is not there: a run would make it" in run("plan", file)[1]
    assert cloud.requests("CreateDeliveryTask") == []
    run("delivery", "create", file)
    assert "stands as the spec has it: a run would leave it" in run("plan", file)[1]
    code, told, _ = run("plan", spec("elsewhere"), "--json")
    assert (code, json.loads(told)["differences"][0].split(":")[0]) == (0, "prefix")
    assert "a run would fail" in json.loads(told)["plan"]


def test_a_plan_refuses_what_a_run_refuses(cloud, spec, run):
    cloud.put_rows("orders", [{"id": 2, "city": 7}])

    code, _, told = run("plan", spec())

    assert (code, "as UTF8 they would be dropped" in told) == (2, True)


def test_commands_for_other_kinds_say_what_to_ask_instead(spec, run):
    file = spec()

    assert [f"airflow-tablestore plan {file}" in run(command, file)[2] for command in ("run", "doctor")] == [True, True]


def test_what_is_missing_is_told(spec, run, tmp_path):
    code, _, told = run("delivery", "describe", "orders", "nothing")
    assert (code, "There is no delivery task" in told) == (1, True)
    code, _, told = run("delivery", "audit", spec(), "--partition", "soon")
    assert (code, "is no time" in told) == (2, True)
