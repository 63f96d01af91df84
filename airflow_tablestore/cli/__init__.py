"""The command line: `airflow-tablestore`, and `airflow tablestore` beside Airflow's own commands.

What commands there are is data, in `commands`; each one's work is in its own module, imported when it is asked for, so
that help and completion stay quick. Results go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

from airflow_tablestore.cli.parser import main

__all__ = ["main"]
