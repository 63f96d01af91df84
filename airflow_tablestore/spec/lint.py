"""Every problem of one or many spec files: each by itself, and those that only show beside each other.

No service is asked and no Airflow is imported, so it can run before every commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
    findings: dict[int, list[Finding]] = {}
    names: dict[str, Document] = {}
    places: dict[str, list[_Place]] = {}
    for number, document in enumerate(documents):
        found = findings.setdefault(number, [])
        if document.pipeline:
            first = names.setdefault(document.pipeline, document)
            found.extend([] if first is document else [_same_name(document, first)])
        place = _place(document)
        if place:
            others = places.setdefault(place.sink.bucket, [])
            found.extend(_same_place(place, other) for other in others if may_overlap(other.segments, place.segments))
            others.append(place)
    return [
        problem
        for number, found in findings.items()
        if found
        for problem in placed(found, documents[number].text, documents[number].file)
    ]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a pipeline publishes."""

    file: str
    sink: OssSink
    segments: list[Segment]


def _place(document: Document) -> _Place | None:
    sink, source = getattr(document.spec, "sink", None), getattr(document.spec, "source", None)
    if not isinstance(sink, OssSink):
        return None
    words = {"pipeline": document.pipeline, "table": getattr(source, "table", "")}
    return _Place(document.file, sink, segments(sink.prefix, words))


def _same_name(document: Document, first: Document) -> Finding:
    message = f"'{document.pipeline}' is also the pipeline of {first.file}"
    return finding(("pipeline",), message, "give one of them another name")


def _same_place(one: _Place, other: _Place) -> Finding:
    """Over one connection it is certain that the bucket is the same; over two it is likely."""
    relation = "is" if one.sink.prefix == other.sink.prefix else "can be the same as, or inside, or around,"
    return finding(
        ("sink", "prefix"),
        f"{relation} the prefix of {other.file} ('{other.sink.prefix}' in bucket '{other.sink.bucket}')",
        "an export owns what stands under its prefix; give each pipeline its own",
        is_warning=one.sink.connection != other.sink.connection,
    )
