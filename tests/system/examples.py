"""The examples of `dags/` as their author would switch them on now.

A copy, in which every window pipeline starts at a given moment: before a stream is switched on there is nothing to
catch up with.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "dags"
_START = re.compile(r"^start: .*$", re.MULTILINE)
_SCHEDULE = re.compile(r"^schedule: .*$", re.MULTILINE)


def copy_examples(
    to: Path, start: datetime, others: Mapping[str, datetime] | None = None, *, by_hand: Collection[str] = ()
) -> Path:
    """The DAG folder `to` with the examples; their windows begin at `start`, those named in `others` elsewhere.

    :param by_hand: pipelines that lose their schedule: they run when they are told to, and at no other time.
    """
    shutil.copytree(EXAMPLES, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for spec in (to / "specs").glob("*.yaml"):
        begin = (others or {}).get(spec.stem, start)
        text = _START.sub(f"start: {begin.isoformat()}", spec.read_text())
        spec.write_text(_SCHEDULE.sub("schedule: none", text) if spec.stem in by_hand else text)
    return to
