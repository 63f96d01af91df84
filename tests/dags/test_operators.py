"""The task group of hand-written DAG files, before anything runs."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG

from airflow_tablestore.errors import SpecError
from airflow_tablestore.operators.full_export import full_export

SINK = {"type": "oss", "bucket": "backup", "prefix": "orders/"}


def tasks_of(dag):
    return {task.task_id: task for task in dag.tasks}


def test_a_wrong_argument_is_found_while_the_dag_is_parsed():
    with DAG("orders", schedule=None), pytest.raises(SpecError, match="did you mean 'table'"):
        full_export(pipeline="orders", source={"tabel": "orders"}, sink=SINK)


def test_arguments_with_templates_are_judged_when_they_are_rendered():
    with DAG("orders", schedule=None) as dag:
        full_export(pipeline="orders", source={"table": "{{ params.table }}"}, sink=SINK)

    assert set(tasks_of(dag)) == {"full_export.plan", "full_export.export", "full_export.publish"}


def test_a_table_that_a_template_names_has_no_asset_yet():
    with DAG("orders", schedule=None) as dag:
        full_export(pipeline="orders", source={"table": "{{ params.table }}"}, sink=SINK)

    publish = tasks_of(dag)["full_export.publish"]
    assert publish.inlets == []
    assert [asset.uri for asset in publish.outlets] == ["oss://backup/orders"]


def test_parts_of_a_spec_made_in_python_are_arguments_too(inlets):
    from airflow_tablestore.spec.oss_sink import OssSink
    from airflow_tablestore.spec.table_source import TableSource

    with DAG("orders", schedule=None) as dag:
        full_export(pipeline="orders", source=TableSource(table="orders"), sink=OssSink(**SINK))

    publish = tasks_of(dag)["full_export.publish"]
    assert [asset.uri for asset in publish.inlets] == inlets("tablestore://tablestore_default/orders")
    assert publish.spec().source.table == "orders"


def test_every_task_gets_the_same_airflow_arguments():
    with DAG("orders", schedule=None) as dag:
        full_export(pipeline="orders", source={"table": "orders"}, sink=SINK, retries=7, pool="exports")

    for task in dag.tasks:
        settings = task.partial_kwargs if task.is_mapped else vars(task)
        assert (settings["retries"], settings["pool"]) == (7, "exports")


def test_outlets_of_ones_own_are_updated_by_the_publication_alone():
    from airflow.sdk import Asset

    with DAG("orders", schedule=None) as dag:
        full_export(pipeline="orders", source={"table": "orders"}, sink=SINK, outlets=[Asset("x-mine://done")])

    tasks = tasks_of(dag)
    assert [a.uri for a in tasks["full_export.publish"].outlets] == ["oss://backup/orders", "x-mine://done"]
    assert tasks["full_export.plan"].outlets == []
