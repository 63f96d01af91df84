"""A table's changes into objects, window by window: plan, export each part, publish.

A window is what lies between two boundaries of the table's stream. Where those are is found by `consumer.stream` and
kept in the ledger; how changes become rows is `sources.stream`; publication is that of a full export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow_tablestore.pipeline.contract import Limits, PendingObject, Progress, Schema, Source
from airflow_tablestore.pipeline.selection import ChangeSelection
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.window import Grid, Window

if TYPE_CHECKING:
    from airflow_tablestore.consumer.stream import StreamSender
    from airflow_tablestore.consumer.table import Sender


class ChangeSource(Source, Protocol):
    """What the engine asks of `sources.stream.StreamSource(span, decoding)`: batches, and what they had to leave out.

    `decoding` is `sources.stream.Decoding(selection, schema, refuse)`; `schema` comes from
    `sources.stream.pin_changes(sender, selection, description, earlier) -> Pinned`. A batch's `bytes_read` are the
    bytes of its records.
    """

    dirty: int
    partial_rows: int


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
    target: Callable[[Window], ObjectTarget]
    limits: Limits = field(default_factory=Limits)
    status_table: str = STATUS_TABLE


@dataclass(frozen=True, slots=True)
class WindowServices:
    """What a window export talks to: the source's instance, the ledger's (often the same client), and the bucket."""

    client: StreamSender
    ledger: Sender
    store: Store


@dataclass(frozen=True, slots=True)
class WindowReport:
    """What became of one window. `rows` and `bytes` are those of its own published objects.

    `late` records are older than the window that they are in. `partial_rows` are updates that lack some of the chosen
    columns. `was_published`: it stood already and nothing was read. `loss` is the reason of a loss that somebody has
    accepted; then there are no rows.
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

    def to_json(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WindowReport:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ShardPart:
    """The work of one task: shards of the stream, parents first. `label` is what a person sees in the grid."""

    number: int
    label: str
    shards: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ShardPart:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class WindowHead:
    """What every task of a window shares, as JSON between them.

    `is_published`: the window stands already, there are no parts, and publishing reports it. `loss`: it was accepted as
    lost, there are no parts, and publishing says so in the manifest.
    """

    window: Window
    run: str
    claim: int
    name: str
    schema: Schema
    parts: int
    stream_id: str
    is_published: bool = False
    loss: str | None = None

    def to_json(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WindowHead:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """A window, divided. Without parts there is nothing to map; publish it with no reports."""

    head: WindowHead
    parts: tuple[ShardPart, ...]


@dataclass(frozen=True, slots=True)
class PartReport:
    """What one task uploaded and counted, and where it ended in each shard."""

    claim: int
    part: int
    objects: tuple[PendingObject, ...]
    rows: int
    bytes_read: int
    dirty: int
    late: int
    partial_rows: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PartReport:
        raise NotImplementedError


def window_key(window: Window) -> str:
    """What a window's objects are named after, whoever exports it: `20261121T040000Z-20261121T040500Z`."""
    raise NotImplementedError


def check_due(export: Incremental, services: WindowServices, window: Window) -> None:
    """Nothing when the window may be read now, by the service's clock.

    :raises NotDue: not yet.
    """
    raise NotImplementedError


def export_window(
    export: Incremental,
    services: WindowServices,
    window: Window,
    *,
    attempt: int = 1,
    progress: Progress | None = None,
    force: bool = False,
    repin: bool = False,
) -> WindowReport:
    """Read and publish one window in this process, its shards side by side.

    :param force: read and publish it again when it stands already.
    :param repin: look at the columns' types again instead of keeping those of the ledger.
    :raises NotDue: see `check_due`.
    :raises WindowLost: the stream no longer keeps all of it; the ledger says so, too.
    :raises Superseded: somebody else exports this window and has taken over.
    """
    raise NotImplementedError


def export_range(
    export: Incremental,
    services: WindowServices,
    begin: datetime,
    end: datetime,
    *,
    attempt: int = 1,
    progress: Progress | None = None,
    force: bool = False,
    repin: bool = False,
) -> Iterator[WindowReport]:
    """Each window of the grid between two of its boundaries, in order, under its own key; every record is read once.

    :raises SpecError: `begin` or `end` is no boundary of the grid.
    """
    raise NotImplementedError


def plan_window(
    export: Incremental,
    services: WindowServices,
    window: Window,
    *,
    most_parts: int = 1024,
    force: bool = False,
    repin: bool = False,
) -> WindowPlan:
    """Fix the window's beginning, divide its shards into parts and claim its prefix. Raises what `export_window` does.

    :param most_parts: the most tasks that may be mapped.
    """
    raise NotImplementedError


def export_part(
    export: Incremental,
    services: WindowServices,
    head: WindowHead,
    part: ShardPart,
    *,
    attempt: int,
    progress: Progress | None = None,
) -> PartReport:
    """Upload the changes of one part; nothing is visible yet."""
    raise NotImplementedError


def publish_window(
    export: Incremental,
    services: WindowServices,
    head: WindowHead,
    reports: Sequence[PartReport],
    *,
    attempt: int,
) -> WindowReport:
    """Fix the window's end and make all objects visible at once.

    :raises StartOver: another reader has fixed the end elsewhere (task "plan"); or as in publishing a full export.
    """
    raise NotImplementedError
