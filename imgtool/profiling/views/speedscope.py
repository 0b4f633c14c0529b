"""Samples as a speedscope file: https://www.speedscope.app opens it, also offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgtool.profiling.views.stacks import Stack, by_thread, split_frame

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def speedscope(stacks: Mapping[Stack, int], rate: int, name: str) -> dict[str, Any]:
    """The file's JSON object: one sampled profile a thread, weights in seconds."""
    numbers: dict[str, int] = {}
    profiles = [
        _profile(thread, frames, rate, numbers) for thread, frames in sorted(by_thread(stacks).items()) if frames
    ]
    return {
        "$schema": _SCHEMA,
        "exporter": "imgtool profile",
        "name": name,
        "activeProfileIndex": 0,
        "shared": {"frames": [_frame(frame) for frame in numbers]},
        "profiles": profiles,
    }


def _profile(thread: str, stacks: Mapping[Stack, int], rate: int, numbers: dict[str, int]) -> dict[str, Any]:
    samples = [[numbers.setdefault(frame, len(numbers)) for frame in stack] for stack in stacks]
    weights = [count / rate for count in stacks.values()]
    return {
        "type": "sampled",
        "name": thread,
        "unit": "seconds",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }


def _frame(frame: str) -> dict[str, Any]:
    name, where = split_frame(frame)
    file, _, line = where.rpartition(":")
    if not line.isdecimal():
        return {"name": name, "file": where} if where else {"name": name}
    return {"name": name, "file": file, "line": int(line)}
