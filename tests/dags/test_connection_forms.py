"""The command line reads `AIRFLOW_CONN_*` as Airflow does; the judge is Airflow's own Connection."""

from __future__ import annotations

import pytest

from airflow_tablestore.pipeline.connections import from_environment

FORMS = [
    "tablestore://id:p%2Fw@inst.ots.com",
    "tablestore://id:p%2Fw@inst.ots.com:443/schema?instance=i&region=cn-hangzhou",
    "tablestore://https://id:pw@inst.ots.com:443/s?instance=i",
    "tablestore://id:pw@https%3A%2F%2Finst.ots.com?instance=i",
    "tablestore://id:pw@inst.ots.com/?__extra__=%7B%22instance%22%3A+%22i%22%2C+%22timeout_seconds%22%3A+7%7D",
    "oss://?endpoint=e.com&access_key_id=id&access_key_secret=a%2Bb",
    "oss://bucket?endpoint=e.com",
    "my-type://host",
    '{"conn_type": "oss", "extra": {"endpoint": "e.com"}}',
    '{"conn_type": "tablestore", "host": "https://h", "port": 443, "login": "a", "password": "b", "extra": "{}"}',
    '{"conn_type": "tablestore", "host": "h", "port": "443"}',
]


@pytest.mark.airflow
@pytest.mark.parametrize("text", FORMS)
def test_the_environment_is_read_as_airflow_reads_it(text):
    from airflow.models.connection import Connection

    judge = Connection.from_json(text, conn_id="a") if text.startswith("{") else Connection(conn_id="a", uri=text)

    fields = from_environment("a", {"AIRFLOW_CONN_A": text})

    assert (fields.conn_type, fields.host or None, fields.port) == (judge.conn_type, judge.host or None, judge.port)
    assert (fields.login or None, fields.password or None) == (judge.login or None, judge.password or None)
    assert (fields.schema or None, fields.extra) == (judge.schema or None, judge.extra_dejson)
