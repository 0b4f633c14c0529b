"""The results of an experiment, for any format: figures by arm, comparisons in words, advice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from imgtool.bench.data.record import ArmKind, Experiment, Metric, PageCache, RunSample
from imgtool.bench.report.units import change_interval_text, figure_text, median_text, share_text
from imgtool.bench.stats.comparison import CONFIDENCE, Comparison, Verdict, compare
from imgtool.bench.stats.statistics import MEDIAN_CONFIDENCE, Summary, summarise

NOISY = 0.1
"""Spread, as a share of the mean, from which on there is advice about it."""

LEGEND = (
    f"± is the standard deviation of the runs. (a..b) is the {share_text(CONFIDENCE)} confidence interval of the ratio "
    "before it, which is the median over all pairs of runs. The interval of a median has "
    f"{share_text(MEDIAN_CONFIDENCE)} confidence from six runs on."
)

_SHELLS = 3
"""A command that takes less than so many starts of the shell is lost in their noise."""

_TIMES_FROM = 2.0
"""From which ratio on a difference is a number of times, and no longer a share."""

_SHOWN = (Metric.STARTUP, Metric.FIRST_RESULT, Metric.STEADY, Metric.PEAK_RSS, Metric.PEAK_ANON)
_HEADINGS = {
    Metric.STARTUP: "startup: until every model is loaded",
    Metric.FIRST_RESULT: "first result: from before the process was started",
    Metric.STEADY: "seconds an image after the first",
    Metric.WALL: "wall time of the whole run",
    Metric.PEAK_ANON: "peak of own memory: anonymous and shared, what the system cannot reclaim",
    Metric.PEAK_RSS: "peak of resident memory, all processes",
}
_VERBS = {
    Metric.STARTUP: ("starts", "faster"),
    Metric.FIRST_RESULT: ("gives its first result", "sooner"),
    Metric.STEADY: ("answers an image", "faster"),
    Metric.WALL: ("runs", "faster"),
    Metric.PEAK_ANON: ("needs", "own memory"),
    Metric.PEAK_RSS: ("needs", "memory"),
}
"""What an arm does, and how it is better; of memory, what it needs."""
_NOUNS = {
    Metric.STARTUP: "startup",
    Metric.FIRST_RESULT: "first result",
    Metric.STEADY: "an image",
    Metric.WALL: "the whole run",
    Metric.PEAK_ANON: "own memory",
    Metric.PEAK_RSS: "memory",
}


@dataclass(frozen=True)
class FigureRow:
    """One figure of one arm in one state of the page cache. ``name`` is the arm, with the state if both were measured;
    ``versus`` is ``None`` for the reference itself."""

    arm: str
    name: str
    page_cache: PageCache
    summary: Summary
    values: tuple[float, ...]
    outlier_runs: tuple[int, ...]
    """Numbers of the runs of ``summary.outliers``, counted from 1."""
    versus: Comparison | None


@dataclass(frozen=True)
class Findings:
    """Derived from an experiment. What a gate checks is not in here."""

    experiment: Experiment

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that any arm has; wall time only if a program without phases is among the arms."""
        arms = self.experiment.arms
        commands = any(arm.kind is ArmKind.COMMAND for arm in arms)
        wanted = (Metric.WALL, *_SHOWN) if commands else _SHOWN
        return tuple(metric for metric in wanted if self.rows(metric))

    @cached_property
    def page_caches(self) -> tuple[PageCache, ...]:
        """States that were measured, the warm one first."""
        return tuple(state for state in PageCache if state in self.experiment.settings.page_cache)

    @property
    def reference(self) -> str:
        """The arm that the others are compared with: the one the experiment names, or its first."""
        names = [arm.name for arm in self.experiment.arms]
        return self.experiment.reference if self.experiment.reference in names else next(iter(names), "")

    @property
    def cells(self) -> list[tuple[str, PageCache, str]]:
        """Every arm in every state of the page cache, with the name to show."""
        return [
            (arm.name, state, arm.name + self.state_text(state))
            for arm in self.experiment.arms
            for state in self.page_caches
        ]

    def state_text(self, state: PageCache) -> str:
        """`` (cold)`` for behind an arm's name; empty if all runs had a warm page cache."""
        return f" ({state.value})" if len(self.page_caches) > 1 or state is PageCache.COLD else ""

    def rows(self, metric: Metric) -> list[FigureRow]:
        """Arms in their order, each with its states one after the other; those without figures are left out."""
        rows = (self.row(arm, metric, state) for arm, state, _ in self.cells)
        return [row for row in rows if row is not None]

    def row(self, arm: str, metric: Metric, state: PageCache = PageCache.WARM) -> FigureRow | None:
        """One of :meth:`rows`."""
        taken = [
            (sample.run, value)
            for sample in self.experiment.succeeded(arm, state)
            if (value := sample.value(metric)) is not None
        ]
        if not taken:
            return None
        values = tuple(value for _, value in taken)
        summary = summarise(values)
        reference = self.experiment.values(self.reference, metric, state)
        return FigureRow(
            arm=arm,
            name=arm + self.state_text(state),
            page_cache=state,
            summary=summary,
            values=values,
            outlier_runs=tuple(taken[place][0] + 1 for place in summary.outliers),
            versus=None if arm == self.reference else compare(reference, values),
        )

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """A sentence for each arm and state of the page cache: how it compares with the reference in all figures."""
        found = []
        for arm, state, _ in self.cells:
            rows = [(metric, self.row(arm, metric, state)) for metric in self.metrics]
            compared = [
                (metric, row.versus)
                for metric, row in rows
                if metric is not Metric.PEAK_ANON and row is not None and row.versus is not None
            ]
            if compared:
                before = "" if state is PageCache.WARM else "from a cold page cache, "
                first = comparison_sentence(compared[0][0], arm, self.reference, compared[0][1])
                others = [f"{_NOUNS[metric]} {_phrase(metric, versus)}" for metric, versus in compared[1:]]
                found.append(before + "; ".join([first, *others]))
        return tuple(found)

    def headline(self, arm: str) -> str:
        """The most important figure of ``arm``, against the reference if it is another arm, and the noise."""
        for metric in self.metrics:
            if (row := self.row(arm, metric, self.page_caches[0])) is not None:
                if row.versus is not None:
                    said = comparison_sentence(metric, arm, self.reference, row.versus)
                else:
                    said = f"{arm}: {metric_name(metric)} {median_text(metric, row.summary)}"
                noise = self._noise([row, self.row(self.reference, metric, self.page_caches[0])])
                return f"{said}; {noise}" if noise else said
        return f"No run of {arm} succeeded"

    @cached_property
    def noise(self) -> str:
        """The noise of all times: ``spread up to 3 %, 2 warnings about the machine``; empty if nothing is known."""
        return self._noise([row for metric in self.metrics if not metric.is_memory for row in self.rows(metric)])

    def _noise(self, rows: Iterable[FigureRow | None]) -> str:
        spreads = [row.summary.spread for row in rows if row is not None and row.summary.spread is not None]
        parts = [f"spread up to {max(spreads) * 100:.2g} %"] if spreads else []
        if notices := len(set(self.experiment.noise.notices)):
            parts.append(f"{notices} warning{'s' if notices > 1 else ''} about the machine")
        return ", ".join(parts)

    @cached_property
    def failures(self) -> tuple[RunSample, ...]:
        """The first failed sample of each arm that has one."""
        first: dict[str, RunSample] = {}
        for sample in self.experiment.samples:
            if sample.error is not None:
                first.setdefault(sample.arm, sample)
        return tuple(first.values())

    @cached_property
    def advice(self) -> tuple[str, ...]:
        """What would make the figures more precise; the machine's own notices first."""
        notices = list(dict.fromkeys(self.experiment.noise.notices))
        if self.experiment.interrupted:
            notices.insert(0, interruption(self.experiment))
        for arm in self.experiment.arms:
            row = self.row(arm.name, Metric.WALL, self.page_caches[0]) if arm.shell else None
            if row is not None and row.summary.median < _SHELLS * self.experiment.shell_seconds:
                notices.append(f"{arm.name} takes hardly longer than the shell: measure it without --shell")
        wide = [
            (row.summary.spread, row.name, metric)
            for metric in self.metrics
            if not metric.is_memory
            for row in self.rows(metric)
            if row.summary.spread is not None and row.summary.spread >= NOISY
        ]
        if wide:
            spread, name, metric = max(wide)
            others = [arm for arm in dict.fromkeys(arm for _, arm, _ in wide) if arm != name]
            also = f", and wide for {', '.join(others)} too" if others else ""
            share = share_text(round(spread, 2))
            notices.append(
                f"spread is {share} ({metric_name(metric)} of {name}{also}): close other programs, or raise --runs"
            )
        return tuple(notices)

    @cached_property
    def outliers(self) -> tuple[str, ...]:
        """Runs with outliers, a line for each; they are part of every figure."""
        found: dict[str, list[str]] = {}
        for metric in self.metrics:
            for row in self.rows(metric):
                for run, place in zip(row.outlier_runs, row.summary.outliers, strict=True):
                    figure = f"{_NOUNS[metric]} {figure_text(metric, row.values[place])}"
                    found.setdefault(f"{row.name}, run {run}", []).append(figure)
        return tuple(f"{where}: {', '.join(figures)}" for where, figures in found.items())


def interruption(experiment: Experiment) -> str:
    """``interrupted: 7 of 20 runs were taken``."""
    taken = sum(sample.run >= 0 for sample in experiment.samples)
    whole = experiment.settings.runs * len(experiment.settings.page_cache) * len(experiment.arms)
    return f"interrupted: {taken} of {whole} runs were taken"


def heading(metric: Metric) -> str:
    """What the figure is, in a line."""
    return _HEADINGS[metric]


def metric_name(metric: Metric) -> str:
    """The first words of :func:`heading`."""
    return _HEADINGS[metric].partition(":")[0]


def comparison_sentence(metric: Metric, arm: str, reference: str, found: Comparison) -> str:
    """``compiled starts 11.2 (10.8..11.6) times faster than eager``, ``b needs 36 % (34..38 %) less memory than a``."""
    verb, better = _VERBS[metric]
    if found.ratio is None:
        return f"{arm} cannot be compared with {reference} in {metric_name(metric)}: {found.reason}"
    if found.verdict is Verdict.INCONCLUSIVE:
        return f"{arm} against {reference} in {metric_name(metric)}: inconclusive; {found.reason}"
    if found.verdict is Verdict.NO_DIFFERENCE:
        same = f"as much {better} as" if metric.is_memory else f"as {'soon' if better == 'sooner' else 'fast'} as"
        return f"{arm} {verb} {same} {reference}, within {share_text(found.margin)}"
    amount, link = _amount(metric, found)
    if metric.is_memory:
        return f"{arm} {verb} {amount} {'the ' if link == 'of' else ''}{better} {link} {reference}"
    into = "" if amount.endswith(better) else "in "
    return f"{arm} {verb} {into}{amount} {link} {reference}"


def _amount(metric: Metric, found: Comparison) -> tuple[str, str]:
    """How much less or more it is, and the word that joins it to what it is compared with.

    Less than twice as much, and any saving of memory, is a share of the reference's figure; a time that is at most half
    is a number of times faster.
    """
    assert found.ratio is not None and found.low is not None and found.high is not None
    ratio, low, high = found.ratio, found.low, found.high
    thing = "" if metric.is_memory else " time"
    if ratio <= 1 / _TIMES_FROM and not metric.is_memory:
        return f"{_times(1 / ratio, 1 / high, 1 / low)} {_VERBS[metric][1]}", "than"
    if ratio < 1:
        return f"{_percent(1 - ratio, 1 - high, 1 - low)} less{thing}", "than"
    if ratio < _TIMES_FROM:
        return f"{_percent(ratio - 1, low - 1, high - 1)} more{thing}", "than"
    return _times(ratio, low, high) + ("" if metric.is_memory else " the time"), "of"


def _times(ratio: float, low: float, high: float) -> str:
    digits = 0 if ratio >= 99.5 else 1 if ratio >= 9.95 else 2
    return f"{ratio:,.{digits}f} ({low:,.{digits}f}..{high:,.{digits}f}) times"


def _percent(share: float, low: float, high: float) -> str:
    digits = 2 if share > 0.985 else 1 if share < 0.0995 else 0
    return f"{share * 100:.{digits}f} % ({low * 100:.{digits}f}..{high * 100:.{digits}f} %)"


def _phrase(metric: Metric, found: Comparison) -> str:
    if found.verdict is Verdict.NO_DIFFERENCE:
        return f"the same within {share_text(found.margin)}"
    if found.verdict is Verdict.INCONCLUSIVE and found.low is not None and found.high is not None:
        return f"inconclusive ({change_interval_text(found.low, found.high)})"
    return versus_text(metric, found)


def versus_text(metric: Metric, found: Comparison | None) -> str:
    """For a table's cell: ``11.2 (10.8..11.6) times faster``, ``36 % (34..38 %) less time``, ``same within 5 %``,
    ``inconclusive``."""
    if found is None:
        return "reference"
    if found.verdict is Verdict.NO_DIFFERENCE:
        return f"same within {share_text(found.margin)}"
    if found.ratio is None:
        return "not comparable"
    if found.verdict is Verdict.INCONCLUSIVE:
        return "inconclusive"
    amount, link = _amount(metric, found)
    return f"{amount} as much" if metric.is_memory and link == "of" else amount


def failure_sentence(sample: RunSample) -> str:
    """``eager failed in run 3: exited with code 1``."""
    run = "its warm-up run" if sample.run < 0 else f"run {sample.run + 1}"
    return f"{sample.arm} failed in {run}: {sample.error}"
