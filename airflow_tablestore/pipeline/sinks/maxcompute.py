"""MaxCompute as the pipeline's warehouse: the only place that talks to pyodps.

Tables and SQL go through pyodps. The tunnel's four requests are made here, over pyodps's own signed client: its session
repeats what is throttled for ever, and its Arrow writer needs pandas and cannot send a block twice. Errors of pyodps
never leave; what may be repeated has been repeated before it fails.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar

import requests
from odps import ODPS
from odps import errors as odps_errors
from odps.accounts import StsAccount
from odps.config import option_context
from odps.tunnel import TableTunnel
from odps.tunnel.tabletunnel import TableUploadSession

from airflow_tablestore.errors import ProtocolError, Rejected, RetryLater, StartOver
from airflow_tablestore.pipeline.sinks.arrow_body import unframed
from airflow_tablestore.pipeline.sinks.maxcompute_errors import GONE, code_of, translated
from airflow_tablestore.pipeline.sinks.maxcompute_rows import MaxComputeStream, MaxComputeUpserts, calling
from airflow_tablestore.pipeline.target import BlockCompression
from airflow_tablestore.pipeline.warehouse import (
    Body,
    Download,
    Partition,
    TableColumn,
    TableShape,
    Upload,
    UploadStatus,
)

T = TypeVar("T")

ATTEMPTS = 6
BASE_SECONDS, CAP_SECONDS = 0.2, 20.0
PROBE_CONNECT_SECONDS, PROBE_READ_SECONDS = 5, 15

_STATUS = {"normal": UploadStatus.OPEN, "closed": UploadStatus.COMMITTED}
"""What a session says of itself; anything else (expired, canceled, critical) takes no blocks any more."""

_ENCODED = {
    BlockCompression.ZLIB: {"Content-Encoding": "deflate"},
    BlockCompression.ZSTD: {"Content-Encoding": "zstd"},
    BlockCompression.LZ4: {"Content-Encoding": "x-lz4-frame"},
    BlockCompression.SNAPPY: {"Content-Encoding": "x-snappy-framed"},
}
"""What a block's request says of its compression. Source: requests of pyodps."""

_WITH_ITS_TABLE = frozenset({"NoSuchTable", "NoSuchPartition"})
"""What is told of a session when the table was dropped that it is of."""

_CLOSING = frozenset({"closing"})

_FOREIGN = (odps_errors.BaseODPSError, requests.RequestException, ConnectionError, TimeoutError)

# pyodps tells at INFO what it begins and at DEBUG what it signs; neither belongs in a task's log.
logging.getLogger("odps").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class MaxComputeEndpoint:
    """Where a project's service is and who asks. A `region` means signatures of version 4."""

    url: str
    project: str
    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    region: str | None = None
    tunnel_url: str | None = None


class MaxCompute:
    """One project of MaxCompute, as `pipeline.warehouse.Warehouse` says.

    :param sleep: how to wait between attempts, in seconds; true means that no further attempt is wanted.
    :param is_patient: False tells every failure of a request for tables and sessions at once, for probes.
    """

    def __init__(
        self,
        endpoint: MaxComputeEndpoint,
        *,
        sleep: Callable[[float], bool | None] = time.sleep,
        is_patient: bool = True,
    ):
        self.endpoint = endpoint
        self._sleep = sleep if is_patient else _no_pause
        self._is_patient = is_patient
        self._lock = threading.Lock()

    def pausing(self, sleep: Callable[[float], bool | None]) -> MaxCompute:
        """This project with a wait of its own between attempts: `stop.wait` of a run."""
        other = copy.copy(self)
        other._sleep = sleep
        return other

    def close(self) -> None:
        """Nothing is kept open that a later call could not open again."""
        self.__dict__.pop("_odps", None)
        self.__dict__.pop("_tunnel", None)

    def uri(self, place: Partition) -> str:
        """maxcompute://project/table/pt=20261121."""
        parts = "".join(f"/{name}={value}" for name, value in place.values)
        return f"maxcompute://{self.endpoint.project}/{place.table}{parts}"

    # ---- tables

    def shape(self, table: str) -> TableShape | None:
        """The table as it is now; None when there is no such table."""

        def read() -> TableShape | None:
            found = self._odps.get_table(table)
            try:
                found.reload()
            except odps_errors.NoSuchObject as error:
                if code_of(error) in ("NoSuchObject", "NoSuchTable"):
                    return None
                raise
            schema = found.table_schema
            columns = tuple(_column(c.name, str(c.type), c.nullable) for c in schema.simple_columns)
            return TableShape(columns, tuple(c.name for c in schema.partitions), tuple(found.primary_key or ()))

        return self._repeat("GetTable", Partition(table), read)

    def create_table(self, table: str, shape: TableShape) -> None:
        """Make the table, unless it is there."""
        parts = [_defined(column, is_key=column.name in shape.primary_key) for column in shape.columns]
        if shape.primary_key:
            parts.append(f"PRIMARY KEY ({', '.join(f'`{name}`' for name in shape.primary_key)})")
        by = ", ".join(f"`{name}` STRING" for name in shape.partitioned_by)
        said = [f"CREATE TABLE IF NOT EXISTS `{table}` ({', '.join(parts)})"]
        said += [f"PARTITIONED BY ({by})"] if by else []
        said += ["TBLPROPERTIES ('transactional'='true')"] if shape.primary_key else []
        self.run_sql(" ".join(said))

    def add_partition(self, place: Partition) -> None:
        """Make the partition, unless it is there."""
        table = self._odps.get_table(place.table)
        self._repeat("AddPartition", place, lambda: table.create_partition(place.spec, if_not_exists=True))

    def run_sql(self, statement: str) -> None:
        """Run a statement to its end; it is not repeated when it fails."""
        try:
            self._odps.execute_sql(statement)
        except _FOREIGN as error:
            raise translated(error, "SQL", f"maxcompute://{self.endpoint.project}") from error

    # ---- upload sessions

    def begin(self, place: Partition, *, replaces: bool) -> Upload:
        """A new session; its partition is made when it is missing."""
        params = {"uploads": "1"}
        if place.values:
            params["create_partition"] = "true"
        if replaces:
            params["overwrite"] = "true"
        return self._told("BeginUpload", place, "post", params)

    def find(self, place: Partition, upload_id: str) -> Upload:
        """The session as it is now; its status is GONE when it has expired or never was, or its table is gone."""
        try:
            return self._told("GetUpload", place, "get", {"uploadid": upload_id})
        except (StartOver, Rejected) as error:
            if isinstance(error.__cause__, Exception) and code_of(error.__cause__) in GONE | _WITH_ITS_TABLE:
                return Upload(upload_id, UploadStatus.GONE)
            raise

    def put_block(
        self,
        place: Partition,
        upload_id: str,
        block: int,
        body: Body,
        compression: BlockCompression = BlockCompression.NONE,
    ) -> None:
        """Write a block, in the place of an earlier one of its number."""
        params = {"uploadid": upload_id, "blockid": str(block), "arrow": ""}
        headers = TableUploadSession.get_common_headers(chunked=True) | _ENCODED.get(compression, {})
        self._repeat("PutBlock", place, lambda: self._ask("put", place, params, headers, body()))

    def commit(self, place: Partition, upload_id: str, blocks: Sequence[int]) -> None:
        """Make all blocks rows of the partition, at once."""
        self._told("CommitUpload", place, "post", {"uploadid": upload_id})

    # ---- rows that are read back

    def begin_reading(self, place: Partition) -> Download:
        """A look at the rows as they are now."""
        headers = TableUploadSession.get_common_headers(content_length=0)

        def begin() -> Download:
            content = self._ask("post", place, {"downloads": ""}, headers, "")
            try:
                told = json.loads(content)
                return Download(told["DownloadID"], int(told["RecordCount"]))
            except (LookupError, TypeError, ValueError) as error:
                raise ProtocolError(f"BeginDownload: MaxCompute told no download session: {error!r}") from error

        return self._repeat("BeginDownload", place, begin)

    def read(self, place: Partition, download_id: str, columns: Sequence[str], begin: int, count: int) -> bytes:
        """Some rows of a look, as Arrow messages; a damaged answer is asked for again."""
        params = {"downloadid": download_id, "rowrange": f"({begin},{count})", "columns": ",".join(columns)}
        params |= {"data": "", "arrow": ""}
        headers = TableUploadSession.get_common_headers(content_length=0)

        def read() -> bytes:
            try:
                return unframed(self._ask("get", place, params, headers, None))
            except ValueError as error:
                raise ConnectionError(f"damaged rows: {error}") from error

        return self._repeat("ReadRows", place, read)

    # ---- rows that flow

    def stream(self, place: Partition, slots: int) -> MaxComputeStream:
        """A new stream into the place; its partition is made when it is missing."""
        settings = {"create_partition": True, "partition_spec": place.spec} if place.values else {}
        made = partial(self._tunnel.create_stream_upload_session, place.table, slot_num=slots, **settings)
        return MaxComputeStream(calling(made, "OpenStream", self.uri(place)), self.uri(place))

    def upsert(
        self, place: Partition, rows: Sequence[Sequence[Any]], deletions: Sequence[Sequence[Any]]
    ) -> MaxComputeUpserts:
        """Rows and deletions by primary key, which wait for their commit."""
        made = partial(self._tunnel.create_upsert_session, place.table, partition_spec=place.spec or None)
        found = MaxComputeUpserts(calling(made, "OpenUpsert", self.uri(place)), self.uri(place))
        found.bring(rows, deletions)
        return found

    # ---- requests

    @cached_property
    def _odps(self) -> Any:
        at = self.endpoint
        settings: dict[str, Any] = {"project": at.project, "endpoint": at.url}
        if at.region:
            settings["region_name"] = at.region
        if at.tunnel_url:
            settings["tunnel_endpoint"] = at.tunnel_url
        if at.security_token:
            account = StsAccount(at.access_key_id, at.access_key_secret, at.security_token)
            return ODPS(account=account, **settings)
        return ODPS(at.access_key_id, at.access_key_secret, **settings)

    @cached_property
    def _tunnel(self) -> Any:
        return TableTunnel(self._odps, endpoint=self.endpoint.tunnel_url)

    def _told(self, operation: str, place: Partition, verb: str, params: Mapping[str, str]) -> Upload:
        headers = TableUploadSession.get_common_headers(content_length=0)
        return self._repeat(operation, place, lambda: _upload(self._ask(verb, place, params, headers, ""), operation))

    def _ask(self, verb: str, place: Partition, params: Mapping[str, str], headers: Any, data: Any) -> bytes:
        with self._lock:  # both are made at their first use, and pyodps asks the service then
            client, table = self._tunnel.tunnel_rest, self._odps.get_table(place.table)
            url = table.table_resource(client)
        asked = dict(params)
        if place.values:
            asked["partition"] = place.spec
        settings: dict[str, Any] = {"params": asked, "headers": dict(headers)}
        answer = client.get(url, **settings) if verb == "get" else getattr(client, verb)(url, data, **settings)
        content: bytes = answer.content
        if not client.is_ok(answer):
            raise odps_errors.parse_response(answer)
        return content

    def _repeat(self, operation: str, place: Partition, act: Callable[[], T]) -> T:
        attempt = 1
        while True:
            try:
                with contextlib.nullcontext() if self._is_patient else _hurried():
                    return act()
            except _FOREIGN as error:
                ours = translated(error, operation, self.uri(place))
                if not isinstance(ours, RetryLater) or attempt >= ATTEMPTS or self._paused(attempt):
                    raise ours from error
            attempt += 1

    def _paused(self, attempt: int) -> bool:
        """Whether no further attempt is wanted, after a pause that grows and is never the same."""
        longest = min(CAP_SECONDS, BASE_SECONDS * 2 ** (attempt - 1))
        return bool(self._sleep(longest * (0.5 + random.random() / 2)))  # noqa: S311 - no secret


def _no_pause(seconds: float) -> bool:
    return True


@contextlib.contextmanager
def _hurried() -> Iterator[None]:
    """Lets pyodps ask once in this thread, and wait for seconds where it waits for minutes."""
    with option_context() as options:
        options.retry_times = 0
        options.connect_timeout, options.read_timeout = PROBE_CONNECT_SECONDS, PROBE_READ_SECONDS
        yield


def _column(name: str, kind: str, is_nullable: bool) -> TableColumn:
    return TableColumn(name, kind.lower().replace(" ", ""), is_nullable is not False)


def _defined(column: TableColumn, *, is_key: bool) -> str:
    return f"`{column.name}` {column.type.upper()}" + (" NOT NULL" if is_key else "")


def _upload(content: bytes, operation: str) -> Upload:
    try:
        told = json.loads(content)
        status = str(told["Status"]).lower()
        if status in _CLOSING:
            raise RetryLater("the upload is being committed", operation=operation, code="Closing")
        return Upload(
            told["UploadID"],
            _STATUS.get(status, UploadStatus.GONE),
            tuple(_column(c["name"], c["type"], c.get("nullable", True)) for c in told["Schema"]["columns"]),
            frozenset(int(block["BlockID"]) for block in told.get("UploadedBlockList") or ()),
            int(told.get("MaxFieldSize") or 0),
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"{operation}: MaxCompute told no upload session: {error!r}") from error
