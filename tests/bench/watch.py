"""Starts one command and tells what it took: `python -m tests.bench.watch FILE COMMAND…`.

A process of its own, and a small one: Linux counts the memory of whoever starts a program as that program's own peak.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time


def main() -> int:
    told, *command = sys.argv[1:]
    began = time.monotonic()
    code = subprocess.run(command).returncode
    seconds, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(told, "w") as file:
        json.dump({"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "kib": used.ru_maxrss}, file)
    return code


if __name__ == "__main__":
    sys.exit(main())
