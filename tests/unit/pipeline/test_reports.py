"""What a publication takes from the tasks before it, when some of them belong to another plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from airflow_tablestore.errors import StartOver
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.full_export.export import Services, export_split, plan, publish, run
from airflow_tablestore.pipeline.full_export.plan import Plan, SplitReport
from airflow_tablestore.pipeline.manifest import read_manifest
from tests.conformance.folder_store import FolderStore
from tests.conformance.memory_table import MemoryTable, numbered, row
from tests.integration.exporting import ROWS, export


def table(text: str, cut: int = ROWS // 2) -> MemoryTable:
    """Known rows, which the service cuts into two parts."""
    return MemoryTable(numbered(ROWS, text=text), points=[(("id", cut),)], page_rows=10)


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return Services(table("x"), FolderStore(tmp_path))


def planned(services: Services, tasks: int = 2) -> Plan:
    whole = export("truncate")
    divided = replace(whole, source=replace(whole.source, tasks=tasks))
    return plan(divided, services, run="r1")


def exported(services: Services, made: Plan) -> list[SplitReport]:
    return [export_split(export("truncate"), services, made.head, split, attempt=1) for split in made.splits]


@pytest.mark.parametrize("cut", [10, 30])
def test_rows_are_neither_lost_nor_doubled_when_only_some_splits_follow_a_new_plan(tmp_path, cut):
    store = FolderStore(tmp_path)
    before, after = Services(table("x"), store), Services(table("x", cut), store)
    made = planned(before)
    earlier = exported(before, made)
    publish(export("truncate"), before, made.head, earlier, attempt=1)
    present = planned(after)
    again = export_split(export("truncate"), after, present.head, present.splits[0], attempt=2)

    with pytest.raises(StartOver, match=r"split 1 .* Clear the task 'export'") as caught:
        publish(export("truncate"), after, present.head, [again, earlier[1]], attempt=2)

    assert caught.value.task == "export"


def test_what_a_larger_plan_left_behind_does_not_stand_in_the_way(services):
    earlier = exported(services, planned(services, tasks=2))
    present = planned(services, tasks=1)
    (report,) = exported(services, present)

    published = publish(export("truncate"), services, present.head, [report, earlier[1]], attempt=1)

    assert (present.head.splits, published.rows) == (1, ROWS)


def test_reports_survive_their_way_through_xcom(services):
    (report, _) = exported(services, planned(services))

    assert SplitReport.from_json(report.to_json()) == replace(report, seconds=round(report.seconds, 3))


def test_samples_of_dirty_records_are_in_the_manifest_and_in_the_report(tmp_path):
    """Some cells of `n` are text; what is kept of such a row is its key and what is wrong, never the value."""
    rows = [row((("id", i),), n=f"secret-{i}" if i % 10 == 3 else i) for i in range(ROWS)]
    lenient = replace(export("truncate"), limits=Limits(errors=5))

    reports = [
        run(lenient, Services(MemoryTable(rows, page_rows=10), FolderStore(tmp_path / name)), run="r1") for name in "ab"
    ]

    manifests = [read_manifest(FolderStore(tmp_path / name), lenient.target.prefix) for name in "ab"]
    assert [sample.key for sample in reports[0].samples] == ["id=13", "id=23", "id=3", "id=33"]
    assert "column 'n' is integer and the cell is string" in reports[0].samples[0].reason
    assert "secret" not in str(reports[0].to_json())
    assert [manifest.samples for manifest in manifests] == [report.samples for report in reports]
    assert manifests[0].to_bytes() == manifests[1].to_bytes()
