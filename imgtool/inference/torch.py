"""Shared by all analyzers on torch: one lock for building models, the choice of a device, threads.

Imported inside ``load`` and ``run`` only; importing it does not import torch yet.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from imgtool.distribution import install_command
from imgtool.errors import ModelLoadFailed, UsageProblem
from imgtool.weights.upstream_warnings import quiet

BUILDING = threading.RLock()
"""Held while a torch model is built. ``from_pretrained`` patches ``torch.nn.Module`` globally while it runs: a model
built in another thread meanwhile can end up without its weights (transformers #41782)."""

_IMPORTING = threading.Lock()
_DEVICE = re.compile(r"^(auto|cpu|mps|cuda(:\d+)?)$")
_NO_MEMORY = "DefaultCPUAllocator"


def extra_remedy() -> str:
    """What to do where torch or a library on it is missing."""
    return f"install the torch extra: `{install_command('torch')}`"


def missing_modules(*names: str) -> list[str]:
    """Those of the top-level modules ``names`` that are not installed. Imports none of them."""
    return [name for name in names if find_spec(name) is None]


def check_device(device: str) -> str:
    """Check ``device``, and return it.

    Raises:
        UsageProblem: it is not ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    """
    if not _DEVICE.match(device):
        raise UsageProblem(f"--device: there is no device {device!r}", "one of auto, cpu, cuda, cuda:N, mps")
    return device


def import_torch(threads: int | None) -> Any:
    """The ``torch`` module, set to ``threads`` CPU threads for an operation and one operation at a time.

    torchvision is imported too: two threads that import both in different order can meet half-initialised modules.

    Raises:
        ModelLoadFailed: torch is not installed, or this build of it does not run here.
    """
    with _IMPORTING:
        quiet()
        try:
            import torch
            import torchvision  # noqa: F401 - see above
        except (ImportError, OSError, RuntimeError) as error:
            raise ModelLoadFailed(f"torch cannot be imported: {error}", extra_remedy()) from error
        if threads:
            torch.set_num_threads(threads)
            # torch allows this once a process, before its first parallel work.
            with suppress(RuntimeError):
                torch.set_num_interop_threads(1)
        return torch


def choose_device(torch: Any, device: str) -> str:
    """The device to run on, as torch names it. ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        ModelLoadFailed: the device asked for is not here.
    """
    if device == "auto":
        return next((name for name in ("cuda", "mps") if _count(torch, name)), "cpu")
    kind, _, number = device.partition(":")
    count = _count(torch, kind)
    if count and int(number or 0) < count:
        return device
    known = f"only {count} of the kind" if count else "none of the kind that this build of torch can use"
    raise ModelLoadFailed(f"there is no device {device!r} here: {known}", "use --device cpu or --device auto")


def _count(torch: Any, kind: str) -> int:
    if kind == "cuda":
        return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
    return int(kind == "cpu" or torch.backends.mps.is_available())


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise :class:`MemoryError` for torch's own errors about memory, also of the device, that ran out."""
    try:
        yield
    except RuntimeError as error:
        if type(error).__name__ == "OutOfMemoryError" or _NO_MEMORY in str(error):
            raise MemoryError(str(error)) from error
        raise
