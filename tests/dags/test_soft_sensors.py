"""`soft_fail` on sensors that wait in the triggerer: skipped wherever the waiting ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from airflow_tablestore.sensors.delivery import DeliveryTaskSensor
from airflow_tablestore.sensors.tunnel import TunnelCaughtUpSensor
from airflow_tablestore.sensors.windows import StreamExpiryRiskSensor

TIMED_OUT = ("__fail__", {"error": "Trigger timeout"}, {})
"""With what Airflow resumes a task whose deferral was too long."""

RISK = {"pipeline": "p", "table": "t", "every": timedelta(minutes=5), "within": timedelta(hours=6)}
SENSORS = {
    "windows": (StreamExpiryRiskSensor, RISK),
    "tunnel": (TunnelCaughtUpSensor, {"table": "t", "tunnel": "t"}),
    "delivery": (DeliveryTaskSensor, {"table": "t", "task_name": "t"}),
}


@pytest.mark.parametrize(("kind", "arguments"), SENSORS.values(), ids=SENSORS)
def test_a_soft_sensor_that_has_waited_too_long_is_skipped(kind, arguments):
    sensor = kind(task_id="wait", soft_fail=True, **arguments)

    with pytest.raises(AirflowSkipException):
        sensor.resume_execution(*TIMED_OUT)


@pytest.mark.parametrize(("kind", "arguments"), SENSORS.values(), ids=SENSORS)
def test_a_sensor_that_has_waited_too_long_fails(kind, arguments):
    sensor = kind(task_id="wait", **arguments)

    with pytest.raises(AirflowSensorTimeout):
        sensor.resume_execution(*TIMED_OUT)


def test_a_soft_sensor_that_will_never_succeed_is_skipped_at_its_first_look():
    wrong = {"table": "t", "task_name": "t", "phase": "never"}

    with pytest.raises(AirflowSkipException, match="phase is 'never'"):
        DeliveryTaskSensor(task_id="soft", soft_fail=True, **wrong).execute({})
    with pytest.raises(AirflowFailException, match="phase is 'never'"):
        DeliveryTaskSensor(task_id="hard", **wrong).execute({})
