"""Changes written to the live table as if over the last while, and which of them each window must hold.

The emulator's data clock is moved from change to change; Airflow's clock is not touched. The journal is the
writer's own: a change is noted, with the moment it was given, once the service has acknowledged it (guarantee 18). None
lies within a second of a full minute, so it is known to which window it belongs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import requests

from tests.system import compare, sample, writer

MINUTE = timedelta(minutes=1)
COLUMNS = ("uid", "ts", *writer.CHOSEN)


def minute_of(moment: datetime, every: int = 1) -> datetime:
    """The newest moment up to this one on the grid of so many minutes."""
    seconds = every * 60
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, UTC)


@dataclass
class Past:
    """What happened to the live table, and when."""

    services: dict[str, Any] = field(repr=False)
    journal: list[tuple[datetime, writer.Change]] = field(default_factory=list, repr=False)

    def create_table(self, at: datetime) -> None:
        self._set_clock(at)
        writer.create_table(self.services)

    def split_shard(self, at: str) -> None:
        """Divide the shard of the stream that holds this uid, right there."""
        self._tell("stream/split", {"table": writer.TABLE, "at": {"uid": at}})

    def write(self, begin: datetime, end: datetime, a_minute: int) -> None:
        """So many changes in each minute from `begin` to `end`, later than all that were written before."""
        client = sample.sdk_client(self.services["tablestore"])
        step = (MINUTE - timedelta(seconds=10)) / a_minute
        for minute in range((end - begin) // MINUTE):
            for turn in range(a_minute):
                moment = begin + minute * MINUTE + timedelta(seconds=2) + turn * step
                one = writer.change(len(self.journal))
                self._set_clock(moment)
                writer.write(client, one)
                self.journal.append((moment, one))

    def come_to_now(self) -> None:
        self._set_clock(datetime.now(UTC))

    def rows(self, begin: datetime, end: datetime) -> Counter[writer.Row]:
        """What the window from `begin` to `end` must hold."""
        return writer.rows_of_changes([one for moment, one in self.journal if begin <= moment < end])

    def differences(self, prefix: str, begin: datetime, end: datetime, folder: Path) -> str:
        """How what stands under a prefix differs from what the window must hold; "" when not."""
        try:
            published = compare.download(compare.bucket(self.services["oss"]), prefix, folder)
        except compare.Different as problem:
            return str(problem)
        return difference(self.rows(begin, end), rows_of_files(published.files))

    def _set_clock(self, moment: datetime) -> None:
        self._tell("clock", {"now": moment.isoformat()})

    def _tell(self, route: str, told: dict[str, Any]) -> None:
        endpoint = self.services["tablestore"]["endpoint"]
        requests.post(f"{endpoint}/_emulator/{route}", json=told, timeout=60).raise_for_status()


def difference(wanted: Counter[writer.Row], given: Counter[writer.Row]) -> str:
    """What is missing and what is too many, with examples; "" when nothing is."""
    if wanted == given:
        return ""
    return f"missing {list((wanted - given).items())[:3]}, too many {list((given - wanted).items())[:3]}"


def rows_of_files(files: Iterable[Path]) -> Counter[writer.Row]:
    """The rows of published Parquet, as the writer's journal tells them: values as text."""
    return rows_of_records(record for file in files for record in pq.read_table(file).to_pylist())


def rows_of_records(records: Iterable[dict[str, Any]]) -> Counter[writer.Row]:
    """The same of rows as a reader finds them."""
    return Counter(tuple(None if one[name] is None else str(one[name]) for name in COLUMNS) for one in records)
