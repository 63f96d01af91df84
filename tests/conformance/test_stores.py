"""Every object store against the pack."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from airflow_tablestore.emulator.accounts import REGION
from airflow_tablestore.pipeline.sinks.oss import ObjectStore, OssEndpoint
from airflow_tablestore.pipeline.store import Store
from tests.conformance.folder_store import FolderStore
from tests.conformance.memory_store import MemoryStore
from tests.conformance.store_pack import CLAIMS


@pytest.fixture(params=["folder", "memory", "oss, signature V1", "oss, signature V4"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path)
    if request.param == "memory":
        return MemoryStore()
    oss = request.getfixturevalue("emulator").oss
    region = REGION if request.param.endswith("V4") else None
    return ObjectStore(OssEndpoint(oss.endpoint, oss.access_key_id, oss.access_key_secret, region=region), oss.bucket)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_store(store: Store, claim: Any) -> None:
    claim(store, f"pack/{uuid.uuid4().hex}/")


def test_a_closed_store_opens_its_connections_again(emulator: Any) -> None:
    oss, key = emulator.oss, f"closed/{uuid.uuid4().hex}"
    store = ObjectStore(OssEndpoint(oss.endpoint, oss.access_key_id, oss.access_key_secret), oss.bucket)
    store.put(key, b"x")

    store.close()

    assert store.get(key) == b"x"
