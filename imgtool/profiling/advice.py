"""What a phase is part of, which option would make it smaller, and how each fast path is switched off again."""

from __future__ import annotations

from dataclasses import dataclass

from imgtool.bench.data.record import Arm, ArmKind


@dataclass(frozen=True)
class Way:
    """What to do next: ``option`` as typed (empty where there is none), and ``why``."""

    option: str
    why: str


BACK: tuple[tuple[str, str], ...] = (
    ("--backend torch", "upstream's libraries in place of compiled models"),
    ("--precision exact", "compiled models with upstream's answers, where fast was asked for"),
    ("--load eager", "every model loaded before the first image, one after the other"),
    ("--no-cache", "every answer computed anew, nothing kept"),
    ("--no-isolate", "no worker process: the models in the command's own"),
    ("--batch-size 1", "one image at a time"),
)
"""Switches that undo a fast path, and what each brings back."""

_TASKS = {"caption", "text", "labels"}
_STORE = {"store", "open store", "look up", "hash", "write", "list"}
_START = {"interpreter", "command line", "options", "plan", "start worker"}

_COMPILED = Way("imgtool warm-cache --compile, then --backend onnx", "compiled models need no import of torch")
_PARALLEL = Way("--load parallel", "models load side by side")
_KEPT = Way("", "one command over many images pays it once, and the Python API's Engine keeps its models")
_FAST = Way("--precision fast", "reduced precision is faster where the processor has it; answers may differ")
_FEWER = Way("--tasks", "ask only for what is needed; answers that are kept already cost nothing")


def group_of(phase: str) -> str:
    """The group that a phase is told under."""
    if phase.startswith("load "):
        return "models load"
    if phase.startswith("warm up "):
        return "warm-up"
    if phase in _TASKS:
        return "first answers"
    if phase in _STORE:
        return "files and store"
    return "start of processes" if phase in _START else phase


def way_for(phase: str, arm: Arm) -> Way:
    """What would make ``phase`` smaller for ``arm``; what it does already is not advised."""
    options = arm.options
    compiled = arm.kind is not ArmKind.EAGER and "torch" not in options
    ways = {
        "imports": [_KEPT] if compiled else [_COMPILED],
        "models load": [*([] if compiled else [_COMPILED]), *([] if "parallel" in options else [_PARALLEL]), _KEPT],
        "warm-up": [Way("--load lazy", "nothing is run before the first image")],
        "first answers": [*([] if "fast" in options or not compiled else [_FAST]), _answers(phase), _FEWER],
        "files and store": [Way("--cache-dir", "a faster disk; unchanged files are not read again")],
        "decode": [Way("", "decoding hides behind inference from the second image on")],
    }
    return next(iter(ways.get(group_of(phase), [_KEPT])))


def _answers(phase: str) -> Way:
    if phase == "text":
        return Way("--ocr canvas_size=N", "detection costs by the pixels it looks at")
    return Way("--threads", "as many as there are cores; --max-new-tokens bounds a caption's length")
