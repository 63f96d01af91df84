"""The fold of changes, against a table that keeps every version and is asked for the newest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.errors import RecordError
from airflow_tablestore.pipeline.fold.row import DELETE_CELL, DELETE_ROW, DELETE_VERSION, PUT, Change, folded

NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.one_of(st.integers(0, 3), st.sampled_from(["", "x", "null"]), st.just(b"\0"), st.booleans())
OPS = st.one_of(
    st.builds(lambda cells: ("put_row", cells), st.dictionaries(NAMES, VALUES, min_size=1)),
    st.builds(lambda cells: ("update", cells), st.dictionaries(NAMES, VALUES, min_size=1)),
    st.builds(lambda name: ("delete_cell", name), NAMES),
    st.builds(lambda name, back: ("delete_version", name, back), NAMES, st.integers(0, 2)),
    st.just(("delete_row",)),
)


class Table:
    """One row with one version of each cell, and the log of what was done to it. Time goes on with each operation."""

    def __init__(self):
        self.cells: dict[str, tuple[int, object]] | None = None
        self.now, self.log, self.states = 0, [], [None]

    def do(self, op):
        self.now += 1
        kind, *what = op
        if kind in ("put_row", "update"):
            if kind == "put_row" or self.cells is None:
                self.cells = {}
            self.cells |= {name: (self.now, value) for name, value in what[0].items()}
            self.log.append(
                [Change(DELETE_ROW)] * (kind == "put_row")
                + [Change(PUT, name, value, self.now) for name, value in what[0].items()]
            )
        elif kind == "delete_cell":
            (self.cells or {}).pop(what[0], None)
            self.log.append([Change(DELETE_CELL, what[0])])
        elif kind == "delete_version":
            version = self.now - what[1]
            if self.cells and self.cells.get(what[0], (None,))[0] == version:
                del self.cells[what[0]]
            self.log.append([Change(DELETE_VERSION, what[0], version=version)])
        else:
            self.cells = None
            self.log.append([Change(DELETE_ROW)])
        self.states.append(self.rows())

    def rows(self):
        return None if self.cells is None else {name: value for name, (_, value) in self.cells.items()}


@settings(max_examples=60, deadline=None)
@given(st.lists(OPS, max_size=12), st.data())
def test_a_base_that_was_read_amid_the_changes_and_all_of_them_give_the_row(ops, data):
    table = Table()
    for op in ops:
        table.do(op)
    read_at = data.draw(st.integers(0, len(ops)), label="read at")
    begins_at = data.draw(st.integers(0, read_at), label="fold begins at")
    end = data.draw(st.integers(read_at, len(ops)), label="to")
    changes = [change for done in table.log[begins_at:end] for change in done]

    try:
        result = folded(table.states[read_at], changes)
    except RecordError:
        assert any(change.op == DELETE_VERSION for change in changes)
        return

    assert result == table.states[end] or (not result and not table.states[end])


def test_an_update_leaves_other_cells_and_a_put_replaces_the_row():
    base = {"a": 1, "b": 2}

    assert folded(base, [Change(PUT, "a", 7, 10)]) == {"a": 7, "b": 2}
    assert folded(base, [Change(DELETE_ROW), Change(PUT, "a", 7, 10)]) == {"a": 7}


def test_a_row_without_changes_stays_as_it_is_even_with_nothing_but_its_key():
    assert folded({}, []) == {}
    assert folded(None, []) is None


def test_an_older_version_that_comes_later_does_not_win():
    assert folded({}, [Change(PUT, "a", "new", 20), Change(PUT, "a", "old", 10)]) == {"a": "new"}


def test_a_deleted_version_of_the_base_is_refused_until_a_later_change_settles_it():
    deleted = Change(DELETE_VERSION, "a", version=5)

    with pytest.raises(RecordError, match="does not tell whether"):
        folded({"a": 1}, [deleted])
    assert folded({"a": 1}, [deleted, Change(PUT, "a", 2, 9)]) == {"a": 2}
    assert folded({"a": 1, "b": 2}, [deleted, Change(DELETE_CELL, "a")]) == {"b": 2}


def test_a_version_from_before_the_base_is_refused_over_its_cell_alone():
    backdated = Change(PUT, "a", 7, 3, is_backdated=True)

    with pytest.raises(RecordError, match="version from before the full export"):
        folded({"a": 1}, [backdated])
    assert folded({"b": 1}, [backdated]) == {"a": 7, "b": 1}
    assert folded({"a": 1}, [backdated, Change(PUT, "a", 2, 9)]) == {"a": 2}
    assert folded({"a": 1}, [Change(PUT, "a", 2, 9), backdated]) == {"a": 2}


def test_a_chosen_version_that_the_base_did_not_keep_is_not_brought_back():
    """A table with one version drops what is older than its cell; when that is deleted, the full export has neither."""
    dropped = Change(PUT, "a", 4, 3, is_backdated=True, is_repeated=True)
    deleted = Change(DELETE_VERSION, "a", version=9)

    with pytest.raises(RecordError, match="version from before the full export"):
        folded({"b": 1}, [dropped, deleted])
    assert folded({"b": 1}, [dropped, deleted, Change(PUT, "a", 2, 20)]) == {"a": 2, "b": 1}
    assert folded({"b": 1}, [Change(DELETE_ROW), dropped]) == {"a": 4}


def test_what_stands_beneath_a_deleted_newest_version_is_not_guessed():
    beneath = [Change(PUT, "a", 1, 10), Change(PUT, "a", 2, 20), Change(DELETE_VERSION, "a", version=20)]

    with pytest.raises(RecordError, match="how many versions the table keeps"):
        folded({}, beneath)
    assert folded({}, [*beneath, Change(PUT, "a", 3, 30)]) == {"a": 3}
    assert folded({}, [Change(PUT, "a", 1, 10), Change(DELETE_VERSION, "a", version=10)]) == {}


@pytest.mark.parametrize("wrong", [Change("XX", "a"), Change(PUT, "a", None, 1)])
def test_what_no_log_has_is_refused(wrong):
    with pytest.raises(RecordError):
        folded({}, [wrong])
