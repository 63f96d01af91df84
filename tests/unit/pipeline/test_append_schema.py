"""One manifest describes all objects of an appended prefix, so they have one schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_tablestore.errors import ProtocolError, SpecError
from airflow_tablestore.pipeline.full_export.export import Services, run
from airflow_tablestore.pipeline.manifest import Manifest
from tests.conformance.folder_store import FolderStore
from tests.conformance.memory_table import MemoryTable, numbered
from tests.integration.exporting import export


def appended(store: FolderStore, name: str, *, repin: bool = False, **cells: object):
    return run(export("append"), Services(MemoryTable(numbered(4, **cells)), store), run=name, repin=repin)


def test_appending_with_other_columns_is_refused_before_anything_is_written(tmp_path: Path):
    store = FolderStore(tmp_path)
    appended(store, "r1", text="a")
    before = store.keys()

    with pytest.raises(SpecError, match="without repin"):
        appended(store, "r2", repin=True, text="a", more=1)

    assert store.keys() == before


def test_appending_with_the_same_columns_may_look_at_them_again(tmp_path: Path):
    store = FolderStore(tmp_path)
    appended(store, "r1", text="a")

    report = appended(store, "r2", repin=True, text="b")

    assert report.rows == 4


def test_a_run_that_replaces_all_that_it_appended_may_have_other_columns(tmp_path: Path):
    store = FolderStore(tmp_path)
    appended(store, "r1", text="a")

    report = appended(store, "r1", repin=True, text="a", more=1)

    assert report.rows == 4


def test_garbage_for_a_manifest_is_told_with_what_to_do():
    with pytest.raises(ProtocolError, match=r"oss://b/_manifest.json .* delete it"):
        Manifest.from_bytes(b"garbage", "oss://b/_manifest.json")
