"""Which full export and which windows give the table as it was at a moment: found from manifests alone.

The newest whole export whose reading had ended by then is the base. The windows begin with the one in which its reading
began, for what was changed while it was read may be in it or not, and go on without a hole up to the moment. Nothing is
read but manifests and their markers, and nothing is assumed: what does not join is refused by name.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from airflow_tablestore.errors import Problem, SpecError, WindowMissing
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.layout import MANIFEST, SUCCESS
from airflow_tablestore.pipeline.manifest import Manifest, PublishedWindow, read_manifest
from airflow_tablestore.pipeline.markers import success_of
from airflow_tablestore.pipeline.sources.changes import CELL_COLUMNS, SEQUENCE_COLUMN
from airflow_tablestore.pipeline.store import ObjectReader

log = logging.getLogger(__name__)

READING_THREADS = 16
"""That read manifests side by side: a year of windows of five minutes has a hundred thousand of them."""

SKEW = timedelta(seconds=5)
"""The moments of a reading come from answers' headers, which tell whole seconds and come from any of the service's
machines. Folding a change that the base has already seen does no harm."""


@dataclass(frozen=True, slots=True)
class Published:
    """A manifest that readers may rely on, and the prefix that it stands under."""

    prefix: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Link:
    """One window, the manifest that lists its objects, and the prefix that this stands under."""

    prefix: str
    window: PublishedWindow
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Chain:
    """A base and the windows after it, in the order of time, without a hole up to `to`."""

    base: Published
    links: tuple[Link, ...]
    to: datetime

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Where all of it is published, the base first."""
        return tuple(dict.fromkeys((self.base.prefix, *(link.prefix for link in self.links))))


def chain(store: ObjectReader, wanted: PointInTime) -> Chain:
    """The export and the windows that give the table at that moment. Reads manifests and nothing else.

    :raises WindowMissing: no window holds some of the changes; the message says which.
    :raises SpecError: there is no export, or a window is lost or of another stream; the message names it.
    """
    base = _base(store, wanted)
    links = _links(store, wanted, base.manifest)
    return Chain(base, _joined(links, _begin(base), wanted.to, store.uri(wanted.changes)), wanted.to)


def _begin(base: Published) -> datetime:
    if base.manifest.read is None:
        raise SpecError([Problem(f"{base.prefix} does not tell when it was read", "export the table anew", "source")])
    return base.manifest.read[0] - SKEW


def published(store: ObjectReader, prefix: str, but: str = "") -> list[Published]:
    """Every finished publication at or below a prefix, in the order of keys.

    :param but: a prefix whose publications are left out; "": none.
    """
    places = [
        found.key.removesuffix(MANIFEST)
        for found in store.list(prefix)
        if found.key.rpartition("/")[2] == MANIFEST and not (but and found.key.startswith(but))
    ]
    with ThreadPoolExecutor(READING_THREADS, thread_name_prefix="manifest") as threads:
        return [found for found in threads.map(partial(_published, store), places) if found]


def _published(store: ObjectReader, place: str) -> Published | None:
    manifest = read_manifest(store, place)
    if manifest is None or store.get(place + SUCCESS) != success_of(manifest):
        return None
    return Published(place, manifest)


def _base(store: ObjectReader, wanted: PointInTime) -> Published:
    place = store.uri(wanted.base)
    inner = wanted.changes if wanted.changes.startswith(wanted.base) and wanted.changes != wanted.base else ""
    exports = [
        one
        for one in published(store, wanted.base, but=inner)
        if not one.manifest.windows and one.prefix != wanted.target
    ]
    if not exports:
        told = f"no full export is published at or below {place}"
        raise SpecError([Problem(told, "name the prefix that a full export has published to", "source.prefix")])
    tables = sorted({one.manifest.table for one in exports})
    if len(tables) > 1:
        told = f"exports of several tables stand at or below {place}: {', '.join(tables)}"
        raise SpecError([Problem(told, "name a prefix that holds those of one", "source.prefix")])
    timed = [(one.manifest.read, one) for one in exports if one.manifest.read]
    if not timed:
        told = f"the exports below {place} do not tell when they were read: an earlier version has written them"
        raise SpecError([Problem(told, "export the table anew", "source.prefix")])
    before = [(read, one) for read, one in timed if read[1] <= wanted.to]
    if not before:
        first = min(read[1] for read, _ in timed)
        told = f"no export below {place} had ended by {wanted.to.isoformat()}; the first one ended {first.isoformat()}"
        raise SpecError([Problem(told, "choose a later time, or keep older exports", "to")])
    newest_first = [one for _, one in sorted(before, key=lambda pair: pair[0][0], reverse=True)]
    for one in newest_first:
        if not (told := _unfit(one.manifest)):
            return one
        log.warning("the export at %s %s: an older one is taken", store.uri(one.prefix), told)
    newest = newest_first[0]
    told = f"the export at {store.uri(newest.prefix)} {_unfit(newest.manifest)}"
    raise SpecError([Problem(told, "export the whole table", "source.prefix")])


def _unfit(manifest: Manifest) -> str:
    """Why no changes can be folded into this export; "" when they can."""
    if manifest.schema.is_picked:
        return "holds chosen columns, and changes of all of them follow it"
    if manifest.begin or manifest.end:
        return "holds a range of keys, and changes of the whole table follow it"
    if manifest.dirty:
        return f"lacks {manifest.dirty} dirty record(s)"
    if len({one.run for one in manifest.objects}) > 1:
        return "holds several exports that were appended"
    return ""


def _links(store: ObjectReader, wanted: PointInTime, base: Manifest) -> list[Link]:
    """All windows of the table, by time."""
    found = [one for one in published(store, wanted.changes) if one.manifest.windows]
    of_table = [one for one in found if one.manifest.table == base.table]
    place = store.uri(wanted.changes)
    if not of_table:
        others = sorted({one.manifest.table for one in found})
        more = f"; there are windows of {', '.join(others)}" if others else ""
        told = f"no window of changes of table '{base.table}' is published below {place}{more}"
        raise SpecError([Problem(told, "name the prefix of an incremental export", "source.changes")])
    pipelines = sorted({one.manifest.pipeline for one in of_table})
    if len(pipelines) > 1:
        told = f"windows of several pipelines stand below {place}: {', '.join(pipelines)}"
        raise SpecError([Problem(told, "name a prefix that holds those of one", "source.changes")])
    links = [Link(one.prefix, window, one.manifest) for one in of_table for window in one.manifest.windows]
    return sorted(links, key=lambda link: link.window.window)


def _refuse_incomplete_changes(link: Link, place: str) -> None:
    """Only of windows that are needed: earlier ones may be of a time when nobody meant to fold them."""
    names = {column.name for column in link.manifest.columns if column.source is None}
    which = f"window {link.window.window} below {place}"
    if not set(CELL_COLUMNS) <= names:
        told, key = "holds puts and updates of chosen columns; deletes are not in it", "mode: multi_version"
    elif SEQUENCE_COLUMN not in names:
        told, key = "does not tell in which order changes came", "export_sequence_info: true"
    else:
        return
    hint = f"export changes with {key}; a full export that is newer than the window does not need it"
    raise SpecError([Problem(f"{which} {told}", hint, "source.changes")])


def _joined(links: Sequence[Link], begin: datetime, to: datetime, place: str) -> tuple[Link, ...]:
    """The windows from the one that holds `begin` up to the one that holds what is just before `to`."""
    wanted = [link for link in links if link.window.window.end > begin and link.window.window.start < to]
    at = begin
    for number, link in enumerate(wanted):
        window = link.window
        _refuse_incomplete_changes(link, place)
        if window.window.start > at:
            raise _hole(at, window.window.start, place)
        _refuse_unfit_window(window, place)
        if number and not _meet(wanted[number - 1].window, window):
            told = f"the windows on both sides of {window.window.start.isoformat()} below {place} do not join"
            raise SpecError([Problem(told, "take a full export that is newer than that", "to")])
        at = window.window.end
    if at < to:
        raise _hole(at, to, place)
    return tuple(wanted)


def _meet(one: PublishedWindow, other: PublishedWindow) -> bool:
    return one.stream_id == other.stream_id and one.end == other.begin


def _refuse_unfit_window(window: PublishedWindow, place: str) -> None:
    told = ""
    if window.loss is not None or window.begin is None or window.end is None:
        told = f"was lost ({window.loss})"
    elif window.dirty:
        told = f"lacks {window.dirty} dirty record(s)"
    if told:
        raise SpecError(
            [Problem(f"window {window.window} below {place} {told}", "take a full export that is newer than it", "to")]
        )


def _hole(start: datetime, end: datetime, place: str) -> WindowMissing:
    told = f"no window below {place} holds the changes from {start.isoformat()} to {end.isoformat()}"
    return WindowMissing([Problem(told, "export that window, or choose an earlier time or a newer full export", "to")])
