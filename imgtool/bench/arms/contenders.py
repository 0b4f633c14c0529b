"""From an arm to what can be run here: the models it would load, their files, and the words of its command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from imgtool.bench.arms import eager
from imgtool.bench.arms.definitions import BUILT_IN, CACHED, FAST, analyze_command
from imgtool.bench.data.record import Arm, ArmKind
from imgtool.bench.measure.experiment import Contender
from imgtool.bench.measure.pagecache import model_files
from imgtool.engine.plan import Plan, make_plan
from imgtool.errors import ModelMissing, UsageProblem
from imgtool.ground.cores import granted_cores
from imgtool.ground.fresh import python_calling
from imgtool.options import EngineOptions


@dataclass(frozen=True)
class Stage:
    """What all arms have in common: the images, options that come before an arm's own, and how options of analyze are
    made into the engine's, with environment and files taken in."""

    images: tuple[str, ...]
    common: tuple[str, ...]
    parse: Callable[[Sequence[str]], EngineOptions]


def contender(arm: Arm, stage: Stage) -> Contender:
    """``arm`` ready to run.

    Raises:
        ModelMissing: a model of a built-in arm is not here; the message says which and the remedy.
        imgtool.errors.UsageProblem: its options cannot be read.
    """
    if arm.kind is ArmKind.COMMAND:
        return Contender(arm)
    lazy = next(each for each in BUILT_IN if each.name == "lazy")
    options = stage.parse((*stage.common, *(lazy if arm.kind is ArmKind.EAGER else arm).options))
    try:
        plan = make_plan(options)
    except UsageProblem as problem:
        if arm not in BUILT_IN:
            raise
        # The user did not choose its options: what they do not allow cannot be had here.
        raise ModelMissing(f"arm {arm.name}: {problem}", problem.remedy) from problem
    if arm in BUILT_IN and arm.name != CACHED:
        _check_models(arm, plan, options)
    if arm.kind is ArmKind.EAGER:
        words = [*_eager_options(plan, options), *stage.images]
        arm = msgspec.structs.replace(arm, command=tuple(python_calling(eager.main, words=words)))
    else:
        arm = analyze_command(arm, stage.common, stage.images)
    chosen = plan.chosen.values()
    paths = [path for each in chosen for path in each.parameters.get("paths", {}).values() if isinstance(path, str)]
    return Contender(
        arm,
        # Each engine with its model, as results name them.
        weights=tuple((each.spec.name, f"{each.probe.model} {each.probe.model_version}".strip()) for each in chosen),
        files=tuple(model_files(map(Path, paths))),
    )


def _check_models(arm: Arm, plan: Plan, options: EngineOptions) -> None:
    """Refuse a built-in arm if another engine would stand in for its models: it would measure something else."""
    chosen = plan.chosen
    if arm.name == FAST and not any(each.parameters.get("precision") == "fast" for each in chosen.values()):
        reasons = "; ".join(filter(None, (each.notice for each in chosen.values()))) or "no model has a fast variant"
        raise ModelMissing(f"arm {arm.name}: {reasons}", "run `imgtool warm-cache --precision fast`")
    for task, each in chosen.items():
        if each.spec.backend.value != options.backend.value or each.stands_in_for:
            reason = each.notice or f"{task} would be answered by {each.spec.name}"
            raise ModelMissing(f"arm {arm.name}: {reason}", "run `imgtool warm-cache`, or use --weights synthetic")


def _eager_options(plan: Plan, options: EngineOptions) -> list[str]:
    words = ["--threads", str(options.threads or granted_cores()), "--device", options.device]
    for chosen in plan.chosen.values():
        paths = chosen.parameters.get("paths", {})
        if chosen.spec.name == "blip":
            words += ["--blip", str(paths["model"]), "--max-new-tokens", str(chosen.parameters["max_new_tokens"])]
        elif chosen.spec.name == "easyocr":
            words += ["--easyocr", str(paths["folder"]), "--languages", ",".join(chosen.parameters["languages"])]
    return words
