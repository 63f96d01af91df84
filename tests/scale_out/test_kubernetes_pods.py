"""A pod that a spec describes in YAML is one that Airflow's KubernetesExecutor takes: its own code is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from airflow.serialization.serialized_objects import DagSerialization

from airflow_tablestore.factory import import_spec

SPEC = """
pipeline: gps_full
kind: full_export
source: {{table: ots_gps_data}}
sink: {{type: oss, bucket: backup, prefix: gps/full/}}
airflow:
  executor_config:
    pod_override: {pod}
"""
POD = """{metadata: {labels: {team: data}}, spec: {nodeSelector: {disk: ssd}, containers:
      [{name: base, resources: {requests: {memory: 2Gi, cpu: 1}}}]}}"""


def imported(folder: Path, pod: str):
    file = folder / "gps_full.yaml"
    file.write_text(SPEC.format(pod=pod))
    return import_spec(file)


def test_every_task_asks_the_executor_for_the_pod_of_the_spec(tmp_path):
    dags, errors = imported(tmp_path, POD)
    assert errors == []

    stored = DagSerialization.from_dict(DagSerialization.to_dict(dags[0]))  # what the scheduler has of the DAG

    for task in stored.task_dict.values():
        config = task.partial_kwargs["executor_config"] if task.is_mapped else task.executor_config
        pod = PodGenerator.serialize_pod(PodGenerator.from_obj(config))
        assert pod["metadata"]["labels"] == {"team": "data"}
        assert pod["spec"]["nodeSelector"] == {"disk": "ssd"}
        assert pod["spec"]["containers"] == [{"name": "base", "resources": {"requests": {"memory": "2Gi", "cpu": "1"}}}]


@pytest.mark.parametrize(
    ("pod", "told"),
    [
        ("{spec: {containers: [{name: base, imagePulPolicy: Always}]}}", "imagePulPolicy"),
        ("{spec: {containers: [{image: airflow}]}}", "name"),
        ("{spec: {contaners: []}}", "containers"),
        ("big", "no pod"),
    ],
)
def test_a_pod_that_kubernetes_would_not_know_is_a_problem_of_the_spec(tmp_path, pod, told):
    dags, errors = imported(tmp_path, pod)

    assert dags == []
    assert told in errors[0]
    assert "airflow.executor_config.pod_override" in errors[0]
