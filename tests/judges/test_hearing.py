"""A judge that fails, is silent or ends badly is never taken for one that is content."""

import json
from pathlib import Path

import pytest

from tests.judges.judge import Judge, Verdict
from tests.judges.runtimes import Absent, Program, this_python
from tests.judges.table import cells, page

FINE, BROKEN = Verdict("PutRow", "it is put", True), Verdict("GetRow", "it is there", False, "it is not")


def judge(folder: Path, program: str) -> Judge:
    file = folder / "client.py"
    file.write_text(program)
    return Judge("Some client", "Tablestore", "a client", this_python, str(file))


def says(verdict: Verdict) -> str:
    line = {"client": "x", "operation": verdict.operation, "case": verdict.case}
    return f"print({json.dumps(json.dumps({**line, 'passed': verdict.passed, 'detail': verdict.detail}))})\n"


def test_what_a_judge_says_is_heard(tmp_path):
    chatty = judge(tmp_path, "print('a warning of the client')\n" + says(FINE) + says(BROKEN))

    assert chatty.hear({}) == [FINE, BROKEN]


@pytest.mark.parametrize("program", ["", says(FINE) + "raise SystemExit(3)", "import nowhere"])
def test_a_judge_that_does_not_end_well_is_an_error(tmp_path, program):
    with pytest.raises(RuntimeError, match="Some client ended with"):
        judge(tmp_path, program).hear({})


def test_a_judge_without_its_runtime_is_absent(tmp_path):
    def nowhere() -> Program:
        raise Absent("no such language is on this machine")

    with pytest.raises(Absent):
        Judge("Some client", "OSS", "a client", nowhere, None).hear({})


def test_a_page_says_what_was_heard_and_of_whom_nothing_was(tmp_path):
    asked = [judge(tmp_path, ""), Judge("Nobody", "Tablestore", "not heard", this_python, None)]

    told = page(asked, {"Some client": [FINE, BROKEN]})

    assert "| PutRow | it is put | yes | not run |" in told
    assert cells(told) == {"Some client": {("PutRow", "it is put"): "yes", ("GetRow", "it is there"): "**no**"}}
