"""Official clients cannot tell the emulator from the service: each judge is one test, the page is one more.

A judge whose runtime is not on this machine is skipped, and is a failure where REQUIRE_JUDGES is 1.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.judges.judge import Judge, Verdict, judges
from tests.judges.runtimes import Absent
from tests.judges.table import PAGE, cells, page
from tests.system.services import emulator

pytestmark = pytest.mark.slow

JUDGES = judges()
Hearing = Callable[[Judge], list[Verdict]]


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("judged")
    with emulator(folder / "data", folder / "log") as services:
        yield services


@pytest.fixture(scope="session")
def hear(services: dict[str, Any]) -> Hearing:
    """Asks a judge once in a session."""
    heard: dict[str, list[Verdict]] = {}

    def asked(judge: Judge) -> list[Verdict]:
        if judge.name not in heard:
            heard[judge.name] = judge.hear(services)
        return heard[judge.name]

    return asked


def absent(reason: Absent) -> None:
    if os.environ.get("REQUIRE_JUDGES") == "1":
        pytest.fail(f"{reason}, and REQUIRE_JUDGES is 1")
    pytest.skip(f"not run: {reason}")


@pytest.mark.parametrize(("required", "outcome"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_an_absent_judge_fails_only_where_judges_are_required(monkeypatch, required, outcome):
    monkeypatch.setenv("REQUIRE_JUDGES", required)

    with pytest.raises(outcome):
        absent(Absent("no such language is on this machine"))


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.name.replace(" ", "-"))
def test_the_client_finds_the_service(hear: Hearing, judge: Judge) -> None:
    try:
        verdicts = hear(judge)
    except Absent as reason:
        absent(reason)

    failed = [f"{one.operation}, {one.case}: {one.detail}" for one in verdicts if not one.passed]

    assert not failed, f"{len(failed)} of {len(verdicts)} cases failed:\n" + "\n".join(failed)


def test_the_page_says_what_the_judges_say(hear: Hearing) -> None:
    heard = {}
    for judge in JUDGES:
        try:
            heard[judge.name] = hear(judge)
        except Absent:
            continue

    written, said = PAGE.read_text(encoding="utf-8"), page(JUDGES, heard)

    told = cells(written)
    assert {name: told.get(name) for name in heard} == cells(said), "run: python -m tests.judges.table"
    if len(heard) == len(JUDGES):
        assert written == said, "run: python -m tests.judges.table"
