"""What a publication says about itself: `_manifest.json`.

A reader needs nothing else: which objects belong to the export, how large they are and what they hold, in which format
and with which types. Later runs read it too: it keeps the pinned schema and says what may be deleted. It holds no
credentials, and no times of its own: those of the reading are the service's, and a publication that is tried again
writes the same manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_tablestore import __version__
from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.pipeline.boundaries import Boundary
from airflow_tablestore.pipeline.contract import Schema
from airflow_tablestore.pipeline.dirty import DirtySample, samples_from_json
from airflow_tablestore.pipeline.layout import MANIFEST
from airflow_tablestore.pipeline.store import ObjectReader
from airflow_tablestore.pipeline.window import Window

VERSION = 1
"""Of the document. A reader refuses a version that it does not know."""

WRITER = f"airflow-tablestore {__version__}"


@dataclass(frozen=True, slots=True)
class PublishedObject:
    """One object of an export. `run` is the run that wrote it: an appended prefix holds those of several."""

    key: str
    rows: int
    bytes: int
    crc64: int
    run: str


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """One column of the objects. `type` is a Tablestore type, or "json" for `_other`.

    `source` is the table's column, None for a constant.
    """

    name: str
    type: str
    source: str | None


@dataclass(frozen=True, slots=True)
class PublishedWindow:
    """One window of an incremental export, with all that is needed to export it, or the next one, without a ledger.

    `run` is what its objects are listed under. `begin` and `end` are where it lies in the stream; None for a loss that
    was accepted, whose reason is `loss`. `predecessor` is the run of the window before, if that was published earlier.
    `samples` are some of the window's dirty records.
    """

    run: str
    window: Window
    stream_id: str
    begin: Boundary | None
    end: Boundary | None
    predecessor: str | None = None
    late: int = 0
    partial_rows: int = 0
    dirty: int = 0
    loss: str | None = None
    samples: tuple[DirtySample, ...] = ()

    def to_json(self) -> dict[str, Any]:
        document = {
            "run": self.run,
            "start": self.window.start.isoformat(),
            "end": self.window.end.isoformat(),
            "stream": self.stream_id,
            "from": self.begin.to_json() if self.begin else None,
            "to": self.end.to_json() if self.end else None,
            "predecessor": self.predecessor,
            "late": self.late,
            "partial_rows": self.partial_rows,
            "dirty": self.dirty,
            "loss": self.loss,
        }
        return document | _samples_to_json(self.samples)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PublishedWindow:
        return cls(
            data["run"],
            Window(datetime.fromisoformat(data["start"]), datetime.fromisoformat(data["end"])),
            data["stream"],
            Boundary.from_json(data["from"]) if data["from"] else None,
            Boundary.from_json(data["to"]) if data["to"] else None,
            data["predecessor"],
            data["late"],
            data["partial_rows"],
            data["dirty"],
            data["loss"],
            samples_from_json(data.get("samples", ())),
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """One published export. `claim` orders publications at a prefix; `begin` and `end` are the range's key values.

    `objects` are those of all runs that the prefix holds, `dirty` and `others` what the last run counted, `samples`
    some of its dirty records. `windows` are those of an incremental export, one for each run, in the order of time.
    `read` is when the run's rows were read, by the service's clock: a change before its first moment is in them, one
    after its second is not. None: nobody knows.
    """

    pipeline: str
    run: str
    claim: int
    table: str
    begin: tuple[Any, ...]
    end: tuple[Any, ...]
    schema: Schema
    columns: tuple[OutputColumn, ...]
    format: dict[str, Any]
    objects: tuple[PublishedObject, ...]
    dirty: int = 0
    others: int = 0
    windows: tuple[PublishedWindow, ...] = ()
    samples: tuple[DirtySample, ...] = ()
    writer: str = WRITER
    read: tuple[datetime, datetime] | None = None

    @property
    def rows(self) -> int:
        return sum(o.rows for o in self.objects)

    @property
    def total_bytes(self) -> int:
        return sum(o.bytes for o in self.objects)

    def of_run(self, run: str) -> tuple[PublishedObject, ...]:
        return tuple(o for o in self.objects if o.run == run)

    def window_of(self, run: str) -> PublishedWindow | None:
        return next((window for window in self.windows if window.run == run), None)

    def listing_also(self, objects: Iterable[PublishedObject], windows: Iterable[PublishedWindow] = ()) -> Manifest:
        """This manifest with what another one listed and this one does not."""
        known, runs = {o.key for o in self.objects}, {window.run for window in self.windows}
        all_windows = (*self.windows, *(window for window in windows if window.run not in runs))
        return replace(
            self,
            objects=(*self.objects, *(o for o in objects if o.key not in known)),
            windows=tuple(sorted(all_windows, key=lambda window: window.window)),
        )

    def to_bytes(self) -> bytes:
        document: dict[str, Any] = {
            "version": VERSION,
            "writer": self.writer,
            "pipeline": self.pipeline,
            "run": self.run,
            "claim": self.claim,
            "source": {"table": self.table, "range": {"begin": list(self.begin), "end": list(self.end)}},
            "schema": self.schema.to_json(),
            "columns": [{"name": c.name, "type": c.type, "source": c.source} for c in self.columns],
            "format": self.format,
            "rows": self.rows,
            "bytes": self.total_bytes,
            "dirty": self.dirty,
            "others": self.others,
            "objects": [
                {"key": o.key, "rows": o.rows, "bytes": o.bytes, "crc64": str(o.crc64), "run": o.run}
                for o in self.objects
            ],
        }
        document |= _samples_to_json(self.samples)
        if self.read:
            document["read"] = [moment.isoformat() for moment in self.read]
        if self.windows:
            document["windows"] = [window.to_json() for window in self.windows]
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes, place: str) -> Manifest:
        """:raises ProtocolError: no manifest, or one of a version that this package does not know."""
        try:
            document = json.loads(data)
            version = document["version"]
            if version == VERSION:
                return _read(document)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ProtocolError(
                f"{place} is no manifest that airflow-tablestore wrote: {error!r}. Look at that "
                "object; restore it, or delete it: then objects that it listed stay until somebody removes them."
            ) from error
        raise ProtocolError(
            f"{place} has version {version}; this is {WRITER}, which reads version {VERSION}. Upgrade it."
        )


def read_manifest(store: ObjectReader, prefix: str, name: str = MANIFEST) -> Manifest | None:
    """The manifest under a prefix; None when there is none."""
    data = store.get(prefix + name)
    return None if data is None else Manifest.from_bytes(data, store.uri(prefix + name))


def is_complete(store: ObjectReader, manifest: Manifest) -> bool:
    """Whether every object that the manifest lists stands there, byte for byte."""
    return all(stands(store, o.key, o.bytes, o.crc64) for o in manifest.objects)


def stands(store: ObjectReader, key: str, size: int, crc64: int) -> bool:
    """Whether the object there has this size and this CRC64."""
    found = store.head(key)
    return found is not None and (found.bytes, found.crc64) == (size, crc64)


def _samples_to_json(samples: tuple[DirtySample, ...]) -> dict[str, Any]:
    return {"samples": [sample.to_json() for sample in samples]} if samples else {}


def _read(document: dict[str, Any]) -> Manifest:
    source = document["source"]
    return Manifest(
        pipeline=document["pipeline"],
        run=document["run"],
        claim=document["claim"],
        table=source["table"],
        begin=tuple(source["range"]["begin"]),
        end=tuple(source["range"]["end"]),
        schema=Schema.from_json(document["schema"]),
        columns=tuple(OutputColumn(c["name"], c["type"], c["source"]) for c in document["columns"]),
        format=document["format"],
        objects=tuple(
            PublishedObject(o["key"], o["rows"], o["bytes"], int(o["crc64"]), o["run"]) for o in document["objects"]
        ),
        dirty=document["dirty"],
        others=document["others"],
        windows=tuple(PublishedWindow.from_json(window) for window in document.get("windows", ())),
        samples=samples_from_json(document.get("samples", ())),
        writer=document["writer"],
        read=_moments(document.get("read")),
    )


def _moments(told: list[str] | None) -> tuple[datetime, datetime] | None:
    return (datetime.fromisoformat(told[0]), datetime.fromisoformat(told[1])) if told else None
