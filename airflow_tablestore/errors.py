"""Every error this package raises on purpose, grouped by what the caller does next.

Foreign errors (sockets, oss2, protobuf) are translated once, where they enter. Messages say what happened,
where, what was expected and what to try; they never hold a secret. Attributes are for machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


class TablestoreError(Exception):
    """Anything this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about a spec or a connection: where, what is wrong, what to do.

    `line` and `column` count from 1; 0 means that the place is not known (a spec built in Python).
    """

    message: str
    hint: str = ""
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    is_warning: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else (f"{self.file}: " if self.file else "")
        subject = f"{self.path}: " if self.path else ""
        return f"{place}{subject}{self.message}" + (f" ({self.hint})" if self.hint else "")


class SpecError(TablestoreError):
    """The author must change something. Holds every problem, not the first."""

    def __init__(self, problems: Sequence[Problem] | str):
        self.problems = (Problem(problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class WindowMissing(SpecError):
    """No published window holds some changes that are needed; a run that is due may wait until one does."""


class RequestError(TablestoreError):
    """A service answered with an error, or could not be reached.

    `code` is the service's own ("OTSAuthFailed", "NoSuchBucket"), or a word of ours for what never got an answer.
    """

    def __init__(self, message: str, *, operation: str = "", code: str = "", status: int = 0, request_id: str = ""):
        self.operation, self.code, self.status, self.request_id = operation, code, status, request_id
        told = f"{operation}: {message}" if operation else message
        super().__init__(told + (f" [request id {request_id}]" if request_id else ""))


class RetryLater(RequestError):
    """The same call may succeed later; `after_seconds` when the service says how much later, else 0."""

    after_seconds: float = 0.0


class Rejected(RequestError):
    """Repeating cannot help: permission, missing table or bucket, bad argument."""


class PositionLost(RequestError):
    """The resume point is gone; a person chooses where to start."""


class ProtocolError(TablestoreError):
    """The peer broke the protocol; we stop rather than guess."""


class RecordError(TablestoreError):
    """A record cannot go on: key, column and reason are in the message."""


class DirtyLimitExceeded(RecordError):
    """More dirty records than `limits.errors` allows; nothing is published."""


class Superseded(TablestoreError):
    """A later run or attempt has taken over; this one stops. Nothing needs repair."""


class StartOver(TablestoreError):
    """What an earlier task left is gone. `task` names the one to clear with its downstream."""

    def __init__(self, message: str, *, task: str):
        self.task = task
        super().__init__(f"{message} Clear the task '{task}' with its downstream.")


class DeliveryError(TablestoreError):
    """A delivery task is not as it is wanted, has stopped, or is gone; a person, or another setting, must decide."""


class WindowLost(TablestoreError):
    """Records of a window are gone, or may be; no retry brings them back. A person accepts the loss, or does not.

    `start` and `end` are the window's; `reason` is the sentence that the ledger keeps.
    """

    def __init__(self, message: str, *, start: datetime, end: datetime, reason: str):
        self.start, self.end, self.reason = start, end, reason
        super().__init__(message)


class NotDue(TablestoreError):
    """A window may not be read yet: what belongs to it can still be written, or become visible. `due_at` is when."""

    def __init__(self, message: str, *, start: datetime, end: datetime, due_at: datetime):
        self.start, self.end, self.due_at = start, end, due_at
        super().__init__(message)
