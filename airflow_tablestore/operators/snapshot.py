"""A full export and the changes after it into a new full export of a moment, as one task. The table is not read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_tablestore.assets import assets_of_sink
from airflow_tablestore.hooks.oss import ObjectStoreHook
from airflow_tablestore.operators.full_export import TOLD_WITH_ASSET, moment
from airflow_tablestore.operators.links import PublishedObjectsLink
from airflow_tablestore.operators.places import Dataset, opened_place
from airflow_tablestore.operators.retries import retried_only_where_it_helps

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_tablestore.operators.lineage import SnapshotLineage
    from airflow_tablestore.spec.kinds.snapshot import SnapshotSpec


class SnapshotOperator(BaseOperator):
    """Folds the windows of changes into a full export and publishes the rows of a moment, all or nothing.

    Its outlet is the asset of the objects, or of the table, with rows, bytes, objects and manifest. A task that was
    killed or cleared begins anew: what it has uploaded is aborted, and what it has published is replaced.

    :param pipeline: names the snapshot in its objects' keys and in its manifest.
    :param source: what a spec has under `source`: type, bucket, base, changes.
    :param sink: what a spec has under `sink`: type, bucket, prefix, format.
    :param to: the moment of the rows, with its zone; None: it lies `lag` before the time that the run is about.
    :param lag: how long the windows up to a moment need to be published; None: as long as a spec says by default.
    :param limits: what a spec has under `limits`.
    :param timezone: the zone of dates in placeholders of the prefix.
    """

    template_fields: Sequence[str] = ("pipeline", "source", "sink", "to", "limits")
    operator_extra_links = (PublishedObjectsLink(),)
    ui_color = "#fff1e0"

    def __init__(
        self,
        *,
        pipeline: str,
        source: Mapping[str, Any],
        sink: Mapping[str, Any],
        to: str | datetime | None = None,
        lag: timedelta | None = None,
        limits: Mapping[str, Any] | None = None,
        timezone: str = "UTC",
        outlets: Sequence[Asset] | None = None,
        **kwargs: Any,
    ) -> None:
        self.published = assets_of_sink(sink)
        super().__init__(**kwargs, outlets=[*self.published, *(outlets or ())])
        self.pipeline = pipeline
        self.source = source
        self.sink = sink
        self.to = to
        self.lag = lag
        self.limits = limits
        self.timezone = timezone
        self.lineage: SnapshotLineage | None = None

    def spec(self) -> SnapshotSpec:
        """The arguments, now without templates, as a spec.

        :raises SpecError: they do not make one; holds every problem.
        """
        from airflow_tablestore.spec.kinds.snapshot import SnapshotSpec

        parts: dict[str, Any] = {"source": self.source, "sink": self.sink, "limits": self.limits or {}}
        parts |= {"to": self.to or None} | ({} if self.lag is None else {"lag": self.lag})
        return SnapshotSpec(pipeline=self.pipeline, timezone=self.timezone, **parts)

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.operators.lineage import SnapshotLineage
        from airflow_tablestore.pipeline.progress import LogProgress
        from airflow_tablestore.pipeline.run import run_key
        from airflow_tablestore.pipeline.snapshot.snapshot import SnapshotServices, run
        from airflow_tablestore.spec.build_snapshot import snapshot

        with retried_only_where_it_helps(self.task_id.rpartition(".")[0]):
            spec, when = self.spec(), moment(context)
            wanted, key = snapshot(spec, run_date=when), run_key(when, context["run_id"])
            sources = ObjectStoreHook(spec.source.connection)
            with closing(sources.store(spec.source.bucket)) as source, opened_place(spec.sink) as place:
                PublishedObjectsLink.remember(context, place.url(wanted.target))
                services, attempt = SnapshotServices(source, place.store), context["ti"].try_number
                report = run(wanted, services, run=key, attempt=attempt, progress=LogProgress(self.log))
                output = place.dataset(wanted.target)
        told = "%d rows, %d bytes in %d object(s) are published: %s"
        self.log.info(told, report.rows, report.bytes, report.objects, report.manifest)
        for asset in self.published:
            context["outlet_events"][asset].extra = {name: report.to_json()[name] for name in TOLD_WITH_ASSET}
        read = [Dataset(f"oss://{spec.source.bucket}", prefix.rstrip("/")) for prefix in report.read]
        self.lineage = SnapshotLineage(read, output, report)
        return report.to_json()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any] | None:
        """What was read and written, for OpenLineage; None when nothing was published."""
        return self.lineage.facets() if self.lineage else None
