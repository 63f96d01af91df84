"""What is wrong with a delivery task, found before anything is sent: all of it at once.

The service takes many a task that will never deliver what its author wanted: it drops a field whose type does not fit,
without a word. What can be told from the task alone is found by `text_faults` (lint uses it too); what needs the table
by `table_faults`. Places are keys of a spec's `delivery`.
Source: the documentation's page "Create delivery tasks"; which types fit is documented for five pairs only, so pairs
that may fit are warnings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import urlsplit

from airflow_tablestore.errors import Problem
from airflow_tablestore.pipeline.delivery.prefix import VARIABLES, skipped, variables
from airflow_tablestore.pipeline.sources.pinning import Sample
from airflow_tablestore.wire.delivery import DeliveryTask, Encoding, ParquetType, TaskType, TimeFormat
from airflow_tablestore.wire.row import ColumnType
from airflow_tablestore.wire.table import TableDescription

EXAMPLE = "sampledeliverytask"
"""The one name that breaks the documented rule and yet is documented: 18 characters."""

SERVICE_ROLE = "aliyunserviceroleforotsdatadelivery"
LONGEST_PREFIX = 900
"""What OSS allows a key, less room for the name of a file."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,14}[a-z0-9]")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_ROLE = re.compile(r"acs:ram::[0-9][0-9*]*[0-9]:role/([A-Za-z0-9._@-]{1,64})")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", re.IGNORECASE)

_OSS_REGION = re.compile(r"oss-([a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com")
_INSTANCE_REGION = re.compile(r"[^.]+\.([a-z0-9-]+)\.(?:vpc\.)?(?:ots|ots-internal|tablestore)\.aliyuncs\.com")

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where among the keys of `delivery`."""

    place: Place
    message: str
    hint: str = ""
    is_warning: bool = False

    def problem(self) -> Problem:
        """For a message: with the place in words."""
        text = "delivery"
        for step in self.place:
            text += f"[{step}]" if isinstance(step, int) else f".{step}"
        return Problem(self.message, self.hint, path=text, is_warning=self.is_warning)


@dataclass(frozen=True, slots=True)
class ColumnDraft:
    """A column as far as it is known; None where its author has written nothing usable."""

    name: str | None = None
    to: str | None = None
    type: ParquetType | None = None
    encoding: Encoding | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A task as far as it is known; None where nothing can be said yet."""

    name: str | None = None
    prefix: str | None = None
    bucket: str | None = None
    endpoint: str | None = None
    role: str | None = None
    columns: Sequence[ColumnDraft] | None = None
    has_event_time: bool = False

    @classmethod
    def of(cls, task: DeliveryTask) -> Draft:
        """A whole task."""
        to = task.destination
        columns = [ColumnDraft(one.name, one.to, one.type, one.encoding) for one in to.columns]
        return cls(task.name, to.prefix, to.bucket, to.endpoint, to.role, columns, to.event_time is not None)


def text_faults(draft: Draft) -> Iterator[Fault]:
    """What is wrong whatever the table holds."""
    if draft.name is not None and not _NAME.fullmatch(draft.name):
        hint = "3 to 16 lower-case letters, digits and '-', a letter or digit at both ends"
        if draft.name == EXAMPLE:
            told = f"'{EXAMPLE}' is the documentation's example, and longer than the documentation allows"
            yield Fault(("task",), told, hint, is_warning=True)
        else:
            yield Fault(("task",), f"'{draft.name}' is no name of a delivery task", hint)
    if draft.bucket is not None and not _BUCKET.fullmatch(draft.bucket):
        hint = "3 to 63 lower-case letters, digits and '-', none of these at an end"
        yield Fault(("bucket",), f"'{draft.bucket}' is no name of a bucket", hint)
    if draft.endpoint is not None:
        yield from _endpoint_faults(draft.endpoint, draft.bucket or "")
    if draft.role is not None:
        yield from _role_faults(draft.role)
    if draft.prefix is not None:
        yield from _prefix_faults(draft.prefix, has_event_time=draft.has_event_time)
    if draft.columns is not None:
        yield from _column_faults(draft.columns)


def _endpoint_faults(endpoint: str, bucket: str) -> Iterator[Fault]:
    place, hint = ("endpoint",), "write oss-<region>.aliyuncs.com"
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        yield Fault(place, f"'{endpoint}' is no endpoint", hint)
        return
    is_bare = not (parts.path or parts.query or parts.fragment or parts.username)
    if parts.scheme not in ("http", "https") or not is_bare or not _HOST.fullmatch(host):
        yield Fault(place, f"'{endpoint}' is no endpoint", hint)
        return
    labels = host.split(".")
    if {"ots", "ots-internal", "tablestore"} & set(labels[1:]) and labels[-2:] == ["aliyuncs", "com"]:
        yield Fault(place, "is an endpoint of Tablestore, not of OSS", hint)
    elif bucket and labels[0] == bucket and len(labels) > 2:
        yield Fault(place, f"contains the bucket's name '{bucket}'", f"write {host.removeprefix(f'{bucket}.')}")
    elif labels[-2:] == ["aliyuncs", "com"] and (len(labels) != 3 or not labels[0].startswith("oss-")):
        yield Fault(place, f"'{host}' is no endpoint of OSS", hint)


def region_faults(endpoint: str, instance_url: str) -> Iterator[Fault]:
    """The bucket must be in the instance's region. Only what the hosts of both tell is compared.

    Source: the page "Create delivery tasks", prerequisites.
    """
    bucket_region, region = _region(endpoint, _OSS_REGION), _region(instance_url, _INSTANCE_REGION)
    if bucket_region and region and bucket_region != region:
        told = f"is of the region {bucket_region}, and the instance is in {region}; a task delivers within its region"
        yield Fault(("endpoint",), told, f"name a bucket in {region}, and oss-{region}.aliyuncs.com")


def _region(url: str, form: re.Pattern[str]) -> str:
    found = form.fullmatch(urlsplit(url if "://" in url else f"https://{url}").hostname or "")
    return found[1] if found else ""


def _role_faults(role: str) -> Iterator[Fault]:
    found = _ROLE.fullmatch(role)
    hint = f"write acs:ram::<account>:role/{SERVICE_ROLE}; the RAM console shows it"
    if found is None:
        yield Fault(("role",), f"'{role}' is no ARN of a role", hint)
        return
    if found[1].lower() != SERVICE_ROLE:
        told = f"names the role '{found[1]}'; delivery is documented with {SERVICE_ROLE} only"
        yield Fault(("role",), told, hint, is_warning=True)
    if "*" in role:
        told = "has stars in its account, as documentation prints it; the service will not be authorised"
        yield Fault(("role",), told, hint, is_warning=True)


def _prefix_faults(prefix: str, *, has_event_time: bool) -> Iterator[Fault]:
    place, known = ("prefix",), [f"${word}" for word in VARIABLES]
    if not prefix.strip("/"):
        yield Fault(place, "is empty: files would lie between everything else in the bucket", "write a folder")
        return
    for word in variables(prefix):
        if word not in VARIABLES:
            yield Fault(place, f"'${word}' is no time variable", _variable_hint(word, known))
    if re.search(r"[{}]", prefix):
        yield Fault(place, "has braces, which the service does not fill in", f"it knows {', '.join(known)}")
    if prefix.startswith("/") or "//" in prefix or not prefix.isprintable() or "\\" in prefix:
        yield Fault(
            place, f"'{prefix}' is no folder in a bucket", "write a/b, without a slash in front or two in a row"
        )
    if len(prefix.encode("utf-8", "replace")) > LONGEST_PREFIX:
        yield Fault(place, f"is longer than {LONGEST_PREFIX} bytes", "OSS allows a key 1023")
    if lacking := skipped(prefix):
        told = f"has no ${', $'.join(lacking)}: the same folders are written to again later, so none is ever complete"
        yield Fault(place, told, is_warning=True)
    if has_event_time and not any(variables(prefix)):
        told = "has no time variable, so the event time has no effect"
        yield Fault(place, told, f"write one of {', '.join(known)}", is_warning=True)


def _variable_hint(word: str, known: list[str]) -> str:
    """Words that are written together are the common slip."""
    if word and not re.sub("|".join(VARIABLES), "", word):
        return f"write {re.sub('|'.join(VARIABLES), lambda found: f'${found[0]}', word)}"
    close = [name for name in known if name[1:].lower() == word.lower()] or get_close_matches(f"${word}", known, 1)
    return f"did you mean '{close[0]}'?" if len(close) == 1 else f"known: {', '.join(known)}"


_WHOLE = {
    ParquetType.INT64,
    ParquetType.INT32,
    ParquetType.DATE,
    ParquetType.TIME_MILLIS,
    ParquetType.TIME_MICROS,
    ParquetType.TIMESTAMP_MILLIS,
    ParquetType.TIMESTAMP_MICROS,
}
ENCODED = {
    Encoding.DELTA_BINARY_PACKED: _WHOLE,
    Encoding.DELTA_BYTE_ARRAY: {ParquetType.UTF8, ParquetType.DECIMAL},
    Encoding.DELTA_LENGTH_BYTE_ARRAY: {ParquetType.UTF8},
}
"""Which types an encoding is for. Source: Apache Parquet's "Encodings"; the others are for all types."""


def _column_faults(columns: Sequence[ColumnDraft]) -> Iterator[Fault]:
    if not columns:
        yield Fault(("schema",), "is empty: nothing would be delivered", "name at least one column")
    names, outputs = dict[str, int](), dict[str, int]()
    for number, one in enumerate(columns):
        if one.name is not None and names.setdefault(one.name, number) != number:
            told = f"'{one.name}' is delivered already, by schema[{names[one.name]}]"
            yield Fault(("schema", number, "column"), told, "name each column once")
        if one.to is not None and outputs.setdefault(one.to, number) != number:
            told = f"'{one.to}' is also the name of schema[{outputs[one.to]}]"
            yield Fault(("schema", number, "to"), told, "a file has each name once")
        fitting = None if one.encoding is None else ENCODED.get(one.encoding)
        if fitting is not None and one.type is not None and one.type not in fitting:
            told = f"{one.encoding} is not for {one.type}"
            yield Fault(("schema", number, "encoding"), told, f"it is for {', '.join(sorted(fitting))}; or write PLAIN")


# ---- beside the table

DOCUMENTED = {
    ColumnType.INTEGER: ParquetType.INT64,
    ColumnType.STRING: ParquetType.UTF8,
    ColumnType.DOUBLE: ParquetType.DOUBLE,
    ColumnType.BOOLEAN: ParquetType.BOOL,
    ColumnType.BINARY: ParquetType.UTF8,
}
_TIMES = {
    ParquetType.DATE,
    ParquetType.TIME_MILLIS,
    ParquetType.TIME_MICROS,
    ParquetType.TIMESTAMP_MILLIS,
    ParquetType.TIMESTAMP_MICROS,
    ParquetType.INT96,
}
POSSIBLE = {
    ColumnType.INTEGER: {ParquetType.INT32, ParquetType.DECIMAL, *_TIMES},
    ColumnType.STRING: {
        ParquetType.DECIMAL,
        ParquetType.LIST,
        ParquetType.MAP,
        ParquetType.INTERVAL,
        *_TIMES,
    },
    ColumnType.DOUBLE: {ParquetType.FLOAT, ParquetType.DECIMAL},
    ColumnType.BOOLEAN: set[ParquetType](),
    ColumnType.BINARY: {ParquetType.INTERVAL},
}
"""Pairs of which the documentation says neither yes nor no."""


def fits(found: ColumnType, wanted: ParquetType) -> bool:
    """Whether values of that type can be delivered as this one; what does not fit is dropped by the service."""
    return DOCUMENTED[found] is wanted or wanted in POSSIBLE[found]


def table_faults(
    task: DeliveryTask, table: TableDescription, sample: Sample, optional: Collection[str] = ()
) -> Iterator[Fault]:
    """What contradicts the table: its key, its defined columns, the rows that were looked at.

    :param optional: columns that rows may lack or hold in another type: what is found about them is a warning.
    """
    declared = dict(table.defined) | {key.name: key.type for key in table.keys}
    known = [*declared, *(name for name in sample.types if name not in declared)]
    for number, one in enumerate(task.destination.columns):
        is_optional = one.name in optional
        if one.name in declared:
            yield from _declared_faults(number, one.name, declared[one.name], one.type, task.table)
        elif one.name in sample.types:
            yield from _seen_faults(number, one.name, sample, one.type, is_optional=is_optional)
        else:
            yield _unknown(("schema", number, "column"), one.name, known, sample, is_optional=is_optional)
    event = task.destination.event_time
    if event is not None:
        yield from _event_faults(event.column, event.format, declared, known, sample)


def _declared_faults(number: int, name: str, type_: ColumnType, wanted: ParquetType, table: str) -> Iterator[Fault]:
    if not fits(type_, wanted):
        told = f"'{name}' of table '{table}' is {type_}; as {wanted} every value of it would be dropped"
        yield Fault(("schema", number, "type"), told, f"write {DOCUMENTED[type_]}")
    elif wanted is not DOCUMENTED[type_]:
        yield _undocumented(number, name, type_, wanted)


def _seen_faults(number: int, name: str, sample: Sample, wanted: ParquetType, *, is_optional: bool) -> Iterator[Fault]:
    types = sample.types[name]
    wrong = {type_: count for type_, count in types.items() if not fits(type_, wanted)}
    if wrong:
        told = " and ".join(f"{count} are {type_}" for type_, count in wrong.items())
        message = f"of {types.total()} values of '{name}' that were looked at {told}; as {wanted} they would be dropped"
        yield Fault(("schema", number, "type"), message, _hint(types, wrong, is_optional=is_optional), is_optional)
    for type_ in types:
        if type_ not in wrong and wanted is not DOCUMENTED[type_]:
            yield _undocumented(number, name, type_, wanted)


def _hint(types: Counter[ColumnType], wrong: Collection[ColumnType], *, is_optional: bool) -> str:
    if is_optional:
        return "optional: true allows that"
    (most, _), *_ = types.most_common(1)
    return f"write {DOCUMENTED[most]}" if most in wrong else "say optional: true where that is meant"


def _undocumented(number: int, name: str, type_: ColumnType, wanted: ParquetType) -> Fault:
    told = f"'{name}' is {type_}; the service does not document whether it delivers that as {wanted}"
    hint = f"audit the delivery, or write {DOCUMENTED[type_]}"
    return Fault(("schema", number, "type"), told, hint, is_warning=True)


def _unknown(place: Place, name: str, known: Sequence[str], sample: Sample, *, is_optional: bool) -> Fault:
    close = get_close_matches(name, known, n=1)
    if not sample.rows:
        told = f"'{name}' is neither in the key nor defined, and the table has no row to look at"
        return Fault(place, told, f"did you mean '{close[0]}'?" if close else "", is_warning=True)
    advice = "optional: true allows that" if is_optional else "if only few rows have it, say optional: true"
    hint = f"did you mean '{close[0]}'?" if close else advice
    return Fault(place, f"none of {sample.rows} rows that were looked at has a column '{name}'", hint, is_optional)


def _event_faults(
    name: str, format_: TimeFormat, declared: dict[str, ColumnType], known: Sequence[str], sample: Sample
) -> Iterator[Fault]:
    types = {declared[name]} if name in declared else set(sample.types.get(name, ()))
    if not types:
        yield _unknown(("event_time", "column"), name, known, sample, is_optional=False)
        return
    wanted = ColumnType.INTEGER if format_ is TimeFormat.UNIX else ColumnType.STRING
    if types != {wanted}:
        told = f"'{name}' is {' and '.join(sorted(types))}; a time in the format {format_} is {wanted}"
        hint = "write Unix for whole numbers, RFC3339 or another text format for text"
        yield Fault(("event_time", "format"), told, hint)


def wait_faults(type_: TaskType, *, has_max_lag: bool) -> Iterator[Fault]:
    """What a task of this type never reaches. Places are keys of `wait`."""
    if type_ is TaskType.BASE and has_max_lag:
        yield Fault(("max_lag",), "a BaseTask delivers the rows once, so it is never behind", "leave it out")
