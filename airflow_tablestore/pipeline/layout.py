"""The names of everything a publication puts under a prefix.

Readers ignore names that start with an underscore; so whatever is not yet, or no longer, part of an export has one.
"""

from __future__ import annotations

import re

SUCCESS, MANIFEST, PREVIOUS, PENDING = "_SUCCESS", "_manifest.json", "_manifest.previous.json", "_pending/"

_OWN = (SUCCESS, MANIFEST, PREVIOUS)
_NAME = re.compile(
    r"(?P<claim>\d{8,})/(?:(?P<what>claim)|s(?P<split>\d+)-a(?P<attempt>\d+)|publish-a(?P<publish>\d+))\.json"
)
_NUMBERED = re.compile(r"(?P<name>.+)-\d{5,}-\d{2,}-\d{4,}(?:\..*)?$")


def object_key(prefix: str, pipeline: str, name: str, split: int, slice_: int, number: int, suffix: str) -> str:
    """The key of a slice's n-th object: from the plan alone, so every attempt and executor gives the same.

    :param name: what the run's objects are named after, see `fence.run_name`.
    """
    return f"{prefix}{pipeline}-{name}-{split:05d}-{slice_:02d}-{number:04d}{suffix}"


def name_of(prefix: str, pipeline: str, key: str) -> str | None:
    """What `object_key` was given as the name; None when it made no such key."""
    stem = f"{prefix}{pipeline}-"
    found = _NUMBERED.match(key, len(stem)) if key.startswith(stem) else None
    return found["name"] if found else None


def claim_key(prefix: str, claim: int) -> str:
    return f"{prefix}{PENDING}{claim:08d}/claim.json"


def uploads_key(prefix: str, claim: int, split: int, attempt: int) -> str:
    """Where an attempt of a split's task keeps the ids of the uploads it has begun."""
    return f"{prefix}{PENDING}{claim:08d}/s{split}-a{attempt}.json"


def fence_key(prefix: str, claim: int, attempt: int) -> str:
    """What keeps lower publishers out."""
    return f"{prefix}{PENDING}{claim:08d}/publish-a{attempt}.json"


def is_ours(prefix: str, key: str) -> bool:
    """Whether the key is one of the names above, and so no object of data and nobody else's."""
    name = key.removeprefix(prefix)
    return name in _OWN or name.startswith(PENDING)


def pending_name(prefix: str, key: str) -> re.Match[str] | None:
    """The parts of a name under `_pending/`; None for what we did not write."""
    return _NAME.fullmatch(key.removeprefix(f"{prefix}{PENDING}"))
