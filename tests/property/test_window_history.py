"""Random histories of a stream and its exports against the writer's own journal.

Every change is in exactly one published window, or the window that it was due in is reported lost. The writer writes,
splits, merges, sets its clock back and hides records; exports run in any order, at once, are killed and run again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from airflow_tablestore.errors import NotDue, RetryLater, StartOver, Superseded, WindowLost
from airflow_tablestore.pipeline.incremental.export import (
    WindowServices,
    accept_loss,
    export_part,
    export_range,
    export_window,
    plan_window,
    publish_window,
)
from airflow_tablestore.pipeline.incremental.plan import PartReport, ShardPart, WindowHead
from tests.conformance.memory_store import MemoryStore
from tests.conformance.memory_stream import MemoryStream
from tests.conformance.windows import EVERY, GRID, START, export, published_ids, window

pytestmark = pytest.mark.slow

HOURS = 2
"""Of retention."""

OUTAGE = timedelta(hours=3)


class Killed(BaseException):
    """The process is no more: whatever it still asks for is not done either."""


class Interrupted:
    """A service or store that does something before its n-th request, and that may be the end of it."""

    def __init__(self, inner: Any, counter: list[int], act: Callable[[], None]):
        self._inner, self._counter, self._act = inner, counter, act

    def __getattr__(self, name: str) -> Any:
        if name == "pausing":
            raise AttributeError(name)
        act = getattr(self._inner, name)

        def asked(*args: Any) -> Any:
            if self._counter[0] < 0:
                raise Killed
            if self._counter[0] > 0:
                self._counter[0] -= 1
                if self._counter[0]:
                    return act(*args)
                try:
                    self._act()
                except Killed:
                    self._counter[0] = -1
                    raise
            return act(*args)

        return asked if callable(act) and name not in ("uri", "service_time") else act


class History:
    """A stream, its exports, and what they said."""

    def __init__(self, shards: int, page_records: int, shares_log: bool):
        self.stream = MemoryStream(
            now=START - timedelta(minutes=1),
            hours=HOURS,
            shards=shards,
            page_records=page_records,
            shares_log=shares_log,
        )
        self.store = MemoryStore()
        self.export = export(threads=1)
        self.lost: set[Any] = set()
        self.has_gone_dark = False
        self.met: set[str] = set()  # told to Hypothesis at the end: threads of the engine cannot

    # ---- the writer

    def write(self, which: int, seconds: int, count: int) -> None:
        for _ in range(count):
            shard = self.stream.open[which % len(self.stream.open)]
            self.stream.write(shard, at=self.stream.now + timedelta(seconds=seconds))

    def advance(self, seconds: int) -> None:
        self.stream.advance(seconds=seconds)

    def split(self, which: int) -> None:
        if len(self.stream.shards) < 12:
            self.stream.split(self.stream.open[which % len(self.stream.open)])

    def merge(self, which: int) -> None:
        if len(self.stream.open) > 1 and len(self.stream.shards) < 12:
            first = which % (len(self.stream.open) - 1)
            self.stream.merge(self.stream.open[first], self.stream.open[first + 1])

    def birth(self, which: int) -> None:
        if len(self.stream.shards) < 12:
            self.stream.birth(self.stream.open[which % len(self.stream.open)])

    def end_parents(self) -> None:
        """Parents whose children are there end at last."""
        for log in list(self.stream.shards.values()):
            for parent in log.parents:
                if parent in self.stream.shards and not self.stream.shards[parent].is_closed:
                    self.stream.end(parent)

    def hold(self) -> None:
        self.stream.hold()

    def release(self) -> None:
        self.stream.release()

    def outage(self) -> None:
        self.stream.release()
        self.stream.advance(hours=OUTAGE.total_seconds() / 3600)
        self.has_gone_dark = True

    def renew(self) -> None:
        self.stream.renew()
        self.has_gone_dark = True

    # ---- exports

    def services(self, counter: list[int] | None = None, act: Callable[[], None] = lambda: None) -> WindowServices:
        if counter is None:
            return WindowServices(self.stream, self.stream, self.store)
        client: Any = Interrupted(self.stream, counter, act)
        store: Any = Interrupted(self.store, counter, act)
        return WindowServices(client, client, store)

    def attempt(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except WindowLost as error:
            self.lost.add(GRID.holding(error.start))
        except (NotDue, Superseded, StartOver, RetryLater) as error:
            self.met.add(type(error).__name__)

    def due(self, back: int) -> int:
        """The number of a window that is due, counted back from the newest; now and then of one that is not."""
        count = len(self.windows())
        return count - 1 - back % count if count and back < 9 else count

    def run(self, back: int) -> None:
        number = self.due(back)
        self.attempt(lambda: export_window(self.export, self.services(), window(number)))

    def force(self, back: int) -> None:
        number = self.due(back)
        before = published_ids(self.store, self.export, window(number))
        self.attempt(lambda: export_window(self.export, self.services(), window(number), force=True))
        if before is not None:
            assert published_ids(self.store, self.export, window(number)) == before

    def range(self, back: int, count: int) -> None:
        number = self.due(back)
        begin, end = window(number).start, window(number + count).start
        self.attempt(lambda: list(export_range(self.export, self.services(), begin, end)))

    def kill(self, back: int, nth: int) -> None:
        number = self.due(back)

        def die() -> None:
            raise Killed

        try:
            self.attempt(lambda: export_window(self.export, self.services([nth], die), window(number)))
        except Killed:
            self.met.add("killed")

    def meet(self, back: int, nth: int, others: list[tuple[Any, ...]]) -> None:
        """While a window is exported, before its n-th request, other things happen."""
        number = self.due(back)

        def happen() -> None:
            for other in others:
                self.do(other)

        self.attempt(lambda: export_window(self.export, self.services([nth], happen), window(number)))

    def mapped(self, back: int, others: list[tuple[Any, ...]]) -> None:
        """The three steps as tasks, with JSON between them and other things happening meanwhile."""
        number = self.due(back)
        exported = export(threads=1, workers=2)

        def tasks() -> None:
            plan = plan_window(exported, self.services(), window(number))
            head = WindowHead.from_json(plan.head.to_json())
            reports = []
            for part in reversed(plan.parts):
                for other in others:
                    self.do(other)
                again = ShardPart.from_json(part.to_json())
                report = export_part(exported, self.services(), head, again, attempt=1)
                reports.append(PartReport.from_json(report.to_json()))
            publish_window(exported, self.services(), head, reports, attempt=1)

        self.attempt(tasks)

    def do(self, action: tuple[Any, ...]) -> None:
        getattr(self, action[0])(*action[1:])

    # ---- the end

    def finish(self) -> None:
        """Everything becomes visible, and the scheduler catches up with every window."""
        self.release()
        self.end_parents()
        for _ in range(2):  # a child may have to wait for a window after its parents'
            self.advance(600)
            for one in GRID.between(START, GRID.last_due(self.stream.now, EVERY).end):
                if one not in self.lost and published_ids(self.store, self.export, one) is None:
                    self.attempt(lambda one=one: export_window(self.export, self.services(), one))  # type: ignore[misc]

    def windows(self) -> list[Any]:
        return list(GRID.between(START, GRID.last_due(self.stream.now, EVERY).end))

    def check(self) -> None:
        found = {one: published_ids(self.store, self.export, one) for one in self.windows()}
        assert {one for one, ids in found.items() if ids is None} <= self.lost
        times = Counter(id_ for ids in found.values() for id_ in ids or [])
        assert [id_ for id_, count in times.items() if count > 1] == []
        missing = {id_: micros for id_, micros in self.stream.journal if id_ not in times}
        lost = sorted(one for one in self.lost if found.get(one) is None)
        ends = [(one.end - START) // timedelta(microseconds=1) for one in lost]
        start = (START - timedelta(0)).timestamp() * 1_000_000
        early = {id_ for id_, micros in missing.items() if micros < start}
        for id_, micros in missing.items():
            assert id_ in early or any(micros - start < end for end in ends), f"change {id_} is in no window"
        if not self.has_gone_dark:
            assert not lost
        self.met.add(f"lost windows: {'some' if lost else 'none'}")

    def check_order(self) -> None:
        """No change of a child is in an earlier window than one of its parents."""
        spans: dict[str, list[int]] = {}
        for number, one in enumerate(self.windows()):
            for id_ in published_ids(self.store, self.export, one) or []:
                spans.setdefault(self.stream.shard_of[id_], []).append(number)
        for shard, numbers in spans.items():
            for parent in self.stream.parents_of[shard]:
                assert max(spans.get(parent, [0])) <= min(numbers), f"{shard} was read before its parent {parent}"

    def accept(self) -> None:
        for one in sorted(self.lost):
            if published_ids(self.store, self.export, one) is None:
                accept_loss(self.export, self.services(), one, "it is gone")
                report = export_window(self.export, self.services(), one)
                assert (report.rows, report.loss) == (0, "it is gone")


numbers = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 8, 9])
shards = st.integers(0, 3)
writing = st.one_of(
    st.tuples(st.just("write"), shards, st.sampled_from([0, 0, 0, -40, -400, -1500, 60]), st.integers(1, 4)),
    st.tuples(st.just("advance"), st.sampled_from([20, 100, 310, 310, 610])),
    st.tuples(st.just("split"), shards),
    st.tuples(st.just("merge"), shards),
    st.tuples(st.just("birth"), shards),
    st.tuples(st.sampled_from(["end_parents", "hold", "release"])),
)
exporting = st.one_of(
    st.tuples(st.just("run"), numbers),
    st.tuples(st.just("force"), numbers),
    st.tuples(st.just("range"), numbers, st.integers(1, 4)),
    st.tuples(st.just("kill"), numbers, st.integers(1, 60)),
)
others = st.lists(st.one_of(writing, exporting), min_size=1, max_size=3)
meeting = st.one_of(
    st.tuples(st.just("meet"), numbers, st.integers(1, 60), others), st.tuples(st.just("mapped"), numbers, others)
)
dark = st.tuples(st.sampled_from(["outage", "renew"]))
histories = st.lists(st.one_of(writing, writing, exporting, meeting), min_size=5, max_size=30)
streams = st.tuples(st.integers(1, 3), st.sampled_from([2, 1000]), st.booleans())
quiet = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def settled(stream: tuple[int, int, bool], *actions: tuple[Any, ...]) -> History:
    history = History(*stream)
    history.advance(61)
    for action in actions:
        history.do(action)
    history.finish()
    history.check()
    history.check_order()
    history.accept()
    for met in sorted(history.met):
        event(met)
    return history


@quiet
@given(streams, histories)
def test_every_change_is_in_exactly_one_window(stream, history):
    settled(stream, *history)


@settings(quiet, max_examples=60)
@given(streams, histories, dark, histories)
@example(  # another run is killed while a thread of the engine searches
    (3, 2, True),
    [("advance", 20), ("write", 0, 0, 3), ("write", 0, 0, 3)],
    ("outage",),
    [("advance", 40), ("meet", 0, 16, [("merge", 0), ("advance", 20), ("kill", 1, 3)])],
)
def test_after_an_outage_a_change_is_in_one_window_or_its_window_is_lost(stream, before, outage, after):
    settled(stream, *before, outage, *after)
