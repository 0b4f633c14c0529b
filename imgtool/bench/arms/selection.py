"""Which arms an experiment has: those that were named, or all that can run here; and what must be made before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imgtool.bench.arms.arms import BUILT_IN, arm_of_command, arm_of_options, built_in
from imgtool.bench.arms.runnable import Stage, available, contender
from imgtool.bench.data.record import Arm, ArmKind
from imgtool.bench.measure.experiment import Contender
from imgtool.errors import ModelMissing, UsageProblem

Say = Callable[[str], None]


@dataclass(frozen=True)
class ArmRequest:
    """Arms as they were typed: names of built-in ones, ``NAME=OPTIONS``, ``NAME=COMMAND``. Nothing is all built-in ones
    that can run here. ``weights`` is ``real``, ``synthetic``, or ``None`` for the first of the two that is here."""

    names: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    weights: str | None = None

    def arms(self) -> list[Arm]:
        """
        Raises:
            UsageProblem: one cannot be read, or two have the same name.
        """
        found = [
            *built_in(self.names),
            *(arm_of_options(text) for text in self.options),
            *(arm_of_command(text) for text in self.commands),
        ]
        names = [arm.name for arm in found]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UsageProblem(f"two arms have the name {twice!r}", "name each differently")
        if taken := next((arm.name for arm in found[len(self.names) :] if arm.name in _BUILT_IN_NAMES), None):
            raise UsageProblem(f"{taken!r} is the name of a built-in arm", "name your own differently")
        return found


_BUILT_IN_NAMES = frozenset(arm.name for arm in BUILT_IN)


@dataclass(frozen=True)
class Selection:
    """What can run, what cannot and why, and the weights that were settled on."""

    contenders: tuple[Contender, ...]
    missing: dict[str, ModelMissing]
    stage: Stage
    weights: str


def select(wanted: ArmRequest, stage: Stage, make_synthetic: Callable[[Stage], None]) -> Selection:
    """The arms that were asked for, or all that can run here.

    Where no weights were named and no built-in arm finds real ones, synthetic ones are taken; ``make_synthetic`` makes
    those that are not there yet.

    Raises:
        ModelMissing: an arm that was named lacks its model, or none can run.
        UsageProblem: an arm cannot be read.
    """
    arms = wanted.arms()
    if arms and all(arm.kind is ArmKind.COMMAND for arm in arms):
        return Selection(tuple(map(Contender, arms)), {}, stage, wanted.weights or "real")
    if wanted.weights != "synthetic":
        found = _attempt(arms, stage)
        if found.contenders or wanted.weights == "real" or not _model_arms(arms):
            return _required(found, arms)
    stage = replace(stage, common=("--weights", "synthetic", *stage.common))
    if _attempt(arms, stage).missing:
        make_synthetic(stage)
    return _required(replace(_attempt(arms, stage), weights="synthetic"), arms)


def _model_arms(arms: Sequence[Arm]) -> bool:
    """Whether synthetic weights are worth a thought: nothing was named, or an arm that stands for a model."""
    return not arms or any(arm.kind is ArmKind.EAGER or arm.name in _BUILT_IN_NAMES for arm in arms)


def _attempt(arms: Sequence[Arm], stage: Stage) -> Selection:
    if not arms:
        found, missing = available(stage)
        return Selection(tuple(found), missing, stage, "real")
    contenders, missing = [], {}
    for arm in arms:
        try:
            contenders.append(contender(arm, stage))
        except ModelMissing as problem:
            missing[arm.name] = problem
    return Selection(tuple(contenders) if not missing else (), missing, stage, "real")


def _required(chosen: Selection, arms: Sequence[Arm]) -> Selection:
    """
    Raises:
        ModelMissing: nothing can run, or not all that was named.
    """
    if chosen.contenders and (not arms or not chosen.missing):
        return chosen
    reasons = dict.fromkeys(str(problem) for problem in chosen.missing.values())
    remedy = next((problem.remedy for problem in chosen.missing.values() if problem.remedy), "")
    raise ModelMissing(f"no arm can run here: {'; '.join(reasons)}" if not arms else "; ".join(reasons), remedy)


def images_for(paths: Sequence[str], folder: Path, steady: int) -> tuple[str, ...]:
    """Absolute paths of the images to analyze: those given, or drawn ones of 1000 x 600, one and ``steady`` more.

    Raises:
        UsageProblem: a path is no file, or is a folder.
        imgtool.bench.measure.child.ChildFailed: they cannot be drawn.
    """
    if not paths:
        from imgtool.bench.arms.images import draw_in_child

        return draw_in_child(folder, ((1000, 600),), steady + 1).files
    for path in paths:
        if not Path(path).is_file():
            raise UsageProblem(f"{path} is no file", "name images, not folders: each arm gets the same ones")
    return tuple(str(Path(path).absolute()) for path in paths[: steady + 1])
