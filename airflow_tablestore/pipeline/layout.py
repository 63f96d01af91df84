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


def object_stem(prefix: str, pipeline: str, run: str) -> str:
    """What the keys of all objects of one run start with."""
    return f"{prefix}{pipeline}-{run}-"


def object_key(prefix: str, pipeline: str, run: str, split: int, slice_: int, number: int, suffix: str) -> str:
    """The key of a slice's n-th object: from the plan alone, so every attempt and executor gives the same."""
    return f"{object_stem(prefix, pipeline, run)}{split:05d}-{slice_:02d}-{number:04d}{suffix}"


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
