"""The DAG files on the pages are ones that Airflow takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT, Block, blocks

PAGES = (ROOT / "docs/howto/operators.md", ROOT / "docs/howto/windows-in-airflow.md")
DAG_FILES = [
    block for page in PAGES for block in blocks(page) if block.language == "python" and "with DAG(" in block.text
]

TELL_DAGS = """
import json, runpy, sys
from airflow.sdk import DAG
from airflow.serialization import serialized_objects

as_stored = getattr(serialized_objects, "DagSerialization", serialized_objects.SerializedDAG)
told = {}
for path in sys.argv[1:]:
    for dag in runpy.run_path(path).values():
        if isinstance(dag, DAG):
            as_stored.to_dict(dag)
            told[dag.dag_id] = sorted(task.task_id for task in dag.tasks)
print("\\n" + json.dumps(told))
"""


@pytest.fixture(scope="module")
def dags(tmp_path_factory):
    """The tasks of every DAG on the page, parsed and serialised in a process with an Airflow of its own."""
    folder = tmp_path_factory.mktemp("dags")
    done = subprocess.run(
        [sys.executable, "-c", TELL_DAGS, *(str(_written(folder, number, b)) for number, b in enumerate(DAG_FILES))],
        env={n: v for n, v in os.environ.items() if not n.startswith("AIRFLOW_")} | {"AIRFLOW_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _written(folder, number: int, block: Block):
    file = folder / f"block_{number}.py"
    file.write_text(block.text)
    return file


@pytest.mark.slow
@pytest.mark.airflow
def test_every_dag_file_makes_its_dag(dags):
    assert len(dags) == len(DAG_FILES)


@pytest.mark.slow
@pytest.mark.airflow
def test_the_group_and_the_operators_have_the_same_tasks(dags):
    assert dags["orders"] == ["export", "plan", "publish"]
    assert dags["any_table"] == [f"full_export.{task}" for task in dags["orders"]]
