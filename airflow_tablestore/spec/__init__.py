"""Pipelines as data: what an author writes, checked completely before anything runs.

`load` reads a file, `lint` finds every problem of many, the kinds' models are the same thing as a Python call. What a
spec becomes is in `build`. No Airflow, no service, nothing executed.
"""

from airflow_tablestore.spec.common import PipelineSpec
from airflow_tablestore.spec.kinds.full_export import FullExportSpec
from airflow_tablestore.spec.kinds.incremental import IncrementalSpec
from airflow_tablestore.spec.lint import lint
from airflow_tablestore.spec.load import Document, from_mapping, load, parse, read

__all__ = [
    "Document",
    "FullExportSpec",
    "IncrementalSpec",
    "PipelineSpec",
    "from_mapping",
    "lint",
    "load",
    "parse",
    "read",
]
