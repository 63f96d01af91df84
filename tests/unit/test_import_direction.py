"""The layers of the architecture: a module imports only what stands to its right, and Airflow only where it belongs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "airflow_tablestore"
ROOT = "airflow_tablestore"

LAYERS = (
    {"cli", "plugin", "provider"},
    {"factory"},
    {"operators", "sensors", "timetables", "assets"},
    {"spec"},
    {"triggers"},
    {"hooks"},
    {"pipeline"},
    {"consumer"},
    {"client"},
    {"wire"},
    {"native"},
    {"errors"},
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
SEES_AIRFLOW = {"factory", "operators", "sensors", "timetables", "assets", "triggers", "hooks", "plugin", "provider"}
EMULATOR_SEES = {"emulator", "wire", "errors"}
SEES_EMULATOR = {"emulator", "cli"}
HEAVY = {"pyarrow", "oss2", "odps", "tablestore"}

MODULES = sorted(p for p in PACKAGE.rglob("*.py") if not p.name.endswith("_pb2.py"))


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """The absolute names of the modules that a file imports; type-checking blocks count, they are dependencies too."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(path: Path) -> str:
    """The package's child that a file belongs to: "wire", "errors", "cli"."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def own(names: Iterator[str]) -> Iterator[str]:
    for name in names:
        pieces = name.split(".")
        if pieces[0] == ROOT and len(pieces) > 1 and not pieces[1].startswith("__"):
            yield pieces[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_what_stands_to_its_right(path):
    here = part(path)
    if here == "__init__":
        return

    for there in set(own(imports(path))):
        if here == "emulator":
            assert there in EMULATOR_SEES, f"the emulator may not import {there}"
        elif there == "emulator":
            assert here in SEES_EMULATOR, f"{here} may not import the emulator"
        else:
            assert there in RANK, f"{there} has no place in the layers"
            assert RANK[there] >= RANK[here], f"{here} may not import {there}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_airflow_is_imported_only_where_it_belongs(path):
    if part(path) in SEES_AIRFLOW:
        return

    foreign = {name.split(".")[0] for name in imports(path)}

    assert "airflow" not in foreign


def test_every_part_of_the_package_has_a_place():
    found = {part(path) for path in MODULES} - {"__init__", "__main__", "emulator"}

    assert found <= set(RANK)
