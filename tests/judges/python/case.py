"""Cases of one client: run one after the other, one JSON line for each.

Imports the standard library only, because judges run in environments that have a client and nothing else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

Case = Callable[[Any], None]


class Cases:
    """What a client tries. Each case gets a set-up of its own; any error fails it and the next one runs."""

    def __init__(self) -> None:
        self._cases: list[tuple[str, str, Case]] = []

    def case(self, operation: str, name: str) -> Callable[[Case], Case]:
        """Adds the function as a case of the service's operation."""

        def add(function: Case) -> Case:
            self._cases.append((operation, name, function))
            return function

        return add

    def run(self, client: str, given: Callable[[int], Any]) -> None:
        """Prints {client, operation, case, passed, detail} for each case; `given` makes the set-up of a number."""
        for number, (operation, name, function) in enumerate(self._cases):
            detail = ""
            try:
                function(given(number))
            except Exception as error:  # noqa: BLE001 - whatever a client raises is what the judge says
                detail = f"{type(error).__name__}: {error}"[:500] or "failed"
            line = {"client": client, "operation": operation, "case": name, "passed": not detail, "detail": detail}
            print(json.dumps(line, ensure_ascii=False), flush=True)


def asked() -> dict[str, Any]:
    """What the judge was started with: `client`, `services`, `instance`, `bucket`, `options`."""
    return json.loads(os.environ["JUDGE"])


def equal(found: object, expected: object) -> None:
    """Types count: 1 is neither True nor 1.0."""
    if repr(found) != repr(expected):
        raise AssertionError(f"expected {expected!r}, found {found!r}"[:400])
