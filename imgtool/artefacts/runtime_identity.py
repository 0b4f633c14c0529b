"""What an optimised graph depends on: the onnxruntime that wrote it, and the processor. Light."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

import msgspec

from imgtool.distribution import installed_release

PROVIDER = "CPUExecutionProvider"

_CPU_INFO = Path("/proc/cpuinfo")
_HEAD_BYTES = 4096
"""The file has a block for each core, and all are alike: the first one is enough."""

_RELEVANT = re.compile(r"^(avx|amx|asimd|sve)|^(sse4_1|sse4_2|fma|f16c|bf16|i8mm|fphp|sme|sme2)$")
"""Extensions that decide which kernels onnxruntime uses, and so the layout of weights."""


class RuntimeIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A graph that was optimised for one identity may give wrong answers, not only slow ones, on another."""

    onnxruntime: str
    provider: str = PROVIDER
    architecture: str
    cpu_features: tuple[str, ...]

    @property
    def is_known(self) -> bool:
        """Whether this machine can be told from others."""
        return bool(self.onnxruntime and self.cpu_features)

    def serves(self, other: RuntimeIdentity) -> bool:
        """Whether a graph that was optimised for this identity may be opened on ``other``."""
        return self.is_known and self == other

    def difference(self, other: RuntimeIdentity) -> str:
        """Why ``other`` cannot use such a graph, in words; empty if it can."""
        if self.onnxruntime != other.onnxruntime:
            return f"onnxruntime {self.onnxruntime}, and this is {other.onnxruntime}"
        if self.serves(other):
            return ""
        if self.architecture != other.architecture:
            article = "an" if self.architecture[:1] in "aeiou" else "a"
            return f"{article} {self.architecture} processor, and this is {other.architecture}"
        lacks = sorted(set(self.cpu_features) - set(other.cpu_features))
        more = sorted(set(other.cpu_features) - set(self.cpu_features))
        words = [f"without {', '.join(lacks)}"] if lacks else []
        words += [f"with {', '.join(more)}"] if more else []
        return f"another processor, and this is one {' and '.join(words) or 'that cannot be told from others'}"


@lru_cache(maxsize=1)
def this_runtime() -> RuntimeIdentity:
    """The identity of this machine and environment. Does not import onnxruntime."""
    try:
        with _CPU_INFO.open("rb") as file:
            stated = file.read(_HEAD_BYTES).decode(errors="replace")
    except OSError:
        stated = ""
    return RuntimeIdentity(
        onnxruntime=installed_release("onnxruntime"),
        architecture=os.uname().machine,
        cpu_features=cpu_features(stated),
    )


def cpu_features(text: str) -> tuple[str, ...]:
    """The relevant features of the first processor in ``text``, the content of ``/proc/cpuinfo``, sorted.

    Without such a file (macOS) all processors of an architecture count as the same.
    """
    match = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    if match is None:
        return ("unknown",)
    return tuple(sorted(flag for flag in match[1].split() if _RELEVANT.search(flag)))
