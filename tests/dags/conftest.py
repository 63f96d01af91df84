"""Airflow for the tests of this folder: its own home in a temporary folder, its database migrated once.

The environment is set when this file is imported, before anything imports Airflow, which reads it only once.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

HOME = Path(tempfile.mkdtemp(prefix="airflow-tablestore-tests-"))
SETTINGS = {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "dags"),
    "AIRFLOW__CORE__FERNET_KEY": "",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME / 'airflow.db'}",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(HOME / "logs"),
}
CALLERS_OWN = ("AIRFLOW__", "AIRFLOW_CONFIG", "AIRFLOW_CONN_", "AIRFLOW_VAR_")

if "airflow" in sys.modules:
    raise pytest.UsageError("Airflow was imported before tests/dags/conftest.py could give it a home")
for name in [name for name in os.environ if name.startswith(CALLERS_OWN)]:
    del os.environ[name]
os.environ.update(SETTINGS)
(HOME / "dags").mkdir()
atexit.register(shutil.rmtree, HOME, ignore_errors=True)


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.airflow)


@pytest.fixture(scope="session")
def database():
    """Airflow's own tables."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def keep_dag(database):
    """Has Airflow read a DAG object and keep it in its database, as its DAG processor would."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    DagBag, sync_bag_to_db = of_airflow(
        ("airflow.dag_processing.dagbag", "airflow.models.dagbag"), "DagBag", "sync_bag_to_db"
    )

    def keep(dag):
        with create_session() as session:
            if not session.get(DagBundleModel, "testing"):
                session.add(DagBundleModel(name="testing"))
        bag = DagBag(dag_folder=os.devnull)
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "testing", None)

    return keep


@pytest.fixture
def run_dag(keep_dag):
    """Runs a DAG object with `dag.test()`, whatever file it came from."""

    def run(dag, **arguments):
        keep_dag(dag)
        return dag.test(**arguments)

    return run


@pytest.fixture
def dag_bag(database):
    """Parses a folder of DAG files as Airflow does."""
    (DagBag,) = of_airflow(("airflow.dag_processing.dagbag", "airflow.models.dagbag"), "DagBag")
    return lambda folder: DagBag(dag_folder=str(folder))


@pytest.fixture
def serialised():
    """A DAG as Airflow keeps it in its database, as text."""
    from airflow.serialization import serialized_objects

    as_stored = getattr(serialized_objects, "DagSerialization", serialized_objects.SerializedDAG)
    return lambda dag: json.dumps(as_stored.to_dict(dag), sort_keys=True)


@pytest.fixture
def inlets():
    """These URIs, if this version of Airflow bears assets that are inlets only: 3.1.4 is the first that does."""
    import airflow

    return lambda *uris: list(uris) if airflow.__version__ not in ("3.1.0", "3.1.1", "3.1.2", "3.1.3") else []


def of_airflow(modules, *names):
    """These names from the first of the modules that this version of Airflow has."""
    for module in modules:
        with contextlib.suppress(ModuleNotFoundError):
            found = importlib.import_module(module)
            return [getattr(found, name) for name in names]
    raise ModuleNotFoundError(f"none of {modules}")


@pytest.fixture
def connection(monkeypatch):
    """Defines an Airflow connection for one test, in the form that `AIRFLOW_CONN_…` takes."""

    def define(conn_id, text):
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", text)
        return conn_id

    return define
