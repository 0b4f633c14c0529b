"""What the import contracts do not see: modules named in strings, circles of imports, folders that have grown."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

import imgtool

ROOT = Path(imgtool.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__") for path in FILES}
MAY_NAME_MODULES = {"analyzers/registry.py", "ground/fresh.py", "distribution.py"}
"""The registry names analyzers so that a name costs no import; ``fresh`` names the command, for modules below it in the
layers; ``distribution`` looks for our entry point in the metadata of packages."""

MOST_FILES = 14


def strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Every string but those that are statements of their own: docstrings."""
    documentation = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation:
            yield node


def names_module(text: str) -> bool:
    """Whether ``text`` is a module of ours, ``module:attribute`` or the beginning of one, or code that imports or runs
    one. The text of an f-string comes in parts, each up to the next value."""
    if re.search(r"\b(from|import) imgtool\b", text):
        return True
    whole = re.fullmatch(r"(imgtool\.[\w.]*)(?::.*)?", text) or re.search(r"-m (imgtool\.[\w.]+)", text)
    return whole is not None and any(module.startswith(whole[1].rstrip(".")) for module in MODULES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("imgtool.engine.plan", True),
        ("imgtool.analyzers.caption.blip:BlipTorch", True),
        ("imgtool.analyzers.", True),
        ("imgtool.ana", True),
        ("imgtool.", True),
        ("python -m imgtool.engine.plan", True),
        ("import sys\nfrom imgtool.engine import plan", True),
        ("imgtool", False),
        ("imgtool.toml", False),
        ("write module:function, such as imgtool.types:Task", False),
    ],
)
def test_what_names_a_module(text: str, expected: bool) -> None:
    assert names_module(text) is expected


def test_modules_are_named_in_strings_by_the_registry_alone() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}"
        for path in FILES
        if path.relative_to(ROOT).as_posix() not in MAY_NAME_MODULES
        for node in strings(ast.parse(path.read_text(encoding="utf-8")))
        if names_module(str(node.value))
    ]
    assert not found, "import them instead:\n" + "\n".join(found)


def test_no_module_imports_itself_in_a_circle() -> None:
    """Imports inside functions and those for type checkers counted: neither may be there only because of a circle."""
    graph = grimp.build_graph("imgtool")
    imports = {module: graph.find_modules_directly_imported_by(module) - {"imgtool"} for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_folder_has_few_files() -> None:
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in FILES)
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}
