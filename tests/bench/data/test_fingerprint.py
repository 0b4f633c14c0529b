"""What forbids a comparison, each in words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from imgtool.bench.data.fingerprint import arm_differences, differences, workload_differences
from imgtool.bench.data.record import Arm, ArmKind, Machine
from tests.bench.judged import MACHINE, SETTINGS

CHANGED: dict[str, tuple[Any, str]] = {
    "cpu": ("Intel Xeon 8370C", "processor: AMD EPYC 7763 → Intel Xeon 8370C"),
    "cores": (8, "cores: 4 → 8"),
    "granted_cores": (1.5, "cores granted: 2 → 1.5"),
    "cpu_features": (("avx2", "avx512f"), "processor features: -fma +avx512f"),
    "memory_bytes": (8_000_000_000, "memory: 16.0 GB → 8.0 GB"),
    "system": ("Darwin", "system: Linux → Darwin"),
    "kernel": ("6.11.0", "kernel: 6.8.0-31 → 6.11.0"),
    "python": ("3.13.0", "Python: 3.12.3 → 3.13.0"),
    "libraries": ({"onnxruntime": "1.20.0", "torch": "2.5.1"}, "onnxruntime: 1.19.2 → 1.20.0"),
    "weights": ({"blip": "82a3", "easyocr": "synthetic-2e"}, "weights of blip: synthetic-1f → 82a3"),
    "threads": (4, "threads: 2 → 4"),
    "thread_settings": ({"OMP_NUM_THREADS": "1"}, "OMP_NUM_THREADS: none → 1"),
}


def test_a_machine_agrees_with_itself() -> None:
    assert differences(MACHINE, msgspec.structs.replace(MACHINE)) == []


def test_no_field_of_a_machine_is_forgotten() -> None:
    assert set(CHANGED) == set(Machine.__struct_fields__)


@pytest.mark.parametrize("field", CHANGED)
def test_every_field_counts_and_is_named_with_both_values(field: str) -> None:
    value, words = CHANGED[field]
    assert differences(MACHINE, msgspec.structs.replace(MACHINE, **{field: value})) == [words]


def test_a_library_that_is_not_there_any_more() -> None:
    slim = msgspec.structs.replace(MACHINE, libraries={"onnxruntime": "1.19.2"})
    assert differences(MACHINE, slim) == ["torch: 2.5.1 → none"]
    assert differences(slim, MACHINE) == ["torch: none → 2.5.1"]


def test_memory_that_firmware_keeps_is_no_difference() -> None:
    assert differences(MACHINE, msgspec.structs.replace(MACHINE, memory_bytes=15_700_000_000)) == []


def test_other_work_cannot_be_compared() -> None:
    other = msgspec.structs.replace(SETTINGS, images=("a.png 1x1", "b.png 2x2"), tasks=("caption",), runs=30)
    assert workload_differences(SETTINGS, other) == [
        "tasks: caption text → caption",
        "images: page.png 640x480 → a.png 1x1 b.png 2x2",
    ]


def test_what_an_arm_starts_differently_is_named() -> None:
    was = Arm(name="head", kind=ArmKind.COMMAND, command=("old/imgtool", "analyze"))
    now = Arm(name="head", kind=ArmKind.COMMAND, command=("new/imgtool", "analyze"))
    assert arm_differences(was, now) == ["command: old/imgtool analyze → new/imgtool analyze"]
    assert arm_differences(was, was) == []
