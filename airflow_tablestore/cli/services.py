"""From a spec to an export with open services, for the commands that talk to some."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from airflow_tablestore.cli.session import Session
from airflow_tablestore.client import Client, OnRetry, RetryPolicy
from airflow_tablestore.client.endpoint import Endpoint
from airflow_tablestore.errors import Problem, ProtocolError, SpecError
from airflow_tablestore.pipeline.connections import (
    maxcompute_endpoint,
    oss_endpoint,
    tablestore_client,
    tablestore_endpoint,
)
from airflow_tablestore.pipeline.full_export.export import FullExport, Services
from airflow_tablestore.pipeline.incremental.export import Incremental, WindowServices
from airflow_tablestore.pipeline.incremental.ledger import Ledger
from airflow_tablestore.spec import FullExportSpec, IncrementalSpec, PipelineSpec, load
from airflow_tablestore.spec.build import full_export, incremental
from airflow_tablestore.spec.kinds.snapshot import SnapshotSpec
from airflow_tablestore.spec.maxcompute_sink import MaxComputeSink
from airflow_tablestore.spec.oss_sink import OssSink
from airflow_tablestore.wire.table import describe_table

if TYPE_CHECKING:
    from airflow_tablestore.pipeline.sinks.maxcompute import MaxCompute, MaxComputeEndpoint
    from airflow_tablestore.pipeline.sinks.oss import ObjectStore, OssEndpoint
    from airflow_tablestore.pipeline.snapshot.snapshot import SnapshotServices


@dataclass(frozen=True, slots=True)
class OpenExport:
    """A full export that is ready to go."""

    spec: FullExportSpec
    export: FullExport
    services: Services


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """An incremental export without its sink: all that its ledger needs. The two clients may be one."""

    spec: IncrementalSpec
    export: Incremental
    client: Client
    ledger_client: Client

    @property
    def ledger(self) -> Ledger:
        """What is known about the pipeline's windows."""
        export = self.export
        return Ledger(self.ledger_client, export.status_table, export.instance, export.source.table, export.pipeline)

    def now(self) -> datetime:
        """By the service's clock, which tells it with every answer."""
        self.client.send(describe_table(self.export.source.table))
        now = self.client.service_time()
        if now is None:
            raise ProtocolError("the service did not tell its time")
        return now


@dataclass(frozen=True, slots=True)
class OpenWindows:
    """An incremental export that is ready to go."""

    known: OpenLedger
    store: ObjectStore | MaxCompute

    @property
    def export(self) -> Incremental:
        return self.known.export

    @property
    def services(self) -> WindowServices:
        return WindowServices(self.known.client, self.known.ledger_client, self.store)


def export_spec(path: str) -> FullExportSpec | IncrementalSpec:
    """The export that a spec file describes.

    :raises SpecError: it has problems, or is of a kind that this command cannot carry out.
    """
    spec: PipelineSpec = load(path)
    if not isinstance(spec, FullExportSpec | IncrementalSpec):
        others = {"stream": "tunnel drain", "restore": "plan", "snapshot": "plan", "delivery": "plan"}
        hint = f"airflow-tablestore {others[spec.kind]} {path}" if spec.kind in others else ""
        raise SpecError([Problem(f"this command does not take a pipeline of kind '{spec.kind}'", hint, file=path)])
    return spec


def incremental_spec(path: str) -> IncrementalSpec:
    """The incremental export that a spec file describes.

    :raises SpecError: it has problems, or is of another kind.
    """
    spec: PipelineSpec = load(path)
    if not isinstance(spec, IncrementalSpec):
        raise SpecError([Problem(f"a pipeline of kind '{spec.kind}' has no windows", "name an incremental", file=path)])
    return spec


@contextmanager
def opened(
    spec: FullExportSpec, moment: datetime, session: Session, on_retry: OnRetry | None = None
) -> Iterator[OpenExport]:
    """The spec's export with its services, which are closed at the end.

    :raises SpecError: a connection is missing or cannot be right; holds the problems of both.
    """
    names = _instances(spec)
    ends = _endpoints(session, names, spec.sink)
    with ExitStack() as stack:
        clients = [stack.enter_context(client_of(session, name, on_retry=on_retry)) for name in names]
        store = stack.enter_context(ends.place())
        export = full_export(spec, run_date=moment, instance=ends.instances[0].instance)
        yield OpenExport(spec, export, Services(clients[0], store, clients[-1] if spec.ledger else None))


@contextmanager
def opened_windows(spec: IncrementalSpec, session: Session, on_retry: OnRetry | None = None) -> Iterator[OpenWindows]:
    """The spec's export with its services, which are closed at the end.

    :raises SpecError: a connection is missing or cannot be right; holds the problems of all.
    """
    ends = _endpoints(session, _instances(spec), spec.sink)
    with _ledger(spec, session, ends, on_retry) as known, ends.place() as place:
        yield OpenWindows(known, place)


@contextmanager
def opened_ledger(spec: IncrementalSpec, session: Session, on_retry: OnRetry | None = None) -> Iterator[OpenLedger]:
    """The spec's export with its instances alone; the sink's connection is not needed.

    :raises SpecError: a connection is missing or cannot be right; holds the problems of all.
    """
    with _ledger(spec, session, _endpoints(session, _instances(spec)), on_retry) as known:
        yield known


@contextmanager
def opened_snapshot(spec: SnapshotSpec, session: Session) -> Iterator[SnapshotServices]:
    """The bucket of the publications, and the bucket or project that the snapshot goes to.

    :raises SpecError: a connection is missing or cannot be right; holds the problems of both.
    """
    from airflow_tablestore.pipeline.sinks.oss import ObjectStore
    from airflow_tablestore.pipeline.snapshot.snapshot import SnapshotServices

    problems, ends, source = list[Problem](), None, None
    try:
        source = oss_endpoint(session.connection(spec.source.connection), spec.source.bucket)
    except SpecError as error:
        problems += error.problems
    try:
        ends = _endpoints(session, [], spec.sink)
    except SpecError as error:
        problems += [problem for problem in error.problems if problem not in problems]
    if source is None or ends is None:
        raise SpecError(problems)
    with closing(ObjectStore(source, spec.source.bucket)) as store, ends.place() as place:
        yield SnapshotServices(store, place)


def _instances(spec: FullExportSpec | IncrementalSpec) -> list[str]:
    """The connections of the source and of the ledger, which may be one."""
    named = spec.connections()
    return list(dict.fromkeys((named["source"], named.get("status_table", named["source"]))))


@contextmanager
def _ledger(
    spec: IncrementalSpec, session: Session, ends: _Endpoints, on_retry: OnRetry | None
) -> Iterator[OpenLedger]:
    most = spec.source.max_retries
    retry = RetryPolicy() if most is None else RetryPolicy(attempts=most + 1)
    made = [client_of(session, name, retry=retry, on_retry=on_retry) for name in _instances(spec)]
    with ExitStack() as stack:
        clients = [stack.enter_context(one) for one in made]
        yield OpenLedger(spec, incremental(spec, instance=ends.instances[0].instance), clients[0], clients[-1])


def client_of(session: Session, connection: str, **options: Any) -> Client:
    """A client for a connection by its name; temporary keys are read anew while it works.

    :param options: of `Client`.
    :raises SpecError: the connection is missing or cannot be right.
    """
    return tablestore_client(lambda: session.connection(connection), **options)


@dataclass(slots=True)
class _Endpoints:
    """Where a pipeline's connections lead. `sink` is where its rows go, None when that was not asked."""

    instances: list[Endpoint] = field(default_factory=list)
    sink: OssEndpoint | MaxComputeEndpoint | None = None
    bucket: str = ""

    def place(self) -> AbstractContextManager[ObjectStore | MaxCompute]:
        """The bucket, or the project; the client of the other one, which is large, is not loaded."""
        if self.sink is None:
            raise SpecError("the sink's connection was not asked for")
        if self.bucket:
            from airflow_tablestore.pipeline.sinks.oss import ObjectStore

            return closing(ObjectStore(cast("OssEndpoint", self.sink), self.bucket))
        from airflow_tablestore.pipeline.sinks.maxcompute import MaxCompute

        return closing(MaxCompute(cast("MaxComputeEndpoint", self.sink)))


def _endpoints(session: Session, tablestore: list[str], sink: OssSink | MaxComputeSink | None = None) -> _Endpoints:
    """Where these connections lead.

    :raises SpecError: with the problems of all of them.
    """
    found, problems = _Endpoints(), list[Problem]()
    for name in tablestore:
        try:
            found.instances.append(tablestore_endpoint(session.connection(name)))
        except SpecError as error:
            problems += error.problems
    try:
        if isinstance(sink, OssSink):
            found.sink, found.bucket = oss_endpoint(session.connection(sink.connection), sink.bucket), sink.bucket
        elif sink is not None:
            found.sink = maxcompute_endpoint(session.connection(sink.connection), sink.project or "")
    except SpecError as error:
        problems += error.problems
    if problems:
        raise SpecError(problems)
    return found
