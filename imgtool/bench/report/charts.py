"""The charts of a benchmark's report: every run as a dot, phases and memory as bars, medians over runs as lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from imgtool.bench.data.history import Point, Series
from imgtool.bench.data.record import Metric, PageCache
from imgtool.bench.measure.phase_shares import OTHER, median_shares
from imgtool.bench.report.findings import Findings, heading, metric_name, versus_text
from imgtool.bench.report.units import bytes_text, figure_text, median_text, scale_for, seconds_text
from imgtool.page import charts
from imgtool.page.document import Chart, ChartRows

_KEY = (
    "A dot is a run in a fresh process. The line is the median, the band its 95 % confidence interval. Hollow dots are "
    "outliers; they are counted."
)
_SLIGHT = 0.001
"""Share of a bar that cannot be seen."""


def strips(findings: Findings) -> Iterator[ChartRows]:
    """A chart for each figure: arms below each other on one scale."""
    for metric in findings.metrics:
        note = _KEY if metric is findings.metrics[-1] else ""
        rows = findings.rows(metric)
        maximum = max(row.summary.maximum for row in rows)
        drawn = []
        for row in rows:
            summary = row.summary
            dots = [
                charts.Dot(value, figure_text(metric, value), place in summary.outliers)
                for place, value in enumerate(row.values)
            ]
            middle = figure_text(metric, summary.median)
            label = f"{metric_name(metric)} of {row.name}: {summary.n} runs, median {middle}"
            interval = summary.interval.low, summary.interval.high
            svg = charts.strip(dots, summary.median, interval, maximum, label)
            drawn.append((row.name, svg, median_text(metric, summary), versus_text(metric, row.versus)))
        scale = scale_for(maximum, memory=metric.is_memory)
        heads = ("arm", "median ± deviation", f"against {findings.reference}")
        yield ChartRows(drawn, charts.axis(maximum, scale.tick), caption=heading(metric), note=note, heads=heads)


def phases(findings: Findings) -> ChartRows | None:
    """Where the time to the first result went, by the medians of each arm; ``None`` where no arm has phases."""
    bars, legend = _phase_bars(findings)
    if not bars:
        return None
    maximum = max(found[-1].end for _, found in bars.values())
    rows = []
    for name, (whole, found) in bars.items():
        words = ", ".join(bar.title for bar in found)
        rows.append((name, charts.bar_row(found, maximum, f"{name}: {words}"), seconds_text(whole), ""))
    return ChartRows(rows, charts.axis(maximum, scale_for(maximum, memory=False).tick), legend)


def phases_file(findings: Findings) -> str:
    """The same as an SVG file; empty if no arm has phases."""
    bars, _ = _phase_bars(findings)
    if not bars:
        return ""
    rows = [
        charts.Track(
            f"{name}, {seconds_text(whole)}",
            [charts.Bar(bar.begin, bar.length, bar.title, bar.style, bar.title.partition(":")[0]) for bar in found],
        )
        for name, (whole, found) in bars.items()
    ]
    maximum = max(found[-1].end for _, found in bars.values())
    tick = scale_for(maximum, memory=False).tick
    return charts.as_file(charts.tracks(rows, maximum, tick, "Phases until the first result"))


def _phase_bars(
    findings: Findings,
) -> tuple[dict[str, tuple[float, list[charts.Bar]]], list[tuple[str, str]]]:
    """Of each arm its median first result and the bars of its phases; then the legend.

    Medians of parts do not add up to the median of the whole. What they leave out of it counts as other; where they
    exceed it, the bar is longer than the figure.
    """
    parts: dict[str, tuple[float, dict[str, float]]] = {}
    for arm, state, name in findings.cells:
        values = findings.experiment.values(arm, Metric.FIRST_RESULT, state)
        found = median_shares(findings.experiment, arm, state)
        if values and found:
            whole = median(values)
            missing = whole - sum(found.values())
            if missing >= _SLIGHT * whole:
                found[OTHER] = found.get(OTHER, 0.0) + missing
            parts[name] = (whole, found)
    styles = _phase_styles(found for _, found in parts.values())
    bars = {
        name: (
            whole,
            charts.end_to_end(
                (seconds, f"{phase}: {seconds_text(seconds)}", styles.get(phase, charts.REST))
                for phase, seconds in found.items()
            ),
        )
        for name, (whole, found) in parts.items()
    }
    legend = [(style, phase) for phase, style in styles.items()]
    if any(phase not in styles for _, found in parts.values() for phase in found):
        legend.append((charts.REST, OTHER))
    return bars, legend


def _phase_styles(arms: Iterable[dict[str, float]]) -> dict[str, str]:
    """A colour for each of the longest phases, in the order of their beginning; the others are grey."""
    longest: dict[str, float] = {}
    for found in arms:
        for name, seconds in found.items():
            longest[name] = max(longest.get(name, 0.0), seconds)
    ranked = sorted((name for name in longest if name != OTHER), key=lambda name: -longest[name])
    coloured = [name for name in longest if name in ranked[: charts.COLOURS]]
    return {name: f"c{number}" for number, name in enumerate(coloured)}


def memory(findings: Findings) -> ChartRows | None:
    """Own and file memory at the peak, by the medians of each arm; ``None`` where no memory is known."""
    peaks = {}
    for arm, state, name in findings.cells:
        memories = [sample.memory for sample in findings.experiment.succeeded(arm, state) if sample.memory]
        if found := [
            (m.peak_anon, m.peak_file) for m in memories if m.peak_anon is not None and m.peak_file is not None
        ]:
            peaks[name] = median(anon for anon, _ in found), median(file for _, file in found)
    if not peaks:
        return None
    maximum = max(anon + file for anon, file in peaks.values())
    rows = []
    for name, (anon, file) in peaks.items():
        bars = charts.end_to_end([(anon, f"own: {bytes_text(anon)}", "c0"), (file, f"files: {bytes_text(file)}", "c5")])
        label = f"{name}: {bytes_text(anon)} own, {bytes_text(file)} of files"
        rows.append((name, charts.bar_row(bars, maximum, label), f"{bytes_text(anon)} + {bytes_text(file)}", ""))
    legend = [("c0", "own (anonymous, shared): the system cannot reclaim it"), ("c5", "mapped files: it can")]
    return ChartRows(rows, charts.axis(maximum, scale_for(maximum, memory=True).tick), legend)


def trends(series: Sequence[Series]) -> Iterator[Chart]:
    """A chart for each figure that was measured more than once. Wall time is drawn for arms of which any run had no
    startup: for the others it says less than startup and first result do."""
    for metric in (Metric.WALL, Metric.STARTUP, Metric.FIRST_RESULT, Metric.STEADY, Metric.PEAK_RSS):
        lines = [one for one in series if one.metric is metric]
        if metric is Metric.WALL:
            started = {(one.arm, one.page_cache): len(one.points) for one in series if one.metric is Metric.STARTUP}
            lines = [one for one in lines if started.get((one.arm, one.page_cache), 0) < len(one.points)]
        if any(len(one.points) > 1 for one in lines):
            yield _trend(metric, lines)


def _trend(metric: Metric, lines: Sequence[Series]) -> Chart:
    runs = sorted({(point.created, point.name) for one in lines for point in one.points})
    places = {name: place for place, (_, name) in enumerate(runs)}
    arms = list(dict.fromkeys(one.arm for one in lines))
    legend = []
    for one in lines:
        cold = one.page_cache is PageCache.COLD
        style = f"c{arms.index(one.arm) % charts.COLOURS}"
        legend.append((style + " cold" * cold, one.arm + " (cold)" * cold))

    def point_of(one: Series, point: Point) -> charts.TrendPoint:
        said = f"{one.arm}, {point.created}, {point.version}: {figure_text(metric, point.median)}"
        return charts.TrendPoint(
            place=places[point.name],
            value=point.median,
            low=point.interval.low,
            high=point.interval.high,
            title="; ".join([said, *point.changes]),
            broken=bool(point.changes),
        )

    drawn = [
        (style, [point_of(one, point) for point in one.points]) for one, (style, _) in zip(lines, legend, strict=True)
    ]
    label = f"{metric_name(metric)} over {len(runs)} runs"
    svg = charts.trend(drawn, len(runs), lambda value: figure_text(metric, value), label)
    span = f"{runs[0][0][:10]} to {runs[-1][0][:10]}, logarithmic scale"
    return Chart(svg, legend, caption=heading(metric), note=span)
