"""One Airflow for all tests that clear, kill, freeze and wait; every test has pipelines or windows of its own.

With `-n 2` there are two, one for each process of the test run.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.system import recovery, sample, streams, waiting
from tests.system.past import Past, minute_of
from tests.system.place import IMPATIENT, Place, write_dags
from tests.system.services import emulator
from tests.system.stack import COMPONENTS, Stack


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("system")
    specs = {**recovery.specs(), **streams.SPECS}
    dags = write_dags(folder / "dags", specs)
    (dags / "waiting.py").write_text(waiting.DAGS)
    with emulator(folder / "emulator", folder / "emulator.log") as services:
        client = sample.sdk_client(services["tablestore"])
        sample.create_table(client)
        sample.load(client, recovery.ROWS)
        extra = {**services["env"], **IMPATIENT}
        with Stack(folder / "airflow", dags, extra, (*COMPONENTS, "triggerer")) as stack:
            stack.wait_healthy([*specs, *waiting.DAG_IDS])
            yield Place(stack, services, folder, recovery.ROWS)


@pytest.fixture(scope="session")
def windows(place: Place) -> recovery.Windows:
    written = recovery.Windows(Past(place.services), minute_of(datetime.now(UTC)) - timedelta(minutes=15))
    written.write()
    return written
