"""What a request to MaxCompute is about, told before it is verified: for the log and for faults.

Nothing here refuses anything; what cannot be told stays empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_tablestore.emulator.faults import MAXCOMPUTE, Asked
from airflow_tablestore.emulator.maxcompute.request import address_of
from airflow_tablestore.emulator.maxcompute.routes import operation_of


def asked(scope: Mapping[str, Any], body: bytes) -> Asked:
    """Operation, project and table of a request. The body is not looked at."""
    address = address_of(scope)
    operation = operation_of(address)
    name = operation if operation not in ("", "-") else address.method
    return Asked(MAXCOMPUTE, address.project, name, (address.table,) if address.table else ())
