"""Which operation a request asks for: by method, path and the names in its query.

Operations have names of this emulator, as the request log and faults use them; the service has none for its REST
interface. Nothing heavy is loaded here, so the log and faults can use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_tablestore.emulator.maxcompute.request import Address

Rule = tuple[str, tuple[str, ...], str]
"""Method, names that the query must have, operation."""

_PROJECT: Sequence[Rule] = (("GET", (), "GetProject"),)
_TABLES: Sequence[Rule] = (("GET", (), "ListTables"),)
_TABLE: Sequence[Rule] = (
    ("POST", ("uploads",), "CreateUpload"),
    ("PUT", ("uploadid",), "UploadBlock"),
    ("GET", ("uploadid",), "GetUpload"),
    ("POST", ("uploadid",), "CommitUpload"),
    ("POST", ("downloads",), "CreateDownload"),
    ("GET", ("data", "downloadid"), "DownloadRows"),
    ("GET", ("downloadid",), "GetDownload"),
    ("GET", ("data",), "ReadTable"),
    ("GET", ("partitions",), "ListPartitions"),
    ("GET", ("partition",), "GetPartition"),
    ("GET", (), "GetTable"),
)
_STREAMS: Sequence[Rule] = (
    ("PUT", ("uploadid",), "UploadStream"),
    ("GET", ("uploadid",), "GetStream"),
    ("POST", ("uploadid",), "AbortStream"),
    ("POST", (), "CreateStream"),
)
_UPSERTS: Sequence[Rule] = (
    ("PUT", ("upsertid",), "UploadUpsert"),
    ("GET", ("upsertid",), "GetUpsert"),
    ("POST", ("upsertid",), "CommitUpsert"),
    ("DELETE", ("upsertid",), "AbortUpsert"),
    ("POST", (), "CreateUpsert"),
)
_INSTANCES: Sequence[Rule] = (("POST", (), "CreateInstance"), ("GET", (), "ListInstances"))
_INSTANCE: Sequence[Rule] = (
    ("POST", ("downloads",), "CreateInstanceDownload"),
    ("GET", ("data",), "DownloadInstanceRows"),
    ("GET", ("downloadid",), "GetInstanceDownload"),
    ("GET", ("taskstatus",), "GetInstanceStatus"),
    ("GET", ("result",), "GetInstanceResult"),
    ("GET", ("source",), "GetInstanceSource"),
    ("GET", (), "GetInstance"),
    ("PUT", (), "StopInstance"),
)
_PATHS: Mapping[tuple[str, ...], Sequence[Rule]] = {
    (): _PROJECT,
    ("tables",): _TABLES,
    ("tables", "*"): _TABLE,
    ("tables", "*", "streams"): _STREAMS,
    ("tables", "*", "upserts"): _UPSERTS,
    ("tables", "*", "preview"): (("GET", (), "PreviewTable"),),
    ("instances",): _INSTANCES,
    ("instances", "*"): _INSTANCE,
    ("tunnel",): (("GET", (), "GetTunnel"),),
    ("logs",): (("PUT", (), "TakeNote"),),
}

OPERATIONS = tuple(dict.fromkeys(operation for rules in _PATHS.values() for _, _, operation in rules))
"""Every operation there is."""


def operation_of(address: Address) -> str:
    """The operation; empty when there is none for the path, "-" when its method or query fits none."""
    if not address.project:
        return ""
    own = address.own_path
    shape = tuple("*" if index == 1 else part for index, part in enumerate(own))
    rules = _PATHS.get(shape)
    if rules is None:
        return ""
    for method, names, operation in rules:
        if method == address.method and all(name in address.query for name in names):
            return operation
    return "-"
