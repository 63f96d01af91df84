"""`run --run-id`: what names a run."""

from __future__ import annotations

from argparse import Namespace

import pytest

from airflow_tablestore.cli.run import run
from airflow_tablestore.cli.session import Session
from airflow_tablestore.errors import SpecError


def test_an_empty_run_id_is_refused():
    with pytest.raises(SpecError, match="--run-id"):
        run(Namespace(run_id=" ", spec="none.yaml"), Session())
