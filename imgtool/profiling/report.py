"""The performance report, before anybody decides how to print it: one arm of a benchmark against another.

``before`` and ``after`` come from files of ``imgtool bench --save``; often both from one, where the arms took turns.
Whether something became faster is said by ``imgtool.bench.stats.comparison`` alone; shares and advice come from the
phases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from imgtool.bench.data.fingerprint import differences, workload_differences
from imgtool.bench.data.record import Arm, ArmKind, Experiment, Metric, PageCache
from imgtool.bench.measure.shares import median_shares
from imgtool.bench.report.findings import Findings, comparison_sentence, metric_name
from imgtool.bench.report.wording import unlike_text
from imgtool.bench.stats.comparison import INTERLEAVED_MARGIN, SAVED_MARGIN, Comparison, Verdict, compare
from imgtool.bench.stats.statistics import Summary, summarise
from imgtool.errors import UsageProblem
from imgtool.profiling.advice import Way, group_of, way_for

METRICS = (Metric.STARTUP, Metric.FIRST_RESULT, Metric.STEADY, Metric.WALL, Metric.PEAK_RSS, Metric.PEAK_ANON)
_FASTER_BY, _MORE_MEMORY, _FIRST_RESULT_SECONDS = 0.3, 1.2, 5.0


@dataclass(frozen=True)
class Figure:
    """One metric, before and after."""

    metric: Metric
    page_cache: PageCache
    before: Summary
    after: Summary
    comparison: Comparison


@dataclass(frozen=True)
class Improvement:
    """A group of phases until the first result. ``share`` is its part of all seconds gained; ``None`` where it cost."""

    group: str
    before: float
    after: float
    share: float | None

    @property
    def gained(self) -> float:
        """Seconds saved; negative where it costs more than before."""
        return self.before - self.after


@dataclass(frozen=True)
class Remaining:
    """A phase that is left until the first result, and what would make it smaller."""

    phase: str
    seconds: float
    share: float
    way: Way


@dataclass(frozen=True)
class Target:
    """A promise and whether it is kept; ``None`` where it was not measured."""

    text: str
    measured: str
    met: bool | None


@dataclass(frozen=True)
class Report:
    """All of it. ``experiment`` is the one that holds ``after``."""

    title: str
    before: Arm
    after: Arm
    former: Experiment
    experiment: Experiment
    figures: tuple[Figure, ...]
    improvements: tuple[Improvement, ...]
    remaining: tuple[Remaining, ...]
    targets: tuple[Target, ...]
    notices: tuple[str, ...]
    files: tuple[str, str]

    @property
    def sentences(self) -> list[str]:
        """How the one compares with the other, a sentence a metric."""
        return [self._sentence(figure) for figure in self.figures]

    @property
    def not_better(self) -> list[str]:
        """Where nothing was gained, or nothing can be said."""
        return [self._sentence(f) for f in self.figures if f.comparison.verdict is not Verdict.FASTER]

    def _sentence(self, figure: Figure) -> str:
        cold = "" if figure.page_cache is PageCache.WARM else "from a cold page cache, "
        return cold + comparison_sentence(figure.metric, self.after.name, self.before.name, figure.comparison)


def build(
    former: Experiment,
    experiment: Experiment,
    arms: tuple[str | None, str | None],
    title: str,
    files: tuple[str, str],
) -> Report:
    """The report of the first named arm in ``former`` against the second in ``experiment``.

    Raises:
        UsageProblem: there is no such arm, or one has no figures.
    """
    before = _arm(former, arms[0] or Findings(former).reference, files[0])
    after = _arm(experiment, arms[1] or _default(experiment), files[1])
    figures = tuple(_figures(former, before.name, experiment, after.name))
    if not figures:
        raise UsageProblem(
            f"{before.name} and {after.name} have no figure in common", "bench again; a failed arm has no figures"
        )
    shares = median_shares(former, before.name), median_shares(experiment, after.name)
    return Report(
        title=title,
        before=before,
        after=after,
        former=former,
        experiment=experiment,
        figures=figures,
        improvements=tuple(_improvements(*shares)),
        remaining=tuple(_remaining(shares[1], after)),
        targets=tuple(_targets(figures)),
        notices=tuple(_notices(former, experiment)),
        files=files,
    )


def _arm(experiment: Experiment, name: str, file: str) -> Arm:
    try:
        return experiment.arm(name)
    except KeyError:
        known = ", ".join(arm.name for arm in experiment.arms) or "none"
        raise UsageProblem(f"{file} has no arm {name!r}", f"it has {known}") from None


def _default(experiment: Experiment) -> str:
    """What a user gets: ``analyze`` as it comes. Never the best by its figures, which would be picking."""
    reference = Findings(experiment).reference
    others = [arm for arm in experiment.arms if arm.name != reference]
    plain = [arm.name for arm in others if arm.kind is ArmKind.ANALYZE and not arm.options and arm.name != "cached"]
    compiled = [arm.name for arm in others if arm.name == "compiled"]
    return next(iter([*plain, *compiled, *(arm.name for arm in reversed(others))]), reference)


def _figures(former: Experiment, before: str, experiment: Experiment, after: str) -> Iterator[Figure]:
    margin = INTERLEAVED_MARGIN if former == experiment else SAVED_MARGIN
    for metric in METRICS:
        for state in PageCache:
            values = former.values(before, metric, state), experiment.values(after, metric, state)
            if all(values):
                yield Figure(
                    metric=metric,
                    page_cache=state,
                    before=summarise(values[0]),
                    after=summarise(values[1]),
                    comparison=compare(*values, margin),
                )


def _improvements(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[Improvement]:
    groups = _grouped(before), _grouped(after)
    names = dict.fromkeys([*groups[0], *groups[1]])
    gains = {name: groups[0].get(name, 0.0) - groups[1].get(name, 0.0) for name in names}
    gained = sum(gain for gain in gains.values() if gain > 0)
    for name in sorted(names, key=lambda name: -gains[name]):
        share = gains[name] / gained if gains[name] > 0 and gained else None
        yield Improvement(name, groups[0].get(name, 0.0), groups[1].get(name, 0.0), share)


def _grouped(shares: Mapping[str, float]) -> dict[str, float]:
    groups: dict[str, float] = {}
    for phase, seconds in shares.items():
        name = group_of(phase)
        groups[name] = groups.get(name, 0.0) + seconds
    return groups


def _remaining(shares: Mapping[str, float], arm: Arm) -> Iterator[Remaining]:
    whole = sum(shares.values())
    for phase, seconds in sorted(shares.items(), key=lambda item: -item[1])[:5]:
        yield Remaining(phase, seconds, seconds / whole, way_for(phase, arm))


def _targets(figures: tuple[Figure, ...]) -> Iterator[Target]:
    warm = {figure.metric: figure for figure in figures if figure.page_cache is PageCache.WARM}
    startup, memory = warm.get(Metric.STARTUP), warm.get(Metric.PEAK_RSS)
    first = warm.get(Metric.FIRST_RESULT)
    yield _ratio_target("startup at least 30 % shorter", startup, 1 - _FASTER_BY)
    yield _ratio_target("peak memory at most 20 % larger", memory, _MORE_MEMORY)
    met = None if first is None else first.after.median <= _FIRST_RESULT_SECONDS
    yield Target("first result within 5 s", "" if first is None else _first_result_text(first), met)


def _first_result_text(first: Figure) -> str:
    return unlike_text(Metric.FIRST_RESULT, first.after.median, _FIRST_RESULT_SECONDS)


def _ratio_target(text: str, figure: Figure | None, limit: float) -> Target:
    """Kept where the whole interval of the ratio is on the right side, not only its middle."""
    if figure is None or figure.comparison.ratio is None or figure.comparison.high is None:
        return Target(text, "", None)
    ratio, high = figure.comparison.ratio, figure.comparison.high
    return Target(text, f"{(ratio - 1) * 100:+.0f} % ({metric_name(figure.metric)})", high <= limit)


def _notices(former: Experiment, experiment: Experiment) -> Iterator[str]:
    if former == experiment:
        return
    yield "before and after were measured in two sessions: what drifted between them is in every figure"
    for difference in differences(former.machine, experiment.machine):
        yield f"the machines differ: {difference}"
    for difference in workload_differences(former.settings, experiment.settings):
        yield f"the work differs, so that figures cannot be compared: {difference}"
