"""An arm against itself: the noise of this machine, and the smallest difference that it can detect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
from msgspec import Struct

from imgtool.bench.data.record import Experiment, Metric
from imgtool.bench.measure.experiment import Contender
from imgtool.bench.stats.comparison import Comparison, compare, detectable
from imgtool.errors import UsageProblem

FIRST, SECOND = "A", "the same again"


class NoiseFloor(Struct, frozen=True, kw_only=True):
    """One figure of an arm against itself. ``detectable`` is the smallest slowdown that as many runs detect nine times
    in ten, 0.08 for 8 %."""

    metric: Metric
    comparison: Comparison
    detectable: float | None


def doubled(contenders: Sequence[Contender]) -> tuple[Contender, ...]:
    """One arm twice, under two names.

    Raises:
        UsageProblem: there are several arms to choose from.
    """
    if len(contenders) > 1:
        names = ", ".join(contender.arm.name for contender in contenders)
        raise UsageProblem(f"--self-test needs one arm, not {names}", "name it, such as --arms compiled")
    (only,) = contenders
    twins = (f"{only.arm.name} {FIRST}", f"{only.arm.name} {SECOND}")
    return tuple(replace(only, arm=msgspec.structs.replace(only.arm, name=name)) for name in twins)


def noise_floors(experiment: Experiment) -> list[NoiseFloor]:
    """Every figure that both halves have, in every state of the page cache that was measured."""
    first, second = (arm.name for arm in experiment.arms)
    found = []
    for state in experiment.settings.page_cache:
        for metric in Metric:
            one, other = (experiment.values(name, metric, state) for name in (first, second))
            if one and other:
                floor = NoiseFloor(
                    metric=metric,
                    comparison=compare(one, other),
                    detectable=detectable([*one, *other], len(one)),
                )
                found.append(floor)
    return found
