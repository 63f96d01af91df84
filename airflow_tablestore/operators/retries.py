"""When Airflow shall try again, and when it shall not.

The error tree says what the caller does next; this file says it in Airflow's words. What repeating cannot help fails
the task at once, whatever its `retries`; everything else is left to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_tablestore.errors import (
    DeliveryError,
    PositionLost,
    RecordError,
    Rejected,
    SpecError,
    StartOver,
    Superseded,
    WindowLost,
)

FINAL = (SpecError, Rejected, PositionLost, RecordError, Superseded, WindowLost, DeliveryError)


@contextmanager
def retried_only_where_it_helps(group: str = "") -> Iterator[None]:
    """Turns a final error into AirflowFailException with the same message; lets every other pass.

    :param group: the task group of the task, which is part of its neighbours' ids in messages.
    """
    try:
        yield
    except StartOver as error:
        told = str(error).replace(f"'{error.task}'", f"'{group}.{error.task}'") if group else str(error)
        raise AirflowFailException(told) from error
    except FINAL as error:
        raise AirflowFailException(str(error)) from error
