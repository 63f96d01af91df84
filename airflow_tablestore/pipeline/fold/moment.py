"""A table as it was at a moment, as its author asks for it: a value alone, so that a spec is read without engine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PointInTime:
    """The table as it was at `to`: full exports at or below the prefix `base`, windows at or below `changes`.

    What is published at the prefix `target` is no base, for the run will replace it; "": nothing is.
    """

    base: str
    changes: str
    to: datetime
    target: str = ""
