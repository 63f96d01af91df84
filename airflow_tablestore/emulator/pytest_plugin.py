"""pytest fixtures for tests of your own pipelines: the services in this process, on free ports, gone afterwards.

    def test_export(emulator, monkeypatch):
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)

Loaded by pytest when this package is installed; a fixture starts nothing until a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_tablestore.emulator import Emulator


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """Tablestore and OSS for the whole session. Tests keep apart by instance name and by bucket or prefix."""
    with Emulator() as running:
        yield running
