"""Folded stacks of py-spy, and the lines of ``-X importtime``."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imgtool.profiling.views.imports import read_imports
from imgtool.profiling.views.stacks import folded, functions_of, read_folded, tree_of, unfolded, waits

PARENT = 'process 10:"python -c import sys; main() analyze a;b.png"'
WORKER = (
    "process 11:\"/bin/python -P -c import sys; sys.path.insert(0, '/x'); "
    'from imgtool.runtime.start_process import run_worker; run_worker()"'
)


def test_processes_and_threads_lead_a_stack() -> None:
    text = f"{PARENT};{WORKER};thread (12): task_0;run (imgtool/runtime/work.py:3);busy (m.py:7) 5\n"
    assert dict(read_folded(text)) == {
        ("worker", "task_0", "run (imgtool/runtime/work.py:3)", "busy (m.py:7)"): 5,
    }


def test_the_main_thread_has_its_name_before_threading_is_imported() -> None:
    assert list(read_folded(f"{PARENT};thread (10);<module> (m.py:1) 2\n")) == [
        ("parent", "MainThread", "<module> (m.py:1)")
    ]


def test_import_machinery_is_one_frame_and_only_innermost() -> None:
    machinery = "_find_and_load (<frozen importlib._bootstrap>:1);_stat (<frozen importlib._bootstrap_external>:9)"
    (inside,) = read_folded(f"{PARENT};thread (10): MainThread;{machinery};<module> (m.py:1) 1\n")
    assert inside == ("parent", "MainThread", "<module> (m.py:1)")
    (innermost,) = read_folded(f"{PARENT};thread (10): MainThread;<module> (m.py:1);{machinery} 1\n")
    assert innermost[:3] == inside
    assert len(innermost) == 4


def test_a_line_that_was_cut_off_is_left_out() -> None:
    assert not read_folded(f"{PARENT};thread (10): Main")
    assert not read_folded("\n \nnonsense\n")


def test_threads_that_wait_for_work_are_known() -> None:
    assert waits(("worker", "task_0", "_worker (concurrent/futures/thread.py:69)"))
    assert waits(("worker", "receive", "Condition.wait (threading.py:295)", "pthread_cond_wait (libc.so.6)"))
    assert not waits(("worker", "task_0", "_worker (concurrent/futures/thread.py:69)", "run (m.py:1)"))
    assert not waits(("worker", "task_0", "_worker (somewhere/else.py:69)"))


def test_own_and_total_time() -> None:
    stacks = read_folded(
        f"{PARENT};thread (10): MainThread;outer (m.py:1);inner (m.py:2) 30\n"
        f"{PARENT};thread (10): MainThread;outer (m.py:1) 20\n"
        f"{PARENT};thread (10): MainThread;outer (m.py:1);inner (m.py:2);outer (m.py:1) 50\n"
    )
    functions = {function.name: function for function in functions_of(stacks, rate=100)}
    assert (functions["outer"].own_seconds, functions["outer"].total_seconds) == (0.7, 1.0)
    assert (functions["inner"].own_seconds, functions["inner"].total_seconds) == (0.3, 0.8)
    assert functions["outer"].where == "m.py:1"


_frame = st.from_regex(r"[a-z]{1,3} \([a-z]\.py:[0-9]\)", fullmatch=True)


@given(st.dictionaries(st.lists(_frame, min_size=1, max_size=5).map(tuple), st.integers(1, 9), max_size=6))
def test_a_tree_loses_no_sample(stacks: dict[tuple[str, ...], int]) -> None:
    assert dict(unfolded(folded(stacks))) == stacks
    root = tree_of(stacks)
    assert root.total == sum(stacks.values())
    left = [root]
    while left:
        node = left.pop()
        assert node.total == node.own + sum(child.total for child in node.children.values())
        left += node.children.values()


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
