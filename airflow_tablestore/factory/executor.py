"""The executor's settings as Airflow takes them.

A pod is written in a spec as Kubernetes writes it, in YAML. Airflow takes nothing but an object of Kubernetes' client
there, and fails the task, not the DAG, on anything else; so the object is made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_tablestore.errors import Problem, SpecError

POD = "pod_override"
_PATH = f"airflow.executor_config.{POD}"
_PACKAGE = "apache-airflow-providers-cncf-kubernetes"


def executor_settings(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The author's `executor_config` with its pod, if it has one, as an object.

    :raises SpecError: it is no pod, or what makes pods is not installed here.
    """
    if not given or POD not in given:
        return dict(given) if given else None
    return {**given, POD: _pod(given[POD])}


def _pod(given: Any) -> Any:
    try:
        from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    except ImportError as error:
        hint = f"install {_PACKAGE} wherever DAGs are parsed, or name a pod_template_file"
        raise SpecError([Problem(f"{POD} needs {_PACKAGE}", hint, path=_PATH)]) from error
    if not isinstance(given, Mapping):
        raise SpecError(
            [Problem(f"{POD} is no pod", "write metadata and spec, as in a Kubernetes manifest", path=_PATH)]
        )
    try:
        pod = PodGenerator.deserialize_model_dict(dict(given))
        understood = PodGenerator.serialize_pod(pod)
    except (ValueError, TypeError, AttributeError) as error:
        raise SpecError([Problem(f"Kubernetes refuses the pod: {error}", path=_PATH)]) from error
    unknown = sorted(_missing(given, understood))
    if unknown:
        told = f"no pod has {', '.join(unknown)}"
        raise SpecError(
            [Problem(told, "write the keys as in a Kubernetes manifest, such as imagePullPolicy", path=_PATH)]
        )
    return pod


def _missing(given: Any, understood: Any, place: str = "") -> Iterator[str]:
    """Keys that Kubernetes' client has passed over without a word."""
    if isinstance(given, Mapping) and isinstance(understood, Mapping):
        for key, value in given.items():
            below = f"{place}.{key}" if place else str(key)
            if value is not None and key not in understood:
                yield below
            else:
                yield from _missing(value, understood.get(key), below)
    elif isinstance(given, list) and isinstance(understood, list):
        for number, (one, other) in enumerate(zip(given, understood, strict=False)):
            yield from _missing(one, other, f"{place}[{number}]")
