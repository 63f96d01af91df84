"""What Airflow is doing while the demo runs: every run of every DAG, and a line whenever one has come further.

Two questions over the REST API at each look, however many runs there are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console

from tests.system.stack import Stack, StackBroke

FINISHED = ("success", "failed")
PAGE = 100
"""The most that Airflow answers with at once."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run as Airflow tells it. `how`: manual, scheduled or backfill; `date` is the beginning of its window."""

    dag_id: str
    run_id: str
    how: str
    state: str
    date: datetime | None = None
    began: datetime | None = None
    ended: datetime | None = None

    @property
    def is_over(self) -> bool:
        return self.state in FINISHED

    @property
    def seconds(self) -> float:
        """Its wall time; 0 before it has ended."""
        return (self.ended - self.began).total_seconds() if self.began and self.ended else 0.0

    @property
    def name(self) -> str:
        """How people tell it from others."""
        return f"{self.dag_id} {self.date:%H:%M}" if self.date and self.how != "manual" else self.dag_id


@dataclass
class Runs:
    """All runs, as they were at the last look."""

    stack: Stack
    out: Console
    seen: dict[tuple[str, str], Run] = field(default_factory=dict)
    _tasks: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    _told: dict[tuple[str, str], str] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def start(
        self, dag_id: str, conf: Mapping[str, Any] | None = None, about: datetime | None = None
    ) -> tuple[str, str]:
        """Start a run as a person would, be it about another time than now; what to ask for it with."""
        key = dag_id, self.stack.trigger(dag_id, conf, about)
        self.seen[key] = Run(*key, "manual", "queued")
        return key

    def look(self) -> None:
        """Ask Airflow, and tell what is new.

        :raises StackBroke: one of its processes has ended.
        """
        self.stack.check_alive()
        self.seen.update((((run := _run(one)).dag_id, run.run_id), run) for one in self._all("dags/~/dagRuns"))
        self._tasks = {}
        for task in self._all("dags/~/dagRuns/~/taskInstances", "task_instances"):
            self._tasks.setdefault((task["dag_id"], task["dag_run_id"]), []).append(task)
        for key, run in self.seen.items():
            told = self._line(key, run)
            if not self._told.get(key, "").startswith(told):
                self._told[key] = told
                self.say(f"{run.name:<23} {told}")

    def say(self, line: str) -> None:
        """A line of progress, behind the seconds since the first run was started."""
        self.out.print(f"  {time.monotonic() - self._since:3.0f} s  {line}", soft_wrap=True)

    def of(self, dag_id: str) -> list[Run]:
        return [run for run in self.seen.values() if run.dag_id == dag_id]

    def tasks(self, key: tuple[str, str]) -> list[dict[str, Any]]:
        """The task instances of a run."""
        return self._tasks.get(key, [])

    def wait(self, key: tuple[str, str], seconds: float) -> Run:
        """The run when it has ended.

        :raises StackBroke: it has not ended in this time.
        """
        until = time.monotonic() + seconds
        while not self.seen[key].is_over:
            if time.monotonic() > until:
                raise StackBroke(f"{key[0]} did not end within {seconds:.0f} s; logs: {self.stack.home / 'logs'}")
            time.sleep(0.5)
            self.look()
        return self.seen[key]

    def failures(self, keys: list[tuple[str, str]]) -> str:
        """Which of these runs did not succeed, and where to read why; "" when all did."""
        for key in keys:
            if self.seen[key].state != "success":
                failed = sorted({t["task_id"] for t in self.tasks(key) if t["state"] in ("failed", "upstream_failed")})
                where = self.stack.home / "logs" / f"dag_id={key[0]}" / f"run_id={key[1]}"
                return f"the run ended {self.seen[key].state} (tasks: {', '.join(failed) or 'none'}); see {where}"
        return ""

    def _line(self, key: tuple[str, str], run: Run) -> str:
        if run.is_over:
            return f"{'done' if run.state == 'success' else '[red]failed[/red]'} after {run.seconds:.0f} s"
        return ", ".join(_task_lines(self.tasks(key)))

    def _all(self, path: str, name: str = "dag_runs") -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            asked = {"limit": str(PAGE), "offset": str(offset), "order_by": "id" if name == "dag_runs" else "map_index"}
            answer = self.stack.api("GET", path, params=asked)
            yield from answer[name]
            offset += PAGE
            if offset >= answer["total_entries"]:
                return


def _run(told: dict[str, Any]) -> Run:
    dates = (told[name] and datetime.fromisoformat(told[name]) for name in ("logical_date", "start_date", "end_date"))
    return Run(told["dag_id"], told["dag_run_id"], told["run_type"], told["state"], *dates)


def _task_lines(instances: list[dict[str, Any]]) -> Iterator[str]:
    """The tasks that are done, waiting in the triggerer or in trouble, in the order in which they began."""
    by_task: dict[str, list[dict[str, Any]]] = {}
    for instance in sorted(instances, key=lambda one: one["start_date"] or "~"):
        by_task.setdefault(instance["task_id"].rsplit(".")[-1], []).append(instance)
    for task, its in by_task.items():
        states = {one["state"] for one in its}
        if states == {"success"}:
            yield f"{task} x{len(its)}" if len(its) > 1 else task
        for state, told in (("deferred", "waits in the triggerer"), ("up_for_retry", "is tried again")):
            if state in states:
                yield f"{task} {told}"
