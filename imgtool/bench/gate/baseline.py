"""What an experiment is compared with: a saved one, or one of its own arms; and every comparison with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from imgtool.bench.data.fingerprint import arm_differences, differences, workload_differences
from imgtool.bench.data.record import Experiment, Metric, PageCache
from imgtool.bench.data.saved import BaselineUnusable, load_experiment
from imgtool.bench.stats.comparison import INTERLEAVED_MARGIN, SAVED_MARGIN, Comparison, compare
from imgtool.errors import UsageProblem


class MachinesDiffer(UsageProblem):
    """A saved experiment comes from a machine, or an installation, that this one cannot be compared with."""


class Compared(Struct, frozen=True, kw_only=True):
    """One figure of one arm against its counterpart. ``values`` and ``reference`` are what was compared, as taken:
    seconds or bytes, or, where ``ratios``, how many times the reference arm's figure of the same run.
    ``against`` names the counterpart in words."""

    arm: str
    metric: Metric
    page_cache: PageCache
    against: str
    reference: tuple[float, ...]
    values: tuple[float, ...]
    ratios: bool
    comparison: Comparison


class Baseline(Struct, frozen=True, kw_only=True):
    """An experiment with what it is compared with: another ``experiment``, or its own arm ``reference``.

    ``ratios``: the machines differ, so that only ratios to the arm ``reference``, measured in both, are compared.
    ``notices`` say in words what is left out and what to think of.
    """

    now: Experiment
    then: Experiment | None
    reference: str
    ratios: bool
    notices: tuple[str, ...]

    @property
    def margin(self) -> float:
        """How large a difference must be to count."""
        return INTERLEAVED_MARGIN if self.then is None else SAVED_MARGIN

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that have a counterpart, in the order of the experiment."""
        names = tuple(arm.name for arm in self.now.arms)
        if self.then is not None:
            there = {arm.name for arm in self.then.arms}
            names = tuple(name for name in names if name in there)
        return tuple(name for name in names if name != self.reference) if self.then is None or self.ratios else names

    @property
    def page_caches(self) -> tuple[PageCache, ...]:
        """The states of the page cache that both were measured in."""
        return tuple(
            state
            for state in self.now.settings.page_cache
            if self.then is None or state in self.then.settings.page_cache
        )

    def compared(
        self, arm: str, metric: Metric, page_cache: PageCache = PageCache.WARM, margin: float | None = None
    ) -> Compared | None:
        """The comparison of one figure; ``None`` where neither side has it."""
        values = self._figures(self.now, arm, metric, page_cache)
        if self.then is None:
            reference = tuple(self.now.values(self.reference, metric, page_cache))
        else:
            reference = self._figures(self.then, arm, metric, page_cache)
        if not values and not reference:
            return None
        return Compared(
            arm=arm,
            metric=metric,
            page_cache=page_cache,
            against=self.reference if self.then is None else "the baseline",
            reference=reference,
            values=values,
            ratios=self.ratios,
            comparison=compare(reference, values, self.margin if margin is None else margin),
        )

    def all_compared(self) -> Iterator[Compared]:
        """Every comparison there is, by arm, state of the page cache and metric."""
        for arm in self.arms:
            for state in self.page_caches:
                for metric in Metric:
                    if (found := self.compared(arm, metric, state)) is not None:
                        yield found

    def _figures(self, experiment: Experiment, arm: str, metric: Metric, state: PageCache) -> tuple[float, ...]:
        if self.ratios:
            return tuple(ratios_to_reference(experiment, arm, self.reference, metric, state))
        return tuple(experiment.values(arm, metric, state))


def ratios_to_reference(
    experiment: Experiment, arm: str, reference: str, metric: Metric, page_cache: PageCache = PageCache.WARM
) -> list[float]:
    """How many times the figure of ``reference`` that of ``arm`` is, run by run: interleaved arms have their runs of
    one number side by side, so that what slows both for a while is in no ratio."""
    own, others = (_by_run(experiment, name, metric, page_cache) for name in (arm, reference))
    return [own[run] / others[run] for run in sorted(own.keys() & others.keys()) if others[run] > 0]


def choose(text: str, experiment: Experiment) -> Experiment | str:
    """What ``--baseline TEXT`` names: an arm of ``experiment``, else a saved file.

    Raises:
        BaselineUnusable: it is neither.
    """
    if any(arm.name == text for arm in experiment.arms):
        return text
    return load_experiment(Path(text).expanduser())


def against(now: Experiment, chosen: Experiment | str | None, *, across_machines: bool = False) -> Baseline:
    """``now`` with what it is compared with: a saved experiment, the name of one of its arms, or (``None``) the arm
    that it says is its reference.

    Raises:
        BaselineUnusable: the two have no arm in common, or measured different work.
        MachinesDiffer: a fingerprint differs and ``across_machines`` is not allowed.
        UsageProblem: there is no such arm, or none to compare it with.
    """
    if not isinstance(chosen, Experiment):
        return _own_arm(now, chosen or now.reference)
    _require_same_work(now, chosen)
    found = differences(chosen.machine, now.machine)
    if found and not across_machines:
        raise MachinesDiffer(
            f"the baseline was measured elsewhere: {'; '.join(found)}",
            "measure both here, side by side, or allow ratios to the reference arm with --across-machines",
        )
    return _saved(now, chosen, found)


def _own_arm(now: Experiment, reference: str) -> Baseline:
    names = [arm.name for arm in now.arms]
    if reference not in names:
        shown = f"there is no arm {reference!r} to compare with" if reference else "there is nothing to compare with"
        raise UsageProblem(shown, f"name a saved file or one of {', '.join(names)} with --baseline")
    if len(names) < 2:
        raise UsageProblem(
            f"{reference} is the only arm: there is nothing to compare with",
            "add an arm, or name a saved file with --baseline",
        )
    return Baseline(now=now, then=None, reference=reference, ratios=False, notices=())


def _saved(now: Experiment, then: Experiment, machines: list[str]) -> Baseline:
    reference = now.reference if machines else ""
    if machines and not all(reference in {arm.name for arm in side.arms} for side in (now, then)):
        raise BaselineUnusable(
            f"the machines differ, and the reference arm {reference!r} was not measured on both",
            "measure the same reference arm on both",
        )
    baseline = Baseline(now=now, then=then, reference=reference, ratios=bool(machines), notices=())
    if not baseline.arms:
        raise BaselineUnusable(
            f"nothing in common: the baseline has {_names(then)}, and this is {_names(now)}",
            "measure the same arms as the baseline",
        )
    if not baseline.page_caches:
        raise BaselineUnusable(
            "the baseline was measured with the page cache in another state", "give its --page-cache"
        )
    notices = tuple(_notices(now, then, machines, reference))
    return Baseline(now=now, then=then, reference=reference, ratios=bool(machines), notices=notices)


def _require_same_work(now: Experiment, then: Experiment) -> None:
    if found := workload_differences(then.settings, now.settings):
        raise BaselineUnusable(
            f"the baseline measured other work: {'; '.join(found)}", "measure the same tasks on the same images"
        )


def _notices(now: Experiment, then: Experiment, machines: list[str], reference: str) -> Iterator[str]:
    if machines:
        yield f"machines differ ({'; '.join(machines)}): only ratios to {reference} are compared"
    arms_then = {arm.name: arm for arm in then.arms}
    for arm in now.arms:
        if arm.name not in arms_then:
            yield f"{arm.name} is not in the baseline and is not compared; save a new baseline to include it"
        elif changes := arm_differences(arms_then[arm.name], arm):
            yield f"{arm.name} is not what it was: {'; '.join(changes)}"
    for gone in sorted(arms_then.keys() - {arm.name for arm in now.arms}):
        yield f"{gone} is in the baseline and was not measured now"
    for state in now.settings.page_cache:
        if state not in then.settings.page_cache:
            yield f"the baseline was not measured with a {state.value} page cache: that is not compared"


def _names(experiment: Experiment) -> str:
    return ", ".join(arm.name for arm in experiment.arms) or "no arm"


def _by_run(experiment: Experiment, arm: str, metric: Metric, state: PageCache) -> dict[int, float]:
    counted = (s for s in experiment.samples if s.arm == arm and s.run >= 0 and s.page_cache is state)
    return {sample.run: value for sample in counted if (value := sample.value(metric)) is not None}
