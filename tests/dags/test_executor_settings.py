"""A spec's `executor_config` where Kubernetes' provider is not installed; where it is, see tests/scale_out."""

from __future__ import annotations

import sys

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.factory.executor import executor_settings

POD = {"pod_override": {"spec": {"containers": [{"name": "base", "image": "airflow"}]}}}


@pytest.fixture
def no_kubernetes(monkeypatch):
    monkeypatch.setitem(sys.modules, "airflow.providers.cncf.kubernetes.pod_generator", None)


@pytest.mark.parametrize("given", [None, {"pod_template_file": "/pods/export.yaml"}, {"k": "v"}])
def test_settings_without_a_pod_are_handed_on_anywhere(no_kubernetes, given):
    assert executor_settings(given) == given


def test_a_pod_names_the_package_that_it_needs(no_kubernetes):
    with pytest.raises(SpecError, match="apache-airflow-providers-cncf-kubernetes"):
        executor_settings(POD)
