"""imgtool: batch image analysis that starts at once.

``from imgtool import Engine`` is the whole Python API; names load when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# First of all: it notes when the interpreter was ready.
from imgtool import trace as _trace  # noqa: F401
from imgtool.ground.privacy import ask_for_silence as _ask_for_silence

_ask_for_silence()

__version__ = "0.1.0"

if TYPE_CHECKING:
    from imgtool.engine.engine import Engine
    from imgtool.errors import ImgtoolError
    from imgtool.options import EngineOptions
    from imgtool.types import ImageResult, Status, Task

__all__ = ["Engine", "EngineOptions", "ImageResult", "ImgtoolError", "Status", "Task", "__version__"]


def __getattr__(name: str) -> Any:
    module: Any
    if name == "Engine":
        from imgtool.engine import engine as module
    elif name == "EngineOptions":
        from imgtool import options as module
    elif name == "ImgtoolError":
        from imgtool import errors as module
    elif name in ("ImageResult", "Status", "Task"):
        from imgtool import types as module
    else:
        raise AttributeError(f"module 'imgtool' has no attribute {name!r}")
    return getattr(module, name)
