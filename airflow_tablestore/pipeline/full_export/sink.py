"""What a full export asks of the place that it goes to, and which place that is.

The engine knows this page alone: objects and tables differ behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from airflow_tablestore.pipeline.target import ObjectTarget, TableTarget

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.pipeline.contract import Format, Schema, Writer
    from airflow_tablestore.pipeline.full_export.plan import PlanHead, Split, SplitReport
    from airflow_tablestore.pipeline.loads import Loads
    from airflow_tablestore.pipeline.manifest import Manifest
    from airflow_tablestore.pipeline.store import Store
    from airflow_tablestore.pipeline.warehouse import Warehouse


class SplitSink(Protocol):
    """What one attempt at a split writes with."""

    def format(self, output: pa.Schema) -> Format:
        """How this output's records are written, and which of them cannot be."""
        ...

    def writer(self, number: int, output: pa.Schema, format: Format) -> Writer:
        """What takes the rows of the split's n-th slice."""
        ...


class ExportSink(Protocol):
    """Where the rows of a run become visible, all at once."""

    @property
    def place(self) -> str:
        """How people write the place itself."""
        ...

    @property
    def mode(self) -> str:
        """What a publication does about what stands there: the author's word."""
        ...

    @property
    def manifest(self) -> str:
        """Where people find what was published."""
        ...

    def describe(self) -> dict[str, Any]: ...

    def standing(self) -> Manifest | None:
        """What earlier runs have left there, if that is on record."""
        ...

    def pinned(self, standing: Manifest | None, table: str) -> Schema | None:
        """The columns that earlier runs over this table have agreed on."""
        ...

    def pin(self, schema: Schema, known: Schema | None) -> Schema:
        """The columns of this run and of those that follow: these, unless another run was faster.

        :param known: what `pinned` has told.
        """
        ...

    def check(self) -> None:
        """:raises SpecError: what stands there forbids an export."""
        ...

    def fits(self, output: pa.Schema) -> None:
        """:raises SpecError: these columns cannot be written there."""
        ...

    def claimed(
        self, standing: Manifest | None, head: PlanHead, output: pa.Schema, splits: Sequence[Split], attempts: int
    ) -> PlanHead:
        """The head with all that the run's tasks need to write there."""
        ...

    def part(self, head: PlanHead, split: int, attempt: int) -> SplitSink: ...

    def publish(
        self, head: PlanHead, manifest: Manifest, reports: Iterable[SplitReport], attempt: int, errors: int
    ) -> Manifest:
        """Make what was reported visible; the manifest as it then stands."""
        ...


def export_sink(
    target: ObjectTarget | TableTarget, place: Store | Warehouse, pipeline: str, loads: Loads | None = None
) -> ExportSink:
    """The sink of a pipeline; `place` is what its target's connection leads to.

    :param loads: what is on record of a table's loads; None: nothing is.
    """
    if isinstance(target, ObjectTarget):
        from airflow_tablestore.pipeline.full_export.objects import ExportObjects

        return ExportObjects(cast("Store", place), target, pipeline)
    from airflow_tablestore.pipeline.full_export.table import ExportTable

    return ExportTable(cast("Warehouse", place), target, pipeline, loads)
