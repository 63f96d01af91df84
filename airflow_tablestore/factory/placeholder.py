"""The DAG that stands where a bad spec's DAG would be.

So the list of DAGs stays complete and the neighbours of a bad spec go on being scheduled, which they would not if their
common file raised an error. It has no schedule; its page and its only task show every problem.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

TAG = "spec-error"


class ShowSpecError(BaseOperator):
    """Fails with the report of a spec's problems.

    :param report: every problem, with its place and its hint.
    """

    ui_color = "#f8d7da"

    def __init__(self, *, report: str, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.report = report

    def execute(self, context: Context) -> None:
        raise AirflowFailException(f"This pipeline's spec must be corrected first.\n{self.report}")


def placeholder(dag_id: str, path: Path, report: str) -> DAG:
    """The placeholder for one spec file.

    :param dag_id: the pipeline's name, where the file still tells it.
    :param report: as `airflow-tablestore lint` prints it.
    """
    with DAG(
        dag_id,
        description=f"{path.name} cannot be used: see its page",
        schedule=None,
        catchup=False,
        tags=[TAG],
        doc_md=_page(path, report),
    ) as dag:
        ShowSpecError(task_id="spec_error", report=report, retries=0)
    return dag


def dag_id_for(path: Path) -> str:
    """A DAG id made of a file's name, for a spec that does not even tell its pipeline."""
    return re.sub(r"[^\w.-]", "_", path.stem, flags=re.ASCII) or "spec"


def _page(path: Path, report: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", report)), default=0))
    return (
        f"### {path.name} cannot be used\n\nCorrect the spec; this DAG becomes the pipeline by itself. "
        f"`airflow-tablestore lint` shows the same report.\n\n{fence}text\n{report}\n{fence}\n"
    )
