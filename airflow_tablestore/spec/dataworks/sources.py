"""What the readers `ots`, `otsstream` and `oss` say, as `source` of a spec."""

from __future__ import annotations

from typing import Any

from airflow_tablestore.spec.dataworks.columns import columns, key_range, split_points, type_of
from airflow_tablestore.spec.dataworks.trail import Fate, Given
from airflow_tablestore.spec.problems import shown
from airflow_tablestore.spec.stream_source import MULTI_VERSION, SINGLE_VERSION

REPEATED = "requests are repeated by themselves, and tasks by retry"
_FORMATS = {"csv": "csv", "text": "text", "txt": "text", "parquet": "parquet", "json": "jsonl", "jsonl": "jsonl"}
_COMPRESSIONS = {"gzip": "gzip", "gz": "gzip", "zstd": "zstd", "zst": "zstd", "none": "none"}


def table_source(given: Given, header: list[str]) -> dict[str, Any]:
    """`source` of a full export, of reader ots."""
    trail = given.trail
    source: dict[str, Any] = {
        "table": given.text("table", "source.table") or trail.fill_in("source.table", "the table")
    }
    picked = columns(given, header)
    if picked:
        source["columns"] = picked
    if found := key_range(given):
        source["range"] = found
    if points := split_points(given):
        source["split"] = points
    mode = str(given.raw("mode") or "normal").lower()
    if mode == "normal":
        given.always("rows are read once, each cell in its latest version", "mode")
    else:
        told = "all versions of a cell are not exported: here it is the latest"
        trail.choose("source.table", f"The job reads with mode {mode}; {told}.")
        given.other(told, "mode")
    given.other("one version of each cell is exported, the latest", "timeRange", "maxVersion")
    _no_timeseries(given)
    if str(given.raw("metaMode") or "false").lower() != "false":
        trail.refuse(given.at("metaMode"), "the job reads descriptions of tables, not rows", "no pipeline does that")
    given.always("is off", "metaMode")
    given.always("there is one way to read", "newVersion")
    given.always(REPEATED, "maxRetryTime", "retryPauseInMillisecond", "maxRetries")
    return source


def stream_source(given: Given, header: list[str]) -> dict[str, Any]:
    """`source` of an incremental export, of reader otsstream."""
    trail = given.trail
    table = given.text("dataTable", "source.table", "table")
    source: dict[str, Any] = {"table": table or trail.fill_in("source.table", "the table")}
    mode = given.text("mode", "source.mode")
    source["mode"] = SINGLE_VERSION if mode else MULTI_VERSION
    if mode and mode.lower() != SINGLE_VERSION:
        trail.refuse(given.at("mode"), f"{shown(mode)} is no mode", f"write {SINGLE_VERSION}, or leave it out")
    elif not mode:
        trail.choose("source.mode", "The job names no mode, which means a row for each cell that was put or deleted.")
    picked = columns(given, header if mode else [])
    if mode and not picked:
        trail.refuse(given.at("column"), f"is missing: mode {SINGLE_VERSION} exports the columns that it is told")
    elif mode:
        source["columns"] = picked
    elif picked:
        told = "without a mode the columns are given, so DataX does not look at these either"
        trail.choose("source.mode", f"The job's list of columns has no effect: {told}.")
        trail.note(given.at("column"), Fate.OTHER, told)
    sequence = given.flag("isExportSequenceInfo", "source.export_sequence_info")
    if sequence and mode:
        trail.refuse(
            given.at("isExportSequenceInfo"),
            f"does not go with mode {SINGLE_VERSION}",
            "write false, or remove the mode",
        )
    elif sequence:
        source["export_sequence_info"] = True
    retries = given.whole("maxRetries", "source.max_retries")
    if retries is not None:
        source["max_retries"] = retries
    given.always("reading begins by a search of time", "enableSeekIterator")
    given.always("is found out", "enableTableGroupSupport")
    given.always("is about DataX's own memory", "confSimplifyEnable")
    _no_timeseries(given)
    return source


def _no_timeseries(given: Given) -> None:
    if str(given.raw("isTimeseriesTable") or "false").lower() == "true":
        given.trail.refuse(given.at("isTimeseriesTable"), "timeseries tables are not read by this version")
    given.always("is off", "isTimeseriesTable")


def objects_source(given: Given, names: list[tuple[str, str | None]]) -> dict[str, Any]:
    """`source` of a restore, of reader oss.

    :param names: name and type of each column that the writer names: key first.
    """
    trail = given.trail
    source: dict[str, Any] = {"type": "oss"}
    source["bucket"] = given.text("bucket", "source.bucket") or trail.fill_in(
        "source.bucket", "the data source's bucket"
    )
    patterns = given.texts("object", "source.objects")
    source["objects"] = patterns or [trail.fill_in("source.objects", "keys of objects, with * and ?")]
    kind = (given.text("fileFormat", "source.format") or "csv").lower()
    if kind not in _FORMATS:
        trail.refuse(given.at("fileFormat"), f"{shown(kind)} is not read", "csv, text, jsonl and parquet are")
    source["format"] = _FORMATS.get(kind, "csv")
    packed = (given.text("compress", "source.compress") or "none").lower()
    if packed not in _COMPRESSIONS:
        trail.refuse(given.at("compress"), f"{shown(packed)} is not read", "gzip and zstd are")
    elif packed != "none":
        source["compress"] = _COMPRESSIONS[packed]
    source["columns"] = _object_columns(given, names)
    if source["format"] in ("csv", "text"):
        source[source["format"]] = _look(given, source["format"])
    for name in ("csvReaderConfig", "fieldDelimiter", "nullFormat", "encoding", "skipHeader"):
        given.other(f"does not go with {source['format']}", name) if not _known(given, name) else None
    given.other("a restore without objects is an error", "successOnNoObject")
    given.always("objects are divided by the plan", "balanceThreshold", "enableInnerSplit")
    return source


def _known(given: Given, name: str) -> bool:
    return any(step.loc == given.at(name) for step in given.trail.steps)


def _look(given: Given, kind: str) -> dict[str, Any]:
    look: dict[str, Any] = {}
    key = f"source.{kind}"
    if (delimiter := given.text("fieldDelimiter", f"{key}.delimiter")) is not None:
        look["delimiter"] = delimiter
    if (null := given.data.get("nullFormat")) is not None:
        given.trail.note(given.at("nullFormat"), Fate.TAKEN, f"{key}.null")
        look["null"] = str(null)
    look["header"] = bool(given.flag("skipHeader", f"{key}.header"))
    if look["header"]:
        given.trail.choose(key, "DataX passes over the header; here its names say which column is which.")
    if encoding := given.text("encoding", f"{key}.encoding"):
        look["encoding"] = encoding
    return look


def _object_columns(given: Given, names: list[tuple[str, str | None]]) -> list[dict[str, str]]:
    """The columns: their order and types are the reader's, their names the writer's."""
    trail, written = given.trail, given.list("column")
    if not written or written == ["*"]:
        if "column" in given.data:
            trail.note(given.at("column"), Fate.TAKEN, "source.columns")
        trail.choose("source.columns", "The reader takes all columns as text; types are the writer's where it says.")
        return [{"name": name, "type": kind or "string"} for name, kind in names]
    if len(written) != len(names):
        told = f"the reader has {len(written)} columns, the writer {len(names)}"
        trail.refuse(given.at("column"), told, "name as many: key columns first, then the others")
    found: dict[int, dict[str, str]] = {}
    for position, (one, (name, writes)) in enumerate(zip(written, names, strict=False)):
        loc = (*given.at("column"), position)
        if isinstance(one, dict) and "value" in one and "index" not in one:
            continue  # a constant, which the sink writes
        if not isinstance(one, dict) or not str(one.get("index", "")).isdecimal():
            trail.refuse(loc, "has no index", 'write {"index": 0, "type": "string"}, or {"value": "cn"}')
            continue
        index = int(str(one["index"]))
        if index in found:
            trail.refuse((*loc, "index"), f"column {index} is read twice", "a column of an object is written once")
        trail.note((*loc, "index"), Fate.TAKEN, "source.columns")
        kind = type_of(one.get("type", "string"), (*loc, "type"), trail) or "string"
        if "type" in one:
            trail.note((*loc, "type"), Fate.TAKEN, "source.columns")
        found[index] = {"name": name, "type": writes or kind}
    left_out = [str(index) for index in range(max(found, default=-1)) if index not in found]
    if left_out:
        told = f"leaves out column {', '.join(left_out)} of the object"
        trail.refuse(given.at("column"), told, "name all columns here and pick some with sink.columns")
    return [found[index] for index in sorted(found)]


def constants_of(given: Given, names: list[tuple[str, str | None]]) -> list[dict[str, Any]]:
    """The constants among the columns of reader oss, with the names that the writer gives them."""
    found = []
    for position, (one, (name, writes)) in enumerate(zip(given.list("column"), names, strict=False)):
        if not isinstance(one, dict) or "value" not in one or "index" in one:
            continue
        loc = (*given.at("column"), position)
        given.trail.note((*loc, "value"), Fate.TAKEN, "sink.columns")
        kind = type_of(one.get("type", "string"), (*loc, "type"), given.trail) or "string"
        if "type" in one:
            given.trail.note((*loc, "type"), Fate.TAKEN, "sink.columns")
        found.append({"value": one["value"], "as": name, "type": writes or kind})
    return found
