"""Work that is one task: what other kinds ask a person to clear, its next attempt does anew by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_tablestore.errors import RetryLater, StartOver, WindowMissing


@contextmanager
def begun_anew_by_the_next_attempt() -> Iterator[None]:
    """Turns what says "start over" into what says "try again"; the reason stays."""
    try:
        yield
    except StartOver as error:
        reason = str(error).partition(" Clear the task ")[0]
        raise RetryLater(f"{reason} The next attempt begins anew.", code="StartOver") from error


@contextmanager
def awaited_by_the_next_attempt() -> Iterator[None]:
    """Turns "no window holds these changes" into "try again": the window may be published late, or exported again."""
    try:
        yield
    except WindowMissing as error:
        raise RetryLater(f"{error}. The next attempt looks again.", code="WindowMissing") from error
