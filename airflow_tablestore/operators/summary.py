"""What a run did with its windows, in one small value: for XCom, for asset events and for the log.

A range of thousands of windows and a single one look alike to whoever reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_tablestore.pipeline.dirty import DirtySample, samples_of

if TYPE_CHECKING:
    from airflow_tablestore.pipeline.incremental.export import WindowReport
    from airflow_tablestore.pipeline.window import Window

TOLD_WITH_ASSET = (
    "window_start",
    "window_end",
    "windows",
    "windows_found_published",
    "rows",
    "bytes",
    "objects",
    "manifest",
)


@dataclass(frozen=True, slots=True)
class Summary:
    """Windows from `window_start` to `window_end` (ISO 8601, UTC), with the sums of their numbers.

    `windows_found_published` had been published before and were not read. `windows_lost` are accepted losses, published
    without rows. `manifest` is that of the last window. `samples` are some of the dirty records, by key and reason.
    """

    pipeline: str
    window_start: str
    window_end: str
    windows: int = 0
    windows_found_published: int = 0
    windows_lost: int = 0
    rows: int = 0
    bytes: int = 0
    objects: int = 0
    dirty: int = 0
    late: int = 0
    partial_rows: int = 0
    seconds: float = 0.0
    manifest: str = ""
    samples: Sequence[Mapping[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def told_with_asset(self) -> dict[str, Any]:
        """The extra of the asset event."""
        told = self.to_json()
        return {name: told[name] for name in TOLD_WITH_ASSET}

    def __str__(self) -> str:
        counted = f"{self.rows:,} rows, {self.bytes:,} bytes in {self.objects} object(s)"
        more = [
            f"{count:,} {what}"
            for count, what in ((self.late, "late"), (self.partial_rows, "partial"), (self.dirty, "dirty"))
            if count
        ]
        counted += f" ({', '.join(more)})" if more else ""
        if self.windows != 1:
            found = f", {self.windows_found_published} of them before this run" if self.windows_found_published else ""
            return f"{self.windows} windows are published{found}: {counted}"
        if self.windows_found_published:
            return f"Published before, nothing was read: {counted}: {self.manifest}"
        if self.windows_lost:
            return f"Published without rows, because its loss was accepted: {self.manifest}"
        return f"Published: {counted}: {self.manifest}"


def summary_of(pipeline: str, span: Window, reports: Iterable[WindowReport]) -> Summary:
    """The sum of the reports of a run's windows, which come in order."""
    windows = found = lost = rows = size = objects = dirty = late = partial = 0
    seconds, manifest, samples = 0.0, "", tuple[DirtySample, ...]()
    for report in reports:
        windows += 1
        found += report.was_published
        lost += report.loss is not None
        rows, size, objects = rows + report.rows, size + report.bytes, objects + report.objects
        dirty, late, partial = dirty + report.dirty, late + report.late, partial + report.partial_rows
        seconds, manifest = seconds + report.seconds, report.manifest
        samples = samples_of((samples, report.samples))
    return Summary(
        pipeline=pipeline,
        window_start=_told(span.start),
        window_end=_told(span.end),
        windows=windows,
        windows_found_published=found,
        windows_lost=lost,
        rows=rows,
        bytes=size,
        objects=objects,
        dirty=dirty,
        late=late,
        partial_rows=partial,
        seconds=round(seconds, 3),
        manifest=manifest,
        samples=[sample.to_json() for sample in samples],
    )


def _told(moment: Any) -> str:
    return str(moment.isoformat().replace("+00:00", "Z"))
