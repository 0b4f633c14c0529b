"""Whether an experiment stays within its budgets: passed, failed, or inconclusive.

A relative budget of 10 % fails if the arm is certainly slower (the whole confidence interval of the ratio is above 1)
and the estimate is above 1.10; it passes if the whole interval is at or below 1.10; anything between is inconclusive.
With 10 runs and a spread of 5 % this finds 97 of 100 regressions of 15 %, while requiring the whole interval above 1.10
finds 29. Of equal arms none fails, 93 pass and 7 are inconclusive (at a spread of 8 %: 0.3, 51 and 49; with 20 runs 0,
89 and 11). An absolute budget fails if the whole interval of the median is above it.

A failure of figures counts only after :func:`imgtool.bench.gate.judgement.confirm`: a second experiment must fail the
same check. A figure that an arm lacks, in all or in some of its runs, is inconclusive; one that the other side lacks is
left out with a notice if the two have another figure in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgtool.bench.data.record import ArmKind, Experiment, Metric, PageCache
from imgtool.bench.gate.baseline import Baseline, Compared, against
from imgtool.bench.gate.budgets import Budgets
from imgtool.bench.gate.judgement import Check, CheckOutcome, Judgement
from imgtool.bench.report.units import (
    change_interval_text,
    change_text,
    figure_text,
    metric_text,
    share_text,
    unlike_text,
)
from imgtool.bench.stats.comparison import SAVED_MARGIN, Verdict
from imgtool.bench.stats.statistics import summarise

_TIMES = (Metric.STARTUP, Metric.FIRST_RESULT, Metric.STEADY, Metric.WALL)
"""Wall time beside the phases: a program can become slower after its first result, which no phase shows. It covers all
images: the arms of one experiment, and a baseline of the same settings, have it of the same work."""
_MEMORIES = (Metric.PEAK_ANON, Metric.PEAK_RSS)

_ENOUGH = 0.9
"""Least coverage of a median's interval for a decision: 5 runs have 0.94."""


def judge(
    experiment: Experiment, baseline: Experiment | str | None, budgets: Budgets, *, across_machines: bool = False
) -> Judgement:
    """Every budget against every arm that it concerns.

    ``baseline`` is a saved experiment, the name of an arm of ``experiment``, or ``None`` for its reference arm. Limits
    hold for all arms except the one that others are compared with, if it was named as the baseline or is the eager
    program. An arm of which a run failed fails itself, unless its counterpart failed too.

    Raises:
        BaselineUnusable: the baseline has no arm in common or measured different work.
        MachinesDiffer: it was measured on another machine, and ``across_machines`` is not allowed.
        imgtool.errors.UsageProblem: a relative budget, and nothing to compare with.
    """
    found = against(experiment, baseline, across_machines=across_machines) if baseline or budgets.relative else None
    # The arm that is there only for others to be compared with.
    exempt = ""
    if len(experiment.arms) > 1:
        eager = (a.name for a in experiment.arms if a.name == experiment.reference and a.kind is ArmKind.EAGER)
        exempt = baseline if isinstance(baseline, str) else next(eager, "")
    checks = [*_crash_checks(experiment, found, exempt), *_limit_checks(experiment, budgets, exempt)]
    if found is not None and budgets.fail_slower is not None:
        checks += _relative_checks(found, budgets.fail_slower, _TIMES)
    if found is not None and budgets.fail_memory is not None:
        checks += _relative_checks(found, budgets.fail_memory, _MEMORIES)
    return Judgement(checks=tuple(checks) if budgets else (), notices=tuple(_notices(found, budgets, exempt)))


def _crash_checks(experiment: Experiment, found: Baseline | None, exempt: str) -> Iterator[Check]:
    """A check for each arm of which a counted run failed, or which has none. It is inconclusive for an arm that others
    are only compared with, and if the counterpart failed too: that is no regression."""
    against_itself = found is not None and found.then is not None and not found.ratios
    for arm in (arm.name for arm in experiment.arms):
        if (text := _failures(experiment, arm)) is None:
            continue
        counterpart = None
        if found is not None and found.then is None:
            counterpart = _failures(found.now, found.reference)
        elif found is not None and found.then is not None and arm in {known.name for known in found.then.arms}:
            counterpart = _failures(found.then, arm)
        outcome = CheckOutcome.FAILED
        if arm == exempt and not against_itself:
            outcome, text = CheckOutcome.INCONCLUSIVE, f"{text}; the others are compared with it"
        elif counterpart is not None:
            outcome, text = CheckOutcome.INCONCLUSIVE, f"{text}; the arm that it is compared with failed as well"
        yield Check(arm=arm, outcome=outcome, text=text)


def _failures(experiment: Experiment, arm: str) -> str | None:
    runs = experiment.counted(arm)
    failed = [sample for sample in runs if sample.error is not None]
    if not runs:
        return f"{arm} was not run"
    return f"{arm}: {len(failed)} of {len(runs)} runs failed: {failed[0].error}" if failed else None


def _limit_checks(experiment: Experiment, budgets: Budgets, exempt: str) -> Iterator[Check]:
    arms = [arm.name for arm in experiment.arms if arm.name != exempt]
    for metric, limit in budgets.limits.items():
        allowed = f"at most {figure_text(metric, limit)} is allowed"
        cells = [
            (arm, state, experiment.values(arm, metric, state))
            for arm in arms
            for state in experiment.settings.page_cache
        ]
        if not any(values for _, _, values in cells):
            yield _unmeasured_check(arms, None, metric, limit, allowed)
            continue
        for arm, state, values in cells:
            if values:
                yield _limit_check(arm, metric, state, values, limit, _gap(experiment, arm, metric, state))
            else:
                yield _unmeasured_check([arm], state, metric, limit, allowed)


def _limit_check(arm: str, metric: Metric, state: PageCache, values: list[float], limit: float, gap: str) -> Check:
    summary = summarise(values)
    interval = summary.interval
    median, low, high = (unlike_text(metric, each, limit) for each in (summary.median, interval.low, interval.high))
    allowed = f"at most {figure_text(metric, limit)} is allowed"
    text = f"{_subject(arm, metric, state)}: median {median} ({low} to {high}); {allowed}"
    outcome = CheckOutcome.INCONCLUSIVE
    if gap:
        text += f"; {gap}"
    elif interval.coverage < _ENOUGH:
        text += f"; {summary.n} run{'s are' if summary.n > 1 else ' is'} too few for a verdict: give 5 or more"
    elif interval.low > limit:
        outcome = CheckOutcome.FAILED
    elif interval.high <= limit:
        outcome = CheckOutcome.PASSED
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


def _relative_checks(found: Baseline, budget: float, metrics: tuple[Metric, ...]) -> Iterator[Check]:
    """Every arm in every state has at least one check: what was not measured must not pass."""
    allowed = f"at most {change_text(1 + budget)} is allowed"
    cells = {(arm, state): _compared(found, arm, state, metrics, budget) for arm, state in found.cells}
    if not any(cells.values()):
        yield _unmeasured_check(found.arms, None, metrics[0], budget, allowed)
        return
    for (arm, state), known in cells.items():
        common = [compared for compared in known if compared.values and compared.reference]
        for compared in common or known:
            yield _relative_check(found, compared, budget, allowed)
        if not known:
            yield _unmeasured_check([arm], state, metrics[0], budget, allowed)


def _compared(
    found: Baseline, arm: str, state: PageCache, metrics: tuple[Metric, ...], budget: float | None = None
) -> list[Compared]:
    return [compared for metric in metrics if (compared := found.compared(arm, metric, state, budget)) is not None]


def _relative_check(found: Baseline, compared: Compared, budget: float, allowed: str) -> Check:
    comparison, metric, state = compared.comparison, compared.metric, compared.page_cache
    subject = _subject(compared.arm, metric, state)
    own, other = (summarise(each).median if each else None for each in (compared.values, compared.reference))
    outcome = CheckOutcome.INCONCLUSIVE
    if comparison.ratio is None or comparison.low is None or comparison.high is None or own is None or other is None:
        text = f"{subject} cannot be compared with {compared.against}: {comparison.reason}"
    else:
        if compared.ratios:
            sides = f"{own:.3g} times the reference arm against {other:.3g} times in {compared.against}"
        else:
            sides = f"{figure_text(metric, own)} against {figure_text(metric, other)} of {compared.against}"
        change = f"{change_text(comparison.ratio)} ({change_interval_text(comparison.low, comparison.high)})"
        few = "" if comparison.enough else f"; {comparison.reason}"
        text = f"{subject}: {sides}, {change}; {allowed}{few}"
        if comparison.verdict is Verdict.SLOWER:
            outcome = CheckOutcome.FAILED
        elif comparison.enough and comparison.high <= 1 + budget:
            outcome = CheckOutcome.PASSED
    counterpart = (found.now, found.reference) if found.then is None else (found.then, compared.arm)
    for experiment, arm in ((found.now, compared.arm), counterpart):
        if gap := _gap(experiment, arm, metric, state):
            outcome, text = CheckOutcome.INCONCLUSIVE, f"{text}; {gap}"
    return Check(
        arm=compared.arm,
        metric=metric,
        page_cache=state,
        outcome=outcome,
        text=text,
        value=own,
        reference=other,
        limit=budget,
        comparison=comparison,
    )


def _gap(experiment: Experiment, arm: str, metric: Metric, state: PageCache) -> str:
    """``measured in 5 of 10 runs of head``; empty if all that succeeded have the figure. The runs that have it
    are not representative: memory is measured in the longer and larger runs."""
    runs = experiment.succeeded(arm, state)
    known = sum(sample.value(metric) is not None for sample in runs)
    return f"measured in {known} of {len(runs)} runs of {arm}" if 0 < known < len(runs) else ""


def _unmeasured_check(
    arms: Sequence[str], state: PageCache | None, metric: Metric, limit: float, allowed: str
) -> Check:
    """A budget must not pass because nothing was measured for it: in no arm (``state`` is ``None``), or in one."""
    names = ", ".join(arms)
    subject = f"{metric_text(metric)} of any arm ({names})" if state is None else _subject(names, metric, state)
    why = ": the process exited before it could be sampled" if metric.is_memory else ""
    return Check(
        arm=names,
        metric=metric,
        page_cache=state or PageCache.WARM,
        outcome=CheckOutcome.INCONCLUSIVE,
        text=f"{subject} was not measured{why}; {allowed}",
        limit=limit,
    )


def _subject(arm: str, metric: Metric, state: PageCache) -> str:
    cold = "" if state is PageCache.WARM else ", page cache cold"
    return f"{metric_text(metric)} of {arm}{cold}"


def _notices(found: Baseline | None, budgets: Budgets, exempt: str) -> Iterator[str]:
    if budgets.limits and exempt:
        yield f"limits do not apply to {exempt}: the others are compared with it"
    if found is None:
        return
    yield from found.notices
    if budgets.fail_slower is None:
        return
    for arm, state in found.cells:
        known = _compared(found, arm, state, _TIMES)
        if any(compared.values and compared.reference for compared in known):
            for compared in known:
                if not compared.values or not compared.reference:
                    lacking = compared.against if compared.values else arm
                    yield f"{_subject(arm, compared.metric, state)} is not compared: {lacking} has none"
    yield from _unlike_arms(found)
    if found.then is not None and budgets.fail_slower < SAVED_MARGIN:
        yield (
            f"two sessions on one machine often differ by more than {share_text(budgets.fail_slower)}: "
            "to be sure, run both versions interleaved, each as an arm of one experiment"
        )


def _unlike_arms(found: Baseline) -> Iterator[str]:
    """A warning for each arm that is a program of the user's against one of ours, or the other way round."""
    kinds = {arm.name: arm.kind is ArmKind.COMMAND for arm in found.now.arms}
    then = kinds if found.then is None else {arm.name: arm.kind is ArmKind.COMMAND for arm in found.then.arms}
    for arm in found.arms:
        other = found.reference if found.then is None else arm
        if kinds[arm] is not then[other]:
            name = other if found.then is None else "the baseline"
            yield f"wall times of {arm} and {name} are compared as if for the same work: give both the same images"
