"""The tunnel's answers: batch uploads and downloads of tables, streams, upserts, and results of instances.

Bodies are decoded whole before anything is named by a session: what is damaged or cut short leaves nothing behind.
Addresses that are handed back are the one that the client asked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from airflow_tablestore.emulator.maxcompute import arrow_frames, compression, instances, records, sessions, upserts
from airflow_tablestore.emulator.maxcompute.columns import (
    MOST_FIELD_BYTES,
    Column,
    arrow_schema,
    batch_of,
    check,
    values_of,
)
from airflow_tablestore.emulator.maxcompute.database import Piece, rows_in
from airflow_tablestore.emulator.maxcompute.errors import Refusal
from airflow_tablestore.emulator.maxcompute.request import Address, Answer, Request
from airflow_tablestore.emulator.maxcompute.rows import Partition, Table
from airflow_tablestore.emulator.maxcompute.sessions import DOWNLOAD, STREAM, UPLOAD, UPSERT, Session
from airflow_tablestore.emulator.maxcompute.store import Store

MOST_SLOTS = 128
BUCKETS = 16
"""Of a delta table that names no other number. Source: the service's default of `write.bucket.num`."""
_ROWS_AT_ONCE = 4096


def _table(store: Store, address: Address) -> Table:
    table = store.find(address.project, address.table)
    if table is None:
        raise Refusal("NoSuchTable", f"The table {address.project}.{address.table} does not exist.")
    return table


def _partition(store: Store, table: Table, address: Address, *, may_create: bool = False) -> Partition:
    values = table.definition.partition_from(address.parameter("partition"))
    if may_create and address.is_true("create_partition") and values:
        store.add_partition(table, values)
    partition = store.partition(table, values)
    if partition is None:
        raise Refusal("NoSuchPartition", f"The partition {table.definition.spec_text(values)} does not exist.")
    return partition


def _told(told: Any, **headers: str) -> Answer:
    return Answer(200, {"content-type": "application/json", **headers}, json.dumps(told).encode())


# ---- batch upload


def create_upload(store: Store, request: Request) -> Answer:
    """A session whose blocks become rows at its commit."""
    address = request.address
    table = _table(store, address)
    is_overwrite = address.has("overwrite") and address.is_true("overwrite")
    if table.definition.is_delta:
        raise Refusal("InvalidArgument", "A table with a primary key is written by upserts.")
    if table.definition.is_transactional and is_overwrite:
        raise Refusal("OverwriteModeNotAllowed")
    partition = _partition(store, table, address, may_create=True)
    return _upload(store, sessions.begin(store, UPLOAD, table, partition, is_overwrite=is_overwrite))


def get_upload(store: Store, request: Request) -> Answer:
    """The session's state and its blocks."""
    return _upload(store, _session(store, request, UPLOAD, "uploadid"))


def upload_block(store: Store, request: Request) -> Answer:
    """A block, in place of an earlier one of its number."""
    session = _usable(store, request, UPLOAD, "uploadid")
    number = request.address.query.get("blockid", "")
    if not re.fullmatch("[0-9]{1,9}", number) or int(number) >= sessions.MOST_BLOCKS:
        raise Refusal("InvalidBlockID", f"A block's number is 0 to {sessions.MOST_BLOCKS - 1}.")
    pieces = store.store_rows(_rows(request, session.definition.columns))
    try:
        sessions.put_block(store, session, int(number), pieces)
    finally:
        store.give_up(pieces)
    return Answer()


def commit_upload(store: Store, request: Request) -> Answer:
    """Makes the blocks rows; a repeated commit is answered as the first."""
    session = _session(store, request, UPLOAD, "uploadid")
    sessions.commit(store, session)
    return _upload(store, _session(store, request, UPLOAD, "uploadid"))


def _upload(store: Store, session: Session) -> Answer:
    return _told(
        {
            "UploadID": session.id,
            "Status": session.status,
            "Schema": session.definition.schema_json(),
            "UploadedBlockList": [{"BlockID": number} for number in sessions.blocks(store, session)],
            "MaxFieldSize": MOST_FIELD_BYTES,
            "QuotaName": "default",
        }
    )


def _session(store: Store, request: Request, kind: str, parameter: str) -> Session:
    address = request.address
    return sessions.find(store, kind, address.parameter(parameter), _table(store, address))


def _usable(store: Store, request: Request, kind: str, parameter: str) -> Session:
    address = request.address
    return sessions.usable(store, kind, address.parameter(parameter), _table(store, address))


def _rows(request: Request, columns: Sequence[Column]) -> Iterator[Any]:
    """The batches of a body, checked. :raises Refusal: while they are taken."""
    body = compression.unpacked(request.body, request.address.headers.get("content-encoding", ""))
    if request.address.has("arrow"):
        batches: Iterator[Any] = arrow_frames.batches(body, arrow_schema(columns))
    else:
        decoded = records.decoded(body, [column.kind for column in columns])
        batches = (batch_of(values, columns) for values in decoded)
    for batch in batches:
        check(batch, columns)
        yield batch


# ---- download


def create_download(store: Store, request: Request) -> Answer:
    """A session that sees the rows as they are now."""
    table = _table(store, request.address)
    partition = _partition(store, table, request.address)
    return _download(store, sessions.begin(store, DOWNLOAD, table, partition))


def get_download(store: Store, request: Request) -> Answer:
    """The session's state."""
    return _download(store, _session(store, request, DOWNLOAD, "downloadid"))


def download_rows(store: Store, request: Request) -> Answer:
    """A range of the rows."""
    session = _usable(store, request, DOWNLOAD, "downloadid")
    return _sent(store, request.address, store.listed(session.list), session.definition.columns)


def _download(store: Store, session: Session) -> Answer:
    return _told(
        {
            "DownloadID": session.id,
            "Status": session.status,
            "RecordCount": rows_in(store.listed(session.list)),
            "Schema": session.definition.schema_json(),
            "QuotaName": "default",
        }
    )


def _sent(store: Store, address: Address, pieces: Sequence[Piece], columns: Sequence[Column]) -> Answer:
    """Records have the columns in the order asked for; Arrow has them in the table's."""
    found = re.fullmatch(r"\(([0-9]{1,18}),([0-9]{1,18})\)", address.parameter("rowrange", "(0,0)"))
    if found is None or int(found[1]) > rows_in(pieces):
        raise Refusal("InvalidRowRange")
    is_arrow = address.has("arrow")
    wanted = _selected(address.parameter("columns"), columns, is_ordered=is_arrow)
    encoding = compression.accepted(address.headers.get("accept-encoding", ""))
    batches = store.read(pieces, wanted, int(found[1]), int(found[2]))
    made = _arrow(batches) if is_arrow else _records(batches, wanted)
    headers = {"content-type": "application/octet-stream", **({"content-encoding": encoding} if encoding else {})}
    return Answer(200, headers, compression.packed(made, encoding))


def _selected(text: str, columns: Sequence[Column], *, is_ordered: bool) -> list[Column]:
    if not text:
        return list(columns)
    by_name = {column.name.lower(): column for column in columns}
    names = [name.strip().lower() for name in text.split(",")]
    if not by_name.keys() >= set(names) or len(set(names)) != len(names):
        raise Refusal("InvalidColumnSpec", f"The columns {text[:200]!r} are not all there, or not once each.")
    return [column for column in columns if column.name.lower() in names] if is_ordered else [by_name[n] for n in names]


def _arrow(batches: Iterator[Any]) -> Iterator[bytes]:
    return arrow_frames.framed(batch.serialize().to_pybytes() for batch in batches)


def _records(batches: Iterator[Any], columns: Sequence[Column]) -> Iterator[bytes]:
    parts = (
        values_of(batch.slice(at, _ROWS_AT_ONCE), columns)
        for batch in batches
        for at in range(0, batch.num_rows, _ROWS_AT_ONCE)
    )
    return records.encoded(parts, [column.kind for column in columns])


# ---- results of instances


def create_instance_download(store: Store, request: Request) -> Answer:
    """A session over a SELECT's result; it is the instance itself."""
    return _instance_download(instances.with_result(store, request.address))


def download_instance_rows(store: Store, request: Request) -> Answer:
    """A range of the result's rows."""
    instance = instances.with_result(store, request.address)
    return _sent(store, request.address, store.listed(instance.list), instance.columns)


def _instance_download(instance: instances.Instance) -> Answer:
    schema = {"IsVirtualView": False, "columns": [column.as_json() for column in instance.columns], "partitionKeys": []}
    return _told(
        {
            "DownloadID": instance.id,
            "Status": "normal",
            "RecordCount": instance.rows,
            "Schema": schema,
            "QuotaName": "default",
        }
    )


# ---- streams


def create_stream(store: Store, request: Request) -> Answer:
    """A session whose rows can be seen at once."""
    address = request.address
    if address.is_true("dynamic_partition"):
        raise Refusal("NotImplemented", "The emulator has no streams into partitions that the rows name.")
    table = _table(store, address)
    if table.definition.is_delta:
        raise Refusal("InvalidArgument", "A table with a primary key is written by upserts.")
    _check_version(table, address)
    partition = _partition(store, table, address, may_create=True)
    wanted = address.headers.get("odps-slot-num", "1")
    slots = int(wanted) if re.fullmatch("[0-9]{1,4}", wanted) else 0
    if not 1 <= slots <= MOST_SLOTS:
        raise Refusal("InvalidArgument", f"The number of slots is 1 to {MOST_SLOTS}.")
    return _stream(sessions.begin(store, STREAM, table, partition, slots=slots), address)


def get_stream(store: Store, request: Request) -> Answer:
    """The session's state and slots."""
    return _stream(_session(store, request, STREAM, "uploadid"), request.address)


def upload_stream(store: Store, request: Request) -> Answer:
    """Rows that are there for every reader when this is answered."""
    address = request.address
    session = _usable(store, request, STREAM, "uploadid")
    slot = address.number("slotid", 0, 10**6)
    if slot >= session.slots:
        raise Refusal("InvalidArgument", f"The session has no slot {slot}.")
    pieces = store.store_rows(_rows(request, session.definition.columns))
    try:
        sessions.append(store, session, pieces)
    finally:
        store.give_up(pieces)
    headers = {"odps-tunnel-routed-server": _server(address), "odps-tunnel-slot-num": str(session.slots)}
    return Answer(200, headers)


def abort_stream(store: Store, request: Request) -> Answer:
    """Ends the session; its rows stay."""
    sessions.abort(store, _session(store, request, STREAM, "uploadid"))
    return _stream(_session(store, request, STREAM, "uploadid"), request.address)


def _check_version(table: Table, address: Address) -> None:
    wanted = address.parameter("schema_version")
    if wanted and address.is_true("check_latest_schema") and wanted != str(table.version):
        raise Refusal("NoSuchSchema", f"The table's schema has version {table.version}, not {wanted}.")


def _stream(session: Session, address: Address) -> Answer:
    return _told(
        {
            "session_name": session.id,
            "status": session.status,
            "schema": session.definition.schema_json(),
            "schema_version": str(session.version),
            "slots": [[str(slot), _server(address)] for slot in range(session.slots)],
            "QuotaName": "default",
        }
    )


def _server(address: Address) -> str:
    return address.host if ":" in address.host else f"{address.host}:80"


# ---- upserts


def create_upsert(store: Store, request: Request) -> Answer:
    """A session of changes by key, which become rows at its commit."""
    address = request.address
    table = _table(store, address)
    if not table.definition.is_delta:
        raise Refusal("InvalidArgument", "Only a table with a primary key takes upserts.")
    partition = _partition(store, table, address)
    slots = max(1, min(address.number("slotnum", 1, 10**6), BUCKETS))
    return _upsert(sessions.begin(store, UPSERT, table, partition, slots=slots), address)


def get_upsert(store: Store, request: Request) -> Answer:
    """The session's state and slots."""
    return _upsert(_session(store, request, UPSERT, "upsertid"), request.address)


def upload_upsert(store: Store, request: Request) -> Answer:
    """Changes of one bucket, kept until the commit."""
    address = request.address
    session = _usable(store, request, UPSERT, "upsertid")
    if address.number("bucketid", BUCKETS, 10**6) >= BUCKETS:
        raise Refusal("InvalidArgument", f"The bucket is 0 to {BUCKETS - 1}.")
    count = address.number("record_count", 0, 10**12)
    pieces = store.store_rows(_changes(request, session))
    try:
        if rows_in(pieces) != count:
            raise Refusal("IncompleteBody", f"{rows_in(pieces)} records came where {count} were announced.")
        sessions.keep(store, session, pieces)
    finally:
        store.give_up(pieces)
    return Answer(200, {"odps-tunnel-routed-server": _server(address)})


def _changes(request: Request, session: Session) -> Iterator[Any]:
    for batch in _rows(request, upserts.columns_of(session.definition)):
        upserts.check(batch, session.definition)
        yield batch


def commit_upsert(store: Store, request: Request) -> Answer:
    """Makes the changes those of the table; a repeated commit is answered as the first."""
    session = _session(store, request, UPSERT, "upsertid")
    upserts.commit(store, session, _table(store, request.address))
    return _upsert(_session(store, request, UPSERT, "upsertid"), request.address)


def abort_upsert(store: Store, request: Request) -> Answer:
    """Gives the changes up."""
    sessions.abort(store, _session(store, request, UPSERT, "upsertid"))
    return _upsert(_session(store, request, UPSERT, "upsertid"), request.address)


def _upsert(session: Session, address: Address) -> Answer:
    slots = [
        {
            "slot_id": str(slot),
            "buckets": list(range(slot, BUCKETS, session.slots)),
            "worker_addr": _server(address),
        }
        for slot in range(session.slots)
    ]
    return _told(
        {
            "id": session.id,
            "status": session.status,
            "schema": session.definition.schema_json(),
            "hash_key": list(session.definition.primary_key),
            "hasher": "default",
            "slots": slots,
            "enable_partial_update": False,
            "quota_name": "default",
        }
    )
