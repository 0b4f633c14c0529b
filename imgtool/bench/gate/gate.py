"""Whether an experiment stays within its budgets: passed, failed, or not to be told from these runs.

A relative budget of 10 % fails where the arm is slower for certain (the whole interval of the ratio above 1) and the
estimate is beyond 1.10; it passes where the whole interval is at or below 1.10; anything between is inconclusive. With
10 runs and a spread of 5 % this finds 97 of 100 regressions of 15 %, where asking for the whole interval beyond 1.10
finds 29; of equal arms none fails, 93 pass and 7 are inconclusive (at a spread of 8 %: 0.3, 51 and 49; with 20 runs
0, 89 and 11). An absolute budget fails where the whole interval of the median is beyond it. A failure of figures counts
after :func:`confirm` alone: a second experiment must fail the same check. A figure that an arm lacks, wholly or in some
of its runs, is inconclusive; one that its counterpart lacks is left out with a notice where they share another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgtool.bench.data.record import ArmKind, Experiment, Metric, PageCache, Sample
from imgtool.bench.data.saved import BaselineUnusable, load_experiment
from imgtool.bench.gate.baseline import Baseline, Compared, MachinesDiffer, against, choose
from imgtool.bench.gate.budgets import Budgets, parse_budgets
from imgtool.bench.gate.judgement import (
    Check,
    Judgement,
    Outcome,
    confirm,
    failed_comparison,
    needs_confirmation,
    unconfirmed,
)
from imgtool.bench.report.wording import (
    change_interval_text,
    change_text,
    figure_text,
    metric_text,
    share_text,
    unlike_text,
)
from imgtool.bench.stats.comparison import SAVED_MARGIN, Comparison, Verdict
from imgtool.bench.stats.statistics import summarise

__all__ = [
    "BaselineUnusable",
    "Budgets",
    "Check",
    "Judgement",
    "MachinesDiffer",
    "Outcome",
    "against",
    "choose",
    "confirm",
    "failed_comparison",
    "judge",
    "load_experiment",
    "needs_confirmation",
    "parse_budgets",
    "unconfirmed",
]

_TIMES = (Metric.STARTUP, Metric.FIRST_RESULT, Metric.STEADY, Metric.WALL)
"""Wall time beside the phases: a program can lose after its first result what no phase shows. It holds all images, so
that the arms of one experiment, and a baseline of the same settings, have it of the same work."""
_MEMORIES = (Metric.PEAK_ANON, Metric.PEAK_RSS)

_ENOUGH = 0.9
"""Least coverage of a median's interval for a decision, 5 % to either side: 5 runs have 0.94."""


def judge(
    experiment: Experiment, baseline: Experiment | str | None, budgets: Budgets, *, across_machines: bool = False
) -> Judgement:
    """Every budget against every arm that it concerns.

    ``baseline`` is a saved experiment, the name of an arm of ``experiment``, or ``None`` for the arm that it says is
    its reference. Limits hold for all arms but the one that others are compared with, where that was named as the
    baseline or is the eager program. An arm of which a run failed fails itself, unless its counterpart did too.

    Raises:
        BaselineUnusable: the baseline has no arm in common or measured different work.
        MachinesDiffer: it was measured elsewhere, and ``across_machines`` is not allowed.
        imgtool.errors.UsageProblem: a relative budget without anything to compare with.
    """
    found = against(experiment, baseline, across_machines=across_machines) if baseline or budgets.relative else None
    exempt = _exempt(experiment, baseline)
    checks = [*_broken(experiment, found, exempt), *_limits(experiment, budgets, exempt)]
    if found is not None:
        checks += _relative(found, budgets)
    return Judgement(checks=tuple(checks) if budgets else (), notices=tuple(_notices(found, budgets, exempt)))


def _exempt(experiment: Experiment, baseline: Experiment | str | None) -> str:
    """The arm that is there only for others to be compared with: one named so, or the plain program."""
    if len(experiment.arms) < 2:
        return ""
    if isinstance(baseline, str):
        return baseline
    return next((a.name for a in experiment.arms if a.name == experiment.reference and a.kind is ArmKind.EAGER), "")


def _notices(found: Baseline | None, budgets: Budgets, exempt: str) -> Iterator[str]:
    if budgets.limits and exempt:
        yield f"limits do not hold for {exempt}: it is what the others are compared with"
    if found is None:
        return
    yield from found.notices
    if budgets.fail_slower is not None:
        yield from _one_sided(found, _TIMES)
        yield from _unlike(found)
    if found.then is not None and budgets.fail_slower is not None and budgets.fail_slower < SAVED_MARGIN:
        yield (
            f"two sessions on one machine often differ by more than {share_text(budgets.fail_slower)}: "
            "to be sure, run both versions interleaved, each as an arm of one experiment"
        )


def _unlike(found: Baseline) -> Iterator[str]:
    """A warning for each arm that is a program of the user's against one of ours, or the other way round."""
    kinds = {arm.name: arm.kind is ArmKind.COMMAND for arm in found.now.arms}
    then = kinds if found.then is None else {arm.name: arm.kind is ArmKind.COMMAND for arm in found.then.arms}
    for arm in found.arms:
        other = found.reference if found.then is None else arm
        if kinds[arm] is not then[other]:
            against = other if found.then is None else "the baseline"
            yield f"wall time of {arm} and {against} is compared as of the same work: give both the same images"


def _relative(found: Baseline, budgets: Budgets) -> Iterator[Check]:
    if budgets.fail_slower is not None:
        yield from _all_compared(found, budgets.fail_slower, _TIMES)
    if budgets.fail_memory is not None:
        yield from _all_compared(found, budgets.fail_memory, _MEMORIES)


def _all_compared(found: Baseline, budget: float, metrics: tuple[Metric, ...]) -> Iterator[Check]:
    """Every arm in every state has at least one check: what nothing is known of must not pass for kept."""
    allowed = f"at most {change_text(1 + budget)} is allowed"
    cells = {
        (arm, state): _known(found, arm, state, metrics, budget) for arm in found.arms for state in found.page_caches
    }
    if not any(cells.values()):
        yield _unmeasured(metrics[0], budget, found.arms, allowed)
        return
    for (arm, state), known in cells.items():
        for compared in known:
            yield _compared(compared, budget, _gaps(found, compared))
        if not known:
            yield _unknown(arm, metrics[0], state, budget, allowed)


def _known(found: Baseline, arm: str, state: PageCache, metrics: tuple[Metric, ...], budget: float) -> list[Compared]:
    """What both sides have of ``metrics``: a program without a trace has wall time alone. What one side has, where
    they have nothing in common."""
    known = [compared for metric in metrics if (compared := found.compared(arm, metric, state, budget)) is not None]
    return [compared for compared in known if compared.values and compared.reference] or known


def _one_sided(found: Baseline, metrics: tuple[Metric, ...]) -> Iterator[str]:
    """A sentence for each figure that is left out because one side alone has it."""
    for arm in found.arms:
        for state in found.page_caches:
            known = [compared for metric in metrics if (compared := found.compared(arm, metric, state)) is not None]
            if not any(compared.values and compared.reference for compared in known):
                continue
            for compared in known:
                lacking = arm if not compared.values else "" if compared.reference else compared.against
                if lacking:
                    yield f"{_subject(arm, compared.metric, state)} is not compared: {lacking} has none"


def _compared(compared: Compared, budget: float, gaps: str) -> Check:
    comparison = compared.comparison
    return Check(
        arm=compared.arm,
        metric=compared.metric,
        page_cache=compared.page_cache,
        outcome=Outcome.INCONCLUSIVE if gaps else _outcome(comparison, budget),
        text=_comparison_text(compared, budget) + gaps,
        value=_median(compared.values),
        reference=_median(compared.reference),
        limit=budget,
        comparison=comparison,
    )


def _gaps(found: Baseline, compared: Compared) -> str:
    """What of either side only some runs have."""
    own, state = (found.now, compared.arm), compared.page_cache
    other = (found.now, found.reference) if found.then is None else (found.then, compared.arm)
    return "".join(
        f"; of {name} it is {gap}"
        for (experiment, arm), name in ((own, compared.arm), (other, compared.against))
        if (gap := _gap(experiment, arm, compared.metric, state))
    )


def _gap(experiment: Experiment, arm: str, metric: Metric, state: PageCache) -> str:
    """``known of 5 of 10 runs``, empty where all that succeeded have the figure: those that have it are no fair choice,
    because memory is seen of the longer and larger ones."""
    runs = [sample for sample in _counted(experiment, arm) if sample.page_cache is state and sample.error is None]
    known = sum(sample.value(metric) is not None for sample in runs)
    return f"known of {known} of {len(runs)} runs" if 0 < known < len(runs) else ""


def _outcome(comparison: Comparison, budget: float) -> Outcome:
    if comparison.verdict is Verdict.SLOWER:
        return Outcome.FAILED
    if comparison.enough and comparison.high is not None and comparison.high <= 1 + budget:
        return Outcome.PASSED
    return Outcome.INCONCLUSIVE


def _comparison_text(compared: Compared, budget: float) -> str:
    comparison = compared.comparison
    subject = _subject(compared.arm, compared.metric, compared.page_cache)
    if comparison.ratio is None or comparison.low is None or comparison.high is None:
        return f"{subject} cannot be compared with {compared.against}: {comparison.reason}"
    change = f"{change_text(comparison.ratio)} ({change_interval_text(comparison.low, comparison.high)})"
    return f"{subject}: {_sides(compared)}, {change}; at most {change_text(1 + budget)} is allowed{_few(comparison)}"


def _few(comparison: Comparison) -> str:
    return "" if comparison.enough else f"; {comparison.reason}"


def _sides(compared: Compared) -> str:
    own, other = _median(compared.values), _median(compared.reference)
    if own is None or other is None:
        return "no figures"
    if compared.ratios:
        return f"{own:.3g} times the reference arm against {other:.3g} times in {compared.against}"
    return f"{figure_text(compared.metric, own)} against {figure_text(compared.metric, other)} of {compared.against}"


def _limits(experiment: Experiment, budgets: Budgets, exempt: str) -> Iterator[Check]:
    judged = [arm.name for arm in experiment.arms if arm.name != exempt]
    for metric, limit in budgets.limits.items():
        allowed = f"at most {figure_text(metric, limit)} is allowed"
        cells = {
            (arm, state): experiment.values(arm, metric, state)
            for arm in judged
            for state in experiment.settings.page_cache
        }
        if not any(cells.values()):
            yield _unmeasured(metric, limit, judged, allowed)
            continue
        for (arm, state), values in cells.items():
            if values:
                yield _limit(arm, metric, state, values, limit, _gap(experiment, arm, metric, state))
            else:
                yield _unknown(arm, metric, state, limit, allowed)


def _limit(arm: str, metric: Metric, state: PageCache, values: list[float], limit: float, gap: str) -> Check:
    summary = summarise(values)
    interval = summary.interval
    median, low, high = (unlike_text(metric, each, limit) for each in (summary.median, interval.low, interval.high))
    text = (
        f"{_subject(arm, metric, state)}: median {median} ({low} to {high}); "
        f"at most {figure_text(metric, limit)} is allowed"
    )
    outcome = Outcome.INCONCLUSIVE
    if gap:
        text += f"; it is {gap}"
    elif interval.coverage < _ENOUGH:
        text += f"; {summary.n} run{'s are' if summary.n > 1 else ' is'} too few for a verdict: give 5 or more"
    elif interval.low > limit:
        outcome = Outcome.FAILED
    elif interval.high <= limit:
        outcome = Outcome.PASSED
    return Check(
        arm=arm,
        metric=metric,
        page_cache=state,
        outcome=outcome,
        text=text,
        value=summary.median,
        limit=limit,
        interval=interval,
    )


def _unmeasured(metric: Metric, limit: float, arms: Sequence[str], allowed: str) -> Check:
    """A budget that no figure could be held against must not pass for kept."""
    names = ", ".join(arms)
    text = f"{metric_text(metric)} is known of no arm ({names}){_why_unknown(metric)}; {allowed}"
    return Check(arm=names, metric=metric, outcome=Outcome.INCONCLUSIVE, text=text, limit=limit)


def _unknown(arm: str, metric: Metric, state: PageCache, limit: float, allowed: str) -> Check:
    """Nor must one arm, because others were measured."""
    text = f"{_subject(arm, metric, state)} is not known{_why_unknown(metric)}; {allowed}"
    return Check(arm=arm, metric=metric, page_cache=state, outcome=Outcome.INCONCLUSIVE, text=text, limit=limit)


def _why_unknown(metric: Metric) -> str:
    return ": it ended too soon, and was too small, to be weighed" if metric.is_memory else ""


def _broken(experiment: Experiment, found: Baseline | None, exempt: str) -> Iterator[Check]:
    """A check for each arm of which a counted run failed, or which has none. It is inconclusive for an arm that only
    others are compared with, and where the counterpart failed too: that is no regression."""
    judged_itself = found is not None and found.then is not None and not found.ratios
    for arm in (arm.name for arm in experiment.arms):
        if (text := _failures(experiment, arm)) is None:
            continue
        outcome = Outcome.FAILED
        if arm == exempt and not judged_itself:
            outcome, text = Outcome.INCONCLUSIVE, f"{text}; the others are compared with it"
        elif found is not None and _failed_before(found, arm):
            outcome, text = Outcome.INCONCLUSIVE, f"{text}; its counterpart failed as well"
        yield Check(arm=arm, outcome=outcome, text=text)


def _failures(experiment: Experiment, arm: str) -> str | None:
    runs = _counted(experiment, arm)
    failed = [sample for sample in runs if sample.error is not None]
    if not runs:
        return f"{arm} was not run"
    return f"{arm}: {len(failed)} of {len(runs)} runs failed: {failed[0].error}" if failed else None


def _failed_before(found: Baseline, arm: str) -> bool:
    """Whether what ``arm`` is compared with failed too."""
    if found.then is None:
        return _failures(found.now, found.reference) is not None
    return arm in {known.name for known in found.then.arms} and _failures(found.then, arm) is not None


def _counted(experiment: Experiment, arm: str) -> list[Sample]:
    return [sample for sample in experiment.samples if sample.arm == arm and sample.run >= 0]


def _subject(arm: str, metric: Metric, state: PageCache) -> str:
    cold = "" if state is PageCache.WARM else ", page cache cold"
    return f"{metric_text(metric)} of {arm}{cold}"


def _median(values: tuple[float, ...]) -> float | None:
    return summarise(values).median if values else None
