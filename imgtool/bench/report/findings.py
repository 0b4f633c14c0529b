"""What an experiment says, before anybody decides how to print it: figures by arm, comparisons in words, advice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from imgtool.bench.data.record import ArmKind, Experiment, Metric, PageCache, Sample
from imgtool.bench.report.units import median_text
from imgtool.bench.report.wording import change_interval_text, figure_text, share_text
from imgtool.bench.stats.comparison import CONFIDENCE, Comparison, Verdict, compare
from imgtool.bench.stats.statistics import MEDIAN_CONFIDENCE, Summary, summarise

NOISY = 0.1
"""Spread, as a share of the mean, from which on a reader is told what to do about it."""

LEGEND = (
    f"± is the standard deviation of the runs; (a..b) is the {share_text(CONFIDENCE)} interval of the ratio before it, "
    f"which is the median over all pairs of runs; a median's interval is one of {share_text(MEDIAN_CONFIDENCE)}, from "
    "six runs on"
)
"""What the figures of a report are."""

_SHOWN = (Metric.STARTUP, Metric.FIRST_RESULT, Metric.STEADY, Metric.PEAK_RSS, Metric.PEAK_ANON)
_HEADINGS = {
    Metric.STARTUP: "startup: until every model is loaded",
    Metric.FIRST_RESULT: "first result: from before the process was started",
    Metric.STEADY: "seconds an image after the first",
    Metric.WALL: "wall time of the whole run",
    Metric.PEAK_ANON: "peak of anonymous memory: what the machine cannot take back",
    Metric.PEAK_RSS: "peak of resident memory, all processes",
}
_VERBS = {
    Metric.STARTUP: ("starts", "faster", "slower", "starts as fast as"),
    Metric.FIRST_RESULT: ("gives its first result", "sooner", "later", "gives its first result as soon as"),
    Metric.STEADY: ("takes an image", "faster", "slower", "takes an image as fast as"),
    Metric.WALL: ("runs", "faster", "slower", "runs as fast as"),
    Metric.PEAK_ANON: ("needs anonymous memory", "less", "more", "needs as much anonymous memory as"),
    Metric.PEAK_RSS: ("needs memory", "less", "more", "needs as much memory as"),
}
_NOUNS = {
    Metric.STARTUP: "startup",
    Metric.FIRST_RESULT: "first result",
    Metric.STEADY: "an image",
    Metric.WALL: "the whole run",
    Metric.PEAK_ANON: "anonymous memory",
    Metric.PEAK_RSS: "memory",
}


@dataclass(frozen=True)
class Row:
    """One figure of one arm in one state of the page cache; ``versus`` is ``None`` for the reference itself."""

    arm: str
    page_cache: PageCache
    summary: Summary
    values: tuple[float, ...]
    versus: Comparison | None


@dataclass(frozen=True)
class Findings:
    """Derived from an experiment; a judgement's own checks are not in here."""

    experiment: Experiment

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that any arm has; wall time alone where a program without phases is among the arms."""
        commands = any(arm.kind is ArmKind.COMMAND for arm in self.experiment.arms)
        wanted = (Metric.WALL, *_SHOWN) if commands else _SHOWN
        return tuple(metric for metric in wanted if any(self._values(arm.name, metric) for arm in self.experiment.arms))

    @cached_property
    def page_caches(self) -> tuple[PageCache, ...]:
        """States that were measured, the warm one first."""
        return tuple(state for state in PageCache if state in self.experiment.settings.page_cache)

    @property
    def reference(self) -> str:
        """The arm that the others are compared with: the one the experiment names, or its first."""
        names = [arm.name for arm in self.experiment.arms]
        return self.experiment.reference if self.experiment.reference in names else next(iter(names), "")

    def rows(self, metric: Metric) -> list[Row]:
        """Arms in their order, each with its states one after the other; those without figures are left out."""
        return [
            row
            for arm in self.experiment.arms
            for state in self.page_caches
            if (row := self._row(arm.name, metric, state)) is not None
        ]

    def row(self, arm: str, metric: Metric, state: PageCache = PageCache.WARM) -> Row | None:
        """One of :meth:`rows`."""
        return self._row(arm, metric, state)

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """A sentence for each arm and state of the page cache: how it compares with the reference in everything."""
        found = []
        for arm in self.experiment.arms:
            for state in self.page_caches:
                rows = [(metric, self._row(arm.name, metric, state)) for metric in self.metrics]
                compared = [
                    (metric, row.versus)
                    for metric, row in rows
                    if metric is not Metric.PEAK_ANON and row is not None and row.versus is not None
                ]
                if compared:
                    before = "" if state is PageCache.WARM else "from a cold page cache, "
                    found.append(before + _sentence(arm.name, self.reference, compared))
        return tuple(found)

    @cached_property
    def headline(self) -> str:
        """The one thing to know: how much sooner the best arm is there than the reference."""
        metric = next(iter(self.metrics), None)
        if metric is None:
            return "No run succeeded"
        rows = [row for row in self.rows(metric) if row.page_cache is self.page_caches[0]]
        compared = [row for row in rows if row.versus is not None and row.versus.ratio is not None]
        if compared:
            best = min(compared, key=lambda row: row.versus.ratio if row.versus and row.versus.ratio else 1.0)
            assert best.versus is not None
            return comparison_sentence(metric, best.arm, self.reference, best.versus)
        return f"{rows[0].arm}: {metric_name(metric)} {median_text(metric, rows[0].summary)}" if rows else ""

    @cached_property
    def failures(self) -> tuple[Sample, ...]:
        """The first failed sample of each arm that has one."""
        first: dict[str, Sample] = {}
        for sample in self.experiment.samples:
            if sample.error is not None:
                first.setdefault(sample.arm, sample)
        return tuple(first.values())

    @cached_property
    def advice(self) -> tuple[str, ...]:
        """What would make the figures firmer, each said once; the machine's own notices first."""
        return tuple(dict.fromkeys((*self.experiment.noise.notices, *self._spread_advice())))

    @cached_property
    def outliers(self) -> tuple[str, ...]:
        """Runs that stand apart, a line for each; they are part of every figure."""
        found: dict[str, list[str]] = {}
        for metric in self.metrics:
            for row in self.rows(metric):
                name = row.arm + state_text(row.page_cache, self.page_caches)
                for run, place in zip(self.outlier_runs(metric, row), row.summary.outliers, strict=True):
                    figure = f"{_NOUNS[metric]} {figure_text(metric, row.values[place])}"
                    found.setdefault(f"{name}, run {run}", []).append(figure)
        return tuple(f"{where}: {', '.join(figures)}" for where, figures in found.items())

    def outlier_runs(self, metric: Metric, row: Row) -> list[int]:
        """Their numbers, counted from 1."""
        runs = self._runs(row.arm, metric, row.page_cache)
        return [runs[place] + 1 for place in row.summary.outliers]

    def _runs(self, arm: str, metric: Metric, state: PageCache) -> list[int]:
        return [
            sample.run
            for sample in self.experiment.samples
            if sample.arm == arm and sample.run >= 0 and sample.page_cache is state and sample.value(metric) is not None
        ]

    def _row(self, arm: str, metric: Metric, state: PageCache) -> Row | None:
        values = self.experiment.values(arm, metric, state)
        if not values:
            return None
        reference = self.experiment.values(self.reference, metric, state)
        versus = None if arm == self.reference else compare(reference, values)
        return Row(arm, state, summarise(values), tuple(values), versus)

    def _values(self, arm: str, metric: Metric) -> bool:
        return any(self.experiment.values(arm, metric, state) for state in self.page_caches)

    def _spread_advice(self) -> Iterator[str]:
        wide: list[tuple[float, str, Metric]] = []
        for metric in self.metrics:
            for row in self.rows(metric):
                spread = row.summary.spread
                if not metric.is_memory and spread is not None and spread >= NOISY:
                    wide.append((spread, row.arm + state_text(row.page_cache, self.page_caches), metric))
        if not wide:
            return
        spread, name, metric = max(wide)
        others = [arm for arm in dict.fromkeys(arm for _, arm, _ in wide) if arm != name]
        also = f", and wide for {', '.join(others)} too" if others else ""
        share = share_text(round(spread, 2))
        yield f"spread is {share} ({metric_name(metric)} of {name}{also}): close other programs, or raise --runs"


def heading(metric: Metric) -> str:
    """What the figure is, in a line."""
    return _HEADINGS[metric]


def metric_name(metric: Metric) -> str:
    """Its name in a sentence."""
    return _HEADINGS[metric].partition(":")[0]


def state_text(state: PageCache, measured: tuple[PageCache, ...]) -> str:
    """`` (cold)`` behind an arm's name, where it says something."""
    return f" ({state.value})" if len(measured) > 1 or state is PageCache.COLD else ""


def comparison_sentence(metric: Metric, arm: str, reference: str, found: Comparison) -> str:
    """``compiled starts 11.2 (10.8..11.6) times faster than eager``."""
    verb, better, worse, same = _VERBS[metric]
    if found.ratio is None or found.low is None or found.high is None:
        return f"{arm} cannot be compared with {reference} in {metric_name(metric)}: {found.reason}"
    if found.verdict is Verdict.NO_DIFFERENCE:
        return f"{arm} {same} {reference}, within {share_text(found.margin)}"
    if found.verdict is Verdict.INCONCLUSIVE:
        return f"{arm} against {reference} in {metric_name(metric)}: inconclusive; {found.reason}"
    times = times_text(found)
    return f"{arm} {verb} {times} {better if found.verdict is Verdict.FASTER else worse} than {reference}"


def _sentence(arm: str, reference: str, compared: Sequence[tuple[Metric, Comparison]]) -> str:
    """``compiled starts 11.2 (10.8..11.6) times faster than eager; first result 9.1 (8.8..9.5) times sooner; ...``."""
    first = comparison_sentence(compared[0][0], arm, reference, compared[0][1])
    return "; ".join([first, *(f"{_NOUNS[metric]} {_phrase(metric, found)}" for metric, found in compared[1:])])


def _phrase(metric: Metric, found: Comparison) -> str:
    if found.verdict is Verdict.NO_DIFFERENCE:
        return f"the same within {share_text(found.margin)}"
    if found.ratio is None or found.low is None or found.high is None:
        return "not comparable"
    if found.verdict is Verdict.INCONCLUSIVE:
        return f"inconclusive ({change_interval_text(found.low, found.high)})"
    return versus_text(metric, found)


def times_text(found: Comparison) -> str:
    """``11.2 (10.8..11.6) times``, turned so that it is above 1 where the verdict is faster."""
    assert found.ratio is not None and found.low is not None and found.high is not None
    ratio, low, high = found.ratio, found.low, found.high
    if found.verdict is Verdict.FASTER:
        ratio, low, high = 1 / ratio, 1 / high, 1 / low
    digits = 0 if ratio >= 99.5 else 1 if ratio >= 9.95 else 2
    return f"{ratio:,.{digits}f} ({low:,.{digits}f}..{high:,.{digits}f}) times"


def versus_text(metric: Metric, found: Comparison | None) -> str:
    """For a table's cell: ``11.2 (10.8..11.6) times faster``, ``no difference``, ``inconclusive``."""
    if found is None:
        return "reference"
    if found.verdict is Verdict.NO_DIFFERENCE:
        return f"same within {share_text(found.margin)}"
    if found.ratio is None:
        return "not comparable"
    if found.verdict is Verdict.INCONCLUSIVE:
        return "inconclusive"
    return f"{times_text(found)} {_VERBS[metric][1 if found.verdict is Verdict.FASTER else 2]}"


def failure_sentence(sample: Sample) -> str:
    """``eager failed in run 3: exited with code 1``."""
    run = "its warm-up run" if sample.run < 0 else f"run {sample.run + 1}"
    return f"{sample.arm} failed in {run}: {sample.error}"
