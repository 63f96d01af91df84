"""What a spec hands to Airflow, as far as it can be judged without Airflow."""

from __future__ import annotations

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.spec.common import AirflowSettings
from airflow_tablestore.spec.kinds.full_export import FullExportSpec

SINK = {"type": "oss", "bucket": "backup", "prefix": "gps/"}


@pytest.mark.parametrize("key", ["pod_override", "pod_template_file", "anything"])
def test_settings_of_executors_are_handed_on(key):
    assert AirflowSettings(executor_config={key: "x"}).executor_config == {key: "x"}


def test_a_pod_written_for_airflow_1_is_refused():
    old = {"executor_config": {"KubernetesExecutor": {"image": "airflow"}}}

    with pytest.raises(SpecError, match=r"airflow\.executor_config.*KubernetesExecutor.*pod_override"):
        FullExportSpec(pipeline="gps", source={"table": "gps"}, sink=SINK, airflow=old)
