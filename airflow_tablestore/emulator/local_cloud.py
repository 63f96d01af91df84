"""An emulator as a test wants it: tables made of dicts, objects as bytes, faults and clock as methods.

    with LocalCloud() as cloud:
        cloud.make_table("rides", key={"id": int}, rows=[{"id": 1, "city": "Oslo"}])
        os.environ.update(cloud.environment())

Tables and objects are made and read beside the network, so no fault strikes what a test sets up or looks at. Importing
this loads no server.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_tablestore.errors import SpecError, TablestoreError

if TYPE_CHECKING:
    from airflow_tablestore.emulator import Emulator, MaxComputeAccess, OssAccess, TablestoreAccess
    from airflow_tablestore.emulator.faults import Faults
    from airflow_tablestore.emulator.traffic import Exchange

Fields = Mapping[str, Any]
"""A row: names and values of its key and its columns; None for a column that the row has not."""

_ROWS_PER_BATCH = 200
_CITIES = ("Bergen", "Hangzhou", "Köln", "Oslo", "杭州")
_SAMPLE_DAY = datetime(2026, 1, 1, tzinfo=UTC)


class LocalCloud:
    """The services for one test: an instance, a prefix in the bucket, and a MaxCompute project of its own.

    :param emulator: one that runs already and goes on afterwards; None starts one for this alone.
    :param data_dir: where a started one keeps its data; None keeps nothing.
    :param instance: its name, of letters, digits and hyphens; made up when it is None.
    """

    def __init__(self, *, emulator: Emulator | None = None, data_dir: Path | None = None, instance: str | None = None):
        self.instance = instance or f"test-{uuid4().hex[:12]}"
        self.prefix = f"{self.instance}/"
        self.project = self.instance.lower().replace("-", "_")
        self._given, self._data_dir = emulator, data_dir
        self._emulator: Emulator | None = None

    def __enter__(self) -> LocalCloud:
        from airflow_tablestore.emulator import Emulator

        self._emulator = self._given or Emulator(self._data_dir).start()
        try:
            self._emulator.make_instance(self.instance)
        except SpecError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        emulator, self._emulator = self._emulator, None
        if emulator is not None and emulator is not self._given:
            emulator.stop()

    # ---- how to connect

    @property
    def emulator(self) -> Emulator:
        """The emulator behind it."""
        if self._emulator is None:
            raise TablestoreError("LocalCloud is not running: use it in a with statement.")
        return self._emulator

    @property
    def tablestore(self) -> TablestoreAccess:
        """How to reach the instance."""
        from airflow_tablestore.emulator import TablestoreAccess

        return TablestoreAccess(self.emulator.tablestore.endpoint, self.instance)

    @property
    def oss(self) -> OssAccess:
        """How to reach the bucket."""
        return self.emulator.oss

    @property
    def maxcompute(self) -> MaxComputeAccess:
        """How to reach the project."""
        from airflow_tablestore.emulator import MaxComputeAccess

        return MaxComputeAccess(self.emulator.maxcompute.endpoint, self.project)

    @property
    def bucket(self) -> str:
        """The bucket's name; it is shared, `prefix` is not."""
        return self.oss.bucket

    def environment(self) -> dict[str, str]:
        """The variables that make `tablestore_default`, `oss_default` and `maxcompute_default` connections to this."""
        told = self.emulator.environment()
        for variable, name, value in (
            ("AIRFLOW_CONN_TABLESTORE_DEFAULT", "instance", self.instance),
            ("AIRFLOW_CONN_MAXCOMPUTE_DEFAULT", "project", self.project),
        ):
            connection = json.loads(told[variable])
            connection["extra"][name] = value
            told[variable] = json.dumps(connection)
        return told

    # ---- tables

    def make_table(
        self,
        name: str,
        *,
        key: Mapping[str, type],
        rows: Iterable[Fields] = (),
        max_versions: int = 1,
        time_to_live_seconds: int = -1,
    ) -> str:
        """Makes a table and puts rows into it; its name.

        :param key: names and types (int, str or bytes) of the key's columns, in order.
        :raises SpecError: the table or a row cannot be; names what and why.
        """
        from airflow_tablestore.wire.proto import table_pb2 as pb

        types = {int: pb.INTEGER, str: pb.STRING, bytes: pb.BINARY}
        wrong = [name for name, kind in key.items() if kind not in types]
        if wrong or not key:
            raise SpecError(f"A key column is an int, a str or bytes; that is not so for {', '.join(wrong) or 'none'}.")
        columns = [pb.PrimaryKeySchema(name=column, type=types[kind]) for column, kind in key.items()]
        request = pb.CreateTableRequest(
            table_meta=pb.TableMeta(table_name=name, primary_key=columns),
            reserved_throughput=pb.ReservedThroughput(capacity_unit=pb.CapacityUnit(read=0, write=0)),
            table_options=pb.TableOptions(time_to_live=time_to_live_seconds, max_versions=max_versions),
        )
        self._ask("CreateTable", request)
        self.put_rows(name, rows)
        return name

    def make_sample_table(self, name: str = "rides", *, rows: int = 100, seed: int = 0) -> list[dict[str, Any]]:
        """Makes a table of rides with every type of value, text in several scripts, and columns that some rows lack.

        The key is `city` and `id`. The same seed gives the same rows, which come back in the table's order.
        """
        found = list(sample_rows(rows, seed))
        self.make_table(name, key={"city": str, "id": int}, rows=found)
        return sorted(found, key=lambda row: (row["city"].encode(), row["id"]))

    def put_rows(self, table: str, rows: Iterable[Fields]) -> None:
        """Puts rows, each in place of an earlier one.

        :raises SpecError: a row is refused; those before it are there.
        """
        from airflow_tablestore.wire.plainbuffer import encode_put
        from airflow_tablestore.wire.proto import table_pb2 as pb
        from airflow_tablestore.wire.row import Cell

        names = self._key_names(table)
        waiting = list(rows)
        for start in range(0, len(waiting), _ROWS_PER_BATCH):
            request = pb.BatchWriteRowRequest()
            asked = request.tables.add(table_name=table)
            for row in waiting[start : start + _ROWS_PER_BATCH]:
                missing = [name for name in names if row.get(name) is None]
                if missing:
                    raise SpecError(f"A row of {table!r} needs its key: {', '.join(missing)}.")
                key = tuple((name, row[name]) for name in names)
                cells = [Cell(name, value) for name, value in row.items() if name not in names and value is not None]
                condition = pb.Condition(row_existence=pb.IGNORE)
                asked.rows.add(type=pb.PUT, row_change=encode_put(key, cells), condition=condition)
            answer = pb.BatchWriteRowResponse.FromString(self._ask("BatchWriteRow", request))
            for number, result in enumerate(answer.tables[0].rows, start):
                if not result.is_ok:
                    raise SpecError(f"Row {number} of {table!r}: {result.error.code}: {result.error.message}")

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row in the table's order: its key, then its columns by name, each in its latest version."""
        from airflow_tablestore.wire.plainbuffer import decode_rows, encode_key
        from airflow_tablestore.wire.proto import table_pb2 as pb
        from airflow_tablestore.wire.row import INF_MAX, INF_MIN

        names = self._key_names(table)
        start = encode_key(tuple((name, INF_MIN) for name in names))
        end = encode_key(tuple((name, INF_MAX) for name in names))
        found: list[dict[str, Any]] = []
        token = b""
        while start:
            request = pb.GetRangeRequest(
                table_name=table,
                direction=pb.FORWARD,
                max_versions=1,
                inclusive_start_primary_key=start,
                exclusive_end_primary_key=end,
                token=token or None,
            )
            page = pb.GetRangeResponse.FromString(self._ask("GetRange", request))
            for row in decode_rows(page.rows):
                fields = {**dict(row.key), **{cell.name: cell.value for cell in row.cells}}
                if token:  # the rest of a row that is wider than an answer
                    found[-1].update(fields)
                    token = b""
                else:
                    found.append(fields)
            start, token = page.next_start_primary_key, page.next_token
        return found

    # ---- objects

    def objects(self, prefix: str | None = None) -> dict[str, bytes]:
        """Keys and bytes of the bucket's objects, in the order of keys.

        :param prefix: what the keys begin with; None means this cloud's own prefix.
        """
        store = self.emulator.objects_store()
        found = {}
        for key in store.keys(self.bucket, self.prefix if prefix is None else prefix):
            stored = store.find(self.bucket, key)
            reading = store.read(stored, 0, stored.size)
            if reading is not None:
                with reading:
                    found[key] = b"".join(reading.chunks())
        return found

    def put_object(self, key: str, body: bytes) -> None:
        """Puts an object into the bucket."""
        self.emulator.objects_store().put_bytes(self.bucket, key, body)

    # ---- MaxCompute

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """What a statement of MaxCompute's SQL selects: `cloud.sql("create table t (id bigint)")`.

        :raises SpecError: it fails, with the service's words.
        """
        from airflow_tablestore.emulator.maxcompute.beside import run_sql

        return run_sql(self.emulator.maxcompute_store(), self.project, statement)

    def put_maxcompute_rows(self, table: str, rows: Iterable[Fields], partition: str = "") -> None:
        """Puts rows into a table of MaxCompute, or into its partition like `pt=20260101`, which is made when absent.

        :raises SpecError: there is no such table, or a row does not fit it.
        """
        from airflow_tablestore.emulator.maxcompute.beside import put_rows

        put_rows(self.emulator.maxcompute_store(), self.project, table, rows, partition)

    def maxcompute_rows(self, table: str, partition: str | None = None) -> list[dict[str, Any]]:
        """Rows of a table of MaxCompute as they were written, with their partition columns.

        :raises SpecError: there is no such table, or no such partition can be.
        """
        from airflow_tablestore.emulator.maxcompute.beside import rows_of

        return rows_of(self.emulator.maxcompute_store(), self.project, table, partition)

    # ---- what goes on

    @property
    def faults(self) -> Faults:
        """What goes wrong: `cloud.faults.add("error", code="OTSServerBusy", count=2)`."""
        return self.emulator.faults

    def requests(self, operation: str | None = None) -> list[Exchange]:
        """The latest requests, oldest first."""
        return self.emulator.requests(operation)

    def advance(self, seconds: float) -> None:
        """Moves the time of data, by which cells get their versions and expire."""
        self.emulator.advance(seconds)

    def reset(self) -> None:
        """No tables, no objects, no faults, an empty log, the wall clock; for every instance of the emulator."""
        self.emulator.reset()

    def _key_names(self, table: str) -> Sequence[str]:
        from airflow_tablestore.wire.proto import table_pb2 as pb

        told = self._ask("DescribeTable", pb.DescribeTableRequest(table_name=table))
        return [key.name for key in pb.DescribeTableResponse.FromString(told).table_meta.primary_key]

    def _ask(self, operation: str, request: Any) -> bytes:
        from airflow_tablestore.emulator.tablestore.errors import ServiceError

        try:
            return self.emulator.tablestore_service().answer(operation, self.instance, request.SerializeToString())
        except ServiceError as error:
            raise SpecError(f"{operation}: {error}") from error


def sample_rows(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rides with every type of value; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    for number in range(count):
        row: dict[str, Any] = {
            "city": chance.choice(_CITIES),
            "id": number,
            "started_at": (_SAMPLE_DAY + timedelta(minutes=7 * number)).isoformat(),
            "fare": round(chance.uniform(3, 80), 2),
            "is_paid": chance.random() < 0.9,
            "seconds": chance.randrange(60, 7200),
            "signature": chance.randbytes(8),
        }
        if chance.random() < 0.3:
            row["note"] = chance.choice(("no receipt", 'said "hello", waved', "line\nbreak", "谢谢"))
        yield row
