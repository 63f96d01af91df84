"""The kinds of pipeline that a spec can describe: one file each.

To add a kind, write its model beside `full_export` and name it in `_MODELS`; load, lint, schema, reference and explain
follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_tablestore.spec.problems import Finding, did_you_mean, finding, shown

if TYPE_CHECKING:
    from airflow_tablestore.spec.common import PipelineSpec

_MODELS = {
    "full_export": "airflow_tablestore.spec.kinds.full_export:FullExportSpec",
    "incremental": "airflow_tablestore.spec.kinds.incremental:IncrementalSpec",
    "delivery": "airflow_tablestore.spec.kinds.delivery:DeliverySpec",
    "stream": "airflow_tablestore.spec.kinds.stream:StreamSpec",
    "restore": "airflow_tablestore.spec.kinds.restore:RestoreSpec",
    "snapshot": "airflow_tablestore.spec.kinds.snapshot:SnapshotSpec",
    "dataworks": "airflow_tablestore.spec.kinds.dataworks:DataworksSpec",
}
KINDS = tuple(_MODELS)


def model_of(kind: str) -> type[PipelineSpec]:
    """The model of a kind; imported when it is asked for."""
    module, _, name = _MODELS[kind].partition(":")
    found: type[PipelineSpec] = getattr(import_module(module), name)
    return found


def kind_of(data: Mapping[str, Any]) -> str | Finding:
    """The kind that the data name, or what is wrong with it."""
    known = f"this version builds {', '.join(KINDS)}"
    if "kind" not in data:
        return finding(("kind",), "is missing", known)
    given = data["kind"]
    if not isinstance(given, str):
        return finding(("kind",), f"must be text, not {shown(given)}", known)
    if given not in _MODELS:
        return finding(("kind",), f"{shown(given)} is no kind of pipeline", did_you_mean(given, KINDS))
    return given
