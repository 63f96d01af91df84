"""What sinks promise of a tunnel's records, as comparisons of what a reader finds with the writer's journal.

The journal holds the last version of each key that the service has acknowledged; versions of a key count from 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """One change as a reader finds it. `sequence` sorts the changes of a key; `channel` is where it came from."""

    key: int
    version: int
    sequence: str = ""
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many changes were found, how many of them again, and each break of the promise in a sentence."""

    records: int
    repeats: int
    broken: tuple[str, ...]


def once(journal: dict[int, int], told: Sequence[Told]) -> Verdict:
    """Every change is found, none twice, those of a key in their order: within each channel, and by sequence."""
    found = at_least_once(journal, told)
    broken = list(found.broken)
    if found.repeats:
        broken.append(f"{found.repeats} changes were found again")
    last: dict[tuple[str, int], int] = {}
    for one in told:
        if one.version <= last.get((one.channel, one.key), 0):
            broken.append(f"key {one.key}: version {one.version} comes behind a later one in channel {one.channel}")
        last[one.channel, one.key] = one.version
    return Verdict(found.records, found.repeats, tuple(broken))


def at_least_once(journal: dict[int, int], told: Sequence[Told]) -> Verdict:
    """Every change is found, and a reader who drops repeats by sequence has those of a key in their order."""
    kept = {(one.sequence, one.key, one.version) for one in told}
    versions: dict[int, list[int]] = defaultdict(list)
    for _, key, version in sorted(kept):
        versions[key].append(version)
    broken = [
        f"key {key}: {_difference(versions.get(key, []), last)}"
        for key, last in sorted(journal.items())
        if versions.get(key, []) != list(range(1, last + 1))
    ]
    broken += [f"key {key} was never written" for key in sorted(versions.keys() - journal.keys())]
    return Verdict(len(told), len(told) - len(kept), tuple(broken))


def same_end(journal: dict[int, int], told: Sequence[Told]) -> Verdict:
    """The last version of every key is found, and nothing else."""
    found = {one.key: one.version for one in told}
    broken = [
        f"key {key}: version {found.get(key)} and not {last}"
        for key, last in sorted(journal.items())
        if found.get(key) != last
    ]
    broken += [f"key {key} was never written" for key in sorted(found.keys() - journal.keys())]
    return Verdict(len(told), len(told) - len(found), tuple(broken))


def _difference(versions: list[int], last: int) -> str:
    lost = sorted(set(range(1, last + 1)) - set(versions))
    if lost:
        return f"{len(lost)} of {last} versions are lost, the first is {lost[0]}"
    return f"its versions are not in their order or not once each: {len(versions)} for {last}"
