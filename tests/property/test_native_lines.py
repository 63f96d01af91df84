"""The C library writes the same lines as Arrow's own functions, whatever the cells hold."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.native import library
from airflow_tablestore.pipeline.formats import native_lines
from airflow_tablestore.pipeline.formats.delimited import Dialect, Quoting, rows_as_lines

pytestmark = pytest.mark.skipif(library() is None, reason="the C library was not built")

texts = st.one_of(
    st.text(max_size=20),
    st.text(alphabet='a,;|\t\n\r" \\N\x0b\x0c\xa0', max_size=20),
    st.sampled_from(["", "\\N", "<null>", "plain text that is longer than eight bytes", 'at the end of eight"']),
)
COLUMNS = {
    "text": (pa.string(), texts),
    "whole": (pa.int64(), st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-1000, 1000))),
    "number": (pa.float64(), st.floats()),
    "flag": (pa.bool_(), st.booleans()),
    "bytes": (pa.binary(), st.binary(max_size=12)),
    "last": (pa.string(), texts),
}


def dialect(delimiter, null):
    return Dialect(delimiter, null, Quoting.NEEDED, "%Y-%m-%d", "UTF-8", marks_quotes=True)


dialects = st.builds(
    dialect, st.sampled_from([",", "\t", ";", "|", " ", "\x01"]), st.sampled_from(["", "\\N", "<null>"])
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(data=st.data(), given_dialect=dialects)
def test_lines_are_the_same(data, given_dialect):
    names = data.draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, unique=True))
    rows = data.draw(st.integers(1, 12))
    cells = {n: data.draw(st.lists(st.none() | COLUMNS[n][1], min_size=rows, max_size=rows)) for n in names}
    whole = pa.record_batch([pa.array(cells[n], COLUMNS[n][0]) for n in names], names=names)
    first = data.draw(st.integers(0, rows - 1))
    records = whole.slice(first, data.draw(st.integers(0, rows - first)))

    written = bytes(native_lines.lines(records, given_dialect))

    assert written == bytes(rows_as_lines(records, given_dialect))


@pytest.mark.parametrize(
    ("delimiter", "null", "can"),
    [
        (",", "", True),
        ("\t", "\\N", True),
        ("1", "", False),
        (",", "NULL", False),
        (",", "0", False),
        ("\uff0c", "", False),
    ],
)
def test_settings_that_a_number_could_break_are_left_to_arrow(delimiter, null, can):
    assert native_lines.can_write(dialect(delimiter, null)) is can


def test_lines_live_as_long_as_they_are_looked_at():
    records = pa.record_batch([pa.array(["a" * 100_000])], names=["text"])

    lines = native_lines.lines(records, dialect(",", ""))[10:20]

    assert bytes(lines) == b"a" * 10
