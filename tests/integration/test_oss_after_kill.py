"""The OSS service is killed (SIGKILL) in the middle of uploads; afterwards everything acknowledged is there.

The judge is the writers' own journal. What was not acknowledged is there completely or not at all.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time

import oss2
import pytest
from oss2.models import PartInfo

pytestmark = pytest.mark.slow

PART = 100 * 1024
PATIENCE_SECONDS = 120


def start(data_dir):
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_tablestore.emulator", "up", "--data-dir", str(data_dir), "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    oss = json.loads(process.stdout.readline())["oss"]
    auth = oss2.Auth(oss["access_key_id"], oss["access_key_secret"])
    return process, oss2.Bucket(auth, oss["endpoint"], oss["bucket"], connect_timeout=60)


def body(key, size):
    return random.Random(key).randbytes(size)


def puts(bucket, journal):
    for number in range(10_000):
        key = f"put/{number}"
        journal[key] = "sent"
        bucket.put_object(key, body(key, 300_000 if number % 2 else 1000))
        journal[key] = "done"


def overwrites(bucket, journal):
    for number in range(10_000):
        journal["sent"] = number
        bucket.put_object("overwritten", body(number, 150_000))
        journal["done"] = number


def uploads(bucket, journal):
    for number in range(10_000):
        key = f"upload/{number}"
        upload_id = bucket.init_multipart_upload(key).upload_id
        journal[key] = (upload_id, [], "begun")
        parts = []
        for n in (1, 2):
            parts.append(
                PartInfo(n, bucket.upload_part(key, upload_id, n, body(key, 2 * PART)[(n - 1) * PART :][:PART]).etag)
            )
            journal[key] = (upload_id, list(parts), "begun")
        journal[key] = (upload_id, parts, "completing")
        bucket.complete_multipart_upload(key, upload_id, parts)
        journal[key] = (upload_id, parts, "done")


def appends(bucket, journal):
    journal["acknowledged"] = 0
    for number in range(10_000):
        bucket.append_object("log", number * 1000, body(number, 1000))
        journal["acknowledged"] = number + 1


def writing(bucket, work):
    journal = {}

    def until_killed():
        with pytest.raises((oss2.exceptions.OssError, OSError)):  # those of requests are the latter
            work(bucket, journal)

    thread = threading.Thread(target=until_killed)
    thread.start()
    return thread, journal


def have_all_begun(put, overwritten, uploaded, appended):
    """Whether each writer was told at least once that something is done."""
    ends = [state for _, _, state in list(uploaded.values())]  # at once: its writer goes on
    return "done" in list(put.values()) and "done" in overwritten and "done" in ends and appended.get("acknowledged")


@pytest.mark.parametrize("seconds", [0.7, 1.6])
def test_what_was_acknowledged_survives_a_kill(tmp_path, seconds):
    process, bucket = start(tmp_path)
    work = [writing(bucket, w) for w in (puts, overwrites, uploads, appends)]
    time.sleep(seconds)
    last = time.monotonic() + PATIENCE_SECONDS
    while not have_all_begun(*(journal for _, journal in work)):
        assert time.monotonic() < last, "nothing was acknowledged"
        time.sleep(0.01)
    process.kill()
    process.wait()
    for thread, _ in work:
        thread.join()

    process, bucket = start(tmp_path)
    try:
        put, overwritten, uploaded, appended = (journal for _, journal in work)
        check_puts(bucket, put)
        check_overwritten(bucket, overwritten)
        check_uploads(bucket, uploaded)
        check_appended(bucket, appended)
    finally:
        process.terminate()
        process.wait()
    check_files(tmp_path / "oss")


def check_puts(bucket, journal):
    assert "done" in journal.values()
    for key, state in journal.items():
        if state == "done" or bucket.object_exists(key):
            stored = bucket.get_object(key).read()  # the client compares the checksum too
            assert stored == body(key, len(stored))
            assert len(stored) in (1000, 300_000)


def check_overwritten(bucket, journal):
    stored = bucket.get_object("overwritten").read()

    assert stored in (body(journal["done"], 150_000), body(journal["sent"], 150_000))


def check_uploads(bucket, journal):
    for key, (upload_id, parts, state) in journal.items():
        if state == "done" or (state == "completing" and bucket.object_exists(key)):
            with pytest.raises(oss2.exceptions.NoSuchUpload):
                bucket.list_parts(key, upload_id)
        else:
            assert not bucket.object_exists(key)
            kept = {p.part_number: p.etag for p in bucket.list_parts(key, upload_id).parts}
            assert kept.items() >= {p.part_number: p.etag for p in parts}.items()
            for n in (1, 2):
                bucket.upload_part(key, upload_id, n, body(key, 2 * PART)[(n - 1) * PART :][:PART])
            bucket.complete_multipart_upload(key, upload_id, None, headers={"x-oss-complete-all": "yes"})
        assert bucket.get_object(key).read() == body(key, 2 * PART)


def check_appended(bucket, journal):
    length = bucket.head_object("log").content_length // 1000

    assert length in (journal["acknowledged"], journal["acknowledged"] + 1)
    assert bucket.get_object("log").read() == b"".join(body(number, 1000) for number in range(length))


def check_files(directory):
    import sqlite3

    with sqlite3.connect(directory / "oss.sqlite") as connection:
        named = {row[0] for row in connection.execute("SELECT id FROM pieces WHERE data IS NULL")}
        used = {row[0] for row in connection.execute("SELECT piece FROM extents UNION SELECT piece FROM parts")}
        pieces = {row[0] for row in connection.execute("SELECT id FROM pieces")}
    assert {path.name for path in (directory / "pieces").iterdir()} == named
    assert used == pieces
