"""Whether two experiments measured the same thing on machines that can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imgtool.bench.data.record import Arm, ExperimentSettings, Machine

ABSENT = "none"

_NAMED = {
    "cpu": "processor",
    "cores": "cores",
    "granted_cores": "cores granted",
    "system": "system",
    "kernel": "kernel",
    "python": "Python",
    "threads": "threads",
}
_MEMORY_TOLERANCE = 0.1
"""Machines of one size report memory that differs by what firmware and kernel keep for themselves."""

_WORKLOAD = {"tasks": "tasks", "images": "images", "steady": "images after the first"}


def differences(former: Machine, later: Machine) -> list[str]:
    """What forbids to compare times and memory of ``former`` with those of ``later``, in words, such as
    ``kernel: 6.8.0 → 6.11.0``; nothing where they agree.

    All must be equal: processor, its features and cores, system, kernel, Python, versions of libraries, weights, number
    of threads and settings of threads; the memory to a tenth.
    """
    return [
        *_fields(_NAMED, former, later),
        *_features(former.cpu_features, later.cpu_features),
        *_memory(former.memory_bytes, later.memory_bytes),
        *_entries("", former.libraries, later.libraries),
        *_entries("weights of ", former.weights, later.weights),
        *_entries("", former.thread_settings, later.thread_settings),
    ]


def workload_differences(former: ExperimentSettings, later: ExperimentSettings) -> list[str]:
    """What was asked of the arms in one experiment and not in the other: then no figure can be compared at all."""
    return list(_fields(_WORKLOAD, former, later))


def arm_differences(former: Arm, later: Arm) -> list[str]:
    """What arms of one name start differently. They may: another version of a program stands at another path."""
    return list(_fields({"kind": "kind", "options": "options", "command": "command"}, former, later))


def _fields(names: Mapping[str, str], former: Any, later: Any) -> Iterator[str]:
    for field, name in names.items():
        before, after = getattr(former, field), getattr(later, field)
        if before != after:
            yield _change(name, _shown(before), _shown(after))


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_shown, value)) or ABSENT
    if isinstance(value, float):
        return f"{value:g}"
    return str(getattr(value, "value", value)) or ABSENT


def _change(name: str, before: str, after: str) -> str:
    return f"{name}: {before} → {after}"


def _features(former: tuple[str, ...], later: tuple[str, ...]) -> Iterator[str]:
    gone, come = sorted(set(former) - set(later)), sorted(set(later) - set(former))
    if gone or come:
        yield "processor features: " + " ".join([*(f"-{name}" for name in gone), *(f"+{name}" for name in come)])


def _memory(former: int, later: int) -> Iterator[str]:
    if abs(later - former) > _MEMORY_TOLERANCE * max(former, later):
        yield _change("memory", f"{former / 1e9:.1f} GB", f"{later / 1e9:.1f} GB")


def _entries(prefix: str, former: Mapping[str, str], later: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*former, *later}):
        before, after = former.get(name, ABSENT), later.get(name, ABSENT)
        if before != after:
            yield _change(prefix + name, before, after)
