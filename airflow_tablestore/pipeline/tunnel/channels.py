"""What a tunnel's channels have put into a bucket, and which of it counts: the rule of exactly once.

An object is first listed as pending, with the checkpoint that will confirm it; then it is written; then the checkpoint
is sent; then it is published. The service takes a checkpoint from the channel's owner alone, so the checkpoint that it
kept decides. Whoever opens a channel settles what the last owner left: what the checkpoint confirms is published, the
rest is removed.

Nothing here is written twice with other content, so a worker that was frozen and wakes up can do no harm:

    _channels/epoch/<channel>/<epoch>.json              an opening: a number taken once, higher at each opening
    _channels/settled/<channel>/<epoch>.json            this opening has settled what was pending before it
    _channels/pending/<channel>/<number>-<epoch>.json   an object that waits for its checkpoint
    _channels/done/<channel>/<number>.json              an object that counts: with the others, the channel's manifest

Why an opening without rivals is enough: docs/decisions/0009-tunnel-to-objects.md.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from urllib.parse import quote, unquote

from airflow_tablestore.errors import Problem, ProtocolError, SpecError, Superseded
from airflow_tablestore.pipeline.claim import read_json, to_json
from airflow_tablestore.pipeline.dirty import DirtySample, samples_from_json
from airflow_tablestore.pipeline.manifest import read_manifest, stands
from airflow_tablestore.pipeline.publish import refuse_foreign_pipeline
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.wire.tunnel_channel import Checkpoint

FOLDER = "_channels/"
VERSION = 1
_PENDING = re.compile(r"(?P<number>\d{12,})-(?P<epoch>\d{8,})\.json")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a channel. `number` and `token` are those of the checkpoint that confirms it, `before` is where
    its records begin; `first_micros` and `last_micros` are the times of its changes, 0 for rows of the table.
    `read_units` is what reading its records took, as `consumer.tunnel.meter` reckons; `dirty` records between `before`
    and `token` are not in it, some of which are the `samples`."""

    pipeline: str
    tunnel: str
    channel: str
    number: int
    epoch: int
    client: str
    before: str
    token: str
    key: str
    rows: int
    size: int
    crc64: int
    is_stream: bool
    first_micros: int = 0
    last_micros: int = 0
    read_units: int = 0
    dirty: int = 0
    samples: tuple[DirtySample, ...] = ()

    def to_bytes(self) -> bytes:
        """As a reader of the manifest finds it. A CRC64 is text, since JSON's numbers are too small for some."""
        return to_json({"version": VERSION, **asdict(self), "crc64": str(self.crc64)})

    @classmethod
    def from_bytes(cls, data: bytes, place: str) -> Entry:
        """:raises ProtocolError: it is none, or of a version that this package does not know."""
        try:
            body = json.loads(data)
            if body.pop("version") != VERSION:
                raise ValueError("another version")
            samples = samples_from_json(body.get("samples", ()))
            return cls(**{**body, "crc64": int(body["crc64"]), "samples": samples})
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ProtocolError(f"{place} is no entry of a channel that this version knows: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of pending objects."""

    published: tuple[Entry, ...] = ()
    removed: tuple[Entry, ...] = ()


class ChannelBook:
    """The objects of one channel under a prefix. Used by one thread at a time."""

    def __init__(self, store: Store, prefix: str, channel: str):
        self._store, self._prefix, self.channel = store, prefix, channel
        self._name = quote(channel, safe="")

    # ---- an opening

    def open(self, client: str, ask: Callable[[], Checkpoint]) -> tuple[int, Settled]:
        """Opens the channel for its owner: the number of the opening, and what became of what was pending.

        :param ask: asks the service for the checkpoint that it keeps, which it tells the owner alone.
        :raises Superseded: the channel was opened elsewhere meanwhile.
        """
        epoch = self._take_epoch(client)
        kept = ask()  # after the number is taken: whoever is told it here owns the channel later than lower numbers did
        last = max((one for one in self._numbers("settled") if one < epoch), default=0)
        before = [entry for entry in self.pending() if entry.epoch < epoch]
        # After the look around: so nobody who opened later has changed what was seen.
        if max(self._numbers("epoch"), default=0) > epoch:
            raise Superseded(f"The channel {self.channel} was opened elsewhere meanwhile.")

        def counts(entry: Entry) -> bool:
            # An opening that has settled has decided on all before it: what appears later was never confirmed.
            if entry.epoch < last:
                return False
            return entry.number < kept.number or (entry.number == kept.number and entry.token == kept.token)

        for entry in filter(counts, before):
            self._require(entry)
        settled = self._decide(before, counts)
        self._store.put(self._key("settled", epoch), b"{}")
        self._forget_openings(epoch)
        return epoch, settled

    def _take_epoch(self, client: str) -> int:
        number = 1 + max(self._numbers("epoch"), default=0)
        while True:
            body = {"client": client, "number": number, "token": uuid.uuid4().hex}
            if self._store.put_if_absent(self._key("epoch", number), to_json(body)):
                return number
            number += 1

    def _decide(self, entries: Iterable[Entry], counts: Callable[[Entry], bool]) -> Settled:
        published, removed = [], []
        for entry in entries:
            if counts(entry):
                self.publish(entry)
                published.append(entry)
            else:
                self.remove(entry)
                removed.append(entry)
        return Settled(tuple(published), tuple(removed))

    def settle_finished(self) -> Settled:
        """Decides what is pending of a channel that the service says is over, which nobody will open again.

        Its end is kept behind the checkpoints of all its objects; so what its last opening has written counts.
        """
        last = max(self._numbers("settled"), default=0)
        return self._decide(
            self.pending(),
            lambda entry: entry.epoch >= last and stands(self._store, entry.key, entry.size, entry.crc64),
        )

    # ---- one object

    def list_pending(self, entry: Entry) -> None:
        """Lists an object that will be written."""
        self._store.put(self._pending_key(entry), entry.to_bytes())

    def publish(self, entry: Entry) -> None:
        """Makes an object count: its checkpoint is kept. Doing it again changes nothing."""
        if not self._store.put_if_absent(self._key("done", entry.number), entry.to_bytes()):
            there = self._entry(self._key("done", entry.number))
            if there is None or there.key != entry.key:
                raise ProtocolError(
                    f"channel {self.channel} has two objects for checkpoint {entry.number}: {entry.key} and "
                    f"{there.key if there else 'one that is gone'}; none of them is removed"
                )
        self._store.delete([self._pending_key(entry)])

    def remove(self, entry: Entry) -> None:
        """Drops an object whose checkpoint was not kept; one that counts stays."""
        there = self._entry(self._key("done", entry.number))
        if there is None or there.key != entry.key:
            self._store.delete([entry.key])
        self._store.delete([self._pending_key(entry)])

    def pending(self) -> list[Entry]:
        """What waits for its checkpoint, in the order of numbers."""
        keys = [key for key in self._keys("pending") if _PENDING.fullmatch(key.rpartition("/")[2])]
        return [entry for key in keys if (entry := self._entry(key)) is not None]

    def done(self) -> Iterator[Entry]:
        """The channel's manifest: what counts, in the channel's order."""
        return (entry for key in self._keys("done") if (entry := self._entry(key)) is not None)

    # ---- the rest

    def _require(self, entry: Entry) -> None:
        if not stands(self._store, entry.key, entry.size, entry.crc64):
            raise ProtocolError(
                f"{self._store.uri(entry.key)} is confirmed and not there, or not as it was written: somebody has "
                f"changed it from outside. Its records cannot be read again by this tunnel."
            )

    def _forget_openings(self, epoch: int) -> None:
        old = [self._key(what, n) for what in ("epoch", "settled") for n in self._numbers(what) if n < epoch]
        if old:
            self._store.delete(old)

    def _entry(self, key: str) -> Entry | None:
        """None: it was settled elsewhere meanwhile."""
        data = self._store.get(key)
        return None if data is None else Entry.from_bytes(data, self._store.uri(key))

    def _keys(self, what: str) -> list[str]:
        return [found.key for found in self._store.list(f"{self._prefix}{FOLDER}{what}/{self._name}/")]

    def _numbers(self, what: str) -> list[int]:
        stems = (key.rpartition("/")[2].removesuffix(".json") for key in self._keys(what))
        return [int(stem) for stem in stems if stem.isdecimal()]

    def _key(self, what: str, number: int) -> str:
        return f"{self._prefix}{FOLDER}{what}/{self._name}/{number:012d}.json"

    def _pending_key(self, entry: Entry) -> str:
        return f"{self._prefix}{FOLDER}pending/{self._name}/{entry.number:012d}-{entry.epoch:08d}.json"


def object_key(prefix: str, pipeline: str, entry: tuple[str, int, int, str], suffix: str) -> str:
    """The key of an object: by channel, checkpoint number, opening and client, so nobody else ever writes it."""
    channel, number, epoch, client = entry
    return f"{prefix}{pipeline}-{quote(channel, safe='')}-{number:012d}-{epoch:08d}-{quote(client, safe='')}{suffix}"


def channels_at(store: Store, prefix: str, what: str) -> list[str]:
    """The channels that have something of a sort under the prefix: `pending` or `done`."""
    folder = f"{prefix}{FOLDER}{what}/"
    found = (one.key.removeprefix(folder).partition("/")[0] for one in store.list(folder))
    return [unquote(name) for name in dict.fromkeys(found)]


def published(store: Store, prefix: str) -> Iterator[Entry]:
    """Every object that counts under the prefix, channel by channel, each in its order. Read these and no others."""
    for channel in channels_at(store, prefix, "done"):
        yield from ChannelBook(store, prefix, channel).done()


def claimed_by(store: Store, prefix: str) -> str | None:
    """The pipeline whose stream the prefix holds; None: nobody's yet."""
    key = f"{prefix}{FOLDER}pipeline.json"
    return None if store.get(key) is None else str(read_json(store, key).get("pipeline", ""))


def claim_prefix(store: Store, prefix: str, pipeline: str) -> None:
    """Writes down whose prefix it is.

    :raises SpecError: it is another pipeline's.
    """
    key, body = f"{prefix}{FOLDER}pipeline.json", to_json({"version": VERSION, "pipeline": pipeline})
    refuse_foreign_pipeline(read_manifest(store, prefix), "", store.uri(prefix))
    if not store.put_if_absent(key, body):
        owner = read_json(store, key).get("pipeline")
        if owner != pipeline:
            hint = f"give '{pipeline}' a prefix of its own"
            raise SpecError([Problem(f"{store.uri(prefix)} holds the stream of pipeline '{owner}'", hint)])
