"""From an arm to what can be run here: the models it would load, their files, and the words of its command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgtool.bench.arms.arms import BUILT_IN, CACHED, EAGER, analyze_command, eager_command
from imgtool.bench.data.record import Arm, ArmKind
from imgtool.bench.measure.experiment import Contender
from imgtool.bench.measure.pagecache import model_files
from imgtool.engine.plan import Choice, Plan, make_plan
from imgtool.errors import ModelMissing, UsageProblem
from imgtool.ground.cores import granted_cores
from imgtool.options import EngineOptions
from imgtool.types import Backend

Parse = Callable[[Sequence[str]], EngineOptions]
"""Options of ``imgtool analyze`` as typed, made into the engine's, with environment and files taken in."""

FAST = "compiled-fast"
_TORCH, _COMPILED = ("lazy", "parallel"), ("compiled", FAST)


@dataclass(frozen=True)
class Stage:
    """What all arms have in common: the images, and options that come before an arm's own."""

    images: tuple[str, ...]
    common: tuple[str, ...]
    parse: Parse


def contender(arm: Arm, stage: Stage) -> Contender:
    """``arm`` ready to run.

    Raises:
        ModelMissing: a model that it stands for is not here; the message says which and the remedy.
        imgtool.errors.UsageProblem: its options cannot be read.
    """
    if arm.kind is ArmKind.COMMAND:
        return Contender(arm)
    lazy = next(each for each in BUILT_IN if each.name == "lazy")
    options = stage.parse((*stage.common, *(lazy if arm.kind is ArmKind.EAGER else arm).options))
    plan = _plan(arm, options)
    if arm.kind is ArmKind.EAGER:
        arm = eager_command(arm, _eager_options(plan, options), stage.images)
    else:
        arm = analyze_command(arm, stage.common, stage.images)
    return Contender(arm, _weights(plan), _files(plan))


def available(stage: Stage) -> tuple[list[Contender], dict[str, ModelMissing]]:
    """The built-in arms that can run here, and why the others cannot. ``cached`` needs one of the others."""
    found: list[Contender] = []
    missing: dict[str, ModelMissing] = {}
    for arm in BUILT_IN:
        if arm.name == CACHED and not found:
            continue
        try:
            found.append(contender(arm, stage))
        except ModelMissing as problem:
            missing[arm.name] = problem
    return found, missing


def _plan(arm: Arm, options: EngineOptions) -> Plan:
    if arm not in BUILT_IN:
        return make_plan(options)
    try:
        plan = make_plan(options)
    except UsageProblem as problem:
        # What its options are is not the user's doing: what does not go together with them is not to be had here.
        raise ModelMissing(f"arm {arm.name}: {problem}", problem.remedy) from problem
    _check_backend(arm, plan)
    return plan


def _check_backend(arm: Arm, plan: Plan) -> None:
    """Refuse a built-in arm whose models another engine would stand in for: it would measure something else."""
    wanted = Backend.TORCH if arm.name in (EAGER, *_TORCH) else Backend.ONNX if arm.name in _COMPILED else None
    if wanted is None:
        return
    if arm.name == FAST and not any(chosen.parameters.get("precision") == "fast" for chosen in _all(plan)):
        reasons = "; ".join(filter(None, (chosen.notice for chosen in _all(plan)))) or "nothing computes otherwise"
        raise ModelMissing(f"arm {arm.name}: {reasons}", "run `imgtool warm-cache --precision fast`")
    for task, chosen in plan.chosen.items():
        if chosen.spec.backend is not wanted or chosen.stands_in_for:
            reason = chosen.notice or f"{task} would be answered by {chosen.spec.name}"
            raise ModelMissing(f"arm {arm.name}: {reason}", "run `imgtool warm-cache`, or take --weights synthetic")


def _eager_options(plan: Plan, options: EngineOptions) -> list[str]:
    words = ["--threads", str(options.threads or granted_cores()), "--device", options.device]
    for chosen in plan.chosen.values():
        paths = chosen.parameters.get("paths", {})
        if chosen.spec.name == "blip":
            words += ["--blip", str(paths["model"]), "--max-new-tokens", str(chosen.parameters["max_new_tokens"])]
        elif chosen.spec.name == "easyocr":
            words += ["--easyocr", str(paths["folder"]), "--languages", ",".join(chosen.parameters["languages"])]
    return words


def _weights(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Each engine with the model that it answers by, as results name them."""
    return tuple(
        (chosen.spec.name, f"{chosen.probe.model} {chosen.probe.model_version}".strip()) for chosen in _all(plan)
    )


def _files(plan: Plan) -> tuple[Path, ...]:
    paths = [path for chosen in _all(plan) for path in chosen.parameters.get("paths", {}).values()]
    return tuple(model_files(Path(path) for path in paths if isinstance(path, str)))


def _all(plan: Plan) -> list[Choice]:
    return list(plan.chosen.values())
