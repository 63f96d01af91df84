"""`kind: dataworks` while a spec is read: the job's own pipeline, with the author's keys in it.

Pure: the same files give the same pipeline, at whatever time they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.spec.dataworks.convert import Conversion, convert
from airflow_tablestore.spec.dataworks.schedule import TIMEZONE, from_mapping
from airflow_tablestore.spec.document import placed, read_bytes
from airflow_tablestore.spec.kinds.dataworks import DataworksSpec
from airflow_tablestore.spec.problems import Finding, Loc, finding

OWN = ("kind", "job", "cycle", "parameters")
"""Keys that are about the job. All others are keys of the pipeline that it becomes."""


def inlined(data: Mapping[str, Any], base: Path) -> Mapping[str, Any]:
    """The keys of the pipeline that a spec of this kind means.

    :param base: the folder that relative paths begin in.
    :raises SpecError: what is wrong with the spec, or with the job.
    """
    spec = DataworksSpec(**data)
    given = {key: value for key, value in data.items() if key not in OWN}
    told = {"cycle": spec.cycle, "parameters": spec.parameters, "timezone": data.get("timezone", TIMEZONE)}
    try:
        scheduling = from_mapping({key: value for key, value in told.items() if value is not None})
    except SpecError as error:
        key = "cycle" if spec.parameters is None else "parameters"
        raise SpecError([_about(problem, key) for problem in error.problems]) from error
    path = base / spec.job
    conversion = convert(path, scheduling, given)
    _refuse_secrets(conversion, path)
    found = [_told(one, conversion, data) for one in conversion.problems if not one.is_warning]
    if found:
        raise SpecError(found)
    return conversion.mapping


def _about(problem: Problem, key: str) -> Finding:
    return finding((key,), problem.message.removeprefix("--schedule: "), problem.hint)


def _refuse_secrets(conversion: Conversion, path: Path) -> None:
    """:raises SpecError: the job holds credentials in plain text."""
    hint = "put it into the Airflow connection, remove it from the job, and replace this key: it has been seen"
    found = [finding(loc, "a credential does not belong into a job", hint) for loc in conversion.trail.secrets]
    if found:
        from airflow_tablestore.spec.dataworks.text import read_job

        plain = read_job(read_bytes(path)[0], str(path)).plain
        raise SpecError(placed(found, plain, str(path)))


def _told(one: Finding, conversion: Conversion, data: Mapping[str, Any]) -> Finding:
    """A problem of the pipeline at the author's own key, or at `job` when it comes from there."""
    unfilled = next((told for loc, told in conversion.trail.unfilled.items() if one.loc[: len(loc)] == loc), None)
    if unfilled is not None:
        return finding(("job",), f"{one.path}: is not in the job: {unfilled}", "write it into this spec")
    return one if _stands(data, one.loc) else finding(("job",), f"{one.path}: {one.message}", one.hint)


def _stands(data: Any, loc: Loc) -> bool:
    for step in loc[:2]:
        if not isinstance(data, Mapping) or step not in data:
            return False
        data = data[step]
    return True
