"""What the engine of windows asks of the place that a window goes to.

Objects and tables differ behind this page; `standing.sink_of` knows which it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.pipeline.contract import Format, Writer
    from airflow_tablestore.pipeline.incremental.plan import PartReport, ShardPart, ShardTask, WindowHead
    from airflow_tablestore.pipeline.manifest import Manifest, PublishedWindow


class PartSink(Protocol):
    """What one attempt at a part writes with."""

    def format(self, output: pa.Schema) -> Format:
        """How this output's records are written, and which of them cannot be."""
        ...

    def writer(self, task: ShardTask, output: pa.Schema, format: Format) -> Writer:
        """What takes the rows of one shard."""
        ...


class WindowSink(Protocol):
    """Where one window of a pipeline becomes visible, all at once."""

    @property
    def place(self) -> str:
        """How people write the place itself."""
        ...

    @property
    def mode(self) -> str:
        """What a publication does about what stands there: the author's word."""
        ...

    @property
    def manifest(self) -> str:
        """Where people find what was published."""
        ...

    def describe(self) -> dict[str, Any]: ...

    def stopped_by(self, stop: Event) -> WindowSink:
        """The same, giving up at its next pause once `stop` is set."""
        ...

    def standing(self) -> Manifest | None:
        """What is on record there, whether readers may rely on it or not."""
        ...

    def told(self) -> tuple[PublishedWindow, ...]:
        """The windows that are told of there, with their boundaries."""
        ...

    def published(self, standing: Manifest | None) -> tuple[Manifest, PublishedWindow] | None:
        """This window, when it stands and a reader may rely on it."""
        ...

    def claimed(
        self, standing: Manifest | None, head: WindowHead, parts: Sequence[ShardPart], attempts: int
    ) -> WindowHead:
        """The head with all that the window's tasks need to write there.

        :param attempts: how often a task is tried at most.
        """
        ...

    def part(self, head: WindowHead, number: int, attempt: int) -> PartSink: ...

    def publish(
        self, head: WindowHead, manifest: Manifest, reports: Iterable[PartReport], attempt: int, errors: int
    ) -> Manifest:
        """Make what was reported visible; the manifest as it then stands."""
        ...

    def drop(self, reports: Iterable[PartReport]) -> None:
        """Give up what was uploaded in vain."""
        ...
