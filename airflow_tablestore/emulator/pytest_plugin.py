"""pytest fixtures for tests of your own pipelines: the services in this process, on free ports, gone afterwards.

    def test_export(tablestore_cloud):
        tablestore_cloud.make_table("rides", key={"id": int}, rows=[{"id": 1, "city": "Oslo"}])
        ...
        assert tablestore_cloud.objects()

Loaded by pytest when this package is installed; a fixture starts and imports nothing until a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_tablestore.emulator import Emulator, LocalCloud


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """The services for the whole session. Tests keep apart by instance, by bucket or prefix, and by project."""
    from airflow_tablestore.emulator import Emulator

    with Emulator() as running:
        yield running


@pytest.fixture(scope="session")
def _tablestore_cloud_server() -> Iterator[Emulator]:
    """Apart from `emulator`, because it is emptied after each test."""
    from airflow_tablestore.emulator import Emulator

    with Emulator() as running:
        yield running


@pytest.fixture
def tablestore_cloud(_tablestore_cloud_server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCloud]:
    """A cloud that is empty at the start of each test, with an instance and a prefix of its own.

    The environment's connections `tablestore_default`, `oss_default` and `maxcompute_default` lead to it while the test
    runs.
    """
    from airflow_tablestore.emulator import LocalCloud

    with LocalCloud(emulator=_tablestore_cloud_server) as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        try:
            yield cloud
        finally:
            cloud.reset()
