"""A person starts runs and backfills in Airflow's web UI; what is published afterwards is what was written.

Airflow, PostgreSQL, the emulator and Chromium are real and started here; the oracles are the functions and journals of
the writers, never the emulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.ui import Ui, opened
from tests.system import sample
from tests.system.debian import Absent, not_run
from tests.system.place import Place, write_dags
from tests.system.servers import postgres
from tests.system.services import emulator
from tests.system.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.airflow]

ROWS = 2_000
FULL = """
pipeline: full
kind: full_export
source: {table: ots_gps_data, split: [user_0002]}
sink: {type: oss, bucket: backup, prefix: full/}
"""
SPECS = {"full": FULL}


@pytest.fixture(scope="session")
def place(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("e2e")
    dags = write_dags(folder / "dags", SPECS)
    with ExitStack() as running:
        try:
            database = running.enter_context(postgres())
        except Absent as reason:
            not_run(reason)
        services = running.enter_context(emulator(folder / "emulator", folder / "emulator.log"))
        own = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}"}
        stack = running.enter_context(Stack(folder / "airflow", dags, {**services["env"], **own}))
        client = sample.sdk_client(services["tablestore"])
        sample.create_table(client)
        sample.load(client, ROWS)
        stack.wait_healthy(list(SPECS))
        yield Place(stack, services, folder, ROWS)


@pytest.fixture
def ui(browser: Any, place: Place) -> Iterator[Ui]:
    with opened(browser, place.stack.url) as person:
        yield person


def test_a_run_triggered_in_the_form_publishes_the_table(place, ui):
    form = ui.open_form("full")

    form.trigger("full")
    ui.wait_green("full")

    assert place.differences("full") == ""
