"""The arms that are built in, and the command that a sample of each starts."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

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

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,39}$")


def built_in(names: Sequence[str]) -> list[Arm]:
    """The built-in arms of these names.

    Raises:
        UsageProblem: there is no such arm.
    """
    known = {arm.name: arm for arm in BUILT_IN}
    if unknown := [name for name in names if name not in known]:
        raise UsageProblem(f"there is no arm {unknown[0]!r}", f"one of {', '.join(known)}, or --arm NAME='OPTIONS'")
    return [known[name] for name in names]


def arm_of_options(text: str) -> Arm:
    """The arm of ``NAME=OPTIONS``: ``imgtool analyze`` with these options.

    Raises:
        UsageProblem: ``text`` is not of that form.
    """
    name, words = _definition("--arm", text)
    return Arm(name=name, kind=ArmKind.ANALYZE, options=words, summary=shlex.join(words))


def arm_of_command(text: str) -> Arm:
    """The arm of ``NAME=COMMAND``: any program, started without a shell.

    Raises:
        UsageProblem: ``text`` is not of that form, or there is no such program.
    """
    name, words = _definition("--command", text)
    if not words:
        raise UsageProblem(f"--command {name} names no program", "--command old='venv-old/bin/imgtool analyze x.png'")
    if shutil.which(words[0]) is None:
        raise UsageProblem(
            f"--command {name}: there is no program {words[0]!r}",
            "check its name and its permissions; for shell syntax use sh -c '...'",
        )
    return Arm(name=name, kind=ArmKind.COMMAND, command=words, summary=shlex.join(words))


def _definition(flag: str, text: str) -> tuple[str, tuple[str, ...]]:
    name, equals, words = text.partition("=")
    if not equals or not _NAME.match(name):
        raise UsageProblem(f"{flag} {text!r} is not NAME=WORDS", f"write for example {flag} 'mine=--threads 2'")
    return name, split_words(words, f"{flag} {name}: ")


def split_words(text: str, label: str = "") -> tuple[str, ...]:
    """The words of ``text`` as a shell would take them; ``label`` begins the message if it would not.

    Raises:
        UsageProblem: a quote is left open.
    """
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageProblem(f"{label}{text!r} cannot be read: {str(error).lower()}", "close the quotes") from error


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
