"""What became of every parameter of a job: the trail from the job to the spec.

Parameters are taken through `Given`, which writes down where each went or why it has no place. What nobody has taken is
written down at the end too, so no parameter can be lost without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from airflow_tablestore.spec.problems import Finding, Loc, finding, holds_key_id, masked, names_secret, path_of, shown


class Fate(StrEnum):
    """What became of a parameter. OTHER: it has no equivalent, or not the same."""

    TAKEN = "taken"
    CONNECTION = "connection"
    ALWAYS = "always"
    OTHER = "other"
    EMPTY = "empty"
    SECRET = "secret"  # noqa: S105 (a word, no credential)


@dataclass(frozen=True, slots=True)
class Step:
    """One parameter of the job: where it stood, what became of it, and the key of the spec or a sentence."""

    loc: Loc
    fate: Fate
    told: str

    @property
    def path(self) -> str:
        return path_of(self.loc)


@dataclass(slots=True)
class Trail:
    """All that is written down while a job becomes a spec.

    `choices`: what was decided for the author, by the key of the spec. `unfilled`: keys that only the author can fill.
    """

    steps: list[Step] = field(default_factory=list)
    choices: dict[Loc, list[str]] = field(default_factory=dict)
    unfilled: dict[Loc, str] = field(default_factory=dict)
    problems: list[Finding] = field(default_factory=list)
    secrets: list[Loc] = field(default_factory=list)

    def note(self, loc: Loc, fate: Fate, told: str) -> None:
        self.steps.append(Step(loc, fate, told))

    def choose(self, key: str, told: str) -> None:
        """A choice at a key of the spec; becomes a comment there."""
        self.choices.setdefault(tuple(key.split(".")), []).append(told)

    def fill_in(self, key: str, told: str) -> str:
        """The empty value of a key that the job does not tell."""
        self.unfilled[tuple(key.split("."))] = told
        return ""

    def refuse(self, loc: Loc, message: str, hint: str = "") -> None:
        self.problems.append(finding(loc, message, hint))

    def finish(self, job: Mapping[str, Any]) -> None:
        """Write down the parameters that nobody has taken."""
        known = {step.loc for step in self.steps}
        for loc, value in leaves(job):
            if any(loc[:length] in known for length in range(1, len(loc) + 1)):
                continue
            if is_secret(loc, value):
                self.note(loc, Fate.SECRET, "")
            elif value in ("", None) or value == [] or value == {}:
                self.note(loc, Fate.EMPTY, "")
            else:
                self.note(loc, Fate.OTHER, f"is not known here; it is {without_tokens(shown(value))}")
        self.secrets = [loc for loc, value in leaves(job) if is_secret(loc, value)]


_TOKEN = re.compile(r"(?<![\w+/=-])(?=[\w+/=-]*?[0-9])(?=[\w+/=-]*?[A-Za-z])[\w+/=-]{20,}+")


def without_tokens(text: str) -> str:
    """A text of which nobody knows what it is, without what is as long and as mixed as a key."""
    return _TOKEN.sub("***", masked(text))


def leaves(data: Any, at: Loc = ()) -> Iterator[tuple[Loc, Any]]:
    """Every value of a job with its place; an empty list or object is one too."""
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from leaves(value, (*at, key))
    elif isinstance(data, list) and data:
        for position, value in enumerate(data):
            yield from leaves(value, (*at, position))
    else:
        yield at, data


def is_secret(loc: Loc, value: Any) -> bool:
    """Whether this is a credential in plain text."""
    if value in ("", None) or isinstance(value, bool | dict | list):
        return False
    name = next((step for step in reversed(loc) if isinstance(step, str)), "")
    return names_secret(name) or (isinstance(value, str) and holds_key_id(value))


@dataclass(frozen=True, slots=True)
class Given:
    """An object of the job, at its place."""

    data: Mapping[str, Any]
    loc: Loc
    trail: Trail = field(repr=False)

    def raw(self, *names: str) -> Any:
        """The first of these that is there and not empty, as it is written; nothing is written down."""
        return next((self.data[name] for name in names if self.data.get(name) not in ("", None)), None)

    def at(self, name: str) -> Loc:
        return (*self.loc, name)

    def take(self, name: str, to: str, *others: str) -> Any:
        """The value of a parameter, which goes to this key of the spec; None when it is empty or missing.

        :param others: other spellings of the name.
        """
        return self._first((name, *others), Fate.TAKEN, to)

    def _first(self, names: tuple[str, ...], fate: Fate, told: str) -> Any:
        found = None
        for name in names:
            value = self.data.get(name)
            if name not in self.data:
                continue
            if is_secret(self.at(name), value):
                self.trail.note(self.at(name), Fate.SECRET, "")
            elif value in ("", None) or value == {}:
                self.trail.note(self.at(name), Fate.EMPTY, "")
            elif found is None:
                found = value
                self.trail.note(self.at(name), fate, told)
            else:
                self.trail.note(self.at(name), Fate.OTHER, "says the same as another spelling of it, which counts")
        return found

    def connection(self, name: str, told: str, *others: str) -> Any:
        """The value of a parameter that belongs into the connection."""
        return self._first((name, *others), Fate.CONNECTION, told)

    def always(self, told: str, *names: str) -> None:
        """Parameters that change nothing here."""
        for name in names:
            self._first((name,), Fate.ALWAYS, told)

    def other(self, told: str, *names: str) -> None:
        """Parameters without an equivalent."""
        for name in names:
            self._first((name,), Fate.OTHER, told)

    def texts(self, name: str, to: str) -> list[str]:
        """The texts of a list; one alone is a list of one."""
        self.take(name, to)
        found = self.list(name)
        for position, one in enumerate(found):
            if one is None or isinstance(one, dict | list):
                self.trail.refuse((*self.at(name), position), f"must be text, not {shown(one)}")
        return [str(one) for one in found]

    def text(self, name: str, to: str, *others: str) -> str | None:
        value = self.take(name, to, *others)
        if isinstance(value, dict | list):
            self.trail.refuse(self.at(name), f"must be text, not {shown(value)}")
            return None
        return None if value is None else ("true" if value else "false") if isinstance(value, bool) else str(value)

    def number(self, name: str, to: str, *others: str) -> int | float | None:
        """A number, also one in quotes."""
        value = self.take(name, to, *others)
        if value is None:
            return None
        try:
            if isinstance(value, bool | dict | list):
                raise ValueError(value)
            number = float(value)
            return int(number) if number.is_integer() else number
        except (ValueError, OverflowError):
            spelling = next(one for one in (name, *others) if self.data.get(one) == value)
            self.trail.refuse(self.at(spelling), f"must be a number, not {shown(value)}")
            return None

    def whole(self, name: str, to: str, *others: str) -> int | None:
        number = self.number(name, to, *others)
        if isinstance(number, float):
            self.trail.refuse(self.at(name), f"must be a whole number, not {shown(number)}")
            return None
        return number

    def flag(self, name: str, to: str) -> bool | None:
        """True or false, also in quotes."""
        value = self.take(name, to)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        self.trail.refuse(self.at(name), f"must be true or false, not {shown(value)}")
        return None

    def part(self, name: str) -> Given:
        """An object inside this one; empty when it is missing."""
        value = self.data.get(name)
        if value not in (None, "") and not isinstance(value, Mapping):
            self.trail.refuse(self.at(name), f"must be an object, not {shown(value)}")
        return Given(value if isinstance(value, Mapping) else {}, self.at(name), self.trail)

    def list(self, name: str) -> list[Any]:
        """The entries of a list; one alone is a list of one. Nothing is written down."""
        value = self.data.get(name)
        if value in (None, "", {}):
            return []
        return value if isinstance(value, list) else [value]
