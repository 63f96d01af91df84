"""The commands that ask no service, called as a shell calls them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import FAILED, MUST_CHANGE, OK, Session

SHORTEST = """\
pipeline: gps_full
kind: full_export
source: {table: ots_gps_data}
sink: {type: oss, bucket: backup, prefix: gps/full/}
"""


def told(*words):
    """The exit code, stdout and stderr of a command."""
    session = Session(out=io.StringIO(), err=io.StringIO())
    code = main([str(word) for word in words], session)
    return code, session.out.getvalue(), session.err.getvalue()


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(SHORTEST)
    return path


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.yml"
    path.write_text(SHORTEST.replace("prefix:", "prefx:").replace("gps_full", "gps_other"))
    return path


def test_lint_accepts_a_good_spec(good):
    assert told("lint", good) == (OK, "1 spec: 0 errors, 0 warnings\n", "")


def test_lint_shows_line_caret_and_hint(bad):
    code, out, _ = told("lint", bad)

    assert code == FAILED
    assert out == (
        f"{bad}:4:1: error: sink.prefix: is missing\n"
        "    sink: {type: oss, bucket: backup, prefx: gps/full/}\n"
        "    ^\n"
        "    hint: Path under which the export owns the objects; ends at a slash\n"
        f"{bad}:4:35: error: sink.prefx: unknown key\n"
        "    sink: {type: oss, bucket: backup, prefx: gps/full/}\n"
        "                                      ^\n"
        "    hint: did you mean 'prefix'?\n"
        "1 spec: 2 errors, 0 warnings\n"
    )


def test_lint_reads_directories(good, bad, tmp_path):
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.yaml").write_text("nonsense")
    (tmp_path / "notes.txt").write_text("nonsense")

    _, out, _ = told("lint", tmp_path)

    assert out.endswith("2 specs: 2 errors, 0 warnings\n")


def test_lint_tells_programs_as_json(bad):
    code, out, _ = told("lint", bad, "--json")

    found = json.loads(out)
    assert (code, found["specs"], found["errors"]) == (FAILED, 1, 2)
    assert found["problems"][1] == {
        "file": str(bad),
        "line": 4,
        "column": 35,
        "level": "error",
        "path": "sink.prefx",
        "message": "unknown key",
        "hint": "did you mean 'prefix'?",
    }


def test_lint_names_what_does_not_exist(tmp_path):
    code, out, _ = told("lint", tmp_path / "none.yaml")

    assert code == FAILED
    assert "none.yaml: error: does not exist" in out


def test_a_warning_alone_is_no_failure(good):
    good.write_text(SHORTEST.replace("full/}", "full/, csv: {header: no}}"))

    code, out, _ = told("lint", good)

    assert code == OK
    assert "warning: sink.csv: has no effect with format parquet" in out


def test_a_credential_is_never_printed(good):
    good.write_text(
        SHORTEST.replace("data}", "data, accessKeySecret: Zq1mXw9TtOpSeCrEt, accessId: LTAI5tQnKxAbCdEfGh}")
    )

    outputs = told("lint", good), told("lint", good, "--json"), told("explain", good)

    assert not any("SeCrEt" in text or "AbCdEf" in text for _, *texts in outputs for text in texts)
    assert "put it into the Airflow connection" in outputs[0][1]


def test_a_connection_written_out_is_refused_unseen(good):
    good.write_text(SHORTEST.replace("table:", "connection: 'tablestore://me:SeCrEt@inst.ots.com', table:"))

    code, out, _ = told("lint", good)

    assert code == FAILED
    assert "is a whole connection, not the name of one" in out
    assert "SeCrEt" not in out


def test_schema_is_json(good):
    code, out, _ = told("schema", "--kind", "full_export")

    assert code == OK
    assert json.loads(out)["required"] == ["pipeline", "kind", "source", "sink"]


def test_schema_names_the_kinds_that_it_knows():
    code, _, err = told("schema", "--kind", "full")

    assert code == MUST_CHANGE
    assert "'full' is not known" in err


def test_explain_tells_each_value_with_its_origin(good):
    code, out, _ = told("explain", good)

    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == OK
    assert "source.table ots_gps_data line 3" in lines
    assert "sink.format parquet default" in lines
    assert any("reads all rows of table 'ots_gps_data'" in line for line in lines)


def test_explain_refuses_a_bad_spec_like_lint(bad):
    code, out, err = told("explain", bad)

    assert (code, out) == (MUST_CHANGE, "")
    assert "did you mean 'prefix'?" in err


def test_explain_tells_programs_as_json(good):
    _, out, _ = told("explain", good, "--json")

    assert {"path": "source.table", "value": "ots_gps_data", "line": 3} in json.loads(out)["settings"]


@pytest.mark.parametrize("words", [["nonsense"], ["lint"], []])
def test_wrong_usage_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)

    assert caught.value.code == MUST_CHANGE


def test_an_error_is_one_block_without_a_traceback(tmp_path, monkeypatch):
    monkeypatch.delenv("AIRFLOW_TABLESTORE_DEBUG", raising=False)

    _, _, err = told("explain", tmp_path / "none.yaml")
    _, _, debug = told("explain", tmp_path / "none.yaml", "--debug")

    assert "Traceback" not in err
    assert "Traceback" in debug


def test_help_needs_nothing_heavy():
    code = (
        "import sys; from airflow_tablestore.cli.parser import parser; parser().format_help();"
        "print([m for m in ('pydantic', 'yaml', 'pyarrow', 'oss2', 'airflow') if m in sys.modules])"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_the_committed_page_of_commands_is_current():
    from airflow_tablestore.cli.reference import page

    committed = (Path(__file__).parents[3] / "docs/reference/commands.md").read_text()

    assert committed == page(), "run: python -m airflow_tablestore.cli.reference docs/reference/commands.md"
