"""Who may publish at a prefix, and which uploads are whose.

Everything stands as small objects under `<prefix>_pending/<claim>/`. A claim is a number taken with forbid-overwrite; a
later claim outranks an earlier one, and within a claim a later attempt outranks an earlier one. An attempt writes down
each multipart upload before it sends a part, so that whoever outranks it can abort exactly those, and nobody else's.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.errors import ProtocolError, Superseded, TablestoreError
from airflow_tablestore.pipeline.layout import PENDING, claim_key, pending_name, uploads_key
from airflow_tablestore.pipeline.store import Store

log = logging.getLogger(__name__)

Rank = tuple[int, int]
"""(claim, attempt) of a publisher: the higher one wins."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that somebody has begun."""

    key: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One object under `_pending/`: a claim, the uploads of a split's attempt, or a publisher's fence."""

    key: str
    claim: int
    split: int | None = None
    attempt: int | None = None
    publish_attempt: int | None = None


def entries(store: Store, prefix: str) -> list[Entry]:
    """All that stands under `_pending/`, foreign names left out."""
    return [entry for found in store.list(prefix + PENDING) if (entry := _entry(prefix, found.key))]


def take_claim(store: Store, prefix: str, pipeline: str, run: str, at_least: int = 1) -> int:
    """A new number, higher than every one taken here so far.

    :param at_least: one more than the standing manifest's claim.
    """
    number = max([at_least, *(entry.claim + 1 for entry in entries(store, prefix))])
    while True:
        body = {"pipeline": pipeline, "run": run, "token": uuid.uuid4().hex}
        if store.put_if_absent(claim_key(prefix, number), to_json(body)):
            return number
        number += 1


def highest_fence(found: list[Entry]) -> tuple[Rank, Entry] | None:
    """The publisher that outranks all others, by its fence."""
    fences = [((e.claim, e.publish_attempt), e) for e in found if e.publish_attempt is not None]
    return max(fences, key=lambda fence: fence[0]) if fences else None


class UploadLog:
    """The uploads of one attempt at one split, written down as they begin. Safe to use from several threads."""

    def __init__(self, store: Store, prefix: str, pipeline: str, claim: int, split: int, attempt: int):
        self._store, self._prefix, self._pipeline = store, prefix, pipeline
        self._claim, self._split, self._attempt = claim, split, attempt
        self._uploads: list[Upload] = []
        self._lock = threading.Lock()

    def take_over(self) -> None:
        """Abort what lower attempts at this split have begun.

        :raises Superseded: a higher attempt has begun, or a later run has published.
        """
        for entry in self.check_rank():
            if (entry.claim, entry.split) == (self._claim, self._split) and (entry.attempt or 0) < self._attempt:
                abort_recorded(self._store, self._pipeline, entry)

    def begin(self, key: str) -> str:
        """The id of a new upload, which is on record when this returns.

        :raises Superseded: as in `take_over`.
        """
        with self._lock:
            self.check_rank()
            upload = Upload(key, self._store.initiate(key))
            try:
                self._record([*self._uploads, upload])
            except TablestoreError:
                self._store.abort(key, upload.upload_id)  # nobody else could: it is on no record
                raise
            self._uploads.append(upload)
        return upload.upload_id

    def _record(self, uploads: list[Upload]) -> None:
        body = {"pipeline": self._pipeline, "uploads": [[u.key, u.upload_id] for u in uploads]}
        self._store.put(uploads_key(self._prefix, self._claim, self._split, self._attempt), to_json(body))

    def check_rank(self) -> list[Entry]:
        """All entries at the prefix.

        :raises Superseded: as in `take_over`.
        """
        found = entries(self._store, self._prefix)
        fence = highest_fence(found)
        if fence and fence[0][0] > self._claim:
            raise Superseded(f"a later run has published at {self._store.uri(self._prefix)}; this attempt stops")
        for entry in found:
            if (entry.claim, entry.split) == (self._claim, self._split) and (entry.attempt or 0) > self._attempt:
                raise Superseded(
                    f"attempt {entry.attempt} of split {self._split} has begun; attempt {self._attempt} stops"
                )
        return found


def recorded(store: Store, entry: Entry) -> tuple[str, list[Upload]]:
    """The pipeline and the uploads that a record names; nothing when somebody has just cleared it away."""
    body = read_json(store, entry.key)
    return body.get("pipeline", ""), [Upload(key, upload_id) for key, upload_id in body.get("uploads", ())]


def abort_recorded(store: Store, pipeline: str, entry: Entry, but: Collection[tuple[str, str]] = frozenset()) -> None:
    """Abort the uploads on a record, if it is this pipeline's.

    :param but: keys and ids of uploads to leave alone.
    """
    owner, uploads = recorded(store, entry)
    if owner != pipeline:
        if owner:
            log.warning("%s belongs to pipeline '%s' and is left alone", store.uri(entry.key), owner)
        return
    for upload in uploads:
        if (upload.key, upload.upload_id) not in but:
            store.abort(upload.key, upload.upload_id)


def read_json(store: Store, key: str) -> dict[str, Any]:
    """A small JSON object of ours; {} when it is not there."""
    data = store.get(key)
    if data is None:
        return {}
    try:
        body = json.loads(data)
    except ValueError as error:
        raise ProtocolError(f"{store.uri(key)} is not what airflow-tablestore wrote there: {error}") from error
    return body if isinstance(body, dict) else {}


def to_json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def split_entries(found: list[Entry]) -> Iterator[Entry]:
    """The records of uploads among all entries."""
    return (entry for entry in found if entry.split is not None)


def _entry(prefix: str, key: str) -> Entry | None:
    name = pending_name(prefix, key)
    if name is None:
        return None
    numbers = {part: None if name[part] is None else int(name[part]) for part in ("split", "attempt", "publish")}
    return Entry(key, int(name["claim"]), numbers["split"], numbers["attempt"], numbers["publish"])
