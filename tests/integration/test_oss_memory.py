"""The OSS service never holds a large object in memory, in whichever direction it goes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import oss2
import pytest

from airflow_tablestore.emulator.oss import crc64

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the process's peak memory from /proc"),
]

SIZE = 96 * 1024 * 1024
MOST_GROWTH = 24 * 1024 * 1024


def peak(process):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def test_a_large_object_goes_through_little_memory():
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_tablestore.emulator", "up", "--ephemeral", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        oss = json.loads(process.stdout.readline())["oss"]
        auth = oss2.Auth(oss["access_key_id"], oss["access_key_secret"])
        bucket = oss2.Bucket(auth, oss["endpoint"], oss["bucket"])
        before = peak(process)

        bucket.put_object("large", bytes(SIZE))
        checksum = 0
        for chunk in bucket.get_object("large"):
            checksum = crc64.checksum(chunk, checksum)

        assert bucket.head_object("large").server_crc == checksum
        assert peak(process) - before < MOST_GROWTH
    finally:
        process.terminate()
        process.wait()
