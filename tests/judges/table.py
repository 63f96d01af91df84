"""The page of what judges said: `python -m tests.judges.table` runs them all and writes docs/reference/judges.md.

What is timed or random in a run does not get onto the page, so that equal verdicts give equal pages.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.judges.judge import Judge, Verdict, judges
from tests.judges.runtimes import ROOT, Absent
from tests.system.services import emulator

PAGE = ROOT / "docs/reference/judges.md"
PASSED, FAILED, NOT_ASKED, NOT_RUN = "yes", "**no**", "", "not run"
HEAD = """# What official clients say of the emulator

Clients that this project did not write run against the emulator, each as a process of its own, unmodified, and say of
each case whether it went as it does with the service. `make conformance` asks them; what differs from the service for
reasons, and what is not there, is in [emulator-fidelity.md](emulator-fidelity.md).

<!-- Generated from tests/judges: change the cases there, then run `python -m tests.judges.table`. -->
"""

Heard = Mapping[str, list[Verdict]]
"""The verdicts of each judge, by its name."""


def main() -> int:
    """Asks every judge and writes the page; 1 when a case failed."""
    with tempfile.TemporaryDirectory() as folder, emulator(Path(folder) / "data", Path(folder) / "log") as services:
        heard = _heard(judges(), services)
    PAGE.write_text(page(judges(), heard), encoding="utf-8")
    failed = [(name, one) for name, verdicts in heard.items() for one in verdicts if not one.passed]
    for name, verdict in failed:
        sys.stderr.write(f"{name}: {verdict.operation}, {verdict.case}: {verdict.detail}\n")
    return 1 if failed else 0


def _heard(asked: Iterable[Judge], services: Mapping[str, Any]) -> dict[str, list[Verdict]]:
    """The verdicts of those whose runtime is on this machine."""
    heard = {}
    for judge in asked:
        try:
            heard[judge.name] = judge.hear(services)
        except Absent as reason:
            sys.stderr.write(f"{judge.name}: not run: {reason}\n")
    return heard


def page(asked: Iterable[Judge], heard: Heard) -> str:
    """The page, from everyone who was to be asked and what was heard."""
    services: dict[str, list[Judge]] = {}
    for judge in asked:
        services.setdefault(judge.service, []).append(judge)
    return HEAD + "".join(_service(name, judges, heard) for name, judges in services.items())


def cells(text: str) -> dict[str, dict[tuple[str, str], str]]:
    """What a page says: for each judge, what it said of (operation, case).

    Cases that it was not asked, or did not run for, are left out.
    """
    found: dict[str, dict[tuple[str, str], str]] = {}
    columns: list[str] = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.strip("|").split("|")] if line.startswith("|") else []
        if fields[:2] == ["operation", "case"]:
            columns = fields[2:]
        elif not fields or fields[0] == "operation":
            columns = []
        elif columns and not fields[0].startswith("---"):
            for name, said in zip(columns, fields[2:], strict=True):
                if said not in (NOT_ASKED, NOT_RUN):
                    found.setdefault(name, {})[fields[0], fields[1]] = said
    return found


def _service(service: str, judges: list[Judge], heard: Heard) -> str:
    said = {
        judge.name: {(v.operation, v.case): v.passed for v in heard[judge.name]} if judge.name in heard else None
        for judge in judges
    }
    cases = sorted({key for verdicts in said.values() for key in verdicts or ()}, key=str)
    operations = list(dict.fromkeys(operation for operation, _ in cases))
    names = [judge.name for judge in judges]
    clients = [[judge.name, judge.client] for judge in judges]
    sums = [[operation, *(_sum(said[name], operation) for name in names)] for operation in operations]
    rows = [[*case, *(_word(said[name], case) for name in names)] for case in cases]
    return (
        f"\n## {service}\n\n{_table(['column', 'client'], clients)}\n"
        f"Cases that passed, of those asked:\n\n{_table(['operation', *names], sums)}\n"
        f"### {service}, case by case\n\n{_table(['operation', 'case', *names], rows)}"
    )


def _sum(said: Mapping[tuple[str, str], bool] | None, operation: str) -> str:
    if said is None:
        return NOT_RUN
    asked = [passed for (of, _), passed in said.items() if of == operation]
    return f"{sum(asked)} of {len(asked)}" if asked else NOT_ASKED


def _word(said: Mapping[tuple[str, str], bool] | None, case: tuple[str, str]) -> str:
    if said is None:
        return NOT_RUN
    return NOT_ASKED if case not in said else PASSED if said[case] else FAILED


def _table(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
