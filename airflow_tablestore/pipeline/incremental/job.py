"""What an incremental export is, what it talks to, and what became of one window: the values that its steps share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_tablestore.errors import WindowLost
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.dirty import DirtySample, samples_from_json
from airflow_tablestore.pipeline.incremental.ledger import Ledger, WindowEntry, WindowState
from airflow_tablestore.pipeline.selection import ChangeSelection
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.target import ObjectTarget, TableTarget
from airflow_tablestore.pipeline.window import Grid, Window

if TYPE_CHECKING:
    from airflow_tablestore.consumer.stream import StreamSender
    from airflow_tablestore.consumer.table import Sender
    from airflow_tablestore.pipeline.warehouse import Warehouse

STATUS_TABLE = "TableStoreStreamReaderStatusTable"
"""Where the ledger is kept unless the author says otherwise: the table that DataX uses."""


@dataclass(frozen=True, slots=True)
class Incremental:
    """One incremental export, ready to run once its services are given.

    `instance` names the source's Tablestore instance, in the ledger's keys. `lag` is how long after its end a window
    is read at the earliest. `target` gives where a window's objects go; its prefix is rendered with the window's start.
    """

    pipeline: str
    instance: str
    source: ChangeSelection
    grid: Grid
    lag: timedelta
    target: Callable[[Window], ObjectTarget | TableTarget]
    limits: Limits = field(default_factory=Limits)
    status_table: str = STATUS_TABLE


@dataclass(frozen=True, slots=True)
class WindowServices:
    """What a window export talks to: the source's instance, the ledger's (often the same client), and the sink."""

    client: StreamSender
    ledger: Sender
    store: Store | Warehouse


@dataclass(frozen=True, slots=True)
class WindowReport:
    """What became of one window. `rows` and `bytes` are those of its own published objects.

    `late` records are older than the window that they are in. `partial_rows` are updates that lack some of the chosen
    columns. `samples` are some of the dirty records. `was_published`: it stood already and nothing was read.
    `loss` is the reason of a loss that somebody has accepted; then there are no rows. `takeover` says how the first
    window goes on from what DataX has left.
    """

    pipeline: str
    window: Window
    run: str
    rows: int
    bytes: int
    objects: int
    seconds: float
    dirty: int
    late: int
    partial_rows: int
    manifest: str
    was_published: bool = False
    loss: str | None = None
    samples: tuple[DirtySample, ...] = ()
    takeover: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "start": self.window.start.isoformat(),
            "end": self.window.end.isoformat(),
            "run": self.run,
            "rows": self.rows,
            "bytes": self.bytes,
            "objects": self.objects,
            "seconds": round(self.seconds, 3),
            "dirty": self.dirty,
            "late": self.late,
            "partial_rows": self.partial_rows,
            "manifest": self.manifest,
            "was_published": self.was_published,
            "loss": self.loss,
            "samples": [sample.to_json() for sample in self.samples],
            "takeover": self.takeover,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WindowReport:
        window = Window(datetime.fromisoformat(data["start"]), datetime.fromisoformat(data["end"]))
        rest = {name: value for name, value in data.items() if name not in ("start", "end", "samples")}
        return cls(window=window, **rest, samples=samples_from_json(data["samples"]))


def ledger_of(export: Incremental, services: WindowServices) -> Ledger:
    """The pipeline's ledger."""
    return Ledger(services.ledger, export.status_table, export.instance, export.source.table, export.pipeline)


def service_time(export: Incremental, services: WindowServices) -> datetime:
    """The service's clock; asked of the service when it has said nothing yet."""
    from airflow_tablestore.wire.table import describe_table

    now = services.client.service_time()
    if now is None:
        services.client.send(describe_table(export.source.table))
        now = services.client.service_time()
    return now or datetime.now(UTC)


def lost(export: Incremental, services: WindowServices, window: Window, stream_id: str, reason: str) -> WindowLost:
    """The error, once the ledger says so; what was published stays published there."""
    ledger = ledger_of(export, services)
    entry = ledger.window(window.start)
    if entry is None or entry.state is not WindowState.PUBLISHED:
        now = service_time(export, services)
        ledger.record(WindowEntry(window, WindowState.LOST, stream_id=stream_id, reason=reason, recorded_at=now))
    return WindowLost(
        f"Window {window} of '{export.pipeline}' is lost: {reason}. To go on without it: airflow-tablestore ledger "
        f"accept-loss SPEC --from {window.start.isoformat()} --to {window.end.isoformat()} --reason TEXT",
        start=window.start,
        end=window.end,
        reason=reason,
    )
