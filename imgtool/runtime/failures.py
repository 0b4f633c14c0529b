"""What is said of an image or a model that killed its worker or took too long."""

from __future__ import annotations

from imgtool.runtime.process import Died
from imgtool.runtime.protocol import DECODE
from imgtool.types import Problem


def late(step: str, seconds: float) -> Problem:
    """``step`` took longer with an image than the ``seconds`` it may."""
    return Problem(
        "timeout",
        f"{'decoding' if step == DECODE else step} took longer than {seconds:g} s and was stopped",
        "raise --timeout, or leave this image out with --exclude",
    )


def late_load(step: str, seconds: float) -> Problem:
    """The model of ``step`` took longer to load than the ``seconds`` it may."""
    return Problem(
        "model_load_failed", f"loading {step.rpartition(':')[2]} took longer than {seconds:g} s", "raise --load-timeout"
    )


def crash(died: Died, step: str | None, times: int) -> Problem:
    """A worker died in ``step`` with this image in hand, and then with this image alone: so many ``times``."""
    if died.took_too_much:
        return Problem(
            "out_of_memory",
            "a page of this document takes more than half of --max-worker-memory, and was stopped",
            "if you trust the file, raise --max-worker-memory; else leave it out with --exclude",
        )
    doing = {None: "working on this image", DECODE: "decoding this image"}.get(step, f"answering {step} for this image")
    return Problem(
        "worker_crashed",
        f"the worker {died.description} while {doing}, {'twice' if times == 2 else f'{times} times'}",
        "the file may be damaged or hostile: leave it out with --exclude, or convert it with another program",
    )


def crash_in_load(step: str, died: Died) -> Problem:
    """A worker died loading the model of ``step``."""
    return Problem(
        "model_load_failed",
        f"the worker {died.description} while loading {step.rpartition(':')[2]}",
        "check that there is enough memory and that the model file is whole; `imgtool models` shows what is used",
    )


def silent(seconds: float) -> Problem:
    """A worker with this image alone in hand said nothing for so many ``seconds``."""
    return Problem(
        "timeout",
        f"the worker said nothing for {seconds:g} s while it had this image, and was stopped",
        "raise --load-timeout, or leave this image out with --exclude",
    )
