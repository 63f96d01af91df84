"""`emulator status|requests|faults|clock|reset|snapshot` as people call them."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
import time
from collections.abc import Iterator

import oss2
import pytest
import tablestore as sdk

from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.__main__ import main
from airflow_tablestore.emulator.snapshot import save

pytestmark = pytest.mark.slow

ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)


@pytest.fixture
def kept(tmp_path, monkeypatch) -> Iterator[Emulator]:
    monkeypatch.delenv("AIRFLOW_CONN_TABLESTORE_DEFAULT", raising=False)
    with Emulator(tmp_path / "data") as emulator:
        fill(emulator)
        yield emulator


def fill(emulator: Emulator) -> None:
    client = client_of(emulator)
    client.create_table(
        sdk.TableMeta("rides", [("id", "INTEGER")]), sdk.TableOptions(), sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
    )
    for n in range(3):
        client.put_row("rides", sdk.Row([("id", n)], [("n", n)]), ALWAYS)
    bucket_of(emulator).put_object("small", b"body")
    bucket_of(emulator).put_object("large", b"b" * 200_000)


def client_of(emulator: Emulator) -> sdk.OTSClient:
    at = emulator.tablestore
    return sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)


def bucket_of(emulator: Emulator) -> oss2.Bucket:
    at = emulator.oss
    return oss2.Bucket(oss2.Auth(at.access_key_id, at.access_key_secret), at.endpoint, at.bucket)


def contents(emulator: Emulator) -> tuple[list[int], dict[str, bytes]]:
    start, end = [("id", sdk.INF_MIN)], [("id", sdk.INF_MAX)]
    rows = client_of(emulator).get_range("rides", sdk.Direction.FORWARD, start, end, max_version=1)[2]
    bucket = bucket_of(emulator)
    objects = {o.key: bucket.get_object(o.key).read() for o in oss2.ObjectIterator(bucket)}
    return [row.primary_key[0][1] for row in rows], objects


FILLED = ([0, 1, 2], {"small": b"body", "large": b"b" * 200_000})


def test_status_tells_a_newcomer_what_is_there(kept, capsys):
    code = main(["status", "--data-dir", str(kept.data_dir)])

    out = capsys.readouterr().out
    assert code == 0
    assert f"Tablestore  {kept.tablestore.endpoint}" in out
    assert "demo.rides  3 rows" in out
    assert "backup  2 objects, 200.0 kB" in out
    assert f"{kept.data_dir} (kept)" in out
    assert "the wall clock" in out
    assert "Faults      none" in out


@pytest.mark.parametrize("way", ["url", "port", "environment"])
def test_a_running_emulator_is_found(kept, capsys, monkeypatch, way):
    if way == "environment":
        monkeypatch.setenv("AIRFLOW_CONN_TABLESTORE_DEFAULT", kept.environment()["AIRFLOW_CONN_TABLESTORE_DEFAULT"])
    port = kept.oss.endpoint.rpartition(":")[2]
    words = {"url": ["--url", kept.oss.endpoint], "port": ["--port", port], "environment": []}[way]

    assert main(["status", "--json", *words]) == 0

    assert json.loads(capsys.readouterr().out)["tablestore"]["rows"] == {"demo": {"rides": 3}}


def test_faults_are_added_seen_and_cleared_by_hand(kept, capsys):
    at = ["--data-dir", str(kept.data_dir)]

    main(["faults", "add", "error", "--code", "OTSServerBusy", "--operation", "GetRow", "--count", "1", *at])
    client_of(kept).get_row("rides", [("id", 1)], max_version=1)
    main(["faults", "list", *at])
    main(["requests", "--limit", "2", *at])
    main(["faults", "clear", *at])
    main(["faults", "list", *at])

    out = capsys.readouterr().out
    assert "Fault 1 is on." in out
    assert "1  error tablestore operation=GetRow code=OTSServerBusy count=1  (struck 1 of 2)" in out
    assert "503" in out
    assert "demo rides  <- error:OTSServerBusy" in out
    assert "1 fault removed." in out
    assert "No faults: everything works." in out


def test_the_clock_is_moved_by_hand(kept, capsys):
    assert main(["clock", "--advance", "3600", "--data-dir", str(kept.data_dir)]) == 0

    assert "3,600 s ahead of the wall clock" in capsys.readouterr().out
    assert kept.clock.ahead_seconds == 3600


def test_kept_data_is_not_reset_without_force(kept, capsys):
    at = ["--data-dir", str(kept.data_dir)]

    assert main(["reset", *at]) == 2
    assert contents(kept) == FILLED
    assert "--force" in capsys.readouterr().err
    assert main(["reset", "--force", *at]) == 0

    assert client_of(kept).list_table() == ()


def test_what_is_wrong_is_told_in_a_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_TABLESTORE_DEFAULT", raising=False)
    told = []
    for words in (
        ["status", "--data-dir", str(tmp_path)],
        ["status", "--port", "1"],
        ["status", "--url", "http://example.com:80"],
        ["snapshot", "save", str(tmp_path / "s"), "--data-dir", str(tmp_path)],
        ["snapshot", "load", str(tmp_path / "absent"), "--data-dir", str(tmp_path / "new")],
    ):
        assert main(words) == 2
        told.append(capsys.readouterr().err)

    for text, part in zip(
        told,
        ["No emulator uses", "No emulator answers", "is no emulator's address", "holds no emulator's data", "no file"],
        strict=True,
    ):
        assert part in text
        assert "Traceback" not in text


def test_a_fault_that_cannot_be_is_refused_in_words(kept, capsys):
    code = main(["faults", "add", "explosion", "--data-dir", str(kept.data_dir)])

    assert code == 2
    assert "kinds are: error" in capsys.readouterr().err


# ---- snapshots


def test_a_snapshot_of_a_running_emulator_is_loaded_into_another_directory(kept, tmp_path, capsys):
    file, other = tmp_path / "saved.tar.gz", tmp_path / "other"

    assert main(["snapshot", "save", str(file), "--data-dir", str(kept.data_dir)]) == 0
    assert main(["snapshot", "load", str(file), "--data-dir", str(other)]) == 0

    assert "1 table and 2 objects saved" in capsys.readouterr().out
    with Emulator(other) as loaded:
        assert contents(loaded) == FILLED
    assert contents(kept) == FILLED
    assert not [p for p in (kept.data_dir / "oss").iterdir() if p.name.startswith(".snapshot")]


def test_a_snapshot_is_taken_of_an_emulator_that_keeps_nothing(tmp_path, capsys):
    with Emulator() as ephemeral:
        fill(ephemeral)
        assert main(["snapshot", "save", str(tmp_path / "s"), "--url", ephemeral.oss.endpoint]) == 0
    assert main(["snapshot", "load", str(tmp_path / "s"), "--data-dir", str(tmp_path / "d")]) == 0

    with Emulator(tmp_path / "d") as loaded:
        assert contents(loaded) == FILLED


def test_a_snapshot_is_taken_of_a_stopped_emulator(tmp_path):
    with Emulator(tmp_path / "data") as emulator:
        fill(emulator)

    assert main(["snapshot", "save", str(tmp_path / "s"), "--data-dir", str(tmp_path / "data")]) == 0
    assert main(["snapshot", "load", str(tmp_path / "s"), "--data-dir", str(tmp_path / "new")]) == 0

    with Emulator(tmp_path / "new") as loaded:
        assert contents(loaded) == FILLED


def test_what_a_killed_save_left_is_swept(kept, tmp_path):
    oss = kept.data_dir / "oss"
    for name, age in ((".snapshot-old", 2 * 86400), (".snapshot-new", 60)):
        (oss / name).mkdir()
        os.utime(oss / name, (time.time() - age,) * 2)

    save(kept.data_dir / "tablestore", oss, tmp_path / "s")

    assert [p.name for p in oss.iterdir() if p.name.startswith(".snapshot")] == [".snapshot-new"]


def test_loading_over_data_needs_force(tmp_path, capsys):
    for name in ("a", "b"):
        with Emulator(tmp_path / name) as emulator:
            fill(emulator)
            bucket_of(emulator).put_object("of", name.encode())
    main(["snapshot", "save", str(tmp_path / "s"), "--data-dir", str(tmp_path / "a")])
    load = ["snapshot", "load", str(tmp_path / "s"), "--data-dir", str(tmp_path / "b")]

    assert main(load) == 2
    assert "--force" in capsys.readouterr().err
    with Emulator(tmp_path / "b") as untouched:
        assert contents(untouched)[1]["of"] == b"b"
    assert main([*load, "--force"]) == 0

    with Emulator(tmp_path / "b") as loaded:
        assert contents(loaded)[1]["of"] == b"a"
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == ["emulator.lock", "maxcompute", "oss", "tablestore"]


def test_nothing_is_loaded_under_a_running_emulator(kept, tmp_path, capsys):
    at = ["--data-dir", str(kept.data_dir)]
    main(["snapshot", "save", str(tmp_path / "s"), *at])

    assert main(["snapshot", "load", str(tmp_path / "s"), "--force", *at]) == 2

    assert "Another emulator" in capsys.readouterr().err
    assert contents(kept) == FILLED


def archive_of(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"no archive", id="no archive"),
        pytest.param(archive_of(), id="empty archive"),
        pytest.param(archive_of(("other", b"x")), id="another file"),
        pytest.param(archive_of(("snapshot.json", b"[]")), id="a list"),
        pytest.param(archive_of(("snapshot.json", b"{")), id="no JSON"),
        pytest.param(archive_of(("snapshot.json", b'{"format": 99}')), id="format of the future"),
        pytest.param(archive_of(("snapshot.json", b'{"format": 1}')), id="no tables"),
        pytest.param(archive_of(("snapshot.json", b'{"format": 1}'), ("../escaped", b"x")), id="outside"),
        pytest.param(
            archive_of(("snapshot.json", b'{"format": 1}'), ("oss/pieces/../../../escaped", b"x")),
            id="outside by detour",
        ),
        pytest.param(
            archive_of(
                ("snapshot.json", b'{"format": 1}'),
                ("tablestore/tables.sqlite", b"junk" * 99),
                ("oss/oss.sqlite", b"junk"),
            ),
            id="junk for tables",
        ),
    ],
)
def test_what_is_no_snapshot_leaves_the_data_as_it_was(tmp_path, capsys, content):
    with Emulator(tmp_path / "data") as emulator:
        fill(emulator)
    (tmp_path / "s").write_bytes(content)

    assert main(["snapshot", "load", str(tmp_path / "s"), "--data-dir", str(tmp_path / "data"), "--force"]) == 2

    error = capsys.readouterr().err
    assert error
    assert "Traceback" not in error
    assert not (tmp_path / "escaped").exists()
    with Emulator(tmp_path / "data") as untouched:
        assert contents(untouched) == FILLED


def test_a_snapshot_taken_while_objects_change_is_whole(kept, tmp_path):
    bucket, stop = bucket_of(kept), threading.Event()

    def change() -> None:
        n = 0
        while not stop.is_set():
            bucket.put_object(f"turning-{n % 3}", bytes([n % 256]) * 100_000)
            n += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for n in range(5):
            save(kept.data_dir / "tablestore", kept.data_dir / "oss", tmp_path / f"s{n}")
    finally:
        stop.set()
        thread.join()

    for n in range(5):
        assert main(["snapshot", "load", str(tmp_path / f"s{n}"), "--data-dir", str(tmp_path / f"d{n}")]) == 0
        with Emulator(tmp_path / f"d{n}") as loaded:
            objects = contents(loaded)[1]
            assert all(len(set(body)) == 1 and len(body) == 100_000 for key, body in objects.items() if key[0] == "t")
