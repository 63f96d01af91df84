"""A spec from a file, with every problem at its line and column.

`load` gives the spec or raises; `read` gives both the spec and what was found, for those who go on with other files
(lint, the DAG factory). Nothing is executed and no service is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.spec.common import PipelineSpec
from airflow_tablestore.spec.document import placed, read_bytes, read_text
from airflow_tablestore.spec.kinds import kind_of, model_of
from airflow_tablestore.spec.problems import Finding
from airflow_tablestore.spec.scan import forbidden

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Document:
    """A spec file, read. `spec` is None when it has errors; `problems` hold these and the warnings.

    `pipeline` is the name that the file claims, also when the rest of it is wrong; "" when not even that is known.
    """

    file: str
    text: str
    data: Mapping[str, Any]
    spec: PipelineSpec | None
    problems: tuple[Problem, ...]

    @property
    def pipeline(self) -> str:
        given = self.data.get("pipeline")
        return given if isinstance(given, str) else ""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that are no warnings."""
        return tuple(p for p in self.problems if not p.is_warning)


def load(path: str | Path) -> Any:
    """The spec that a file describes: a FullExportSpec for `kind: full_export`.

    :raises SpecError: with every problem, each with file, line and column.
    """
    document = read(path)
    if document.spec is None:
        raise SpecError(document.errors)
    return document.spec


def from_mapping(data: Mapping[str, Any]) -> Any:
    """The spec that plain data describe: what a spec file holds.

    :raises SpecError: with every problem, each naming its key.
    """
    _, spec, problems = _understood(data, Path())
    if spec is None:
        raise SpecError(problems)
    return spec


def read(path: str | Path) -> Document:
    """A file's spec and its problems."""
    text, problems = read_bytes(Path(path))
    return Document(str(path), "", {}, None, problems) if problems else parse(text, str(path))


def parse(text: str, file: str = "", base: Path | None = None) -> Document:
    """A text's spec and its problems; `file` is only told in messages.

    :param base: the folder in which paths in the spec begin; that of `file` when it is left out.
    """
    found = read_text(text, file)
    if found.data is None:
        return Document(file, text, {}, None, found.problems)
    data, spec, problems = _understood(found.data, base or Path(file).parent)
    findings = [one for one in problems if isinstance(one, Finding) and not one.file]
    others = (*found.problems, *(one for one in problems if not isinstance(one, Finding) or one.file))
    problems = [*others, *(placed(findings, text, file) if findings else ())]
    has_errors = any(not p.is_warning for p in problems)
    return Document(
        file, text, data, None if has_errors else spec, tuple(sorted(problems, key=lambda p: (p.line, p.column)))
    )


def _understood(data: Mapping[str, Any], base: Path) -> tuple[Mapping[str, Any], PipelineSpec | None, list[Problem]]:
    """The keys of the pipeline itself, its spec, and what was found: a job is read where the data name one."""
    if data.get("kind") == "dataworks":
        from airflow_tablestore.spec.dataworks.inline import inlined

        try:
            data = inlined(data, base)
        except SpecError as error:
            return data, None, list(error.problems)
    spec, findings = check(data)
    return data, spec, list(findings)


def check(data: Mapping[str, Any]) -> tuple[PipelineSpec | None, list[Finding]]:
    """The spec that the data describe, or None, and what was found."""
    kind = kind_of(data)
    if isinstance(kind, Finding):
        return None, [*forbidden(data), kind]
    try:
        spec = model_of(kind)(**data)
    except SpecError as error:
        return None, [p for p in error.problems if isinstance(p, Finding)]
    return spec, list(spec.warnings())
