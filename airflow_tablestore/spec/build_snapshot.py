"""What a `kind: snapshot` becomes."""

from __future__ import annotations

from datetime import datetime

from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.snapshot.snapshot import Snapshot
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.spec.build import limits_of, target_of
from airflow_tablestore.spec.kinds.snapshot import SnapshotSpec


def snapshot(spec: SnapshotSpec, *, run_date: datetime) -> Snapshot:
    """The snapshot that a spec describes.

    :param run_date: the time that the run is about, with its zone.
    """
    target = target_of(spec.sink, {"run_date": run_date, "pipeline": spec.pipeline}, spec.timezone)
    is_beside = isinstance(target, ObjectTarget) and target.bucket == spec.source.bucket
    own = target.prefix if is_beside and isinstance(target, ObjectTarget) else ""
    return Snapshot(
        pipeline=spec.pipeline,
        source=PointInTime(spec.source.base, spec.source.changes, spec.moment(run_date), own),
        target=target,
        limits=limits_of(spec.limits),
    )
