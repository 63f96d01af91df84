"""Faults on demand: what goes wrong, for which requests, and how often.

A `Fault` is a rule as a value; `Faults` holds the rules of one emulator and decides for each request which of them
strike. Carrying them out is left to `gate.py` (connections, bodies, waiting) and to each service (its own errors), so
that the code that keeps data knows nothing of them. Chance comes from each rule's seed: a test that failed fails again.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from airflow_tablestore.emulator.maxcompute.errors import REFUSALS as MAXCOMPUTE_REFUSALS
from airflow_tablestore.emulator.oss.errors import REFUSALS
from airflow_tablestore.emulator.tablestore.errors import STATUS, TEXTS
from airflow_tablestore.errors import Problem, SpecError

TABLESTORE, OSS, MAXCOMPUTE, ANY = "tablestore", "oss", "maxcompute", "*"


class Kind(StrEnum):
    """What goes wrong."""

    ERROR = "error"
    ROW_ERROR = "row_error"
    LATENCY = "latency"
    RESET = "reset"
    CUT_BODY = "cut_body"
    WRONG_MD5 = "wrong_md5"
    WRONG_CRC = "wrong_crc"
    LOST_ANSWER = "lost_answer"


MEANINGS: Mapping[Kind, str] = {
    Kind.ERROR: "the service answers with `code`; nothing is done",
    Kind.ROW_ERROR: "rows of a BatchWriteRow or BatchGetRow fail with `code`, each an occasion of its own; "
    "the others are done",
    Kind.LATENCY: "the request waits `seconds` before anything is done",
    Kind.RESET: "the connection is reset before anything is done",
    Kind.CUT_BODY: "the request is done; the connection ends in the middle of the answer's body",
    Kind.WRONG_MD5: "the request is done; a byte of the answer changes on its way, so its MD5 is wrong (Tablestore)",
    Kind.WRONG_CRC: "a checksum is wrong though the rest fits: of a read row (Tablestore), of an object's bytes (OSS)",
    Kind.LOST_ANSWER: "the request is done; the connection is reset before its answer",
}
"""Each kind in a sentence, for people."""

ROW_OPERATIONS = ("BatchWriteRow", "BatchGetRow")
READING_OPERATIONS = ("GetRow", "BatchGetRow", "GetRange", "BulkExport")
_ONLY_TABLESTORE = (Kind.ROW_ERROR, Kind.WRONG_MD5)
_WITH_CODE = (Kind.ERROR, Kind.ROW_ERROR)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is about, as far as can be told before it is verified.

    `tables` holds each table's name; for OSS one "bucket/key", and `instance` is the bucket. For MaxCompute `instance`
    is the project.
    """

    service: str
    instance: str
    operation: str
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule. `instance`, `operation` and `table` are shell patterns; for OSS, `table` is "bucket/key".

    An occasion is a matching request (for `row_error`, a matching row). The first `skip` occasions pass; of the others
    each is struck with `probability`, until `count` were (None: for good).

    :param code: of the service's error; `status` and `message` are the service's own unless they are given.
    :param seconds: how long a `latency` is.
    :raises SpecError: the fields do not fit each other; names every problem.
    """

    kind: Kind
    service: str = ANY
    instance: str = ANY
    operation: str = ANY
    table: str = ANY
    code: str = ""
    status: int = 0
    message: str = ""
    seconds: float = 0.0
    probability: float = 1.0
    seed: int = 0
    count: int | None = None
    skip: int = 0

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "kind", Kind(self.kind))
        except ValueError:
            known = ", ".join(kind.value for kind in Kind)
            raise SpecError([Problem(f"there is no kind {self.kind!r}", f"kinds are: {known}", "kind")]) from None
        problems = [*_type_problems(self)] or [*_problems(self)]
        if problems:
            raise SpecError(problems)
        object.__setattr__(self, "service", self._only_service())

    def _only_service(self) -> str:
        if self.kind in _ONLY_TABLESTORE:
            return TABLESTORE
        if self.code and self.service == ANY:
            return _service_of(self.code)
        return self.service

    def is_about(self, asked: Asked) -> bool:
        """Whether a request can be struck by this."""
        if self.kind == Kind.ROW_ERROR and asked.operation not in ROW_OPERATIONS:
            return False
        if self.kind == Kind.WRONG_CRC and not _has_checksum(asked):
            return False
        return (
            self.service in (ANY, asked.service)
            and fnmatchcase(asked.instance, self.instance)
            and fnmatchcase(asked.operation, self.operation)
            and (self.table == ANY or any(fnmatchcase(table, self.table) for table in asked.tables))
        )

    @property
    def told_status(self) -> int:
        """The HTTP status of its error."""
        return self.status or _known_status(self.service, self.code) or 0

    @property
    def told_message(self) -> str:
        """The text of its error."""
        if self.message:
            return self.message
        known = MAXCOMPUTE_REFUSALS if self.service == MAXCOMPUTE else REFUSALS
        return known[self.code][1] if self.code in known else TEXTS.get(self.code, "An error on demand.")

    def as_json(self) -> dict[str, Any]:
        """The fields that are not as they would be by themselves."""
        return {
            field.name: value
            for field, value in zip(fields(self), asdict(self).values(), strict=True)
            if field.name in ("kind", "service") or value != field.default
        }

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.code}" if self.code else self.kind.value


def fault_from(told: object) -> Fault:
    """The rule that decoded JSON tells of.

    :raises SpecError: it tells of none; names the field and what may be there.
    """
    if not isinstance(told, Mapping):
        raise SpecError("A fault is a JSON object, like {'kind': 'error', 'code': 'OTSServerBusy', 'count': 2}.")
    known = [field.name for field in fields(Fault)]
    unknown = [Problem(f"unknown field {name!r}", f"fields are: {', '.join(known)}") for name in told.keys() - {*known}]
    if unknown:
        raise SpecError(sorted(unknown, key=str))
    if "kind" not in told:
        kinds = ", ".join(kind.value for kind in Kind)
        raise SpecError([Problem("a fault needs its kind", f"kinds are: {kinds}", "kind")])
    return Fault(**told)


def _chance(fault: Fault) -> random.Random:
    """What decides when the rule strikes: the same for the same rule, and another one beside a rule of other words."""
    words = (fault.seed, fault.kind.value, fault.code, fault.service, fault.operation, fault.table)
    return random.Random(repr(words))  # noqa: S311 - repeatable on purpose


@dataclass(slots=True)
class Armed:
    """A rule in use: its number, how many occasions there were, and how many it struck."""

    id: int
    fault: Fault
    chance: random.Random
    occasions: int = 0
    struck: int = 0

    def strikes(self) -> bool:
        """Whether this occasion is struck."""
        fault = self.fault
        self.occasions += 1
        if self.occasions <= fault.skip or (fault.count is not None and self.struck >= fault.count):
            return False
        if fault.probability < 1 and self.chance.random() >= fault.probability:
            return False
        self.struck += 1
        return True

    def as_json(self) -> dict[str, Any]:
        """What the list of faults tells."""
        return {"id": self.id, **self.fault.as_json(), "occasions": self.occasions, "struck": self.struck}


class Faults:
    """The rules of one emulator, in the order in which they were added. Safe to use from many threads."""

    def __init__(self) -> None:
        self._armed: list[Armed] = []
        self._made = 0
        self._lock = threading.Lock()

    def add(self, kind: Fault | Kind | str, /, **settings: Any) -> int:
        """Adds a rule, a `Fault` or its fields; its number.

        :raises SpecError: the fields do not fit.
        """
        fault = kind if isinstance(kind, Fault) else fault_from({"kind": kind, **settings})
        with self._lock:
            self._made += 1
            self._armed.append(Armed(self._made, fault, _chance(fault)))
            return self._made

    def remove(self, id_: int) -> bool:
        """Whether there was a rule of this number; there is none now."""
        with self._lock:
            before = len(self._armed)
            self._armed = [armed for armed in self._armed if armed.id != id_]
            return len(self._armed) < before

    def clear(self) -> None:
        """Removes every rule."""
        with self._lock:
            self._armed.clear()

    def list(self) -> list[dict[str, Any]]:
        """Every rule with its number and what it did so far."""
        with self._lock:
            return [armed.as_json() for armed in self._armed]

    def struck(self, id_: int) -> int:
        """How often the rule of this number has struck; 0 when there is none."""
        with self._lock:
            return next((armed.struck for armed in self._armed if armed.id == id_), 0)

    def strike(self, asked: Asked) -> tuple[Fault, ...]:
        """What goes wrong with this request: every latency due, and the first other fault that is. Rows apart."""
        if not self._armed:
            return ()
        found: list[Fault] = []
        with self._lock:
            is_struck = False
            for armed in self._armed:
                is_latency = armed.fault.kind == Kind.LATENCY
                if armed.fault.kind == Kind.ROW_ERROR or (is_struck and not is_latency):
                    continue
                if armed.fault.is_about(asked) and armed.strikes():
                    found.append(armed.fault)
                    is_struck = is_struck or not is_latency
        return tuple(found)

    def may_strike_rows(self, asked: Asked) -> bool:
        """Whether rows of this request are occasions at all."""
        if not self._armed:
            return False
        with self._lock:
            return any(armed.fault.kind == Kind.ROW_ERROR and armed.fault.is_about(asked) for armed in self._armed)

    def strike_row(self, asked: Asked) -> Fault | None:
        """What goes wrong with one row of this request: `asked` names the row's table alone."""
        with self._lock:
            for armed in self._armed:
                if armed.fault.kind == Kind.ROW_ERROR and armed.fault.is_about(asked) and armed.strikes():
                    return armed.fault
        return None


def _service_of(code: str) -> str:
    """Whose code it is; one that several services have is OSS's."""
    if code.startswith("OTS"):
        return TABLESTORE
    return MAXCOMPUTE if code in MAXCOMPUTE_REFUSALS and code not in REFUSALS else OSS


def _has_checksum(asked: Asked) -> bool:
    if asked.service == TABLESTORE:
        return asked.operation in READING_OPERATIONS
    return asked.service == OSS


def _known_status(service: str, code: str) -> int | None:
    if service in (TABLESTORE, ANY) and code in STATUS:
        return STATUS[code]
    if service in (OSS, ANY) and code in REFUSALS:
        return REFUSALS[code][0]
    if service in (MAXCOMPUTE, ANY) and code in MAXCOMPUTE_REFUSALS:
        return MAXCOMPUTE_REFUSALS[code][0]
    return None


def _type_problems(fault: Fault) -> Sequence[Problem]:
    texts = ("service", "instance", "operation", "table", "code", "message")
    wrong = [(name, "a text") for name in texts if not isinstance(getattr(fault, name), str)]
    wrong += [(name, "a whole number") for name in ("status", "seed", "skip") if not _is_whole(getattr(fault, name))]
    wrong += [(name, "a number") for name in ("seconds", "probability") if not _is_number(getattr(fault, name))]
    if fault.count is not None and not _is_whole(fault.count):
        wrong.append(("count", "a whole number, or null for no end"))
    return [Problem(f"{getattr(fault, name)!r} is not {what}", path=name) for name, what in wrong]


def _problems(fault: Fault) -> Sequence[Problem]:
    found = []
    if fault.service not in (TABLESTORE, OSS, MAXCOMPUTE, ANY):
        hint = "tablestore, oss, maxcompute, or * for all"
        found.append(Problem(f"there is no service {fault.service!r}", hint, "service"))
    if fault.kind in _ONLY_TABLESTORE and fault.service in (OSS, MAXCOMPUTE):
        found.append(Problem(f"{fault.kind} is a fault of tablestore only", path="service"))
    if fault.kind == Kind.WRONG_CRC and fault.service == MAXCOMPUTE:
        found.append(Problem("wrong_crc is a fault of tablestore and oss only", path="service"))
    if not 0 < fault.probability <= 1:
        found.append(Problem(f"{fault.probability} is no probability", "above 0, up to 1", "probability"))
    if fault.skip < 0:
        found.append(Problem(f"{fault.skip} occasions cannot be skipped", "0 or more", "skip"))
    if fault.count is not None and fault.count < 1:
        found.append(Problem(f"{fault.count} strikes are none", "1 or more; leave it out for no end", "count"))
    if fault.kind == Kind.LATENCY:
        if not 0 < fault.seconds <= 3600:
            found.append(Problem("a latency needs its seconds", "above 0, up to 3600", "seconds"))
    elif fault.seconds:
        found.append(Problem(f"{fault.kind} takes no seconds", "add a latency beside it", "seconds"))
    return [*found, *_code_problems(fault)]


def _code_problems(fault: Fault) -> Sequence[Problem]:
    if fault.kind not in _WITH_CODE:
        is_bare = not (fault.code or fault.status or fault.message)
        return (
            [] if is_bare else [Problem(f"{fault.kind} takes no code, status or message", "kind: error does", "code")]
        )
    if not fault.code:
        hint = "such as OTSServerBusy or OTSTimeout; of OSS: InternalError or AccessDenied"
        return [Problem(f"{fault.kind} needs the code of an error", hint, "code")]
    is_row = fault.kind == Kind.ROW_ERROR
    if is_row and not fault.code.startswith("OTS"):
        return [Problem(f"{fault.code} is no error of a row", "codes of Tablestore begin with OTS", "code")]
    if (fault.status and not 400 <= fault.status <= 599) or (is_row and fault.status):
        return [Problem(f"{fault.status} is no status of an error", "400 to 599; a row has none", "status")]
    service = TABLESTORE if is_row else fault.service
    if not fault.status and not is_row and _known_status(service, fault.code) is None:
        return [Problem(f"{fault.code} has no status known here", "give its status and message too", "code")]
    return []


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
