"""A Celery worker's name, as Airflow's `hostname_callable`: workers on one machine tell themselves apart by it."""

from __future__ import annotations

import os

VARIABLE = "SYSTEM_TEST_WORKER"


def name() -> str:
    """The name that the worker was started with; that of the machine elsewhere."""
    return os.environ.get(VARIABLE) or os.uname().nodename
