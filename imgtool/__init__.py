"""imgtool: batch image analysis that starts at once.

``from imgtool import Engine`` is the whole Python API; names load when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# First of all: it notes when the interpreter was ready.
from imgtool import trace as _trace  # noqa: F401
from imgtool.privacy import ask_for_silence as _ask_for_silence

_ask_for_silence()

__version__ = "0.1.0"

if TYPE_CHECKING:
    from imgtool.engine.engine import Engine
    from imgtool.errors import ImgtoolError
    from imgtool.options import EngineOptions
    from imgtool.types import ImageResult, Status, Task

_HOMES = {
    "Engine": "imgtool.engine.engine",
    "EngineOptions": "imgtool.options",
    "ImageResult": "imgtool.types",
    "ImgtoolError": "imgtool.errors",
    "Status": "imgtool.types",
    "Task": "imgtool.types",
}

__all__ = ["Engine", "EngineOptions", "ImageResult", "ImgtoolError", "Status", "Task", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'imgtool' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
