"""Every problem of one or many spec files: each by itself, and those that only show beside each other.

No service is asked and no Airflow is imported, so it can run before every commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

from airflow_tablestore.errors import Problem
from airflow_tablestore.spec.document import placed
from airflow_tablestore.spec.load import SUFFIXES, Document, read
from airflow_tablestore.spec.oss_sink import OssSink
from airflow_tablestore.spec.placeholders import Segment, may_overlap, segments
from airflow_tablestore.spec.problems import Finding, finding


def lint(*paths: str | Path) -> list[Problem]:
    """The problems of these files, and of all specs in these directories; errors and warnings, by file and line."""
    files, missing = find(paths)
    documents = [read(path) for path in files]
    return sorted(
        [*missing, *(p for document in documents for p in document.problems), *between(documents)],
        key=lambda p: (p.file, p.line, p.column),
    )


def find(paths: Iterable[str | Path]) -> tuple[list[Path], list[Problem]]:
    """The spec files that are meant: a directory means every .yaml and .yml below it, hidden ones left out."""
    files: dict[Path, None] = {}
    problems = []
    for given in map(Path, paths):
        if given.is_dir():
            below = [p for p in sorted(given.rglob("*")) if p.suffix in SUFFIXES and p.is_file()]
            below = [p for p in below if not any(part.startswith(".") for part in p.relative_to(given).parts)]
            files.update(dict.fromkeys(below))
            if not below:
                problems.append(Problem("holds no spec", "specs end in .yaml or .yml", file=str(given)))
        elif given.exists():
            files[given] = None
        else:
            problems.append(Problem("does not exist", file=str(given)))
    return list(files), problems


def between(documents: Sequence[Document]) -> list[Problem]:
    """What is wrong with specs beside each other: one name twice, one place in a bucket published to twice."""
    found: list[Problem] = []
    for first, second in combinations(documents, 2):
        findings = [*_same_name(first, second), *_same_place(first, second)]
        if findings:
            found.extend(placed(findings, second.text, second.file))
    return found


def _same_name(first: Document, second: Document) -> Iterator[Finding]:
    if first.pipeline and first.pipeline == second.pipeline:
        yield finding(
            ("pipeline",), f"'{second.pipeline}' is also the pipeline of {first.file}", "give one of them another name"
        )


def _same_place(first: Document, second: Document) -> Iterator[Finding]:
    one, other = _target(first), _target(second)
    if one is None or other is None or one.bucket != other.bucket:
        return
    if may_overlap(_segments(first, one), _segments(second, other)):
        is_sure = one.connection == other.connection
        relation = "is" if one.prefix == other.prefix else "can be the same as, or inside, or around,"
        yield finding(
            ("sink", "prefix"),
            f"{relation} the prefix of {first.file} ('{one.prefix}' in bucket '{one.bucket}')",
            "an export owns what stands under its prefix; give each pipeline its own",
            is_warning=not is_sure,
        )


def _target(document: Document) -> OssSink | None:
    sink = getattr(document.spec, "sink", None)
    return sink if isinstance(sink, OssSink) else None


def _segments(document: Document, sink: OssSink) -> list[Segment]:
    source = getattr(document.spec, "source", None)
    words = {"pipeline": document.pipeline, "table": getattr(source, "table", "")}
    return segments(sink.prefix, words)
