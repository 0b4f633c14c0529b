"""The imports view: ``-X importtime`` of the parent and of each worker, and who asked for each module.

Models are loaded one after the other in this run, never side by side: the interpreter keeps one clock for all threads,
and two that import at a time find parts of each other in their figures.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from imgtool import trace
from imgtool.profiling.record import Import, ImportTree
from imgtool.profiling.target import Outcome, analyze_command, run
from imgtool.profiling.views.trace_file import roles_by_pid

BOOTSTRAP = Path(__file__).with_name("bootstrap")
FOLDER_VARIABLE = "_IMGTOOL_PROFILE_IMPORTS"
IMPORT_TIME = ("-X", "importtime")
ONE_BY_ONE = ("--load", "eager")
"""Added to the arguments: eager loading is the policy under which models load one after the other; under ``lazy`` those
of the first image load side by side."""

_TIME = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|( +)(\S+)")
_CAUSE = re.compile(r"import cause: (\S+) \| (\d+) \| (\S*)")


@dataclass(frozen=True)
class Imported:
    """What came of an imports run."""

    trees: tuple[ImportTree, ...]
    outcome: Outcome


def sample(arguments: Sequence[str], folder: Path) -> Imported:
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
    outcome = run(analyze_command([*arguments, *ONE_BY_ONE], under=IMPORT_TIME), log, environment)
    outcome = replace(outcome, stderr_tail=outcome.stderr_tail + _words(folder))
    roles = roles_by_pid(tracefile)
    trees = [_tree(folder, log, pid, role) for pid, role in roles.items()]
    return Imported(tuple(tree for tree in trees if tree.imports), outcome)


def _words(folder: Path) -> str:
    """What the program itself said on stderr, between the lines about imports."""
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in folder.glob("*.imports")]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("import ")]
    return "\n".join(lines[-5:])


def bootstrap_path() -> dict[str, str]:
    """The environment that has :mod:`imgtool.profiling.bootstrap` run first in every process."""
    former = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join([str(BOOTSTRAP), *([former] if former else [])])}


def _tree(folder: Path, log: Path, pid: int, role: str) -> ImportTree:
    path = folder / f"{pid}.imports"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if role == "parent":
        # What the interpreter imports before any of our code runs went to the ordinary stderr.
        text = log.read_text(encoding="utf-8", errors="replace") + text
    return read_imports(text.splitlines(), role)


def read_imports(lines: Iterable[str], process: str) -> ImportTree:
    """The tree that ``-X importtime`` wrote in ``lines``, with the causes that stand between."""
    timed: list[Import] = []
    causes: dict[str, str] = {}
    threads: dict[str, str] = {}
    for line in lines:
        if (match := _TIME.match(line)) is not None:
            timed.append(_import(match))
        elif (match := _CAUSE.match(line)) is not None:
            causes.setdefault(match[1], match[3])
            threads.setdefault(match[1], match[2])
    named = [_with_cause(each, causes) for each in timed]
    return ImportTree(process=process, imports=tuple(_in_order(named)), mixed=_mixed(timed, threads))


def _import(match: re.Match[str]) -> Import:
    return Import(
        name=match[4],
        depth=(len(match[3]) - 1) // 2,
        own_seconds=int(match[1]) / 1e6,
        cumulative_seconds=int(match[2]) / 1e6,
    )


def _with_cause(each: Import, causes: Mapping[str, str]) -> Import:
    return msgspec.structs.replace(each, cause=causes.get(each.name, ""))


def _children(timed: Sequence[Import]) -> tuple[list[int], dict[int, list[int]]]:
    """Who leads, and who is inside whom: lines come when an import ends, so children stand before their parent."""
    tops: list[int] = []
    children: dict[int, list[int]] = {}
    waiting: dict[int, list[int]] = {}
    for index, each in enumerate(timed):
        children[index] = waiting.pop(each.depth + 1, [])
        (tops if each.depth == 0 else waiting.setdefault(each.depth, [])).append(index)
    # A process that was killed leaves children whose parent never ended.
    return tops + [index for depth in sorted(waiting) for index in waiting[depth]], children


def _in_order(timed: Sequence[Import]) -> Iterator[Import]:
    """Each parent before its children, in the order in which they began."""
    tops, children = _children(timed)
    left = list(reversed(tops))
    while left:
        index = left.pop()
        yield timed[index]
        left.extend(reversed(children[index]))


def _mixed(timed: Sequence[Import], threads: Mapping[str, str]) -> int:
    """Imports that stand inside one which another thread had asked for."""
    _, children = _children(timed)
    pairs = ((timed[parent].name, timed[child].name) for parent, inside in children.items() for child in inside)
    known = ((threads[a], threads[b]) for a, b in pairs if a in threads and b in threads)
    return sum(1 for a, b in known if a != b)
