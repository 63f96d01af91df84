"""When Airflow shall try again, and when it shall not.

The error tree says what the caller does next; this file says it in Airflow's words. What repeating cannot help fails
the task at once, whatever its `retries`; everything else is left to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_tablestore.errors import PositionLost, RecordError, Rejected, SpecError, StartOver, Superseded

FINAL = (SpecError, Rejected, PositionLost, RecordError, Superseded, StartOver)


@contextmanager
def retried_only_where_it_helps() -> Iterator[None]:
    """Turns a final error into AirflowFailException with the same message; lets every other pass."""
    try:
        yield
    except FINAL as error:
        raise AirflowFailException(str(error)) from error
