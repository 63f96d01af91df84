"""A large export in a process of its own, which says how much memory it took: python -m … FOLDER ROWS FORMAT."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.full_export.export import FullExport, ObjectTarget, Services, TableSelection, run
from airflow_tablestore.pipeline.store import Part, crc64_of
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.plainbuffer import decode_key, encode_rows
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import Bound, Cell, ColumnType, Row
from airflow_tablestore.wire.table import KeyColumn, RangePage, SplitPoints, TableDescription
from tests.conformance.folder_store import FolderStore

KEYS = (KeyColumn("id", ColumnType.INTEGER),)
PAGE_ROWS, SLICES = 5000, 4


class Endless:
    """A table that answers every page with the same rows, as a new copy; only the keys at which it goes on differ."""

    def __init__(self, rows: int):
        self._rows = rows
        names = ("amount", "name", "note", "score")
        self._block = encode_rows(
            Row(
                (("id", n),),
                tuple(Cell(k, v, 1) for k, v in zip(names, (n, f"name {n}", "n" * 80, n / 3), strict=True)),
            )
            for n in range(PAGE_ROWS)
        )

    def send(self, call: Call[Any]) -> Any:
        if call.operation == "DescribeTable":
            return TableDescription("t", KEYS)
        if call.operation == "ComputeSplitPointsBySize":
            return SplitPoints(KEYS, tuple((("id", n * self._rows // SLICES),) for n in range(1, SLICES)))
        asked = table_pb2.GetRangeRequest.FromString(call.body)
        begin = decode_key(asked.inclusive_start_primary_key)[0][1]
        end = decode_key(asked.exclusive_end_primary_key)[0][1]
        onward = (0 if isinstance(begin, Bound) else int(begin)) + PAGE_ROWS
        is_last = onward >= (self._rows if isinstance(end, Bound) else int(end))
        return RangePage(bytes(bytearray(self._block)), None if is_last else (("id", onward),))


class Forgetful(FolderStore):
    """Keeps the sizes and the CRC64 of what is uploaded and not the bytes, so that the store takes no memory."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self._uploaded: dict[str, tuple[list[Part], int]] = {}

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
        part = Part(number, "", len(data))
        parts, crc64 = self._uploaded.get(upload_id, ([], 0))
        self._uploaded[upload_id] = [*parts, part], crc64_of(data, crc64)
        return part

    def list_parts(self, key: str, upload_id: str) -> Sequence[Part]:
        return self._uploaded[upload_id][0]

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> int:
        return self._uploaded[upload_id][1]


def main() -> None:
    folder, rows, name = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    format = {"csv": Csv(), "parquet": Parquet()}[name]
    export = FullExport("much", TableSelection("t"), ObjectTarget("fake", "much/", format), Limits(threads=SLICES))
    report = run(export, Services(Endless(rows), Forgetful(folder)), run="r1")
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(f"{report.rows} {int(peak.split()[1]) // 1024}\n")


if __name__ == "__main__":
    main()
