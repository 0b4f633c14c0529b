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
    from imgtool.engine.analysis import Analysis
    from imgtool.engine.engine import Engine
    from imgtool.engine.observer import Observer
    from imgtool.engine.statistics import Statistics
    from imgtool.engine.ticket import Part, Parts, Ticket
    from imgtool.errors import (
        Cancelled,
        EngineClosed,
        ImgtoolError,
        ModelMissing,
        QueueFull,
        SourceProblem,
        TooManyFailures,
        UsageProblem,
        WorkerUnusable,
    )
    from imgtool.options import EngineOptions
    from imgtool.types import (
        CaptionResult,
        ImageResult,
        Label,
        LabelsResult,
        Priority,
        Problem,
        Status,
        Task,
        TaskResults,
        TextLine,
        TextResult,
    )

__all__ = [
    "Analysis",
    "Cancelled",
    "CaptionResult",
    "Engine",
    "EngineClosed",
    "EngineOptions",
    "ImageResult",
    "ImgtoolError",
    "Label",
    "LabelsResult",
    "ModelMissing",
    "Observer",
    "Part",
    "Parts",
    "Priority",
    "Problem",
    "QueueFull",
    "SourceProblem",
    "Statistics",
    "Status",
    "Task",
    "TaskResults",
    "TextLine",
    "TextResult",
    "Ticket",
    "TooManyFailures",
    "UsageProblem",
    "WorkerUnusable",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'imgtool' has no attribute {name!r}")
    from imgtool import errors, options, types

    for module in (errors, options, types):
        if hasattr(module, name):
            return getattr(module, name)
    from imgtool.engine import analysis, engine, observer, statistics, ticket

    return next(
        getattr(module, name) for module in (engine, ticket, analysis, statistics, observer) if hasattr(module, name)
    )


def __dir__() -> list[str]:
    return sorted(__all__)
