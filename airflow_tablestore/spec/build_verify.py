"""What of a spec can be verified: a table, and the full export that is published from it or restored into it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.full_export.export import FullExport
from airflow_tablestore.pipeline.restore.job import PublishedSource
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.verify.report import MOST_NAMED
from airflow_tablestore.pipeline.verify.verify import Verify, VerifyLoad
from airflow_tablestore.spec.build import full_export
from airflow_tablestore.spec.build_restore import restore
from airflow_tablestore.spec.common import PipelineSpec
from airflow_tablestore.spec.kinds.full_export import FullExportSpec
from airflow_tablestore.spec.kinds.restore import RestoreSpec
from airflow_tablestore.spec.kinds.snapshot import SnapshotSpec


@dataclass(frozen=True, slots=True)
class Verification:
    """A comparison, and the connections of its two sides."""

    job: Verify | VerifyLoad
    connection: str
    store_connection: str
    bucket: str


def verification(
    spec: PipelineSpec, *, run_date: datetime, run: str = "", most_named: int = MOST_NAMED
) -> Verification:
    """The comparison that goes with a spec: of a full export its source, of a restore its target.

    :param run_date: the time that the run was about, with its zone.
    :param run: one of several runs that were appended to the prefix; "" the last one.
    :raises SpecError: the spec publishes no rows of a table in a bucket.
    """
    if isinstance(spec, FullExportSpec):
        job = of_export(full_export(spec, run_date=run_date), run=run, most_named=most_named)
        return Verification(job, spec.source.connection, spec.sink.connection, getattr(spec.sink, "bucket", ""))
    if isinstance(spec, SnapshotSpec):
        hint = "name a full export of that table with this sink"
        raise SpecError([Problem("a snapshot does not name the table that it is to be laid beside", hint, path="kind")])
    if not isinstance(spec, RestoreSpec):
        told = f"a pipeline of kind '{spec.kind}' publishes no whole table, so there is nothing to lay beside it"
        raise SpecError([Problem(told, "name a full export, or a restore of one", path="kind")])
    wanted = restore(spec, run_date=run_date)
    if not isinstance(wanted.source, PublishedSource):
        told = "a restore of plain objects, or to a point in time, writes rows that no single manifest lists"
        raise SpecError([Problem(told, "name the prefix of a published export", path="source")])
    if wanted.target.columns is not None or wanted.target.primary_key:
        told = "this restore writes other columns, types or keys than the export has"
        raise SpecError([Problem(told, "compare a restore without sink.columns and primary_key", path="sink")])
    job = Verify(
        wanted.target.table, wanted.source.prefix, run or wanted.source.run, wanted.limits, most_named=most_named
    )
    return Verification(job, spec.sink.connection, spec.source.connection, spec.source.bucket)


def of_export(export: FullExport, *, run: str = "", most_named: int = MOST_NAMED) -> Verify | VerifyLoad:
    """The comparison of an export's table with what it has published, or loaded.

    :raises SpecError: a run is named, and the export goes into a table, which keeps no runs apart.
    """
    if not isinstance(export.target, ObjectTarget):
        if run:
            told = "rows of several runs are not told apart in a table"
            raise SpecError([Problem(told, "leave the run out: the partition is compared as it is", "sink.type")])
        return VerifyLoad(export, most_named)
    source = export.source
    return Verify(source.table, export.target.prefix, run, export.limits, source.asks_compact, most_named)
