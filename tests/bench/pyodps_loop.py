"""The loop that people write today: the official SDK's get_range, page by page into pyodps's record writer.

Arguments: the services as JSON, the table whose columns are taken, the table to load, the last user to read. Prints how
many rows it has loaded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from tests.bench.sdk_loop import COLUMNS
from tests.system import sample


def main() -> None:
    from odps import ODPS

    services, like, target = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
    at = services["maxcompute"]
    odps = ODPS(at["access_key_id"], at["access_key_secret"], project=at["project"], endpoint=at["endpoint"])
    table = odps.create_table(target, odps.get_table(like).table_schema, if_not_exists=True)
    loaded = 0
    with table.open_writer(overwrite=True) as writer:
        for page in pages(sample.sdk_client(services["tablestore"]), sys.argv[4]):
            writer.write(page)
            loaded += len(page)
    sys.stdout.write(f"{loaded}\n")


def pages(client: Any, last: str) -> Iterator[list[list[Any]]]:
    """The rows before that user, a list of values each."""
    from tablestore import INF_MAX, INF_MIN

    start = [(name, INF_MIN) for name, _ in sample.KEYS]
    (first, _), *others = sample.KEYS
    end = [(first, last), *((name, INF_MAX) for name, _ in others)]
    while start:
        _, start, rows, _ = client.get_range(sample.TABLE, "FORWARD", start, end, max_version=1)
        page = []
        for row in rows:
            cells = {name: value for name, value, _ in row.attribute_columns}
            if "raw" in cells:
                cells["raw"] = bytes(cells["raw"])  # pyodps takes no bytearray
            page.append([value for _, value in row.primary_key] + [cells.get(name) for name in COLUMNS])
        yield page


if __name__ == "__main__":
    main()
