"""One Airflow with PostgreSQL, Redis and the CeleryExecutor, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.processes import adopt_orphans, left_behind
from tests.system.services import stop_on_signals


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """Ends last, for it begins first."""
    stop_on_signals()
    adopt_orphans()
    yield
    assert left_behind() == []
