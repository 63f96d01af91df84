"""One row of a base and its changes, in order, folded into the row that they leave.

Pure. The base tells no versions, so a cell of it counts as older than every change with the service's own version;
whether a version that was chosen is older, or whether a delete of one version meant it, cannot be known. Nor can it be
known what stands beneath a version that is deleted, for how many versions the table keeps is not told. Such a row is
refused rather than guessed. Applying changes again that the base has already seen leaves the same row, so a fold may
begin before its base was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_tablestore.errors import RecordError
from airflow_tablestore.wire.row import Value

DELETE_ROW, PUT, DELETE_VERSION, DELETE_CELL = "DR", "U", "DO", "DA"
"""What a change does. Source: OTSStreamReader's `optype`; a row that was put is a DR and a U for each of its cells."""

OF_BASE = "one version of column '{}' was deleted, and the full export does not tell whether it was the one it holds"
BENEATH = "the newest version of column '{}' was deleted, and how many versions the table keeps is not known"

BACKDATED = "column '{}' was put with a version from before the full export, which does not tell versions"


@dataclass(frozen=True, slots=True)
class Told:
    """A value as text; which type it has is its column's matter."""

    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one cell, or with DELETE_ROW to the row. `version` is in milliseconds; None without one.

    `is_backdated`: its writer has chosen a version from before the base was read, so the base's cell may be newer.
    `is_repeated`: it was done before the base was read, which shows what has become of it.
    """

    op: str
    name: str = ""
    value: Value | Told | None = None
    version: int | None = None
    is_backdated: bool = False
    is_repeated: bool = False


@dataclass(slots=True)
class _Standing:
    """The newest version of a cell. `version` is None in the base; `doubt`: why it may not stand any more.

    `hides`: older versions of the cell were put and not deleted.
    """

    value: Value | Told
    version: int | None = None
    hides: bool = False
    doubt: str = ""


class FoldedRow:
    """A row on its way from its base to a moment.

    :param base: the cells of the base's row; None when it has none.
    """

    __slots__ = ("_begins_here", "_cells", "_wrong")

    def __init__(self, base: Mapping[str, Value] | None = None):
        self._cells = None if base is None else {name: _Standing(value) for name, value in base.items()}
        self._wrong = ""
        self._begins_here = False  # the row was deleted among the changes, so they tell all of it

    def apply(self, change: Change) -> None:
        """Do what was done. A change that no log has is told by `cells`."""
        if change.op == DELETE_ROW:
            self._cells, self._begins_here = None, True
        elif change.op == PUT:
            self._put(change)
        elif change.op in (DELETE_VERSION, DELETE_CELL):
            self._delete(change)
        else:
            self._wrong = self._wrong or f"column '{change.name}': {change.op!r} is no change"

    def cells(self) -> dict[str, Value | Told] | None:
        """The cells now, of each the newest version; None when there is no row.

        :raises RecordError: what is left cannot be known, or a change was none that a log has.
        """
        if self._wrong:
            raise RecordError(self._wrong)
        if self._cells is None:
            return None
        for name, cell in self._cells.items():
            if cell.doubt:
                raise RecordError(cell.doubt.format(name))
        return {name: cell.value for name, cell in self._cells.items()}

    def _put(self, change: Change) -> None:
        if change.value is None:
            self._wrong = self._wrong or f"column '{change.name}' was put without a value"
            return
        if self._cells is None:
            self._cells = {}
        standing = self._cells.get(change.name)
        if standing is None:
            is_unsure = change.is_backdated and change.is_repeated and not self._begins_here
            self._cells[change.name] = _Standing(change.value, change.version, doubt=BACKDATED if is_unsure else "")
        elif standing.version is None and change.is_backdated:
            standing.doubt = BACKDATED
        elif standing.version is None or change.version is None or change.version > standing.version:
            self._cells[change.name] = _Standing(change.value, change.version, hides=True)
        elif change.version == standing.version:
            standing.value, standing.doubt = change.value, ""
        else:
            standing.hides = True

    def _delete(self, change: Change) -> None:
        cells = self._cells or {}
        standing = cells.get(change.name)
        if standing is None:
            return
        if change.op == DELETE_CELL:
            del cells[change.name]
        elif standing.version is None:
            standing.doubt = OF_BASE
        elif standing.version == change.version and standing.hides:
            standing.doubt = BENEATH
        elif standing.version == change.version:
            del cells[change.name]


def folded(base: Mapping[str, Value] | None, changes: Iterable[Change]) -> dict[str, Value | Told] | None:
    """The cells of the row after its changes; None when there is no row.

    :raises RecordError: as `FoldedRow.cells`.
    """
    row = FoldedRow(base)
    for change in changes:
        row.apply(change)
    return row.cells()
