"""Whether what a full export has published, or loaded into MaxCompute, is what its table holds, as one task.

Thin: it builds the comparison from its arguments, calls one function of `pipeline.verify` and returns its report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_tablestore.operators.full_export import FullExportTask
from airflow_tablestore.operators.links import PublishedObjectsLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class VerifyOperator(FullExportTask):
    """Lays a table beside its published full export: counts and checksums by key range, then the keys that differ.

    Takes the `source` and `sink` of the export, objects in OSS or a MaxCompute table; to look at a restored table, name
    that one in `source`. Reads the table and the objects once, and again what differs. Returns the report; fails when
    something differs, unless `fails` is False. Whatever was written to the table since the export differs.

    :param pipeline: that of the export, whose pinned columns a load of MaxCompute has.
    :param export_run: one of several runs that were appended to the prefix; by default the last one.
    :param estimates: only tell what the comparison would read: rows, requests, read capacity units.
    :param fails: whether a difference fails the task.
    :param most_named: keys that are named of each kind of difference.
    """

    template_fields: Sequence[str] = (*FullExportTask.template_fields, "export_run")
    operator_extra_links = (PublishedObjectsLink(),)

    def __init__(
        self,
        *,
        export_run: str = "",
        estimates: bool = False,
        fails: bool = True,
        most_named: int = 20,
        pipeline: str = "verify",
        **kwargs: Any,
    ) -> None:
        super().__init__(pipeline=pipeline, **kwargs)
        self.export_run = export_run
        self.estimates = estimates
        self.fails = fails
        self.most_named = most_named

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.verify.verify import VerifyServices, estimate, verify
        from airflow_tablestore.spec.build_verify import of_export

        with self.open(context) as run:
            job = of_export(run.export, run=self.export_run, most_named=self.most_named)
            services = VerifyServices(run.services.client, run.services.store, run.services.ledger)
            PublishedObjectsLink.remember(context, run.place.url(run.export.target))
            found = estimate(job, services) if self.estimates else verify(job, services)
        told = list(found.lines())
        for line in told:
            self.log.info("%s", line)
        report = found.to_json()
        if self.fails and report.get("is_same") is False:
            context["ti"].xcom_push(key="verify", value=report)
            raise AirflowFailException("\n".join(told))
        return report
