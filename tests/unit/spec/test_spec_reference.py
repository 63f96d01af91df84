"""Schema and reference page say what lint says, because they come from the same models."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_tablestore.spec import load
from airflow_tablestore.spec.document import read_text
from airflow_tablestore.spec.kinds import KINDS
from airflow_tablestore.spec.reference import page
from airflow_tablestore.spec.schema import json_schema

ROOT = Path(__file__).parents[3]
GALLERY = sorted((ROOT / "dags").rglob("*.yaml"))


def test_the_committed_page_is_current():
    committed = (ROOT / "docs/reference/spec.md").read_text()

    assert committed == page(), "run: python -m airflow_tablestore.spec.reference docs/reference/spec.md"


@pytest.mark.parametrize("path", GALLERY, ids=lambda p: p.name)
def test_the_gallery_is_valid(path):
    load(path)


@pytest.mark.parametrize("path", GALLERY, ids=lambda p: p.name)
def test_what_lint_accepts_the_schema_accepts(path):
    jsonschema = pytest.importorskip("jsonschema")

    jsonschema.validate(read_text(path.read_text()).data, json_schema())


def test_the_schema_is_one_that_validators_accept():
    jsonschema = pytest.importorskip("jsonschema")

    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_described_with_an_example(kind):
    schema = json_schema([kind])
    undescribed = [
        f"{name}.{key}"
        for name, part in {"": schema, **schema["$defs"]}.items()
        for key, told in part["properties"].items()
        if "$ref" not in told and not (told.get("description") and told.get("examples"))
    ]

    assert undescribed == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_section(kind):
    assert f"## kind: {kind}\n" in page()
