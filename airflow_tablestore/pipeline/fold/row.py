"""One row of a base and its changes, in order, folded into the row that they leave.

Pure. The base tells no versions, so a cell of it is older than every change, and whether a delete of one version meant
it cannot be known: such a row is refused rather than guessed. Applying changes again that the base has already seen
leaves the same row, so a fold may begin before its base was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_tablestore.errors import RecordError
from airflow_tablestore.wire.row import Value

DELETE_ROW, PUT, DELETE_VERSION, DELETE_CELL = "DR", "U", "DO", "DA"
"""What a change does. Source: OTSStreamReader's `optype`; a row that was put is a DR and a U for each of its cells."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one cell, or with DELETE_ROW to the row. `version` is in milliseconds; None without one."""

    op: str
    name: str = ""
    value: Value | None = None
    version: int | None = None


@dataclass(slots=True)
class _Standing:
    """The newest version of a cell. `version` is None in the base; `is_doubtful`: perhaps deleted."""

    value: Value
    version: int | None = None
    is_doubtful: bool = False


def folded(base: Mapping[str, Value] | None, changes: Iterable[Change]) -> dict[str, Value] | None:
    """The cells of the row after its changes; None when there is no row.

    Of each cell the newest version stays, as in a table with one version.
    :param base: the cells of the base's row; None when it has none.
    :raises RecordError: what is left cannot be known, or a change is none that a log has.
    """
    cells = None if base is None else {name: _Standing(value) for name, value in base.items()}
    for change in changes:
        if change.op == DELETE_ROW:
            cells = None
        elif change.op == PUT:
            cells = {} if cells is None else cells
            _put(cells, change)
        elif change.op in (DELETE_VERSION, DELETE_CELL):
            _delete(cells or {}, change)
        else:
            raise RecordError(f"column '{change.name}': {change.op!r} is no change")
    if cells is None:
        return None
    doubtful = [name for name, cell in cells.items() if cell.is_doubtful]
    if doubtful:
        raise RecordError(
            f"one version of column '{doubtful[0]}' was deleted, and the full export does not tell whether it was the "
            "one that it holds"
        )
    return {name: cell.value for name, cell in cells.items()}


def _put(cells: dict[str, _Standing], change: Change) -> None:
    if change.value is None:
        raise RecordError(f"column '{change.name}' was put without a value")
    standing = cells.get(change.name)
    if standing and standing.version is not None and change.version is not None and change.version < standing.version:
        return
    cells[change.name] = _Standing(change.value, change.version)


def _delete(cells: dict[str, _Standing], change: Change) -> None:
    standing = cells.get(change.name)
    if standing is None:
        return
    if change.op == DELETE_CELL or (standing.version is not None and standing.version == change.version):
        del cells[change.name]
    elif standing.version is None:
        standing.is_doubtful = True
