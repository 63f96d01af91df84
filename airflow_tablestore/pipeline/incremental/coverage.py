"""What the ledger says of a span of time: which windows of it are done, and how soon the next one will be lost.

Nothing is written and no record is read. Sensors ask here; what is done about the answer is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_tablestore.errors import Rejected
from airflow_tablestore.pipeline.incremental.ledger import Ledger, WindowEntry, WindowState
from airflow_tablestore.pipeline.window import EPOCH, Grid, Window
from airflow_tablestore.wire.table import describe_table

if TYPE_CHECKING:
    from airflow_tablestore.consumer.stream import StreamSender

MARGIN = timedelta(minutes=10)
"""The stream may forget a record so much earlier than its retention says; windows that old are not tried any more."""

DONE = frozenset({WindowState.PUBLISHED, WindowState.ACCEPTED})


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a span is done. `missing_from` is where the first part begins that is not; None: all is done.

    `lost` is the first window of the span that is lost, while nobody has accepted that.
    """

    missing_from: datetime | None
    lost: WindowEntry | None

    @property
    def is_complete(self) -> bool:
        return self.missing_from is None


def coverage(ledger: Ledger, span: Window) -> Coverage:
    """What of a span is published, or accepted as lost, whatever windows it was divided into."""
    return covered(_entries(ledger, span), span)


def covered(entries: Iterable[WindowEntry], span: Window) -> Coverage:
    """The same, from entries in the order of their starts; the first may begin before the span."""
    reached, lost = span.start, None
    for entry in entries:
        if entry.window.end <= span.start:
            continue
        if entry.state is WindowState.LOST and lost is None:
            lost = entry
        if entry.state in DONE and entry.window.start <= reached:
            reached = max(reached, entry.window.end)
    return Coverage(None if reached >= span.end else reached, lost)


def _entries(ledger: Ledger, span: Window) -> list[WindowEntry]:
    # A window may begin before the span that it reaches into, but not by more than the longest one: a local day.
    return list(ledger.windows(max(EPOCH, span.start - timedelta(days=2)), span.end))


@dataclass(frozen=True, slots=True)
class ExpiryRisk:
    """The oldest window that has closed and is not exported, and until when it can be read."""

    window: Window
    readable_until: datetime
    now: datetime

    @property
    def left(self) -> timedelta:
        """How long it can still be read; negative when it is too late."""
        return self.readable_until - self.now

    def to_json(self) -> dict[str, Any]:
        return {
            "window_start": _told(self.window.start),
            "window_end": _told(self.window.end),
            "readable_until": _told(self.readable_until),
            "seconds_left": round(self.left.total_seconds()),
        }


def expiry_risk(
    client: StreamSender, ledger: Ledger, table: str, grid: Grid, start: datetime | None = None
) -> ExpiryRisk | None:
    """How close the oldest window that is not exported is to being lost; None when every closed window is exported.

    :param start: where the pipeline's windows begin. None: at its oldest entry in the ledger that the stream could
        still hold, else where the stream begins.
    :raises Rejected: the table has no stream.
    """
    stream = client.send(describe_table(table)).stream
    if stream is None:
        raise Rejected(f"the stream of table '{table}' is not enabled", operation="DescribeTable")
    now = client.service_time() or EPOCH
    kept = timedelta(hours=stream.expiration_hours)
    if start is None:
        oldest = next(iter(ledger.windows(now - kept, now)), None)
        enabled = EPOCH + timedelta(microseconds=stream.last_enable_micros)
        start = oldest.window.start if oldest else max(enabled, now - kept)
    begin = grid.ceil(start)
    if grid.rest(begin).end > now:
        return None
    return risk_of(grid, coverage(ledger, Window(begin, now)), now, kept)


def risk_of(grid: Grid, found: Coverage, now: datetime, kept: timedelta) -> ExpiryRisk | None:
    """The same, from what the ledger says of the time from the pipeline's start until now.

    :param kept: how long the stream keeps records.
    """
    if found.missing_from is None:
        return None
    window = grid.rest(found.missing_from)
    return None if window.end > now else ExpiryRisk(window, window.start + kept - MARGIN, now)


def _told(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
