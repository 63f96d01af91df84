"""What was delivered into a folder, by key, in a file beside the process.

Files hold rows in the order of their writes and a table gives them in the order of keys; laying one beside the other
needs one of them by key. That is kept in a temporary SQLite file, so memory does not grow with the folder. Of a value
only what can be compared is kept: that it is there, and it itself where the service's conversion is documented.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROWS = 10_000
"""So many records are put at a time."""

_COMPARED = (bool, int, float, str)


class Delivered:
    """Records by key, on disk. Close it; the folder is the caller's to remove.

    :param keys: the columns of the files that make the key; none: nothing is kept.
    """

    def __init__(self, folder: Path, keys: Sequence[str]):
        self._keys = tuple(keys)
        self._found = 0
        self._connection = sqlite3.connect(folder / "delivered", isolation_level=None)
        self._connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
            "CREATE TABLE records (key TEXT NOT NULL, record TEXT NOT NULL); BEGIN"
        )
        self._is_sorted = False

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Keeps these."""
        if self._keys:
            rows = ((_key([one[name] for name in self._keys]), _text(one)) for one in records)
            self._connection.executemany("INSERT INTO records VALUES (?, ?)", rows)

    def of(self, key: Iterable[Any]) -> list[Mapping[str, Any]]:
        """The records of a key of the table, in the order in which they came; each key is asked for once."""
        if not self._is_sorted:
            self._connection.execute("CREATE INDEX by_key ON records (key)")
            self._is_sorted = True
        found = self._connection.execute("SELECT record FROM records WHERE key = ? ORDER BY rowid", (_key(key),))
        records = [json.loads(text) for (text,) in found]
        self._found += bool(records)
        return records

    def left(self) -> int:
        """How many keys were delivered and not asked for."""
        (count,) = self._connection.execute("SELECT COUNT(DISTINCT key) FROM records").fetchone()
        return max(0, int(count) - self._found)

    def close(self) -> None:
        self._connection.close()


def _key(values: Iterable[Any]) -> str:
    """Binary parts are delivered as text."""
    parts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    return json.dumps(parts)


def _text(record: Mapping[str, Any]) -> str:
    return json.dumps(
        {name: value if isinstance(value, _COMPARED) else True for name, value in record.items() if value is not None}
    )
