"""What explain tells is what a run does."""

from __future__ import annotations

import pytest

from airflow_tablestore.spec.explain import settings, story
from airflow_tablestore.spec.load import parse

SPEC = """\
pipeline: orders
kind: full_export
source: {{table: orders{more}}}
sink: {{type: oss, bucket: backup, prefix: orders/}}
"""


def document(more=""):
    return parse(SPEC.format(more=more), "orders.yaml")


def test_a_split_by_size_is_told_as_the_author_writes_it():
    found = {setting.path: setting.value for setting in settings(document())}

    assert found["source.split"] == "auto"


def test_named_columns_leave_no_column_for_others():
    told = " ".join(story(document(", columns: [id, amount]").spec))

    assert "has 2 columns" in told
    assert "_other" not in told


@pytest.mark.parametrize(("choice", "told"), [("other", "'_other'"), ("fail", "ends the run"), ("drop", "left out")])
def test_the_fate_of_unknown_columns_is_told(choice, told):
    assert told in " ".join(story(document(f", unknown_columns: {choice}").spec))
