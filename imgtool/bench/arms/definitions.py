"""The arms that are built in, and the command that a sample of each starts."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from imgtool.bench.arms.commands import named, split_words
from imgtool.bench.data.record import Arm, ArmKind
from imgtool.errors import UsageProblem
from imgtool.ground.fresh import imgtool_command

EAGER, FAST, CACHED = "eager", "compiled-fast", "cached"

BUILT_IN: tuple[Arm, ...] = (
    Arm(name=EAGER, kind=ArmKind.EAGER, summary="imports everything, loads one model after the other, then loops"),
    Arm(
        name="lazy",
        kind=ArmKind.ANALYZE,
        options=("--backend", "torch", "--load", "lazy", "--strict"),
        summary="upstream's libraries, each model loaded at its first use",
    ),
    Arm(
        name="parallel",
        kind=ArmKind.ANALYZE,
        options=("--backend", "torch", "--load", "parallel", "--strict"),
        summary="upstream's libraries, all models loaded side by side",
    ),
    Arm(
        name="compiled",
        kind=ArmKind.ANALYZE,
        options=("--backend", "onnx", "--precision", "exact", "--strict"),
        summary="models compiled to ONNX, answers as upstream's",
    ),
    Arm(
        name=FAST,
        kind=ArmKind.ANALYZE,
        options=("--backend", "onnx", "--precision", "fast", "--strict"),
        summary="models compiled to ONNX, reduced precision",
    ),
    Arm(name=CACHED, kind=ArmKind.ANALYZE, summary="every answer is in the cache already"),
)

BARE_RAPIDOCR = Arm(name="bare-rapidocr", kind=ArmKind.COMMAND, summary="RapidOCR itself, constructed once, in a loop")
"""For text alone; not among the arms that are taken where none is named."""


def built_in(names: Sequence[str]) -> list[Arm]:
    """The built-in arms of these names.

    Raises:
        UsageProblem: there is no such arm.
    """
    known = {arm.name: arm for arm in (*BUILT_IN, BARE_RAPIDOCR)}
    if unknown := [name for name in names if name not in known]:
        raise UsageProblem(f"there is no arm {unknown[0]!r}", f"one of {', '.join(known)}, or --arm NAME='OPTIONS'")
    return [known[name] for name in names]


def arm_of_options(text: str) -> Arm:
    """The arm of ``NAME=OPTIONS``: ``imgtool analyze`` with these options.

    Raises:
        UsageProblem: ``text`` is not of that form.
    """
    name, options = named(text, "--arm")
    words = split_words(options, f"--arm {name}: ")
    return Arm(name=name, kind=ArmKind.ANALYZE, options=words, summary=shlex.join(words))


def analyze_command(arm: Arm, common: Sequence[str], images: Sequence[str]) -> Arm:
    """``arm`` with the command of its samples. Its own options come last, so that they win.

    All but the cached arm run with ``--no-cache``: the work is what is measured.
    """
    keep = () if arm.name == CACHED else ("--no-cache",)
    words = ("analyze", *images, "--format", "jsonl", "--quiet", *keep, *common, *arm.options)
    # By the script, as users start it; without one by the module.
    script = Path(sys.executable).with_name("imgtool")
    program = [str(script)] if script.is_file() else imgtool_command()
    return msgspec.structs.replace(arm, command=(*program, *words))
