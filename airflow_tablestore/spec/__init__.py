"""Pipelines as data: what an author writes, checked completely before anything runs.

`load` reads a file, `lint` finds every problem of many, the kinds' models are the same thing as a Python call. What a
spec becomes is in `build`. No Airflow, no service, nothing executed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_tablestore.spec.common import PipelineSpec
    from airflow_tablestore.spec.kinds.full_export import FullExportSpec
    from airflow_tablestore.spec.lint import lint
    from airflow_tablestore.spec.load import Document, load, parse, read

_PLACES = {
    "Document": "load",
    "FullExportSpec": "kinds.full_export",
    "PipelineSpec": "common",
    "lint": "lint",
    "load": "load",
    "parse": "load",
    "read": "load",
}

__all__ = ["Document", "FullExportSpec", "PipelineSpec", "lint", "load", "parse", "read"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: the command line's help needs no pydantic."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found
