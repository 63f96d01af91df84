"""From a spec to an export with open services, for the commands that talk to some."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

from airflow_tablestore.cli.session import Session
from airflow_tablestore.client import Client, OnRetry
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.connections import oss_endpoint, tablestore_endpoint
from airflow_tablestore.pipeline.full_export import FullExport, Services
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.spec import FullExportSpec, PipelineSpec, load
from airflow_tablestore.spec.build import full_export


@dataclass(frozen=True, slots=True)
class OpenExport:
    """A full export that is ready to go."""

    spec: FullExportSpec
    export: FullExport
    services: Services


def full_export_spec(path: str) -> FullExportSpec:
    """The full export that a spec file describes.

    :raises SpecError: it has problems, or is of a kind that this command cannot carry out.
    """
    spec: PipelineSpec = load(path)
    if not isinstance(spec, FullExportSpec):
        raise SpecError([Problem(f"a pipeline of kind '{spec.kind}' cannot be run from here", file=path)])
    return spec


@contextmanager
def opened(
    spec: FullExportSpec, moment: datetime, session: Session, on_retry: OnRetry | None = None
) -> Iterator[OpenExport]:
    """The spec's export with its services, which are closed at the end.

    :raises SpecError: a connection is missing or cannot be right; holds the problems of both.
    """
    problems: list[Problem] = []
    source = sink = None
    try:
        source = tablestore_endpoint(session.connection(spec.source.connection))
    except SpecError as error:
        problems += error.problems
    try:
        sink = oss_endpoint(session.connection(spec.sink.connection), spec.sink.bucket)
    except SpecError as error:
        problems += error.problems
    if source is None or sink is None:
        raise SpecError(problems)
    with Client(source, on_retry=on_retry) as client, closing(ObjectStore(sink, spec.sink.bucket)) as store:
        yield OpenExport(spec, full_export(spec, run_date=moment), Services(client, store))
