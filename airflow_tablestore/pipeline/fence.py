"""What a publisher says of itself before it changes anything, and what others learn from it.

A fence stands under `_pending/` until a higher publisher clears it away; the highest one stays. It names the uploads of
the markers, what its owner had in mind to make and to remove, and the names that no run may use again: the objects of a
replaced run can be deleted late, by a publisher that was frozen within its request, and OSS deletes unconditionally.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.pipeline.claim import Entry, Rank, Upload, entries, read_json, to_json
from airflow_tablestore.pipeline.layout import MANIFEST, PREVIOUS, fence_key, name_of
from airflow_tablestore.pipeline.manifest import Manifest, read_manifest
from airflow_tablestore.pipeline.store import Store

MOST_RETIRED = 1000
"""So many names a fence remembers, some 30 bytes each: a sleeper would have to sleep through as many publications."""


@dataclass(frozen=True, slots=True)
class Fence:
    """One publisher's fence.

    `uploads` are those of markers that its owner has begun: its own first, then what it puts back for somebody higher.
    `manifest` is what will stand; None until that is decided, with `replaced`, the keys that will be deleted.
    `retired` names may not be used again, the latest last. `is_finished`: it has published, and has deleted all it had
    in mind to delete.
    """

    pipeline: str
    uploads: tuple[Upload, ...]
    manifest: Manifest | None = field(default=None, repr=False)
    replaced: tuple[str, ...] = field(default=(), repr=False)
    retired: tuple[str, ...] = field(default=(), repr=False)
    is_finished: bool = False

    @property
    def keys(self) -> set[str]:
        """The objects that its owner had in mind to have standing in the end."""
        return {o.key for o in self.manifest.objects} if self.manifest else set()

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "uploads": [[upload.key, upload.upload_id] for upload in self.uploads],
            "manifest": self.manifest.to_bytes().decode() if self.manifest else None,
            "replaced": list(self.replaced),
            "retired": list(self.retired),
            "finished": self.is_finished,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], place: str) -> Fence:
        """:raises ProtocolError: this is no fence."""
        try:
            text = data["manifest"]
            return cls(
                data["pipeline"],
                tuple(Upload(key, upload_id) for key, upload_id in data["uploads"]),
                Manifest.from_bytes(text.encode(), place) if text else None,
                tuple(data["replaced"]),
                tuple(data["retired"]),
                data["finished"],
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ProtocolError(f"{place} is no fence that airflow-tablestore wrote: {error!r}") from error


def read_fence(store: Store, entry: Entry) -> Fence | None:
    """The fence that stands there; None when somebody has just cleared it away."""
    body = read_json(store, entry.key)
    return Fence.from_json(body, store.uri(entry.key)) if body else None


def write_fence(store: Store, prefix: str, rank: Rank, fence: Fence) -> None:
    """Say more in a fence that has been raised."""
    store.put(fence_key(prefix, *rank), to_json(fence.to_json()))


def fences(store: Store, found: Iterable[Entry], below: Rank | None = None) -> list[tuple[Rank, Fence]]:
    """The fences among these entries, in the order of their ranks.

    :param below: only those that this publisher outranks.
    """
    ranked = sorted(((e.claim, e.publish_attempt), e) for e in found if e.publish_attempt is not None)
    return [
        (rank, fence)
        for rank, entry in ranked
        if (below is None or rank < below) and (fence := read_fence(store, entry)) is not None
    ]


def retired_names(prefix: str, pipeline: str, own: str, known: Sequence[Fence]) -> tuple[str, ...]:
    """The names that nobody may use again, the latest last; `own` is in use, and not among them."""
    names = [name for fence in known for name in fence.retired]
    names += [name for fence in known for key in fence.replaced if (name := name_of(prefix, pipeline, key))]
    latest = dict.fromkeys(reversed([name for name in names if name != own]))
    return tuple(reversed(list(latest)[:MOST_RETIRED]))


def run_name(store: Store, prefix: str, pipeline: str, run: str, claim: int) -> str:
    """What the objects of a run are named after: the run; with its claim, when the run has been published before.

    So equal runs make equal keys, and yet no key is made again that a publisher may still be about to delete.
    :param claim: taken already.
    """
    manifests = [read_manifest(store, prefix, name) for name in (MANIFEST, PREVIOUS)]
    raised = [fence for _, fence in fences(store, entries(store, prefix))]
    listed = {o.key for manifest in manifests if manifest for o in manifest.objects}
    used = {name_of(prefix, pipeline, key) for key in listed.union(*(fence.keys for fence in raised))}
    used.update(retired_names(prefix, pipeline, "", raised))
    return f"{run}-c{claim}" if run in used else run
