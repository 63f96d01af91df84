"""The loop that people write today: the official SDK's get_range, row by row into csv.writer.

Arguments: the services as JSON, the file to write, the last user to read.
"""

from __future__ import annotations

import csv
import json
import sys

from tests.system import sample

COLUMNS = ("name", "latitude", "longitude", "speed", "moving", "mileage", "raw", "note")


def main() -> None:
    from tablestore import INF_MAX, INF_MIN

    services, target = json.loads(sys.argv[1]), sys.argv[2]
    client = sample.sdk_client(services["tablestore"])
    start = [(name, INF_MIN) for name, _ in sample.KEYS]
    (first, _), *others = sample.KEYS
    end = [(first, sys.argv[3]), *((name, INF_MAX) for name, _ in others)]
    with open(target, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        while start:
            _, start, rows, _ = client.get_range(sample.TABLE, "FORWARD", start, end, max_version=1)
            for row in rows:
                cells = {name: value for name, value, _ in row.attribute_columns}
                writer.writerow([value for _, value in row.primary_key] + [cells.get(name) for name in COLUMNS])


if __name__ == "__main__":
    main()
