"""A finished export, restore or snapshot as OpenLineage facets, when OpenLineage is installed.

Names are the real ones, so that lineage joins with that of other tools: the table within its instance, the objects
within their bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_tablestore.assets import SCHEME

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_tablestore.operators.places import Dataset as Place
    from airflow_tablestore.operators.summary import Summary
    from airflow_tablestore.pipeline.contract import Report, Schema
    from airflow_tablestore.pipeline.incremental.export import Incremental, WindowServices
    from airflow_tablestore.pipeline.sources.objects import ReadColumn
    from airflow_tablestore.pipeline.window import Window


@dataclass(frozen=True, slots=True)
class ExportLineage:
    """What one publication read and wrote."""

    instance: str
    table: str
    output: Place
    schema: Schema
    report: Report | Summary

    def facets(self) -> OperatorLineage[Any, Any]:
        """Input with its schema, output with its rows and bytes."""
        from airflow.providers.common.compat.openlineage.facet import (
            Dataset,
            OutputDataset,
            OutputStatisticsOutputDatasetFacet,
            SchemaDatasetFacet,
            SchemaDatasetFacetFields,
        )
        from airflow.providers.openlineage.extractors import OperatorLineage

        fields = [SchemaDatasetFacetFields(name=c.name, type=c.type.value) for c in self.schema.columns]
        counted = OutputStatisticsOutputDatasetFacet(rowCount=self.report.rows, size=self.report.bytes)
        table = Dataset(
            namespace=f"{SCHEME}://{self.instance}",
            name=self.table,
            facets={"schema": SchemaDatasetFacet(fields=fields)},
        )
        objects = OutputDataset(
            namespace=self.output.namespace,
            name=self.output.name,
            outputFacets={"outputStatistics": counted},
        )
        return OperatorLineage(inputs=[table], outputs=[objects])


@dataclass(frozen=True, slots=True)
class RestoreLineage:
    """What one restore read and wrote. `columns` are those of the objects that went into the table."""

    instance: str
    table: str
    objects: Place
    columns: Sequence[ReadColumn]
    rows: int

    def facets(self) -> OperatorLineage[Any, Any]:
        """Input by its place; output with its columns and rows."""
        from airflow.providers.common.compat.openlineage.facet import (
            Dataset,
            OutputDataset,
            OutputStatisticsOutputDatasetFacet,
            SchemaDatasetFacet,
            SchemaDatasetFacetFields,
        )
        from airflow.providers.openlineage.extractors import OperatorLineage

        fields = [SchemaDatasetFacetFields(name=c.to, type=c.field.type.value) for c in self.columns if c.to]
        table = OutputDataset(
            namespace=f"{SCHEME}://{self.instance}",
            name=self.table,
            facets={"schema": SchemaDatasetFacet(fields=fields)},
            outputFacets={"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=self.rows)},
        )
        return OperatorLineage(
            inputs=[Dataset(namespace=self.objects.namespace, name=self.objects.name)], outputs=[table]
        )


@dataclass(frozen=True, slots=True)
class SnapshotLineage:
    """What one snapshot read and wrote. `inputs` are the full export and the windows that were folded."""

    inputs: Sequence[Place]
    output: Place
    report: Report

    def facets(self) -> OperatorLineage[Any, Any]:
        """Inputs by their places; output with its rows and bytes."""
        from airflow.providers.common.compat.openlineage.facet import (
            Dataset,
            OutputDataset,
            OutputStatisticsOutputDatasetFacet,
        )
        from airflow.providers.openlineage.extractors import OperatorLineage

        counted = OutputStatisticsOutputDatasetFacet(rowCount=self.report.rows, size=self.report.bytes)
        published = OutputDataset(
            namespace=self.output.namespace,
            name=self.output.name,
            outputFacets={"outputStatistics": counted},
        )
        return OperatorLineage(
            inputs=[Dataset(namespace=one.namespace, name=one.name) for one in self.inputs], outputs=[published]
        )


def lineage_of_windows(
    export: Incremental, services: WindowServices, instance: str, output: Place, last: Window, summary: Summary
) -> ExportLineage | None:
    """What a run's windows read and wrote; the columns are those of the last one's manifest.

    None when nothing was read.
    """
    from airflow_tablestore.pipeline.incremental.standing import sink_of

    manifest = sink_of(export, services, last).standing()
    if manifest is None or summary.windows == summary.windows_found_published:
        return None
    return ExportLineage(instance, export.source.table, output, manifest.schema, summary)
