"""Which arms an experiment has: those that were named, or all that can run here; and what must be made before."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from imgtool.bench.arms.commands import CommandRequest
from imgtool.bench.arms.contenders import Stage, contender
from imgtool.bench.arms.definitions import BUILT_IN, CACHED, arm_of_options, built_in
from imgtool.bench.arms.drawn_images import draw_in_child
from imgtool.bench.data.record import Arm, ArmKind
from imgtool.bench.measure.child import ChildFailed
from imgtool.bench.measure.experiment import Contender
from imgtool.errors import ExitCode, ModelMissing, UsageProblem
from imgtool.ground.fresh import imgtool_command
from imgtool.options import EngineOptions

_BUILT_IN_NAMES = frozenset(arm.name for arm in BUILT_IN)


@dataclass(frozen=True)
class ArmRequest:
    """Arms as they were typed: names of built-in ones, ``NAME=OPTIONS``, programs. Nothing is all built-in ones that
    can run here. ``weights`` is ``real``, ``synthetic``, or ``None`` for the first of the two that is here."""

    names: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    commands: CommandRequest = field(default_factory=CommandRequest)
    weights: str | None = None

    def arms(self) -> list[Arm]:
        """
        Raises:
            UsageProblem: one cannot be read, or two have the same name.
        """
        own = [*map(arm_of_options, self.options), *self.commands.arms()]
        found = [*built_in(self.names), *own]
        names = [arm.name for arm in found]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UsageProblem(f"two arms have the name {twice!r}", "name each differently")
        if taken := next((arm.name for arm in own if arm.name in _BUILT_IN_NAMES), None):
            raise UsageProblem(f"{taken!r} is the name of a built-in arm", "name your own differently")
        return found


@dataclass(frozen=True)
class ArmSelection:
    """The arms that can run, those that cannot and why, and the weights that were chosen."""

    contenders: tuple[Contender, ...]
    missing: dict[str, ModelMissing]
    stage: Stage
    weights: str


def select(request: ArmRequest, stage: Stage, make_synthetic: Callable[[Stage], None]) -> ArmSelection:
    """The arms that were asked for, or all that can run here.

    If no weights were named and no built-in arm finds real ones, synthetic ones are taken; ``make_synthetic`` makes
    those that are not there yet.

    Raises:
        ModelMissing: an arm that was named lacks its model, or none can run.
        UsageProblem: an arm cannot be read.
    """
    arms = request.arms()
    if arms and all(arm.kind is ArmKind.COMMAND for arm in arms):
        return ArmSelection(tuple(map(Contender, arms)), {}, stage, request.weights or "")
    # Synthetic weights are of use if nothing was named, or an arm that is about a model.
    model_arms = not arms or any(arm.kind is ArmKind.EAGER or arm.name in _BUILT_IN_NAMES for arm in arms)
    found = None
    if request.weights != "synthetic":
        found = _runnable(arms, stage, "real")
    if found is None or not (found.contenders or request.weights == "real" or not model_arms):
        stage = replace(stage, common=("--weights", "synthetic", *stage.common))
        found = _runnable(arms, stage, "synthetic")
        if found.missing:
            make_synthetic(stage)
            found = _runnable(arms, stage, "synthetic")
    if found.contenders:
        return found
    reasons = dict.fromkeys(str(problem) for problem in found.missing.values())
    remedy = next((problem.remedy for problem in found.missing.values() if problem.remedy), "")
    raise ModelMissing(f"no arm can run here: {'; '.join(reasons)}" if not arms else "; ".join(reasons), remedy)


def _runnable(arms: Sequence[Arm], stage: Stage, weights: str) -> ArmSelection:
    """``arms`` as far as they can run, none if one of them cannot; or the built-in arms that can. The arm ``cached``
    needs one of the others."""
    contenders: list[Contender] = []
    missing: dict[str, ModelMissing] = {}
    for arm in arms or BUILT_IN:
        if not arms and arm.name == CACHED and not contenders:
            continue
        try:
            contenders.append(contender(arm, stage))
        except ModelMissing as problem:
            missing[arm.name] = problem
    return ArmSelection(() if arms and missing else tuple(contenders), missing, stage, weights)


def images_for(paths: Sequence[str], folder: Path, steady: int) -> tuple[str, ...]:
    """Absolute paths of the images to analyze: those given, or drawn ones of 1000 x 600, one and ``steady`` more.

    Raises:
        UsageProblem: a path is not a file.
        imgtool.bench.measure.child.ChildFailed: they cannot be drawn.
    """
    if not paths:
        return draw_in_child(folder, ((1000, 600),), steady + 1)
    for path in paths:
        if not Path(path).is_file():
            raise UsageProblem(f"{path} is not a file", "name images, not folders: each arm gets the same ones")
    return tuple(str(Path(path).absolute()) for path in paths[: steady + 1])


def make_models(options: EngineOptions, *, log_json: bool = False) -> None:
    """Make the weights that ``options`` ask for and compile them, unless they are there already. Its output goes to
    stderr; with ``log_json`` only what it logs, as JSON Lines.

    Raises:
        ChildFailed: it failed.
    """
    words = [
        "warm-cache",
        *("--weights", options.weights.value, "--scale", options.scale.value),
        *("--languages", ",".join(options.languages)),
    ]
    if log_json:
        words += ["--log-format", "json"]
    # Not to stdout, which belongs to the figures.
    shown = subprocess.DEVNULL if log_json else sys.stderr
    done = subprocess.run(imgtool_command(words), stdout=shown, check=False)
    if done.returncode:
        raise ChildFailed(
            "the synthetic models could not be made",
            "see its output above; or name arms that need none, such as --arm slim='--text-engine rapidocr'",
            ExitCode.MODEL_MISSING,
        )
