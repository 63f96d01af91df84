"""Plain tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def lines(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), indent: str = "") -> Iterator[str]:
    """The rows with their columns aligned; those whose positions are in `right` end at the same place."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    for row in rows:
        cells = [f"{c:>{w}}" if i in right else f"{c:{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        yield (indent + "  ".join(cells)).rstrip()


def size(count: int) -> str:
    """Bytes as people say them: 812 B, 1.5 MiB."""
    number, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
