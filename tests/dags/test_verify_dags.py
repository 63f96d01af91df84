"""A table verified in Airflow: as a task of a DAG, with what differs told and failed on, and as an estimate."""

from __future__ import annotations

import io

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import OK, Session
from airflow_tablestore.operators.verify import VerifyOperator

pytestmark = pytest.mark.slow


@pytest.fixture
def cloud(tablestore_cloud):
    rows = [{"id": n, "city": f"c{n}"} for n in range(30)]
    tablestore_cloud.make_table("orders", key={"id": int}, rows=rows)
    return tablestore_cloud


@pytest.fixture
def sides(cloud):
    sink = {"type": "oss", "bucket": cloud.bucket, "prefix": cloud.prefix}
    return {"source": {"table": "orders"}, "sink": sink}


@pytest.fixture
def exported(cloud, tmp_path):
    spec = tmp_path / "export.yaml"
    spec.write_text(
        "pipeline: out\nkind: full_export\nsource: {table: orders}\n"
        f"sink: {{type: oss, bucket: {cloud.bucket}, prefix: {cloud.prefix}}}\n"
    )
    assert main(["run", str(spec)], Session(out=io.StringIO(), err=io.StringIO())) == OK


class TaskInstance:
    def __init__(self):
        self.pushed = {}

    def xcom_push(self, key, value):
        self.pushed[key] = value


class Run:
    logical_date = run_after = None


def execute(operator):
    instance = TaskInstance()
    return operator.execute({"ti": instance, "dag_run": Run()}), instance


def test_a_dag_verifies_what_is_published(sides, exported, run_dag):
    with DAG("orders_verified", schedule=None) as dag:
        VerifyOperator(task_id="verify", **sides)

    assert run_dag(dag).state == "success"


def test_a_difference_fails_the_task_for_good_and_names_the_keys(cloud, sides, exported):
    cloud.put_rows("orders", [{"id": 3, "city": "elsewhere"}])

    with pytest.raises(AirflowFailException, match=r"1 in both, with other cells: id=3 \(city\)"):
        execute(VerifyOperator(task_id="verify", **sides))

    report, _ = execute(VerifyOperator(task_id="tells", fails=False, **sides))
    assert (report["is_same"], report["changed"]) == (False, 1)


def test_an_estimate_compares_nothing(cloud, sides, exported):
    cloud.put_rows("orders", [{"id": 3, "city": "elsewhere"}])

    report, _ = execute(VerifyOperator(task_id="estimate", estimates=True, **sides))

    assert (report["rows"], report["published"], report["objects"]) == (30, 30, 1)


def test_a_load_of_maxcompute_is_verified(cloud, tmp_path):
    cloud.sql("drop table if exists orders_verified")
    sink = {"type": "maxcompute", "table": "orders_verified", "truncate": True, "create_table": True}
    spec = tmp_path / "load.yaml"
    spec.write_text(
        "pipeline: loaded\nkind: full_export\nsource: {table: orders}\n"
        "sink: {type: maxcompute, table: orders_verified, truncate: true, create_table: true}\n"
    )
    assert main(["run", str(spec)], Session(out=io.StringIO(), err=io.StringIO())) == OK
    wanted = {"pipeline": "loaded", "source": {"table": "orders"}, "sink": sink}

    report, _ = execute(VerifyOperator(task_id="verify", **wanted))
    assert (report["is_same"], report["rows"], report["published"]) == (True, 30, 30)

    cloud.put_rows("orders", [{"id": 3, "city": "elsewhere"}])
    with pytest.raises(AirflowFailException, match=r"1 in both, with other cells: id=3 \(city\)"):
        execute(VerifyOperator(task_id="verify", **wanted))
