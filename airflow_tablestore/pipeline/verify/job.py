"""A comparison as its author describes it, and what it talks to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_tablestore.consumer.table import Sender
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.full_export.export import FullExport
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.verify.report import MOST_NAMED

if TYPE_CHECKING:
    from airflow_tablestore.pipeline.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Verify:
    """What is compared: a table, and the full export under a prefix.

    :param run: one of several that were appended there; "" the last one.
    :param most_named: keys named of each kind of difference.
    """

    table: str
    prefix: str
    run: str = ""
    limits: Limits = field(default_factory=Limits)
    asks_compact: bool = False
    most_named: int = MOST_NAMED


@dataclass(frozen=True, slots=True)
class VerifyLoad:
    """What is compared: a table, and the table or partition of a warehouse that an export has loaded with its rows."""

    export: FullExport
    most_named: int = MOST_NAMED


@dataclass(frozen=True, slots=True)
class VerifyServices:
    """The instance of the table, and the bucket of the objects or the project of the loaded table.

    `ledger` is the instance that keeps which columns a load has; only for a load.
    """

    client: Sender
    store: Store | Warehouse
    ledger: Sender | None = None
