"""Whether two experiments measured the same thing on machines that can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imgtool.bench.data.record import Arm, ExperimentSettings, Machine

_ABSENT = "none"

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


def differences(former: Machine, later: Machine) -> list[str]:
    """Why times and memory of ``former`` cannot be compared with those of ``later``, in words such as
    ``kernel: 6.8.0 → 6.11.0``; nothing where they can.

    All must be equal: processor, its features and cores, system, kernel, Python, versions of libraries, weights, number
    of threads and settings of threads; the memory to a tenth.
    """
    found = [*_fields(_NAMED, former, later)]
    gone = sorted(set(former.cpu_features) - set(later.cpu_features))
    come = sorted(set(later.cpu_features) - set(former.cpu_features))
    if gone or come:
        found.append(
            "processor features: " + " ".join([*(f"-{name}" for name in gone), *(f"+{name}" for name in come)])
        )
    sizes = former.memory_bytes, later.memory_bytes
    if max(sizes) - min(sizes) > _MEMORY_TOLERANCE * max(sizes):
        found.append(f"memory: {sizes[0] / 1e9:.1f} GB → {sizes[1] / 1e9:.1f} GB")
    found += _entries("", former.libraries, later.libraries)
    found += _entries("weights of ", former.weights, later.weights)
    found += _entries("", former.thread_settings, later.thread_settings)
    return found


def workload_differences(former: ExperimentSettings, later: ExperimentSettings) -> list[str]:
    """What was asked of the arms in one experiment and not in the other: then no figure can be compared."""
    names = {"tasks": "tasks", "images": "images", "steady": "images after the first"}
    return list(_fields(names, former, later))


def arm_differences(former: Arm, later: Arm) -> list[str]:
    """How arms of one name differ. They may: another version of a program has another path."""
    return list(_fields({"kind": "kind", "options": "options", "command": "command"}, former, later))


def _fields(names: Mapping[str, str], former: Any, later: Any) -> Iterator[str]:
    for field, name in names.items():
        before, after = getattr(former, field), getattr(later, field)
        if before != after:
            yield f"{name}: {_shown(before)} → {_shown(after)}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_shown, value)) or _ABSENT
    if isinstance(value, float):
        return f"{value:g}"
    return str(getattr(value, "value", value)) or _ABSENT


def _entries(prefix: str, former: Mapping[str, str], later: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*former, *later}):
        before, after = former.get(name, _ABSENT), later.get(name, _ABSENT)
        if before != after:
            yield f"{prefix}{name}: {before} → {after}"
