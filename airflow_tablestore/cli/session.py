"""What a command works with: where it writes, whom it asks for connections, what time it is.

The command line reads connections from the environment, `airflow tablestore` from Airflow; a test gives its own.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from zoneinfo import ZoneInfo

from airflow_tablestore.errors import Problem, SpecError, TablestoreError

if TYPE_CHECKING:
    from airflow_tablestore.pipeline.connections import Fields

OK, FAILED, MUST_CHANGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; the pipeline failed; the spec, a connection or the call must be changed; Ctrl-C."""

DEBUG_VARIABLE = "AIRFLOW_TABLESTORE_DEBUG"


def _environment(conn_id: str) -> Fields:
    from airflow_tablestore.pipeline.connections import from_environment

    return from_environment(conn_id, os.environ)


@dataclass(frozen=True, slots=True)
class Session:
    """The surroundings of one command."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    connection: Callable[[str], Fields] = _environment
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def say(self, text: str = "") -> None:
        """A line of the result."""
        print(text, file=self.out)

    def tell(self, text: str) -> None:
        """A line beside the result: progress, warnings, errors."""
        print(text, file=self.err)


def call(place: str, arguments: Namespace, session: Session) -> int:
    """Run a command and turn what it raises into one clear block and an exit code."""
    module, _, name = place.partition(":")
    try:
        handler: Callable[[Namespace, Session], int] = getattr(importlib.import_module(module), name)
        return handler(arguments, session)
    except BrokenPipeError:
        _close_quietly()
        return OK
    except KeyboardInterrupt:
        session.tell("Interrupted.")
        return INTERRUPTED
    # The one place where everything ends: a bug too is told in one block, and --debug shows where it is.
    except Exception as error:  # noqa: BLE001
        if getattr(arguments, "debug", False) or os.environ.get(DEBUG_VARIABLE):
            session.tell("".join(traceback.format_exception(error)))
        session.tell(_block(error, getattr(arguments, "spec", "")))
        return MUST_CHANGE if isinstance(error, SpecError) else FAILED


def _block(error: Exception, spec: str) -> str:
    from airflow_tablestore.spec.document import located
    from airflow_tablestore.spec.problems import masked
    from airflow_tablestore.spec.show import show

    if isinstance(error, SpecError):
        texts = _texts([*(p.file for p in error.problems), spec])
        return show([located(problem, texts.get(spec, ""), spec) for problem in error.problems], texts)
    if isinstance(error, TablestoreError):
        return f"error: {masked(str(error))}"
    told = masked(f"{type(error).__name__}: {error}")
    return f"error: {told}\n    hint: this is a bug of airflow-tablestore; --debug shows where"


def _texts(files: Iterable[str]) -> dict[str, str]:
    from airflow_tablestore.spec.document import read_bytes

    return {file: read_bytes(Path(file))[0] for file in set(files) if file}


def _close_quietly() -> None:
    """Who reads our output has gone; without this Python would complain once more when it flushes at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def moment_of(arguments: Namespace, session: Session, timezone: str) -> datetime:
    """`--run-date`, or now.

    :param timezone: the spec's, which a time without a zone is in.

    :raises SpecError: it is no time.
    """
    given: Any = getattr(arguments, "run_date", None)
    if not given:
        return session.now()
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise SpecError([Problem(f"--run-date: '{given}' is no time", "write 2026-11-20T00:00:00+08:00")]) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))
