"""The lines of ``-X importtime`` as a tree."""

from __future__ import annotations

from imgtool.profiling.views.imports import read_imports

IMPORTS = """\
import time: self [us] | cumulative | imported package
import cause: a | 1 |
import cause: a.b | 1 | imgtool.cli.main:7
import time:       100 |        100 |     a.b.c
import time:       200 |        300 |   a.b
import time:        50 |         50 |   a.d
import time:        10 |        360 | a
what the program says
import time:         7 |          7 | z
"""


def test_imports_are_a_tree_with_the_importer_first() -> None:
    tree = read_imports(IMPORTS.splitlines(), "worker")
    assert [(each.name, each.depth) for each in tree.imports] == [
        ("a", 0), ("a.b", 1), ("a.b.c", 2), ("a.d", 1), ("z", 0),
    ]  # fmt: skip
    assert tree.imports[0].cumulative_seconds == 360e-6
    assert tree.imports[1].cause == "imgtool.cli.main:7"
    assert round(tree.seconds * 1e6) == 367
    assert tree.mixed == 0


def test_imports_of_two_threads_inside_each_other_are_counted() -> None:
    lines = [
        "import cause: outer | 1 | ",
        "import cause: inner | 2 | ",
        "import time:         5 |          5 |   inner",
        "import time:         5 |         10 | outer",
    ]
    assert read_imports(lines, "worker").mixed == 1


def test_a_process_that_was_killed_leaves_orphans_and_they_are_kept() -> None:
    tree = read_imports(["import time:         5 |          5 |     deep"], "worker")
    assert [each.name for each in tree.imports] == ["deep"]
