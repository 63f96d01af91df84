"""What the writers `oss`, `odps` and `ots` say, as `sink` of a spec."""

from __future__ import annotations

import re
from typing import Any

from airflow_tablestore.spec.dataworks.columns import type_of
from airflow_tablestore.spec.dataworks.places import Clock, with_placeholders
from airflow_tablestore.spec.dataworks.sources import REPEATED
from airflow_tablestore.spec.dataworks.trail import Fate, Given
from airflow_tablestore.spec.kinds.restore import MOST_BYTES
from airflow_tablestore.spec.problems import did_you_mean, shown

_MODES = {"truncate": "truncate", "append": "append", "nonconflict": "non_conflict", "overwrite": "truncate"}
_FORMATS = {"csv": "csv", "text": "text", "txt": "text", "parquet": "parquet"}
_LENGTHS = {"keepon": "fail", "truncate": "truncate", "setnull": "null"}
_WRITES = {"putrow": "put", "updaterow": "update"}


def header_of(given: Given) -> list[str]:
    """The names that a writer to objects gives to the columns, or []."""
    return [str(one) for one in given.list("header")]


def oss_sink(given: Given, clock: Clock) -> dict[str, Any]:
    """`sink` of objects, of writer oss."""
    trail = given.trail
    sink: dict[str, Any] = {"type": "oss"}
    sink["bucket"] = given.text("bucket", "sink.bucket") or trail.fill_in("sink.bucket", "the data source's bucket")
    sink["prefix"] = _prefix(given, clock)
    kind = (given.text("fileFormat", "sink.format") or "text").lower()
    if kind not in _FORMATS:
        trail.choose("sink.format", f"Objects are not written as {kind}; chosen: parquet.")
        trail.note(given.at("fileFormat"), Fate.OTHER, f"{kind} is not written; chosen: parquet")
    sink["format"] = _FORMATS.get(kind, "parquet")
    if given.raw("fileFormat") is None:
        trail.choose("sink.format", "The job names no fileFormat, which means text.")
    mode = given.text("writeMode", "sink.write_mode")
    if mode and mode.strip().lower() not in _MODES:
        trail.refuse(given.at("writeMode"), f"{shown(mode)} is no writeMode", did_you_mean(mode, tuple(_MODES)))
    if not mode:
        trail.choose("sink.write_mode", "The job names no writeMode; chosen: truncate.")
    sink["write_mode"] = _MODES.get((mode or "truncate").strip().lower(), "truncate")
    _size_and_packing(given, sink)
    _look(given, sink)
    told = "a line ends with a line feed"
    given.always(told, "lineDelimiter") if given.raw("lineDelimiter") in ("\n", "\\n", None) else given.other(
        told, "lineDelimiter"
    )
    given.other("the name of an object follows from its format", "suffix")
    given.other("objects are divided by size", "writeSingleObject")
    given.other("no rows make no object; the manifest says 0 rows", "generateEmptyFile")
    given.other("is the connection's or the bucket's own", "cname", "encrypt")
    given.always("parts of an upload have their size from the plan", "blockSizeInMB")
    return sink


def _prefix(given: Given, clock: Clock) -> str:
    trail = given.trail
    written = given.text("object", "sink.prefix")
    if not written or not written.strip("/ "):
        return trail.fill_in("sink.prefix", "a folder that the export owns, such as tablestore/gps/")
    prefix = with_placeholders(written.strip(), "sink.prefix", clock, trail)
    prefix = re.sub(r"\{(?!(?:run_date|window_start|window_end)[:}])([^{}]*)\}", r"\1", prefix)
    prefix = "/".join(part.lstrip("_.") for part in prefix.split("/") if part.strip("_. ")) + "/"
    if (prefix.count("{") == 0 and prefix.rstrip("/") != written.strip("/ ")) or not written.endswith("/"):
        trail.choose("sink.prefix", "`object` begins objects' names; here a prefix is a folder, and names are ours.")
    return prefix


def _size_and_packing(given: Given, sink: dict[str, Any]) -> None:
    size = given.whole("maxFileSize", "sink.max_file_mb")
    if size is not None:
        sink["max_file_mb"] = size
    packed = given.text("compress", "sink.compress")
    word = (packed or "none").lower()
    if word in ("gzip", "gz", "zstd"):
        if sink["format"] == "parquet":
            sink["parquet"] = {"compression": word.replace("gz", "gzip") if word == "gz" else word}
        else:
            sink["compress"] = "zstd" if word == "zstd" else "gzip"
    elif word == "snappy" and sink["format"] == "parquet":
        sink["parquet"] = {"compression": "snappy"}
    elif word != "none":
        told = f"{word} is not written; gzip and zstd are"
        given.trail.choose("sink.format", f"The job's compression: {told}. Objects are not compressed.")
        given.trail.note(given.at("compress"), Fate.OTHER, told)


def _look(given: Given, sink: dict[str, Any]) -> None:
    """How csv and text objects look."""
    trail, kind = given.trail, sink["format"]
    names = ("fieldDelimiter", "nullFormat", "dateFormat", "encoding", "header", "csvWriterConfig")
    if kind not in ("csv", "text"):
        given.other(f"has no effect with format {kind}", *names)
        return
    key = f"sink.{kind}"
    look: dict[str, Any] = {}
    if delimiter := given.text("fieldDelimiter", f"{key}.delimiter"):
        look["delimiter"] = delimiter
    null = given.data.get("nullFormat")
    if isinstance(null, str):
        trail.note(given.at("nullFormat"), Fate.TAKEN, f"{key}.null")
        look["null"] = null
    else:
        default = "empty" if kind == "csv" else "\\N"
        trail.choose(key, f"The job names no nullFormat, and DataX's own varies; chosen: null is {default}.")
    look["header"] = bool(given.texts("header", f"{key}.header"))
    if encoding := given.text("encoding", f"{key}.encoding"):
        look["encoding"] = encoding
    if pattern := given.text("dateFormat", f"{key}.date_format"):
        look["date_format"] = pattern
    config = given.part("csvWriterConfig")
    if str(config.raw("forceQualifier") or "false").lower() == "true" and kind == "csv":
        config.take("forceQualifier", f"{key}.quote")
        look["quote"] = "all"
    elif str(config.raw("useTextQualifier") or "true").lower() == "false" and kind == "csv":
        config.take("useTextQualifier", f"{key}.quote")
        look["quote"] = "none"
    sink[kind] = look


def odps_sink(given: Given, clock: Clock) -> dict[str, Any]:
    """`sink` of a MaxCompute table, of writer odps."""
    trail = given.trail
    sink: dict[str, Any] = {"type": "maxcompute"}
    table = given.text("table", "sink.table")
    if project := given.text("project", "sink.project"):
        sink["project"] = project
    sink["table"] = table or trail.fill_in("sink.table", "the table of MaxCompute")
    if partition := given.text("partition", "sink.partition"):
        sink["partition"] = with_placeholders(partition, "sink.partition", clock, trail)
    names = given.texts("column", "sink.columns")
    if names and names != ["*"]:
        sink["columns"] = names
    else:
        trail.choose("sink.table", "The job names no columns of the table: columns go where the name is the same.")
    truncate = given.flag("truncate", "sink.truncate")
    if truncate is None:
        trail.choose("sink.truncate", "The job does not say; chosen: rows are added.")
    sink["truncate"] = bool(truncate)
    rule = given.text("overLengthRule", "sink.over_length")
    if rule:
        word = _LENGTHS.get(rule.lower())
        if word is None:
            trail.refuse(given.at("overLengthRule"), f"{shown(rule)} is no rule", did_you_mean(rule, tuple(_LENGTHS)))
        sink["over_length"] = word or "fail"
        if word == "fail":
            trail.choose("sink.over_length", "keepOn hands values on; what is too long is a dirty record here.")
    for name, key in (("preSql", "pre_sql"), ("postSql", "post_sql")):
        statements = given.texts(name, f"sink.{key}")
        if statements:
            sink[key] = statements
    if str(given.raw("emptyAsNull") or "false").lower() == "true":
        given.other("empty text and null stay apart", "emptyAsNull")
    given.always("empty text and null stay apart", "emptyAsNull")
    given.always("one session and one commit for each run", "consistencyCommit")
    given.always(REPEATED, "maxRetryTime")
    given.always("blocks have their size from the plan", "blockSizeInMB", "isCompress")
    given.other("one run loads one partition", "supportDynamicPartition", "partitionColumnMapping")
    return sink


def written_columns(given: Given) -> list[tuple[str, str | None]]:
    """Name and type of each column that writer ots names: the key first."""
    found: list[tuple[str, str | None]] = []
    for key in ("primaryKey", "column"):
        for position, one in enumerate(given.list(key)):
            loc = (*given.at(key), position)
            if isinstance(one, str) and one:
                given.trail.note(loc, Fate.TAKEN, "source.columns")
                found.append((one, None))
            elif isinstance(one, dict) and one.get("name"):
                given.trail.note((*loc, "name"), Fate.TAKEN, "source.columns")
                kind = None
                if one.get("type"):
                    kind = type_of(one["type"], (*loc, "type"), given.trail)
                    given.trail.note((*loc, "type"), Fate.TAKEN, "source.columns")
                found.append((str(one["name"]), kind))
            else:
                given.trail.refuse(loc, "has no name", 'write {"name": "uid", "type": "string"}')
    if not given.list("primaryKey"):
        given.trail.refuse(given.at("primaryKey"), "is missing: the table's key columns, in their order")
    return found


_BATCH = (
    ("batchWriteCount", "batch_rows", 200),
    ("requestTotalSizeLimitation", "batch_bytes", MOST_BYTES),
)


def ots_sink(given: Given) -> dict[str, Any]:
    """`sink` of a restore, of writer ots."""
    trail = given.trail
    sink: dict[str, Any] = {"type": "tablestore"}
    sink["table"] = given.text("table", "sink.table") or trail.fill_in("sink.table", "the table")
    mode = given.text("writeMode", "sink.write")
    word = _WRITES.get((mode or "PutRow").replace("_", "").lower())
    if word is None:
        trail.refuse(given.at("writeMode"), f"{shown(mode)} is not done by a restore", "PutRow and UpdateRow are")
    if not mode:
        trail.choose("sink.write", "The job names no writeMode; chosen: put.")
    sink["write"] = word or "put"
    if word == "update":
        sink["nulls"] = "delete"
        trail.choose("sink.nulls", "UpdateRow of DataX deletes a column for a null; keep would leave it.")
    if names := [str(one.get("name") if isinstance(one, dict) else one) for one in given.list("primaryKey")]:
        sink["primary_key"] = names
    for name, key, most in _BATCH:
        count = given.whole(name, f"sink.{key}")
        if count is None:
            continue
        sink[key] = max(1 if key == "batch_rows" else 1024, min(count, most))
        if sink[key] != count:
            trail.choose(f"sink.{key}", f"The job says {count}; up to {most} is possible.")
    qps = given.number("requestQPS", "sink.requests_per_second")
    if qps is not None and qps > 0:
        sink["requests_per_second"] = qps
    if (retries := given.whole("maxRetryTime", "sink.max_retries")) is not None:
        sink["max_retries"] = retries
    if str(given.raw("mode") or "normal").lower() != "normal":
        trail.refuse(given.at("mode"), "versions of cells are not restored", "write mode normal")
    given.always("a row is written as a whole", "mode", "newVersion")
    given.always("pauses between attempts begin at 100 ms and grow", "retrySleepInMillisecond")
    if str(given.raw("isTimeseriesTable") or "false").lower() == "true":
        trail.refuse(given.at("isTimeseriesTable"), "timeseries tables are not written by this version")
    given.always("is off", "isTimeseriesTable")
    given.other(
        "values are written with the service's time", "defaultTimestampInMillisecond", "defaultTimestampInMillionSecond"
    )
    return sink
