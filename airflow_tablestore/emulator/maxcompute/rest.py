"""The REST interface: projects, tables, partitions, instances, and where the tunnel is (here)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from airflow_tablestore.emulator.accounts import REGION
from airflow_tablestore.emulator.maxcompute import instances
from airflow_tablestore.emulator.maxcompute.columns import arrow_schema
from airflow_tablestore.emulator.maxcompute.errors import Refusal
from airflow_tablestore.emulator.maxcompute.instances import Instance
from airflow_tablestore.emulator.maxcompute.request import Address, Answer, Request, name_checked, xml_answer
from airflow_tablestore.emulator.maxcompute.rows import Partition, Table
from airflow_tablestore.emulator.maxcompute.sql.selects import as_csv
from airflow_tablestore.emulator.maxcompute.store import Store
from airflow_tablestore.emulator.maxcompute.tables import spec_from
from airflow_tablestore.emulator.maxcompute.xml import document, element, literal
from airflow_tablestore.emulator.oss.xml import parse

OWNER = "ALIYUN$demo"
_PAGE = 1000
_MOST_PREVIEWED = 10_000


def get_project(store: Store, request: Request) -> Answer:
    """A project; every name is one."""
    name = name_checked(request.address.project, "project")
    times = _rfc822(0)
    root = element(
        "Project",
        [
            element("Name", name),
            element("Type", "managed"),
            element("Comment"),
            element("Owner", OWNER),
            element("CreationTime", times),
            element("LastModifiedTime", times),
            element("State", "AVAILABLE"),
            element("Region", REGION),
            element("Properties"),
            element("Clusters"),
        ],
    )
    return xml_answer(document(root), **{"x-odps-owner": OWNER, "x-odps-creation-time": times, "last-modified": times})


def get_tunnel(store: Store, request: Request) -> Answer:
    """Where the tunnel is: where the client found us."""
    return Answer(200, {"content-type": "text/plain"}, request.address.host.encode("utf-8", "replace"))


# ---- tables


def list_tables(store: Store, request: Request) -> Answer:
    """The project's tables, in pages."""
    address = request.address
    most = address.number("maxitems", _PAGE, 10**6)
    found = store.tables(address.project, address.parameter("marker"), address.parameter("name"), most + 1)
    page = found[:most]
    marker = page[-1].name if len(found) > len(page) and page else ""
    listed = [element("Table", [element("Name", table.name), element("Owner", OWNER)]) for table in page]
    return xml_answer(document(element("Tables", [element("Marker", marker), element("MaxItems", str(most)), *listed])))


def get_table(store: Store, request: Request) -> Answer:
    """A table with its schema."""
    table = _table(store, request.address)
    schema = literal("Schema", json.dumps(_schema(store, table)), {"format": "Json"})
    root = element(
        "Table",
        [
            element("Name", table.name),
            element("TableId", f"{table.id:032x}"),
            schema,
            element("Comment", table.definition.comment),
            element("Owner", OWNER),
            element("CreationTime", _rfc822(table.created_millis)),
            element("LastModifiedTime", _rfc822(table.ddl_millis)),
            element("Type", "MANAGED_TABLE"),
        ],
        {"format": "Json"},
    )
    return xml_answer(document(root))


def _schema(store: Store, table: Table) -> Mapping[str, Any]:
    definition = table.definition
    partitions = store.partitions(table)
    sizes = [store.size(partition) for partition in partitions]
    changed = max([partition.changed_millis for partition in partitions], default=table.created_millis)
    reserved = {"schema_version": str(table.version), "lifecycle": str(definition.lifecycle_days)}
    reserved |= dict(definition.properties)
    if definition.is_transactional:
        reserved["Transactional"] = "true"
    if definition.is_delta:
        reserved["PrimaryKey"] = list(definition.primary_key)  # type: ignore[assignment]
    return {
        **definition.schema_json(),
        "comment": definition.comment,
        "owner": OWNER,
        "createTime": table.created_millis // 1000,
        "lastDDLTime": table.ddl_millis // 1000,
        "lastModifiedTime": changed // 1000,
        "lifecycle": definition.lifecycle_days or -1,
        "recordNum": sum(rows for rows, _ in sizes),
        "size": sum(size for _, size in sizes),
        "isVirtualView": False,
        "IsArchived": False,
        "PhysicalSize": sum(size for _, size in sizes),
        "FileNum": len(partitions),
        "Reserved": json.dumps(reserved),
    }


def list_partitions(store: Store, request: Request) -> Answer:
    """The table's partitions, in pages; only those that begin like a spec when one is given."""
    address = request.address
    table = _table(store, address)
    if not table.definition.partition_columns:
        raise Refusal("InvalidPartitionSpec", "The table is not partitioned.")
    wanted = spec_from(address.parameter("partition"))
    names = [column.name for column in table.definition.partition_columns]
    if not set(wanted) <= set(names):
        raise Refusal("InvalidPartitionSpec", f"The table is partitioned by {', '.join(names)}.")
    start, most = address.number("marker", 0, 10**9) if address.parameter("marker") else 0, _PAGE
    fitting = [
        partition
        for partition in store.partitions(table)
        if wanted.items() <= dict(zip(names, partition.values, strict=True)).items()
    ]
    page = fitting[start : start + most]
    marker = str(start + most) if len(fitting) > start + most else ""
    listed = [_partition_element(table, partition) for partition in page]
    head = [element("Marker", marker), element("MaxItems", str(most))]
    return xml_answer(document(element("Partitions", [*head, *listed])))


def _partition_element(table: Table, partition: Partition) -> str:
    columns = zip(table.definition.partition_columns, partition.values, strict=True)
    return element(
        "Partition",
        [
            *(element("Column", "", {"Name": column.name, "Value": value}) for column, value in columns),
            element("CreationTime", str(partition.created_millis // 1000)),
            element("LastDDLTime", str(partition.created_millis // 1000)),
            element("LastModifiedTime", str(partition.changed_millis // 1000)),
        ],
    )


def get_partition(store: Store, request: Request) -> Answer:
    """One partition."""
    table = _table(store, request.address)
    partition = _partition(store, table, request.address)
    rows, size = store.size(partition)
    told = {
        "createTime": partition.created_millis // 1000,
        "lastDDLTime": partition.created_millis // 1000,
        "lastModifiedTime": partition.changed_millis // 1000,
        "partitionSize": size,
        "partitionRecordNum": rows,
        "IsArchived": False,
        "IsExstore": False,
        "LifeCycle": -1,
        "PhysicalSize": size,
        "FileNum": 1,
        "Reserved": "{}",
    }
    return xml_answer(document(element("Partition", [literal("Schema", json.dumps(told))])))


def read_table(store: Store, request: Request) -> Answer:
    """The first rows as CSV."""
    batches, table = _first_rows(store, request.address, "linenum")
    body = as_csv(table.definition.columns, batches)
    return Answer(200, {"content-type": "text/csv"}, body.encode())


def preview_table(store: Store, request: Request) -> Answer:
    """The first rows as an Arrow stream."""
    import pyarrow as pa

    batches, table = _first_rows(store, request.address, "limit")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow_schema(table.definition.columns)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return Answer(200, {"content-type": "application/octet-stream"}, sink.getvalue().to_pybytes())


def _first_rows(store: Store, address: Address, parameter: str) -> tuple[list[Any], Table]:
    table = _table(store, address)
    most = min(address.number(parameter, _MOST_PREVIEWED, 10**9), _MOST_PREVIEWED)
    is_whole = table.definition.partition_columns and not address.parameter("partition")
    partitions = store.partitions(table) if is_whole else [_partition(store, table, address)]
    found: list[Any] = []
    for partition in partitions:
        left = most - sum(batch.num_rows for batch in found)
        found += _upto(store, partition, table, left)
    return found, table


def _upto(store: Store, partition: Partition, table: Table, count: int) -> Iterator[Any]:
    return store.read(store.content(partition), table.definition.columns, 0, max(count, 0))


def _table(store: Store, address: Address) -> Table:
    table = store.find(address.project, address.table)
    if table is None:
        raise Refusal("NoSuchObject", f"ODPS-0130131:Table not found - '{address.project}.{address.table}'")
    return table


def _partition(store: Store, table: Table, address: Address) -> Partition:
    values = table.definition.partition_from(address.parameter("partition"))
    partition = store.partition(table, values)
    if partition is None:
        raise Refusal("NoSuchPartition", f"The partition {table.definition.spec_text(values)} does not exist.")
    return partition


# ---- instances


def create_instance(store: Store, request: Request) -> Answer:
    """Carries a statement out; the answer says where its instance is."""
    address = request.address
    name_checked(address.project, "project")
    root = parse(request.body, "Instance")
    task = root.find("Job/Tasks/SQL") if root is not None else None
    query = task.findtext("Query") if task is not None else None
    if root is None or task is None or not query:
        raise Refusal("InvalidArgument", "The body holds no task of SQL, which is what the emulator runs.")
    job = re.search(rb"<Job>.*</Job>", request.body, re.DOTALL)
    source = job[0].decode("utf-8", "replace") if job else "<Job/>"
    name = task.findtext("Name") or "AnonymousSQLTask"
    instance = instances.run(store, address.project, source, name, query)
    base = "/api" if address.is_under_api else ""
    where = f"http://{address.host}{base}/projects/{address.project}/instances/{instance.id}"
    return Answer(201, {"location": where})  # a body would have to hold the results of a synchronous instance


def list_instances(store: Store, request: Request) -> Answer:
    """The project's latest instances."""
    most = request.address.number("maxitems", 100, 10**6)
    listed = [
        element(
            "Instance",
            [
                element("Name", found.id),
                element("Owner", OWNER),
                element("StartTime", _rfc822(found.started_millis)),
                element("EndTime", _rfc822(found.ended_millis)),
                element("Status", "Terminated"),
            ],
        )
        for found in instances.latest(store, request.address.project, most)
    ]
    head = [element("Marker", ""), element("MaxItems", str(most))]
    return xml_answer(document(element("Instances", [*head, *listed])))


def get_instance(store: Store, request: Request) -> Answer:
    """That it is terminated."""
    return _about(_instance(store, request), element("Instance", [element("Status", "Terminated")]))


def get_instance_status(store: Store, request: Request) -> Answer:
    """How its task went."""
    instance = _instance(store, request)
    task = element(
        "Task",
        [
            element("Name", instance.task),
            element("StartTime", _rfc822(instance.started_millis)),
            element("EndTime", _rfc822(instance.ended_millis)),
            element("Status", instance.status),
            element("Histories"),
        ],
        {"Type": "SQL"},
    )
    return _about(instance, element("Instance", [element("Status", "Terminated"), element("Tasks", [task])]))


def get_instance_result(store: Store, request: Request) -> Answer:
    """What its task said: the rows of a SELECT as CSV, or a text."""
    instance = _instance(store, request)
    is_rows = bool(instance.columns)
    text = base64.b64encode(instance.text.encode()).decode("ascii")
    told = {"Transform": "Base64", "Format": "csv" if is_rows else "text"}
    task = [element("Name", instance.task), literal("Result", text, told), element("Status", instance.status)]
    root = element("Instance", [element("Tasks", [element("Task", task, {"Type": "SQL"})])])
    return _about(instance, root)


def get_instance_source(store: Store, request: Request) -> Answer:
    """The job as it was asked for."""
    instance = _instance(store, request)
    return _about(instance, instance.job)


def stop_instance(store: Store, request: Request) -> Answer:
    """Refused: an instance has always ended already."""
    _instance(store, request)
    raise Refusal("InvalidStateSetting", "The instance is terminated.")


def take_note(store: Store, request: Request) -> Answer:
    """What clients tell of themselves, which nobody reads."""
    return Answer()


def _instance(store: Store, request: Request) -> Instance:
    own = request.address.own_path
    return instances.find(store, request.address.project, own[1] if len(own) > 1 else "")


def _about(instance: Instance, root: str) -> Answer:
    times = {
        "x-odps-owner": OWNER,
        "x-odps-start-time": _rfc822(instance.started_millis),
        "x-odps-end-time": _rfc822(instance.ended_millis),
    }
    return xml_answer(document(root), **times)


def _rfc822(millis: int) -> str:
    return format_datetime(datetime.fromtimestamp(millis / 1000, UTC), usegmt=True)
