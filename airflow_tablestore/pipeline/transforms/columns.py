"""The output's columns: some of the source's, under their own or other names, and constants, in the author's order.

Guarantees: rows and their order are unchanged. A name that is missing or used twice is a SpecError before data flow.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.contract import Constant, Picked
from airflow_tablestore.wire.decode import ARROW_TYPES


@dataclass(frozen=True, slots=True)
class Columns:
    """Keep these columns."""

    columns: tuple[Picked | Constant, ...]

    def schema(self, given: pa.Schema) -> pa.Schema:
        """:raises SpecError: a column that the source lacks, or two of one name."""
        missing = [c.name for c in self.columns if isinstance(c, Picked) and c.name not in given.names]
        twice = [name for name, count in Counter(c.to for c in self.columns).items() if count > 1]
        if missing or twice:
            raise SpecError(
                [Problem(f"column '{name}' is not read from the source", path="source.columns") for name in missing]
                + [Problem(f"two columns are named '{n}'", "rename one with `as`", "source.columns") for n in twice]
            )
        return pa.schema([self._field(column, given) for column in self.columns])

    def apply(self, records: pa.RecordBatch) -> pa.RecordBatch:
        arrays = [
            records.column(column.name)
            if isinstance(column, Picked)
            else pa.repeat(pa.scalar(column.value, _type_of(column)), records.num_rows)
            for column in self.columns
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema(records.schema))

    @staticmethod
    def _field(column: Picked | Constant, given: pa.Schema) -> pa.Field:
        if isinstance(column, Picked):
            return given.field(column.name).with_name(column.to)
        return pa.field(column.to, _type_of(column))


def _type_of(constant: Constant) -> pa.DataType:
    return pa.type_for_alias(ARROW_TYPES[constant.type])
