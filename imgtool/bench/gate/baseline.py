"""What an experiment is compared with: a saved one, or one of its own arms; and every comparison with it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from imgtool.bench.data.fingerprint import arm_differences, differences, workload_differences
from imgtool.bench.data.record import Experiment, Metric, PageCache
from imgtool.bench.data.saved import BaselineUnusable
from imgtool.bench.stats.comparison import INTERLEAVED_MARGIN, SAVED_MARGIN, Comparison, compare
from imgtool.errors import UsageProblem


class MachinesDiffer(UsageProblem):
    """A saved experiment comes from a machine, or an installation, that this one cannot be compared with."""


class Compared(Struct, frozen=True, kw_only=True):
    """One figure of one arm against its counterpart. ``values`` and ``reference`` are what was compared: seconds or
    bytes, or, if ``ratios``, ratios to the reference arm's figure of the same run. ``against`` names the counterpart in
    words.
    """

    arm: str
    metric: Metric
    page_cache: PageCache
    against: str
    reference: tuple[float, ...]
    values: tuple[float, ...]
    ratios: bool
    comparison: Comparison


class Baseline(Struct, frozen=True, kw_only=True):
    """The experiment ``now`` with what it is compared with: another one, ``then``, or its own arm ``reference``.

    ``ratios``: the machines differ, so that only ratios to the arm ``reference``, measured in both, are compared.
    ``notices`` name what is left out and what to keep in mind.
    """

    now: Experiment
    then: Experiment | None
    reference: str
    ratios: bool
    notices: tuple[str, ...] = ()

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that have a counterpart, in the order of the experiment."""
        names = tuple(arm.name for arm in self.now.arms)
        if self.then is not None:
            there = {arm.name for arm in self.then.arms}
            names = tuple(name for name in names if name in there)
        return tuple(name for name in names if name != self.reference) if self.then is None or self.ratios else names

    @property
    def cells(self) -> list[tuple[str, PageCache]]:
        """Each of :attr:`arms` in each state of the page cache that both sides were measured in."""
        states = [s for s in self.now.settings.page_cache if self.then is None or s in self.then.settings.page_cache]
        return [(arm, state) for arm in self.arms for state in states]

    def compared(
        self, arm: str, metric: Metric, page_cache: PageCache = PageCache.WARM, margin: float | None = None
    ) -> Compared | None:
        """The comparison of one figure; ``None`` if neither side has it. ``margin`` is how large a difference must be
        to count."""
        if self.then is None:
            values = tuple(self.now.values(arm, metric, page_cache))
            reference = tuple(self.now.values(self.reference, metric, page_cache))
            default = INTERLEAVED_MARGIN
        else:
            values, reference = (
                tuple(
                    ratios_to_reference(side, arm, self.reference, metric, page_cache)
                    if self.ratios
                    else side.values(arm, metric, page_cache)
                )
                for side in (self.now, self.then)
            )
            default = SAVED_MARGIN
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
            comparison=compare(reference, values, default if margin is None else margin),
        )

    def all_compared(self) -> Iterator[Compared]:
        """Every comparison there is, by arm, state of the page cache and metric."""
        for arm, state in self.cells:
            for metric in Metric:
                if (found := self.compared(arm, metric, state)) is not None:
                    yield found


def ratios_to_reference(
    experiment: Experiment, arm: str, reference: str, metric: Metric, page_cache: PageCache = PageCache.WARM
) -> list[float]:
    """The ratios of the figure of ``arm`` to that of ``reference``, run by run: runs of one number are taken one after
    the other, so that what slows both for a while is in no ratio."""
    own, others = (
        {s.run: value for s in experiment.succeeded(name, page_cache) if (value := s.value(metric)) is not None}
        for name in (arm, reference)
    )
    return [own[run] / others[run] for run in sorted(own.keys() & others.keys()) if others[run] > 0]


def against(now: Experiment, chosen: Experiment | str | None, *, across_machines: bool = False) -> Baseline:
    """``now`` with what it is compared with: a saved experiment, the name of one of its arms, or (``None``) its
    reference arm.

    Raises:
        BaselineUnusable: the two have no arm in common, or measured different work.
        MachinesDiffer: a fingerprint differs and ``across_machines`` is not allowed.
        UsageProblem: there is no such arm, or none to compare it with.
    """
    if not isinstance(chosen, Experiment):
        return _own_arm(now, chosen or now.reference)
    then = chosen
    if found := workload_differences(then.settings, now.settings):
        raise BaselineUnusable(
            f"the baseline measured other work: {'; '.join(found)}", "measure the same tasks on the same images"
        )
    machines = differences(then.machine, now.machine)
    if machines and not across_machines:
        raise MachinesDiffer(
            f"the baseline was measured on another machine: {'; '.join(machines)}",
            "measure both here, side by side, or allow ratios to the reference arm with --across-machines",
        )
    reference = now.reference if machines else ""
    names_then, names_now = ([arm.name for arm in side.arms] for side in (then, now))
    if machines and not (reference in names_then and reference in names_now):
        raise BaselineUnusable(
            f"the machines differ, and the reference arm {reference!r} was not measured on both",
            "measure the same reference arm on both",
        )
    baseline = Baseline(now=now, then=then, reference=reference, ratios=bool(machines))
    if not baseline.arms:
        raise BaselineUnusable(
            f"no arm in common: the baseline has {', '.join(names_then) or 'none'}, and this run "
            f"{', '.join(names_now) or 'none'}",
            "measure the same arms as the baseline",
        )
    if not baseline.cells:
        raise BaselineUnusable(
            "the baseline was measured with the page cache in another state", "give its --page-cache"
        )
    return replace(baseline, notices=tuple(_notices(now, then, machines, reference)))


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
    return Baseline(now=now, then=None, reference=reference, ratios=False)


def _notices(now: Experiment, then: Experiment, machines: list[str], reference: str) -> Iterator[str]:
    if machines:
        yield f"machines differ ({'; '.join(machines)}): only ratios to {reference} are compared"
    arms_then = {arm.name: arm for arm in then.arms}
    for arm in now.arms:
        if arm.name not in arms_then:
            yield f"{arm.name} is not in the baseline and is not compared; save a new baseline to include it"
        elif changes := arm_differences(arms_then[arm.name], arm):
            yield f"{arm.name} changed since the baseline: {'; '.join(changes)}"
    for gone in sorted(arms_then.keys() - {arm.name for arm in now.arms}):
        yield f"{gone} is in the baseline and was not measured now"
    for state in now.settings.page_cache:
        if state not in then.settings.page_cache:
            yield f"the baseline was not measured with a {state.value} page cache: that state is not compared"
