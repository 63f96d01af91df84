"""A table's rows into objects: plan, export each split, publish.

The three steps are three functions because they are three tasks in Airflow; `run` calls them one after another in one
process. What passes between them is in `plan`; who publishes and when is in `publish`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.selection import TableSelection, Unknown
from airflow_tablestore.pipeline.target import ObjectTarget, WriteMode

__all__ = ["FullExport", "ObjectTarget", "TableSelection", "Unknown", "WriteMode"]


@dataclass(frozen=True, slots=True)
class FullExport:
    """One full export, ready to run once its services are given."""

    pipeline: str
    source: TableSelection
    target: ObjectTarget
    limits: Limits = field(default_factory=Limits)
