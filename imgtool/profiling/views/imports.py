"""The imports view: ``-X importtime`` of the parent and of each worker, and which of our modules asked for each import.

Models are loaded one after the other in this run: the interpreter keeps one clock for all threads, and two threads that
import at the same time count parts of each other's time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from imgtool import trace
from imgtool.profiling.analyze_run import RunOutcome, analyze_command, run
from imgtool.profiling.record import Import, ImportTree
from imgtool.profiling.views.trace_file import PARENT, roles_by_pid

BOOTSTRAP = Path(__file__).with_name("bootstrap")
FOLDER_VARIABLE = "_IMGTOOL_PROFILE_IMPORTS"
ONE_BY_ONE = ("--load", "eager")
"""Added to the arguments: under eager loading models load one after the other; under ``lazy`` those of the first image
load side by side."""

_TIME = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|( +)(\S+)")
_CAUSE = re.compile(r"import cause: (\S+) \| (\d+) \| (\S*)")


def sample(arguments: Sequence[str], folder: Path) -> tuple[tuple[ImportTree, ...], RunOutcome]:
    """Run ``analyze`` with ``arguments`` and every import timed; files go to ``folder``."""
    for old in folder.glob("*.imports"):
        old.unlink()
    tracefile, log = folder / "imports.trace", folder / "imports.log"
    tracefile.unlink(missing_ok=True)
    environment = {
        trace.FILE_VARIABLE: str(tracefile),
        FOLDER_VARIABLE: str(folder),
        # For the workers too, which are started without the interpreter's options.
        "PYTHONPROFILEIMPORTTIME": "1",
        **bootstrap_path(),
    }
    outcome = run(analyze_command([*arguments, *ONE_BY_ONE], under=("-X", "importtime")), log, environment)
    texts = {int(path.stem): path.read_text("utf-8", "replace") for path in folder.glob("*.imports")}
    # The program's own words on stderr stand between the lines about imports.
    words = [line for text in texts.values() for line in text.splitlines() if not line.startswith("import ")]
    outcome = replace(outcome, stderr_tail="\n".join([outcome.stderr_tail, *words[-5:]]))
    trees = []
    for pid, role in roles_by_pid(tracefile).items():
        # What the interpreter imports before any of our code runs goes to the ordinary stderr.
        before = log.read_text(encoding="utf-8", errors="replace") if role == PARENT else ""
        trees.append(read_imports((before + texts.get(pid, "")).splitlines(), role))
    return tuple(tree for tree in trees if tree.imports), outcome


def bootstrap_path() -> dict[str, str]:
    """The environment that has ``bootstrap/sitecustomize.py`` run first in every process."""
    former = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join([str(BOOTSTRAP), *([former] if former else [])])}


def read_imports(lines: Iterable[str], process: str) -> ImportTree:
    """The tree that ``-X importtime`` wrote in ``lines``, with the causes that stand between.

    ``-X importtime`` writes a line when an import ends, so that children stand before their parent; a process that was
    killed leaves children without one.
    """
    timed: list[tuple[int, int, int, str]] = []
    causes: dict[str, str] = {}
    threads: dict[str, str] = {}
    for line in lines:
        if (match := _TIME.match(line)) is not None:
            timed.append(((len(match[3]) - 1) // 2, int(match[1]), int(match[2]), match[4]))
        elif (match := _CAUSE.match(line)) is not None:
            causes.setdefault(match[1], match[3])
            threads.setdefault(match[1], match[2])
    children: dict[int, list[int]] = {}
    open_at: dict[int, list[int]] = {}
    for index, (depth, *_) in enumerate(timed):
        children[index] = open_at.pop(depth + 1, [])
        open_at.setdefault(depth, []).append(index)
    imports = [
        Import(name=name, depth=depth, own_seconds=own / 1e6, cumulative_seconds=all_ / 1e6, cause=causes.get(name, ""))
        for depth, own, all_, name in timed
    ]
    pairs = [(imports[parent].name, imports[child].name) for parent, inside in children.items() for child in inside]
    mixed = sum(1 for a, b in pairs if a in threads and b in threads and threads[a] != threads[b])
    roots = [index for depth in sorted(open_at) for index in open_at[depth]]
    return ImportTree(process=process, imports=tuple(imports[i] for i in _parents_first(roots, children)), mixed=mixed)


def _parents_first(roots: Sequence[int], children: dict[int, list[int]]) -> Iterator[int]:
    """Each parent before its children, in the order in which they began."""
    left = list(reversed(roots))
    while left:
        index = left.pop()
        yield index
        left.extend(reversed(children[index]))
