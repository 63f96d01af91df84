"""The sinks that a kind can feed, by their `type`; what is said about all of them alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from airflow_tablestore.spec.maxcompute_sink import MaxComputeSink
from airflow_tablestore.spec.oss_sink import OssSink, prefix_problems, sink_warnings
from airflow_tablestore.spec.problems import Finding, did_you_mean, faults, finding, shown

__all__ = ["MAXCOMPUTE", "OSS", "TABLESTORE", "Sink", "known_sink", "place_problems", "sink_warnings"]

OSS, MAXCOMPUTE, TABLESTORE = "oss", "maxcompute", "tablestore"


def _type(value: Any) -> str:
    """Which sink is meant; objects when it does not say, so that the missing key is told."""
    given = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "<maxcompute>" if given == MAXCOMPUTE else "<oss>"


Sink = Annotated[
    Annotated[OssSink, Tag("<oss>")] | Annotated[MaxComputeSink, Tag("<maxcompute>")],
    Discriminator(_type),
]


def known_sink(value: object, what: str, types: Sequence[str]) -> object:
    """A sink as data, unless it names a type that this kind cannot feed."""
    if isinstance(value, dict) and "type" in value and value["type"] not in types:
        given = value["type"]
        hint = did_you_mean(given, types) if isinstance(given, str) else f"known: {', '.join(types)}"
        raise faults([finding(("type",), f"{shown(given)} is no sink of {what} in this version", hint)])
    return value


def place_problems(sink: object, allowed: Sequence[str]) -> Iterator[Finding]:
    """What is wrong with the placeholders of a sink, as it was written."""
    for key in ("prefix", "partition"):
        value = sink.get(key) if isinstance(sink, dict) else getattr(sink, key, None)
        yield from prefix_problems(value, allowed, key)
