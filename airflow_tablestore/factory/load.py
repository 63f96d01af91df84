"""Spec files as DAGs, each by itself: what is wrong with one never takes its neighbours down.

Every task in Airflow starts by parsing its DAG file again; then only the DAG that is asked for is built. Which file
makes which DAG depends on the files alone, so that every process agrees. That pipelines do not publish into each
other's prefixes is checked by lint, which reads all files anyway.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, get_parsing_context

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.factory.placeholder import dag_id_for, placeholder

_DAG_ID = re.compile(r"[\w.-]{1,250}", re.ASCII)


def load_specs(folder: str | Path) -> dict[str, DAG]:
    """The DAGs of all specs in a folder, for `globals().update(load_specs("specs"))` in a DAG file.

    A spec that cannot be used has a placeholder among them, which shows why.
    :param folder: a relative one is beside the file that calls.
    :raises SpecError: there is no such folder.
    """
    return dags_of(_beside_caller(folder), wanted=get_parsing_context().dag_id)


def dag_from_spec(path: str | Path) -> DAG:
    """The DAG of one spec, for `dag = dag_from_spec(__file__)` in a DAG file beside it.

    :param path: the spec; that of a Python file means the .yaml of the same name. A relative one is beside the caller.
    :raises SpecError: the spec cannot be used; Airflow then shows the report as the DAG file's import error.
    """
    file = _beside_caller(path)
    file = file.with_suffix(".yaml") if file.suffix == ".py" else file
    dags, errors = import_spec(file)
    if errors:
        raise SpecError("\n".join(errors))
    return dags[0]


def import_spec(path: Path, shown: str = "") -> tuple[list[DAG], list[str]]:
    """The DAG that one file describes, or else what is wrong with it: one of the two is empty.

    :param shown: how messages name the file; its path when empty.
    """
    from airflow_tablestore.factory.build import dag_of
    from airflow_tablestore.spec.document import located, read_bytes
    from airflow_tablestore.spec.load import parse
    from airflow_tablestore.spec.show import show

    name = shown or str(path)
    text, problems = read_bytes(path)
    if problems:
        return [], [show([replace(problem, file=name)], {}) for problem in problems]
    document = parse(text, name, path.parent)
    if document.spec is None:
        return [], [show([problem], {name: text}) for problem in document.errors]
    try:
        return [dag_of(document, document.spec)], []
    except SpecError as error:
        return [], [show([replace(located(p, text, name), file=name)], {name: text}) for p in error.problems]
    # Airflow and the author's notifier raise what they like; all of it is told, and the neighbours live.
    except Exception as error:  # noqa: BLE001
        return [], [show([Problem(f"Airflow refuses it: {type(error).__name__}: {error}", file=name)], {})]


def dags_of(folder: Path, *, wanted: str | None = None) -> dict[str, DAG]:
    """The folder's DAGs under names for a module.

    :param wanted: build this one only.
    """
    from airflow_tablestore.spec.lint import find

    if not folder.is_dir():
        raise SpecError([Problem("is no folder", "load_specs takes the folder of the specs", file=str(folder))])
    files, _ = find([folder])
    return {f"dag {one.dag_id}": _dag(one, folder) for one in assigned(files) if wanted is None or wanted == one.dag_id}


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which DAG a file makes. `conflict` says why it is not the one that it names."""

    path: Path
    dag_id: str
    conflict: str = ""


def assigned(files: Sequence[Path]) -> list[Assignment]:
    """A DAG id for every file, each only once: the first file that names a pipeline has it."""
    owners: dict[str, Path] = {}
    names = {path: _claimed_name(path) for path in files}
    for path, name in names.items():
        if name:
            owners.setdefault(name, path)
    found, taken = [], set(owners)
    for path, name in names.items():
        if name and owners[name] == path:
            found.append(Assignment(path, name))
            continue
        dag_id = _free(dag_id_for(path), taken)
        taken.add(dag_id)
        conflict = (
            f"pipeline: '{name}' is also the pipeline of {owners[name].name}: give one another name" if name else ""
        )
        found.append(Assignment(path, dag_id, conflict))
    return found


def _dag(one: Assignment, folder: Path) -> DAG:
    shown = str(Path(folder.name) / one.path.relative_to(folder))  # the same wherever the bundle lies
    if one.conflict:
        return placeholder(one.dag_id, one.path, f"{shown}: {one.conflict}")
    dags, errors = import_spec(one.path, shown)
    return dags[0] if dags else placeholder(one.dag_id, one.path, "\n".join(errors))


def _claimed_name(path: Path) -> str:
    """The pipeline that a file names, if it can be a DAG id; else ""."""
    from airflow_tablestore.spec.document import read_bytes, read_text

    text, problems = read_bytes(path)
    name = None if problems else (read_text(text).data or {}).get("pipeline")
    return name if isinstance(name, str) and _DAG_ID.fullmatch(name) else ""


def _free(name: str, taken: set[str]) -> str:
    candidates = (name if n == 1 else f"{name}-{n}" for n in range(1, len(taken) + 2))
    return next(candidate for candidate in candidates if candidate not in taken)


def _beside_caller(path: str | Path) -> Path:
    """The path; a relative one is taken from the folder of the file whose code called the public function."""
    caller = sys._getframe(2).f_code.co_filename
    return Path(caller).parent / path
