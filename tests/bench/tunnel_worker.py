"""One tunnel worker as a process: what the emulator said of itself, the tunnel, and the seconds that its sink takes."""

from __future__ import annotations

import json
import sys
import time

from tests.bench.tunnels import QUICK, connected, drained


def main() -> None:
    services, tunnel, pause_seconds = json.loads(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    with connected(services) as client:
        count = drained(client, tunnel, pause_seconds, QUICK)
    print(json.dumps({"records": count, "cpu_seconds": time.process_time()}))


if __name__ == "__main__":
    main()
