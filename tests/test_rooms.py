"""The folders show the architecture: every room has its place in the import contract, its size, and its tests."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from tests.conftest import ROOT

PACKAGE = ROOT / "imgtool"
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}
MOST_FILES = 14
LONG = 100


def contract() -> set[str]:
    """What the contract *Imports point down* names."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (layers,) = (each["layers"] for each in tools["importlinter"]["contracts"] if each["type"] == "layers")
    return {name.strip() for layer in layers for name in re.split("[|:]", layer)}


def test_the_import_contract_names_every_room() -> None:
    rooms = {f"imgtool.{path.stem}" for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    ground = {f"imgtool.{path.stem}" for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")}
    assert contract() == rooms | ground


def test_no_folder_is_crowded() -> None:
    folders = {path.parent for path in MODULES.values()}
    crowded = {str(each): len([p for p in each.glob("*.py") if p.stem != "__init__"]) for each in folders}
    assert {name: count for name, count in crowded.items() if count > MOST_FILES} == {}


def test_every_folder_is_a_package() -> None:
    assert {str(path.parent) for path in MODULES.values() if not (path.parent / "__init__.py").is_file()} <= {
        # It is put on the path of other processes, and is no package.
        str(PACKAGE / "profiling" / "views" / "bootstrap")
    }


def imported(path: Path) -> set[str]:
    """The modules, and names that may be modules, that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_every_long_module_is_imported_by_a_test() -> None:
    tested = set().union(*map(imported, (ROOT / "tests").rglob("*.py")))
    long = {name for name, path in MODULES.items() if len(path.read_text(encoding="utf-8").splitlines()) > LONG}
    assert sorted(long - tested) == []
