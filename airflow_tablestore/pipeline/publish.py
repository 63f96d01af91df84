"""All or nothing: uploads become an export, under a manifest, with `_SUCCESS` last.

Nothing of a run is visible before this. The steps are a table; each is written so that doing it again, or doing it
after a crash of an earlier attempt, leads to the same end. A publisher first writes a fence, and looks for a higher one
before every step; the manifest and `_SUCCESS` are multipart uploads begun before the fence and named in it, so that
whoever outranks a frozen publisher aborts them and it can never finish. Why so: docs/decisions/0001-publication.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from airflow_tablestore.errors import (
    ProtocolError,
    RetryLater,
    SpecError,
    StartOver,
    Superseded,
    TablestoreError,
)
from airflow_tablestore.pipeline.claim import (
    Entry,
    Rank,
    Upload,
    abort_recorded,
    entries,
    highest_fence,
    recorded,
    split_entries,
    to_json,
)
from airflow_tablestore.pipeline.conflict import half_made_keys
from airflow_tablestore.pipeline.contract import PendingObject
from airflow_tablestore.pipeline.dirty import refuse_dirty
from airflow_tablestore.pipeline.fence import Fence, fences, retired_names, write_fence
from airflow_tablestore.pipeline.layout import MANIFEST, PREVIOUS, SUCCESS, fence_key, is_ours, name_of
from airflow_tablestore.pipeline.manifest import Manifest, PublishedObject, PublishedWindow, read_manifest, stands
from airflow_tablestore.pipeline.markers import finish_marker, restore_markers, success_of
from airflow_tablestore.pipeline.store import Store, UploadGone
from airflow_tablestore.pipeline.target import WriteMode

log = logging.getLogger(__name__)

Before = Callable[[str], None]

COMPLETING_THREADS = 8
"""Completing is two short requests per object, and a large table has thousands of objects."""

NAMED_IN_LOG = 20


@dataclass(frozen=True, slots=True)
class Publication:
    """What shall be published where. `manifest` lists this run's objects only; `uploads` are the same, still pending.

    `errors` is how many dirty records the run may have.
    """

    prefix: str
    attempt: int
    manifest: Manifest
    uploads: tuple[PendingObject, ...]
    write_mode: WriteMode = WriteMode.TRUNCATE
    truncates_foreign: bool = False
    errors: int = 0

    @property
    def rank(self) -> Rank:
        return self.manifest.claim, self.attempt


@dataclass(slots=True)
class _Publisher:
    """A publication on its way: what earlier steps have found out for later ones."""

    store: Store
    publication: Publication
    before: Before
    fence: Fence | None = None

    def key(self, name: str) -> str:
        return self.publication.prefix + name

    @property
    def place(self) -> str:
        return self.store.uri(self.publication.prefix)

    def found(self) -> list[Entry]:
        return entries(self.store, self.publication.prefix)

    def check_rank(self) -> None:
        """:raises Superseded: somebody outranks this publisher; what it may have removed of theirs is restored."""
        highest = highest_fence(self.found())
        if highest is None or highest[0] <= self.publication.rank:
            return
        publication = self.publication
        restore_markers(self.store, publication.prefix, publication.manifest.pipeline, publication.rank, self.fence)
        (claim, attempt), (own, _) = highest[0], self.publication.rank
        who = (
            f"attempt {attempt} of this publication" if claim == own else f"a later run (claim {claim}, this is {own})"
        )
        raise Superseded(f"{who} publishes at {self.place}; this attempt stops")


def publish_objects(store: Store, publication: Publication, before: Before = lambda step: None) -> Manifest:
    """The manifest as published. A call that fails may be repeated with a higher attempt.

    :param before: called with a step's name before it is done, and again before each further object that it completes.
    :raises DirtyLimitExceeded: nothing has been touched.
    :raises Superseded: a higher attempt or a later run has taken over.
    :raises StartOver: an upload is gone, or a later run has been published.
    """
    publisher = _Publisher(store, publication, before)
    for name, act in STEPS:
        before(name)
        if publisher.fence is not None:
            publisher.check_rank()
        act(publisher)
    return _final(publisher)


def refuse_foreign_pipeline(manifest: Manifest | None, pipeline: str, place: str) -> None:
    """:raises SpecError: another pipeline has published at this prefix."""
    if manifest and manifest.pipeline != pipeline:
        raise SpecError(
            f"{place} holds the export of pipeline '{manifest.pipeline}'. Give '{pipeline}' a prefix of its own; "
            f"if the pipeline was renamed, delete {MANIFEST} there first."
        )


def _check(p: _Publisher) -> None:
    manifest, allowed = p.publication.manifest, p.publication.errors
    refuse_dirty(manifest.dirty, allowed, manifest.samples)
    standing = read_manifest(p.store, p.publication.prefix)
    refuse_foreign_pipeline(standing, manifest.pipeline, p.place)
    if standing and standing.claim > manifest.claim:
        raise StartOver(f"A later run ({standing.run}) has been published at {p.place}.", task="plan")
    lower = _lower_fences(p)
    base = standing or read_manifest(p.store, p.publication.prefix, PREVIOUS)
    _refuse_half_replaced(p, _kept(p, base, lower), lower)
    _refuse_retired(p, lower)
    p.check_rank()


def _raise_fence(p: _Publisher) -> None:
    claim, attempt = p.publication.rank
    fence = Fence(
        p.publication.manifest.pipeline,
        tuple(Upload(key, p.store.initiate(key)) for key in (p.key(MANIFEST), p.key(SUCCESS))),
    )
    # The uploads' ids are random, so the body is unique: put_if_absent can tell a lost answer from a lost race.
    if not p.store.put_if_absent(fence_key(p.publication.prefix, claim, attempt), to_json(fence.to_json())):
        raise Superseded(f"attempt {attempt} of this publication has begun elsewhere; this one stops")
    p.fence = fence


def _abort_outranked(p: _Publisher) -> None:
    for rank, fence in _lower_fences(p):
        _abort_markers(p, rank, fence)
    for entry in split_entries(p.found()):
        if entry.claim < p.publication.manifest.claim:
            abort_recorded(p.store, p.publication.manifest.pipeline, entry)


def _abort_markers(p: _Publisher, rank: Rank, fence: Fence) -> None:
    if fence.pipeline != p.publication.manifest.pipeline:
        key = fence_key(p.publication.prefix, *rank)
        log.warning("%s belongs to another pipeline and is left alone", p.store.uri(key))
        return
    for upload in fence.uploads:
        p.store.abort(upload.key, upload.upload_id)


def _intend(p: _Publisher) -> None:
    """Decide what will stand and what will go, and write it into the fence.

    So nobody has to guess after a crash: a later publisher removes what this one had in mind to make or to remove.
    """
    publication, lower = p.publication, _lower_fences(p)
    standing, previous = (read_manifest(p.store, publication.prefix, name) for name in (MANIFEST, PREVIOUS))
    own, base = publication.manifest, standing or previous
    kept = _kept(p, base, lower)
    _refuse_half_replaced(p, kept, lower)
    _refuse_retired(p, lower)
    final = own.listing_also(kept, _kept_windows(p, base, lower))
    final = replace(final, objects=tuple(sorted(final.objects, key=lambda o: o.key)))
    listed = {o.key for manifest in (standing, previous) if manifest for o in manifest.objects}
    listed |= {key for rank, fence in lower for key in _left_by(p, rank, fence)}
    stays = {o.key for o in final.objects}
    foreign = [o.key for o in p.store.list(publication.prefix) if not _is_known(p, o.key, listed | stays)]
    if foreign or (base and base.claim != own.claim):
        _refuse_conflict(p, foreign, MANIFEST if standing else PREVIOUS, lower)
    replaced = tuple(sorted((listed | set(_removable(p, foreign))) - stays))
    fence = replace(_raised(p), manifest=final, replaced=replaced)
    known = [*(one for _, one in lower), fence]
    p.fence = replace(fence, retired=retired_names(publication.prefix, own.pipeline, _own_name(p), known))
    write_fence(p.store, publication.prefix, publication.rank, p.fence)


def _kept(p: _Publisher, base: Manifest | None, lower: Sequence[tuple[Rank, Fence]]) -> Sequence[PublishedObject]:
    """What an earlier manifest lists and this publication leaves as it is: other runs' objects, if it appends.

    A sleeper can delete the manifest that another publisher had set aside. Then the latest fence tells what its owner
    found there: the objects of other runs that it kept.
    """
    if p.publication.write_mode is not WriteMode.APPEND:
        return []
    if base is not None:
        return [o for o in base.objects if o.run != p.publication.manifest.run]
    pipeline = p.publication.manifest.pipeline
    latest = next((f.manifest for _, f in reversed(lower) if f.manifest and f.pipeline == pipeline), None)
    runs = {latest.run, p.publication.manifest.run} if latest else set()
    found = [o for o in latest.objects if o.run not in runs] if latest else []
    return [o for o in found if stands(p.store, o.key, o.bytes, o.crc64)]


def _kept_windows(
    p: _Publisher, base: Manifest | None, lower: Sequence[tuple[Rank, Fence]]
) -> Sequence[PublishedWindow]:
    """The windows whose objects `_kept` gives, and those that have none."""
    own = p.publication.manifest
    if p.publication.write_mode is not WriteMode.APPEND:
        return []
    if base is None:
        base = next((f.manifest for _, f in reversed(lower) if f.manifest and f.pipeline == own.pipeline), None)
        return [window for window in base.windows if window.run not in (own.run, base.run)] if base else []
    return [window for window in base.windows if window.run != own.run]


def _refuse_half_replaced(p: _Publisher, kept: Sequence[PublishedObject], lower: Sequence[tuple[Rank, Fence]]) -> None:
    """An appended run that was published again, and stopped halfway, has objects that no manifest describes.

    :raises StartOver: it must be finished first; so this is asked before the fence keeps it from that.
    """
    intended = {o.key: o for _, fence in lower if fence.manifest for o in fence.manifest.objects}
    for listed in kept:
        other = intended.get(listed.key)
        if other is not None and other.crc64 != listed.crc64:
            if stands(p.store, listed.key, listed.bytes, listed.crc64):
                continue
            told = (
                f"Run {listed.run} was published again at {p.place} and stopped halfway; finish it first. In that run:"
            )
            raise StartOver(told, task="publish")


def _refuse_retired(p: _Publisher, lower: Sequence[tuple[Rank, Fence]]) -> None:
    """A lower publisher that is frozen within its deletion may still delete what it has replaced.

    Asked once more after the fence is up: whoever decides to delete later than that is outranked before it does.
    :raises StartOver: objects of this run are among that; another plan gives them other names.
    """
    own = {upload.key for upload in p.publication.uploads}
    for _, fence in lower:
        if own.intersection(fence.replaced) or _own_name(p) in fence.retired:
            told = f"Objects of run {p.publication.manifest.run} were replaced at {p.place} since it was planned."
            raise StartOver(told, task="plan")


def _own_name(p: _Publisher) -> str:
    """What this run's objects are named after; empty when it has none."""
    uploads, pipeline = p.publication.uploads, p.publication.manifest.pipeline
    return (name_of(p.publication.prefix, pipeline, uploads[0].key) if uploads else None) or ""


def _remove_success(p: _Publisher) -> None:
    p.store.delete([p.key(SUCCESS)])


def _set_manifest_aside(p: _Publisher) -> None:
    standing = p.store.get(p.key(MANIFEST))
    if standing is not None:
        p.store.put(p.key(PREVIOUS), standing)


def _remove_manifest(p: _Publisher) -> None:
    p.store.delete([p.key(MANIFEST)])


def _complete_uploads(p: _Publisher) -> None:
    def complete(numbered: tuple[int, PendingObject]) -> None:
        number, upload = numbered
        if number:
            p.before("complete_uploads")
        _complete(p, upload)

    with ThreadPoolExecutor(COMPLETING_THREADS) as threads:
        for _ in threads.map(complete, enumerate(p.publication.uploads)):
            pass


def _complete(p: _Publisher, upload: PendingObject) -> None:
    try:
        parts = p.store.list_parts(upload.key, upload.upload_id)
        if sum(part.bytes for part in parts) != upload.bytes:
            raise StartOver(f"The upload of {p.store.uri(upload.key)} is not what its task reported.", task="export")
        crc64 = p.store.complete(upload.key, upload.upload_id, parts)
    except UploadGone as error:
        if stands(p.store, upload.key, upload.bytes, upload.crc64):
            return
        p.check_rank()
        raise StartOver(f"The upload of {p.store.uri(upload.key)} is gone.", task="export") from error
    if crc64 != upload.crc64:
        raise ProtocolError(f"{p.store.uri(upload.key)} has CRC64 {crc64}; {upload.crc64} was uploaded")


def _write_manifest(p: _Publisher) -> None:
    _write_marker(p, MANIFEST, _final(p).to_bytes())


def _write_success(p: _Publisher) -> None:
    _write_marker(p, SUCCESS, success_of(_final(p)))


def _write_marker(p: _Publisher, name: str, data: bytes) -> None:
    upload = next(upload for upload in _raised(p).uploads if upload.key == p.key(name))
    try:
        finish_marker(p.store, upload, data)
    except UploadGone as error:
        p.check_rank()
        if p.store.get(upload.key) != data:
            raise RetryLater(f"the upload of {p.store.uri(upload.key)} is gone", code="UploadGone") from error


def _delete_replaced(p: _Publisher) -> None:
    replaced = _raised(p).replaced
    for start in range(0, len(replaced), 1000):
        if start:
            p.check_rank()
        p.store.delete(replaced[start : start + 1000])


def _delete_previous(p: _Publisher) -> None:
    p.store.delete([p.key(PREVIOUS)])


def _clear_pending(p: _Publisher) -> None:
    """All of this claim and of earlier ones but the own fence: it shows that the claim is taken and published.

    With the record of an upload goes the last chance to abort it; so what outranked attempts have begun is aborted. The
    record of an attempt above the published one stays: its split is being exported again, for a publication to come.
    """
    claim, attempt = p.publication.rank
    for rank, fence in _lower_fences(p):
        _abort_markers(p, rank, fence)  # those that it began to restore since
    published = {(upload.key, upload.upload_id) for upload in p.publication.uploads}
    found = p.found()
    records = [(e, recorded(p.store, e)[1]) for e in split_entries(found) if e.claim == claim]
    attempts: dict[int | None, int] = {}
    for entry, uploads in records:
        if any((upload.key, upload.upload_id) in published for upload in uploads):
            attempts[entry.split] = max(attempts.get(entry.split, 0), entry.attempt or 0)
    stays = {fence_key(p.publication.prefix, claim, attempt)}
    for entry, _ in records:
        if (entry.attempt or 0) > attempts.get(entry.split, 0):
            stays.add(entry.key)
        else:
            abort_recorded(p.store, p.publication.manifest.pipeline, entry, but=published)
    p.store.delete([entry.key for entry in found if entry.claim <= claim and entry.key not in stays])
    p.fence = replace(_raised(p), is_finished=True)
    write_fence(p.store, p.publication.prefix, p.publication.rank, p.fence)


STEPS: tuple[tuple[str, Callable[[_Publisher], None]], ...] = (
    ("check", _check),
    ("raise_fence", _raise_fence),
    ("abort_outranked", _abort_outranked),
    ("intend", _intend),
    ("remove_success", _remove_success),
    ("set_manifest_aside", _set_manifest_aside),
    ("remove_manifest", _remove_manifest),
    ("complete_uploads", _complete_uploads),
    ("write_manifest", _write_manifest),
    ("write_success", _write_success),
    ("delete_replaced", _delete_replaced),
    ("delete_previous_manifest", _delete_previous),
    ("clear_pending", _clear_pending),
)
"""What is done, in order. Killed before complete_uploads: the earlier export's objects are untouched."""


def _lower_fences(p: _Publisher) -> Sequence[tuple[Rank, Fence]]:
    return fences(p.store, p.found(), p.publication.rank)


def _left_by(p: _Publisher, rank: Rank, fence: Fence) -> Iterable[str]:
    """The objects that an earlier publisher of this pipeline had in mind to make, or to remove and may have left.

    What a finished attempt of this same run has removed is kept in mind too: the run may not make it again.
    """
    if fence.pipeline != p.publication.manifest.pipeline:
        return
    yield from fence.keys
    if not fence.is_finished or rank[0] == p.publication.manifest.claim:
        yield from fence.replaced


def _is_known(p: _Publisher, key: str, known: set[str]) -> bool:
    return key in known or is_ours(p.publication.prefix, key)


def _refuse_conflict(p: _Publisher, foreign: Sequence[str], base: str, lower: Sequence[tuple[Rank, Fence]]) -> None:
    if p.publication.write_mode is not WriteMode.NON_CONFLICT:
        return
    prefix, pipeline = p.publication.prefix, p.publication.manifest.pipeline
    if not foreign and p.key(base) in half_made_keys(p.store, prefix, pipeline, (fence for _, fence in lower)):
        return
    what = _few(p, foreign) if foreign else "an earlier export"
    raise SpecError(f"{p.place} must be empty for write_mode non_conflict, but holds {what}")


def _removable(p: _Publisher, foreign: Sequence[str]) -> Iterable[str]:
    if not foreign or p.publication.write_mode is not WriteMode.TRUNCATE:
        return ()
    if p.publication.truncates_foreign:
        log.warning("%s: removing what this pipeline did not write: %s", p.place, _few(p, foreign))
        return foreign
    log.warning(
        "%s holds what this pipeline did not write, and it stays: %s; truncate_foreign: true removes it",
        p.place,
        _few(p, foreign),
    )
    return ()


def _few(p: _Publisher, keys: Sequence[str]) -> str:
    names = ", ".join(key.removeprefix(p.publication.prefix) for key in keys[:NAMED_IN_LOG])
    return names + (f" and {len(keys) - NAMED_IN_LOG} more" if len(keys) > NAMED_IN_LOG else "")


def _raised(p: _Publisher) -> Fence:
    if p.fence is None:
        raise TablestoreError("a publication's steps were not done in their order")
    return p.fence


def _final(p: _Publisher) -> Manifest:
    final = _raised(p).manifest
    if final is None:
        raise TablestoreError("a publication's steps were not done in their order")
    return final
