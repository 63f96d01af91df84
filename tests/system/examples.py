"""The examples of `dags/` as their author would switch them on now.

A copy, in which every window pipeline starts at a given moment: before a stream is switched on there is nothing to
catch up with.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "dags"
_START = re.compile(r"^start: .*$", re.MULTILINE)


def copy_examples(to: Path, start: datetime, others: Mapping[str, datetime] | None = None) -> Path:
    """The DAG folder `to` with the examples; their windows begin at `start`, those named in `others` elsewhere."""
    shutil.copytree(EXAMPLES, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for spec in (to / "specs").glob("*.yaml"):
        begin = (others or {}).get(spec.stem, start)
        spec.write_text(_START.sub(f"start: {begin.isoformat()}", spec.read_text()))
    return to
