"""This machine and this installation: everything that a run's speed depends on. Imports no library."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from imgtool.bench.data.record import Machine
from imgtool.ground.cores import granted_cores

LIBRARIES = (
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "safetensors",
    "easyocr",
    "onnxruntime",
    "openvino",
    "rapidocr",
    "opencv-python",
    "opencv-python-headless",
    "numpy",
    "pillow",
    "simplejpeg",
)
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_WAIT_POLICY",
    "GOMP_CPU_AFFINITY",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TORCH_NUM_THREADS",
    "LD_PRELOAD",
    "MALLOC_ARENA_MAX",
)
"""Environment variables that change how libraries compute or allocate."""

_FEATURES = ("sse4_2", "avx", "avx2", "fma", "f16c", "sha_ni", "asimd", "asimddp", "i8mm", "bf16", "sve")
_FEATURE_FAMILIES = ("avx512", "avx_", "amx")


def describe_machine(weights: Mapping[str, str], threads: int, *, libraries: bool = True) -> Machine:
    """This machine. ``weights`` names each model's identity; ``threads`` is what a worker computes with. Without
    ``libraries`` those of this installation are left out: they do not concern other programs."""
    cpu, flags = _cpu()
    return Machine(
        cpu=cpu,
        cores=os.cpu_count() or 1,
        granted_cores=float(granted_cores()),
        cpu_features=tuple(sorted(f for f in flags if f in _FEATURES or f.startswith(_FEATURE_FAMILIES))),
        memory_bytes=_memory_bytes(),
        system=_system(),
        kernel=platform.release(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        libraries=_libraries() if libraries else {},
        weights=dict(sorted(weights.items())),
        threads=threads,
        thread_settings={name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
    )


def _cpu() -> tuple[str, Iterable[str]]:
    """The processor's name and its flags, from /proc/cpuinfo; elsewhere only the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), ()
    stated = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = stated.get("model name") or stated.get("hardware") or platform.machine()
    return name, (stated.get("flags") or stated.get("features") or "").split()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 0


def _system() -> str:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        name = platform.system()
    return f"{name}, {platform.machine()}"


def _libraries() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
