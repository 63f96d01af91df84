"""Every object store against the pack."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from airflow_tablestore.pipeline.store import Store
from tests.conformance.folder_store import FolderStore
from tests.conformance.store_pack import CLAIMS


@pytest.fixture(params=["folder"])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Store:
    return FolderStore(tmp_path)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_store(store: Store, claim: Any) -> None:
    claim(store, f"pack/{uuid.uuid4().hex}/")
