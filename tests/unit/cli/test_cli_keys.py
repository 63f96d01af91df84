"""Temporary keys on the command line: whoever renews them does so in a file, and a long command reads it anew."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from airflow_tablestore.cli import restore, services
from airflow_tablestore.cli.session import Session
from airflow_tablestore.pipeline.connections import Fields
from airflow_tablestore.spec import parse
from airflow_tablestore.wire.sign import Credentials

OLD, NEW = Credentials("id-1", "secret-1", "token-1"), Credentials("id-2", "secret-2", "token-2")
SINK = "sink: {type: oss, bucket: backup, prefix: 'p/%s'}\n"
FULL = "pipeline: p\nkind: full_export\nsource: {table: t}\n" + SINK % ""
WINDOWS = (
    "pipeline: p\nkind: incremental\nsource: {table: t, columns: [id]}\nstart: 2026-11-20T00:00:00Z\n"
    + SINK % "{window_start:%Y%m%d%H%M}/"
)
RESTORE = (
    "pipeline: p\nkind: restore\nsource: {type: oss, bucket: backup, prefix: p/}\nsink: {type: tablestore, table: t}"
)


@pytest.fixture
def kept(tmp_path):
    """Where the keys are kept."""
    return tmp_path / "keys.json"


@pytest.fixture
def session(kept):
    keep(kept, OLD)
    ots = Fields("tablestore", host="https://i.cn-hangzhou.ots.aliyuncs.com", extra={"credentials_file": str(kept)})
    oss = Fields("oss", host="https://oss-cn-hangzhou.aliyuncs.com", login="id", password="secret")
    return Session(connection=lambda name: oss if name == "oss_default" else ots)


def keep(where, keys):
    told = {"AccessKeyId": keys.access_key_id, "AccessKeySecret": keys.access_key_secret}
    where.write_text(json.dumps(told | {"SecurityToken": keys.security_token}))


OPENED = {
    "full_export": (FULL, lambda spec, session: services.opened(spec, datetime.now(UTC), session)),
    "incremental": (WINDOWS, services.opened_ledger),
    "restore": (RESTORE, lambda spec, session: restore._opened(spec, session, print)),
}


@pytest.mark.parametrize("kind", OPENED)
def test_a_command_knows_keys_that_are_renewed_while_it_works(kind, session, kept):
    text, opened = OPENED[kind]

    with ExitStack() as stack:
        found = stack.enter_context(opened(parse(text).spec, session))
        client = getattr(found, "services", found).client
        keep(kept, NEW)

        assert client.has_other_keys_than(OLD)
        assert client.keys() == NEW
