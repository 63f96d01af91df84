"""How long it takes from spec files to DAG objects, against dag-factory's YAML with the same tasks.

Each turn is a process of its own, `python -m tests.bench.specs ours|theirs FOLDER`, which imports first and measures
then: that is what Airflow's DAG processor does with a file that it parses again and again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from tests.bench.measure import python, run
from tests.bench.pairs import Figure

DAG_FACTORY = "1.1.0"
UNIT = "DAGs per CPU second"
SOURCE = {"connection": "tablestore_default", "table": "readings"}
COLUMNS = ["device", "number", "city", "driver", "mileage", {"name": "latitude", "type": "double"}]
OPERATORS = "airflow_tablestore.operators.full_export"


def building(folder: Path, counts: tuple[int, ...] = (100, 1000), rounds: int = 3) -> Iterator[Figure]:
    """Spec to DAG objects for some numbers of specs; Airflow's serialization of them apart."""
    factory = _dag_factory(folder)
    for count in counts:
        ours, theirs = folder / f"specs-{count}", folder / f"dag-factory-{count}"
        for place, make in ((ours, _spec), (theirs, _dag_factory_config)):
            place.mkdir()
            for number in range(count):
                (place / f"bench_{number:04d}.yaml").write_text(yaml.safe_dump(make(number), sort_keys=False))
        turns: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
        for _ in range(rounds):
            turns["ours"].append(_turn("ours", ours, folder, {}))
            turns["theirs"].append(_turn("theirs", theirs, folder, {"PYTHONPATH": str(factory)}))
        for told in (told for turn in turns.values() for told in turn):
            if (told["dags"], told["tasks"]) != (count, 3 * count):
                raise RuntimeError(f"{told['dags']:g} DAGs with {told['tasks']:g} tasks were made of {count} specs")
        built, serialized = (
            {who: count / median(told[what] for told in turn) for who, turn in turns.items()}
            for what in ("build", "serialize")
        )
        how = f"{count} files, each a DAG of plan, mapped export and publish; theirs: dag-factory {DAG_FACTORY}"
        promised = (1.5, 2.5) if count == 1000 else (None, None)
        yield Figure(
            f"{count} specs to DAG objects / dag-factory", built["ours"], built["theirs"], UNIT, how, *promised
        )
        how = (
            "Airflow's own work on these DAGs, not part of the figure before; ours have a form for runs by hand, whose "
            "param Airflow checks by JSON schema again and again for each task: half of the time"
        )
        name = f"{count} DAGs, serialized by Airflow / dag-factory's"
        yield Figure(name, serialized["ours"], serialized["theirs"], UNIT, how)


def _turn(who: str, specs: Path, folder: Path, environment: Mapping[str, str]) -> dict[str, float]:
    airflow = {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY": "False",
        "DO_NOT_TRACK": "1",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",  # dag-factory tells of every file
    }
    ran = run(python("-m", "tests.bench.specs", who, str(specs)), {**airflow, **environment}, folder)
    found: dict[str, float] = json.loads(ran.output.splitlines()[-1])
    return found


def _dag_factory(folder: Path) -> Path:
    """dag-factory in a folder of its own: it brings a plugin, which Airflow here shall not load."""
    target = folder / "dag-factory"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([*pip, "--no-deps", f"dag-factory=={DAG_FACTORY}"], check=True)
    return target


def _sink(number: int) -> dict[str, Any]:
    return {
        "type": "oss",
        "connection": "oss_default",
        "bucket": "backup",
        "prefix": f"bench/{number:04d}/",
        "format": "csv",
    }


def _spec(number: int) -> dict[str, Any]:
    return {
        "pipeline": f"bench_{number:04d}",
        "kind": "full_export",
        "schedule": "0 3 * * *",
        "start": "2026-01-01",
        "owner": "bench",
        "source": {**SOURCE, "columns": COLUMNS},
        "sink": _sink(number),
        "retry": {"times": 3, "delay": "2m"},
    }


def _dag_factory_config(number: int) -> dict[str, Any]:
    name = f"bench_{number:04d}"
    shared = {"pipeline": name, "source": {**SOURCE, "columns": COLUMNS}, "sink": _sink(number), "timezone": "UTC"}
    head = "{{ ti.xcom_pull(task_ids='plan', key='head') }}"
    tasks = [
        {"task_id": "plan", "operator": f"{OPERATORS}.PlanFullExportOperator", **shared},
        {
            "task_id": "export",
            "operator": f"{OPERATORS}.ExportSplitOperator",
            "partial": {**shared, "head": head, "map_index_template": "{{ split_label }}"},
            "expand": {"split": "plan.output"},
            "dependencies": ["plan"],
        },
        {
            "task_id": "publish",
            "operator": f"{OPERATORS}.PublishExportOperator",
            **shared,
            "head": head,
            "reports": "{{ ti.xcom_pull(task_ids='export') }}",
            "dependencies": ["export"],
        },
    ]
    return {
        name: {
            "schedule": "0 3 * * *",
            "catchup": False,
            "max_active_runs": 1,
            "tags": ["tablestore", "full_export"],
            "default_args": {
                "owner": "bench",
                "start_date": "2026-01-01",
                "retries": 3,
                "retry_delay_sec": 120,
            },
            "tasks": tasks,
        }
    }


def _build(who: str, folder: Path) -> list[Any]:
    from airflow.providers.common.compat.sdk import DAG

    found: dict[str, Any] = {}
    if who == "ours":
        from airflow_tablestore.factory import load_specs

        return list(load_specs(folder).values())
    from dagfactory import load_yaml_dags

    load_yaml_dags(globals_dict=found, dags_folder=str(folder), suffix=[".yaml"])
    return [one for one in found.values() if isinstance(one, DAG)]


def main() -> None:
    """Import everything by building one DAG, then measure all of them."""
    from airflow.serialization.serialized_objects import DagSerialization

    who, folder = sys.argv[1], Path(sys.argv[2])
    warm = folder.parent / "warm" / who
    warm.mkdir(parents=True, exist_ok=True)
    (warm / "bench_0000.yaml").write_bytes((folder / "bench_0000.yaml").read_bytes())
    for dag in _build(who, warm):
        DagSerialization.to_dict(dag)
    began = time.process_time()
    dags = _build(who, folder)
    built = time.process_time()
    for dag in dags:
        DagSerialization.to_dict(dag)
    told = {"dags": len(dags), "tasks": sum(len(dag.tasks) for dag in dags)}
    print(json.dumps({**told, "build": built - began, "serialize": time.process_time() - built}))


if __name__ == "__main__":
    main()
