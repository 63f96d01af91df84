"""How objects that are read look, as a value: what an author or a manifest says of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadFormat:
    """How objects look. `kind` is csv, text, jsonl or parquet; the rest is of csv and text.

    `has_quotes`: quotes mean something (csv). `is_ours`: written by this package, so that nothing is forgiven that it
    would not write; `first_line` is then what each object begins with, and values stand in the order of the columns.
    """

    kind: str
    delimiter: str = ","
    null: str = ""
    header: bool = False
    encoding: str = "UTF-8"
    compression: str = "none"
    has_quotes: bool = True
    is_ours: bool = False
    first_line: str = ""
