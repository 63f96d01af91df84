"""One window and several: what is read, what is published, what is lost, and who wins."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from airflow_tablestore.errors import NotDue, SpecError, StartOver, WindowLost
from airflow_tablestore.pipeline.incremental.export import (
    accept_loss,
    check_due,
    export_part,
    export_range,
    export_window,
    ledger_of,
    plan_window,
    publish_window,
    window_key,
)
from airflow_tablestore.pipeline.incremental.job import WindowReport
from airflow_tablestore.pipeline.incremental.ledger import WindowState
from airflow_tablestore.pipeline.incremental.plan import PartReport, ShardPart, WindowHead
from airflow_tablestore.pipeline.layout import MANIFEST, SUCCESS
from airflow_tablestore.pipeline.manifest import read_manifest
from airflow_tablestore.pipeline.window import Window
from tests.conformance.memory_stream import MemoryStream
from tests.conformance.windows import EVERY, START, export, published, published_ids, run_due, services, window


class Case:
    """A stream that is one minute old at the start of window 0, its services, and a plain export."""

    def __init__(self, **how: Any):
        self.stream = MemoryStream(now=START - timedelta(minutes=1), **how)
        self.services = services(self.stream)
        self.export = export()
        self.store: Any = self.services.store

    def at(self, minutes: float) -> Case:
        """The clock stands so many minutes after the start."""
        self.stream.advance(seconds=(START + timedelta(minutes=minutes) - self.stream.now).total_seconds())
        return self

    def write(self, count: int = 1, shard: str | None = None) -> list[int]:
        return [self.stream.write(shard) for _ in range(count)]

    def run(self, number: int, **how: Any) -> WindowReport:
        return export_window(self.export, self.services, window(number), **how)

    def ids(self, number: int) -> list[int] | None:
        return published_ids(self.store, self.export, window(number))

    def ledger(self) -> Any:
        return ledger_of(self.export, self.services)


@pytest.fixture
def case():
    return Case()


# ---- windows


def test_a_window_holds_the_changes_of_its_time(case):
    case.at(1).write(2)
    case.at(6).write(3)
    case.at(11).write(1)
    case.at(20)

    reports = run_due(case.stream, case.export, case.services)

    assert [r.rows for r in reports] == [2, 3, 1]
    assert [case.ids(n) for n in range(3)] == [[0, 1], [2, 3, 4], [5]]


def test_a_window_without_changes_publishes_a_manifest_with_zero_rows(case):
    case.at(15)

    report = case.run(0)

    manifest = read_manifest(case.store, case.export.target(window(0)).prefix)
    assert (report.rows, report.objects, case.ids(0)) == (0, 0, [])
    assert (manifest.rows, manifest.window_of(report.run).window) == (0, window(0))


def test_a_window_that_is_not_due_is_not_read(case):
    case.at(9)

    with pytest.raises(NotDue) as refused:
        case.run(0)

    assert refused.value.due_at == START + timedelta(minutes=10)
    assert "GetStreamRecord" not in case.stream.asked
    check_due(case.export, case.at(10).services, window(0))


def test_a_change_that_became_visible_late_is_in_the_later_window_and_counted(case):
    case.at(1).write()
    case.stream.hold()
    case.write()
    case.at(10).run(0)
    case.stream.release()
    case.write()

    report = case.at(20).run(1)

    assert (case.ids(0), case.ids(1), report.late) == ([0], [1], 1)
    assert case.run(2).rows == 1


def test_windows_in_any_order_share_their_boundaries(case):
    for minute in range(1, 25):
        case.at(minute).write()
    case.at(40)

    for number in (3, 1, 4, 0, 2):
        case.run(number)

    assert published(case.store, case.export, [window(n) for n in range(5)]) == list(range(24))


def test_a_rerun_reads_the_same_changes_although_more_have_come(case):
    case.at(1).write(2)
    case.at(10).run(0)
    late = case.stream.write(at=START + timedelta(minutes=2))

    report = case.run(0, force=True)

    assert (report.was_published, case.ids(0)) == (False, [0, 1])
    assert case.at(20).run(1).late == 1
    assert case.ids(1) == [late]


def test_a_published_window_is_not_read_again(case):
    case.at(1).write(2)
    first = case.at(10).run(0)
    case.stream.asked.clear()

    again = case.run(0)

    assert again.was_published
    assert (again.rows, again.manifest) == (first.rows, first.manifest)
    assert not {"GetStreamRecord", "DescribeStream", "PutRow"} & set(case.stream.asked)


def test_a_window_without_its_success_marker_is_exported_again(case):
    case.at(1).write(2)
    case.at(10).run(0)
    case.store.delete([case.export.target(window(0)).prefix + SUCCESS])

    assert not case.run(0).was_published
    assert case.ids(0) == [0, 1]


def test_a_range_publishes_each_window_under_its_own_key_and_fetches_every_record_once(case):
    for minute in range(1, 30):
        case.at(minute).write()
    case.at(40)
    case.run(2)
    case.stream.asked.clear()

    reports = list(export_range(case.export, case.services, START, START + 6 * EVERY))

    assert [r.was_published for r in reports] == [False, False, True, False, False, False]
    assert published(case.store, case.export, [window(n) for n in range(6)]) == list(range(29))
    assert case.stream.asked.count("GetStreamRecord") <= 3 * 5  # a page for all of them, and the place of each end
    assert all(r.was_published for r in run_due(case.stream, case.export, case.services)[:6])


def test_a_range_that_is_not_on_the_grid_is_refused(case):
    with pytest.raises(SpecError, match="in the middle of a window"):
        export_range(case.export, case.services, START, START + timedelta(minutes=7))
    with pytest.raises(SpecError, match="no window"):
        export_range(case.export, case.services, START, START)


def test_two_pipelines_share_the_boundaries_of_a_stream(case):
    case.at(1).write()
    case.at(10).run(0)
    case.stream.write(at=START + timedelta(minutes=2))
    other = export(pipeline="other")

    export_window(other, case.services, window(0))

    assert published_ids(case.store, other, window(0)) == [0]


def test_append_keeps_every_window_in_one_manifest():
    case = Case()
    case.export = export(mode="append")
    for minute in (1, 6, 11):
        case.at(minute).write()
    case.at(30)

    for number in (0, 1, 2, 1):
        case.run(number, force=number == 1)

    manifest = read_manifest(case.store, case.export.target(window(0)).prefix)
    assert [w.window for w in manifest.windows] == [window(0), window(1), window(2)]
    assert [case.ids(n) for n in range(3)] == [[0], [1], [2]]


def test_truncate_does_not_replace_another_window(case):
    everywhere = export()
    target = everywhere.target(window(0))
    case.export = type(everywhere)(
        "changes", "demo", everywhere.source, everywhere.grid, everywhere.lag, lambda _: target, everywhere.limits
    )
    case.at(20).run(0)

    with pytest.raises(SpecError, match="would replace"):
        case.run(1)


# ---- shards


def test_children_are_read_after_their_parents(case):
    parent = case.stream.open[0]
    case.at(1).write(2)
    left, right = case.stream.split(parent)
    case.write(1, left)
    case.write(1, right)
    case.at(6).write(1, case.stream.merge(left, right))
    case.at(20)

    run_due(case.stream, case.export, case.services)

    assert (case.ids(0), case.ids(1)) == ([0, 1, 2, 3], [4])


def test_a_child_waits_for_the_window_in_which_its_parent_ends(case):
    parent = case.stream.open[0]
    child = case.stream.birth(parent)
    case.at(1).write(1, parent)
    case.write(1, child)
    case.at(6).write(1, parent)
    case.at(10).run(0)
    case.stream.end(parent)

    report = case.at(20).run(1)

    assert (case.ids(0), case.ids(1), report.late) == ([0], [2, 1], 1)


def test_a_shard_that_splits_while_it_is_read_is_followed_to_its_children(case):
    parent = case.stream.open[0]
    case.at(1).write(1, parent)
    case.at(10)
    born: list[int] = []

    def split(operation: str) -> None:
        if operation == "GetStreamRecord" and not born:
            left, _ = case.stream.split(parent)
            born.append(case.stream.write(left, at=START + timedelta(minutes=2)))

    case.stream.before = split
    case.run(0)

    assert case.ids(0) == [0, *born]


def test_shards_are_divided_over_workers_and_families_stay_together():
    case = Case(shards=4)
    case.export = export(workers=3)
    one, two, three, four = case.stream.open
    case.at(1)
    for shard in (one, two, three, four):
        case.write(1, shard)
    child = case.stream.merge(one, two)
    case.write(1, child)
    case.at(10)

    plan = plan_window(case.export, case.services, window(0))
    head = WindowHead.from_json(json.loads(json.dumps(plan.head.to_json())))
    parts = [ShardPart.from_json(json.loads(json.dumps(part.to_json()))) for part in plan.parts]
    reports = [export_part(case.export, case.services, head, part, attempt=1) for part in reversed(parts)]
    told = [PartReport.from_json(json.loads(json.dumps(report.to_json()))) for report in reports]
    report = publish_window(case.export, case.services, head, told, attempt=1)

    assert [{task.shard for task in part.shards} for part in parts] == [{one, two, child}, {three}, {four}]
    assert sorted(case.ids(0)) == [0, 1, 2, 3, 4]
    assert WindowReport.from_json(json.loads(json.dumps(report.to_json()))).rows == 5
    assert plan_window(case.export, case.services, window(0)).head.is_published


def test_a_missing_part_names_the_task_to_clear():
    case = Case(shards=2)
    case.export = export(workers=2)
    case.at(10)
    plan = plan_window(case.export, case.services, window(0))

    with pytest.raises(StartOver) as refused:
        publish_window(case.export, case.services, plan.head, [], attempt=1)

    assert refused.value.task == "export"


# ---- races


def test_of_two_runs_of_a_window_one_end_is_used_by_both(case):
    case.at(1).write(2)
    case.at(10)
    is_done: list[bool] = []

    def other_run(operation: str) -> None:
        if operation == "PutRow" and case.stream.asked.count("GetStreamRecord") and not is_done:
            is_done.append(True)
            case.stream.write(at=START + timedelta(minutes=2))
            case.run(0)

    case.stream.before = other_run
    case.run(0)

    assert is_done
    assert case.ids(0) == [0, 1, 2]
    assert case.at(20).run(1).rows == 0


def test_a_mapped_run_whose_end_was_fixed_elsewhere_starts_over(case):
    case.at(1).write(2)
    case.at(10)
    plan = plan_window(case.export, case.services, window(0))
    reports = [export_part(case.export, case.services, plan.head, part, attempt=1) for part in plan.parts]
    case.stream.write(at=START + timedelta(minutes=2))
    other = export(pipeline="other")
    export_window(other, case.services, window(0))

    with pytest.raises(StartOver) as refused:
        publish_window(case.export, case.services, plan.head, reports, attempt=1)

    assert refused.value.task == "plan"
    assert case.run(0).rows == 3


def test_a_boundary_that_comes_up_beside_the_end_has_the_window_read_again(case):
    """Without that the place of 8:10 could come to lie before that of 8:05, and a late change in two windows."""
    case.at(1).write()
    case.at(20)
    plan = plan_window(case.export, case.services, window(0))
    reports = [export_part(case.export, case.services, plan.head, part, attempt=1) for part in plan.parts]
    case.run(2)
    case.stream.write(at=START + timedelta(minutes=2))

    with pytest.raises(StartOver):
        publish_window(case.export, case.services, plan.head, reports, attempt=1)
    for number in (0, 1, 3):
        case.at(40).run(number)

    assert published(case.store, case.export, [window(n) for n in range(4)]) == [0, 1]


# ---- losses


def test_a_window_older_than_the_retention_is_lost_at_once(case):
    case.at(1).write()
    case.at(24 * 60 + 1)

    with pytest.raises(WindowLost, match="ledger accept-loss") as lost:
        case.run(0)

    assert (lost.value.start, lost.value.end) == (window(0).start, window(0).end)
    assert case.ledger().window(START).state is WindowState.LOST
    assert case.ids(0) is None


def test_an_expired_place_is_lost(case):
    case.at(1).write()
    case.at(10).run(0)
    case.at(11).write()
    log = case.at(20).stream.shards[case.stream.open[0]]
    log.records, log.first = [], log.next

    with pytest.raises(WindowLost, match="trimmed"):
        case.run(1)


def test_what_expires_while_it_is_read_is_lost(case):
    case.at(1).write()
    case.at(10)

    def expire(operation: str) -> None:
        if operation == "GetStreamRecord":
            case.stream.shards[case.stream.open[0]].first += 5

    case.stream.before = expire
    with pytest.raises(WindowLost, match="trimmed"):
        case.run(0)

    assert case.ledger().window(START).state is WindowState.LOST


def test_a_window_from_before_the_stream_is_lost(case):
    case.at(1).write()
    case.stream.renew()
    case.at(10)

    with pytest.raises(WindowLost, match="created"):
        case.run(0)

    assert case.at(15).run(1).rows == 0


@pytest.mark.parametrize("stops_at_loss", [False, True])
def test_a_range_exports_what_stands_behind_lost_windows(case, stops_at_loss):
    case.at(6).stream.renew()
    case.at(16).write()
    case.at(30)

    with pytest.raises(WindowLost, match="ledger accept-loss") as lost:
        for _ in export_range(case.export, case.services, START, START + 4 * EVERY, stops_at_loss=stops_at_loss):
            pass

    assert lost.value.start == window(0).start
    assert lost.value.end == window(0 if stops_at_loss else 1).end
    assert case.ids(3) == (None if stops_at_loss else [0])


def test_a_stream_switched_off_and_on_is_noticed_whatever_its_clock_says(case):
    case.at(10).run(0)
    case.at(-1).stream.renew()
    case.at(20)

    with pytest.raises(WindowLost, match="switched off and on"):
        case.run(1)


def test_a_quiet_shard_loses_nothing_in_an_outage_shorter_than_the_retention(case):
    case.at(10).run(0)
    case.at(23 * 60)

    assert case.run(1).rows == 0


def test_the_pipeline_goes_on_after_a_loss_that_was_accepted(case):
    case.at(1).write()
    case.stream.renew()
    case.at(6).write()
    case.at(20)
    with pytest.raises(WindowLost):
        case.run(0)

    accept_loss(case.export, case.services, window(0), "the stream was switched off")
    report = case.run(0)
    after = case.run(1)

    assert (report.rows, report.loss) == (0, "the stream was switched off")
    assert case.run(0).was_published
    assert case.run(0).loss == "the stream was switched off"
    assert case.ledger().window(START).state is WindowState.ACCEPTED
    assert (after.rows, case.ids(1)) == (1, [1])


def test_the_loss_of_a_published_window_cannot_be_accepted(case):
    case.at(10).run(0)

    with pytest.raises(SpecError, match="is published"):
        accept_loss(case.export, case.services, window(0), "why not")


# ---- the ledger


def test_the_ledger_says_what_was_published_and_where(case):
    case.at(1).write(2)
    case.at(20).run(0)
    case.run(1)

    first, second = case.ledger().windows(START, START + 9 * EVERY)

    assert (first.state, first.rows, first.objects, first.window) == (WindowState.PUBLISHED, 2, 1, window(0))
    assert first.manifest == case.store.uri(case.export.target(window(0)).prefix + MANIFEST)
    assert (first.predecessor, second.predecessor) == (None, window_key(window(0)))


def test_an_entry_that_was_not_written_is_written_by_the_next_run(case):
    case.at(10).run(0)
    entry = case.ledger().window(START)
    case.stream.status = {key: row for key, row in case.stream.status.items() if key[1] != "AirflowWindow"}

    assert case.run(0).was_published

    assert case.ledger().window(START).manifest == entry.manifest


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_lost_ledger_is_made_again_from_manifests(case, number):
    case.at(1).write()
    case.at(10).run(0)
    case.stream.write(at=START + timedelta(minutes=2))
    case.at(20).run(2)
    case.stream.lose_ledger()

    case.run(number, force=True)
    case.run(1)

    assert [case.ids(n) for n in range(3)] == [[0], [1], []]


def test_a_window_key_tells_windows_apart():
    assert window_key(window(0)) == "20261120T080000Z-20261120T080500Z"
    odd = Window(START + timedelta(microseconds=7), START + EVERY)
    assert window_key(odd) == "20261120T080000000007Z-20261120T080500Z"
