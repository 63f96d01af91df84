"""The connection that the emulator tells of is what the provider's own hook reads."""

from __future__ import annotations

import pytest

from airflow_tablestore.emulator import LocalCloud

pytestmark = [pytest.mark.slow, pytest.mark.airflow]


def test_the_hook_of_the_alibaba_provider_finds_the_emulator(monkeypatch):
    from airflow.providers.alibaba.cloud.hooks.maxcompute import MaxComputeHook

    with LocalCloud() as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        cloud.sql("create table t (id bigint)")

        instance = MaxComputeHook().run_sql(sql="insert into t values (1), (2)")
        instance.wait_for_success()

        assert cloud.maxcompute_rows("t") == [{"id": 1}, {"id": 2}]
