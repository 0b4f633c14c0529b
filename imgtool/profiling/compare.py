"""What changed from one profile to the next.

A profile is one run a view, so these are differences to look into, not verdicts: whether something became faster is for
``imgtool bench``, which repeats and interleaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import MsgspecError, Struct

from imgtool.errors import UsageProblem
from imgtool.ground.versioned import decode
from imgtool.profiling.record import Cpu, ImportTree, Memory, Phases, Profile

FILE = "profile.json"
_SMALLEST_SECONDS = 0.005
_SMALLEST_BYTES = 1_000_000
_LIMIT = 15


class Change(Struct, frozen=True, kw_only=True):
    """A figure before and after; ``unit`` is ``seconds`` or ``bytes``. What one side lacks is 0 there."""

    view: str
    what: str
    before: float
    after: float
    unit: str

    @property
    def difference(self) -> float:
        """What it grew by."""
        return self.after - self.before


def read_profile(folder: Path) -> Profile:
    """The profile in ``folder``, which may also be the file itself.

    Raises:
        UsageProblem: there is none, or it cannot be read.
    """
    path = folder / FILE if folder.is_dir() else folder
    try:
        return decode(path.read_bytes(), Profile)
    except FileNotFoundError:
        raise UsageProblem(f"{folder} holds no profile", "name a folder that imgtool profile wrote") from None
    except (OSError, ValueError, MsgspecError) as error:
        raise UsageProblem(f"{path} cannot be read: {error}", "profile again with this imgtool") from error


def changes(before: Profile, after: Profile) -> tuple[Change, ...]:
    """What differs noticeably, view by view, the largest difference first."""
    found = [
        *_largest("phases", _phase_seconds(before.phases), _phase_seconds(after.phases), "seconds"),
        *_largest("memory", _bytes(before.memory), _bytes(after.memory), "bytes"),
        *_largest("cpu", _functions(before.cpu), _functions(after.cpu), "seconds"),
        *_largest("imports", _modules(before.imports), _modules(after.imports), "seconds"),
    ]
    return tuple(found)


def _largest(view: str, before: Mapping[str, float], after: Mapping[str, float], unit: str) -> Iterable[Change]:
    if not before or not after:
        return []
    smallest = _SMALLEST_BYTES if unit == "bytes" else _SMALLEST_SECONDS
    found = [
        Change(view=view, what=name, before=before.get(name, 0), after=after.get(name, 0), unit=unit)
        for name in {**before, **after}
    ]
    noticeable = [change for change in found if abs(change.difference) >= smallest]
    return sorted(noticeable, key=lambda change: -abs(change.difference))[:_LIMIT]


def _phase_seconds(phases: Phases | None) -> dict[str, float]:
    if phases is None:
        return {}
    rows = {f"{row.process}: {row.name}": row.wall_seconds for row in phases.rows}
    return {"wall time": phases.wall_seconds, **rows}


def _bytes(memory: Memory | None) -> dict[str, float]:
    if memory is None:
        return {}
    found: dict[str, float] = {}
    if memory.peak is not None:
        found |= {"peak, own memory": memory.peak.anon, "mapped files at the peak": memory.peak.file}
    for step in memory.steps:
        found[f"{step.model}, own memory"] = step.anon_after - step.anon_before
        found[f"{step.model}, mapped files"] = step.file_after - step.file_before
    return found


def _functions(cpu: Cpu | None) -> dict[str, float]:
    if cpu is None:
        return {}
    # Without the line: it moves with every edit above it.
    found: dict[str, float] = {}
    for function in cpu.functions:
        name = f"{function.process}: {function.name} ({function.where.rpartition(':')[0]})"
        found[name] = found.get(name, 0.0) + function.own_seconds
    return found


def _modules(trees: Iterable[ImportTree] | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for tree in trees or ():
        role = tree.process.split()[0]
        found[f"{role}: all imports"] = found.get(f"{role}: all imports", 0.0) + tree.seconds
        for each in tree.imports:
            name = f"{role}: {each.name}"
            found[name] = found.get(name, 0.0) + each.own_seconds
    return found
