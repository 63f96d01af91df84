"""What a `kind: snapshot` becomes, and what it tells about itself."""

from __future__ import annotations

from datetime import datetime

from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.snapshot.snapshot import Snapshot
from airflow_tablestore.pipeline.target import ObjectTarget, WriteMode
from airflow_tablestore.spec.build import MEGABYTE, format_of, limits_of
from airflow_tablestore.spec.kinds.snapshot import SnapshotSpec
from airflow_tablestore.spec.placeholders import render


def snapshot(spec: SnapshotSpec, *, run_date: datetime) -> Snapshot:
    """The snapshot that a spec describes.

    :param run_date: the time that the run is about, with its zone.
    """
    sink, words = spec.sink, {"run_date": run_date, "pipeline": spec.pipeline}
    return Snapshot(
        pipeline=spec.pipeline,
        source=PointInTime(spec.source.base, spec.source.changes, spec.moment(run_date)),
        target=ObjectTarget(
            bucket=sink.bucket,
            prefix=render(sink.prefix, words, spec.timezone),
            format=format_of(sink),
            write_mode=WriteMode(sink.write_mode),
            truncates_foreign=sink.truncate_foreign,
            max_object_bytes=(sink.max_file_mb or 0) * MEGABYTE,
        ),
        limits=limits_of(spec.limits),
    )
