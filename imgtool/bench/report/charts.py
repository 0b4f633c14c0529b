"""The drawings of the HTML report: every sample as a dot, phases and memory as bars, medians over runs as lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from statistics import median

from imgtool.bench.data.history import Point, Series
from imgtool.bench.data.record import Metric, PageCache
from imgtool.bench.measure.shares import OTHER, median_shares
from imgtool.bench.report import svg
from imgtool.bench.report.findings import Findings, Row, heading, metric_name, state_text, versus_text
from imgtool.bench.report.units import median_text, scale_for
from imgtool.bench.report.wording import bytes_text, figure_text, seconds_text

_COLOURS = 9
_LAST = f"c{_COLOURS}"
"""The class of what has no colour of its own."""

_SLIGHT = 0.001
"""Share of a bar that no eye would see."""


def strips(findings: Findings) -> Iterator[str]:
    """A chart for each figure: arms below each other on one scale."""
    for metric in findings.metrics:
        rows = findings.rows(metric)
        maximum = max(row.summary.maximum for row in rows)
        scale = scale_for(metric, maximum)
        drawn = [_strip(findings, metric, row, maximum) for row in rows]
        yield f"<h3>{escape(heading(metric))}</h3>" + "".join(drawn) + _foot(svg.axis(maximum, scale.tick))


def _strip(findings: Findings, metric: Metric, row: Row, maximum: float) -> str:
    summary = row.summary
    apart = set(summary.outliers)
    dots = [
        svg.Dot(value, f"{figure_text(metric, value)}{', stands apart' if place in apart else ''}", place in apart)
        for place, value in enumerate(row.values)
    ]
    name = row.arm + state_text(row.page_cache, findings.page_caches)
    interval = summary.interval
    label = f"{metric_name(metric)} of {name}: {summary.n} runs, median {figure_text(metric, summary.median)}"
    drawing = svg.strip(dots, summary.median, interval.low, interval.high, maximum, label)
    return _row(
        name, drawing, f"<b>{escape(median_text(metric, summary))}</b><br>{escape(versus_text(metric, row.versus))}"
    )


def phases(findings: Findings) -> str:
    """Where the time to the first result went, by the medians of each arm; empty where no arm has phases.

    Medians of parts do not add up to that of the whole, which stands beside the bar: what they leave out counts as
    other, and where they exceed it the bar is longer than its figure.
    """
    bars = {
        arm.name + state_text(state, findings.page_caches): (median(values), found)
        for arm in findings.experiment.arms
        for state in findings.page_caches
        if (values := findings.experiment.values(arm.name, Metric.FIRST_RESULT, state))
        and (found := _parts(median(values), median_shares(findings.experiment, arm.name, state)))
    }
    if not bars:
        return ""
    styles = _phase_styles(found for _, found in bars.values())
    maximum = max(sum(found.values()) for _, found in bars.values())
    rows = [
        _row(name, _phase_bar(name, found, styles, maximum), f"<b>{escape(seconds_text(whole))}</b>")
        for name, (whole, found) in bars.items()
    ]
    scale = scale_for(Metric.STARTUP, maximum)
    rest = any(name not in styles for _, found in bars.values() for name in found)
    legend = {**styles, **({OTHER: _LAST} if rest else {})}
    return "".join(rows) + _foot(svg.axis(maximum, scale.tick)) + _legend(legend)


def _parts(whole: float, found: dict[str, float]) -> dict[str, float]:
    """``found``, seconds by phase, with what is missing of ``whole`` in :data:`OTHER`; empty where there are none."""
    missing = whole - sum(found.values())
    if not found or missing < _SLIGHT * whole:
        return found
    return {**found, OTHER: found.get(OTHER, 0.0) + missing}


def _phase_styles(bars: Iterable[dict[str, float]]) -> dict[str, str]:
    """A colour for each of the longest phases, in the order of their beginning; one for all others."""
    longest: dict[str, float] = {}
    for found in bars:
        for name, seconds in found.items():
            longest[name] = max(longest.get(name, 0.0), seconds)
    ranked = sorted((name for name in longest if name != OTHER), key=lambda name: -longest[name])
    coloured = [name for name in longest if name in ranked[:_COLOURS]]
    return {name: f"c{number}" for number, name in enumerate(coloured)}


def _phase_bar(name: str, found: dict[str, float], styles: dict[str, str], maximum: float) -> str:
    segments = [
        svg.Segment(seconds, f"{phase}: {seconds_text(seconds)}", styles.get(phase, _LAST))
        for phase, seconds in found.items()
    ]
    words = ", ".join(f"{phase} {seconds_text(seconds)}" for phase, seconds in found.items())
    return svg.stack(segments, maximum, f"{name}: {words}")


def memory(findings: Findings) -> str:
    """Anonymous and file memory at the peak, by the medians of each arm; empty where nothing is known."""
    bars = {
        arm.name + state_text(state, findings.page_caches): found
        for arm in findings.experiment.arms
        for state in findings.page_caches
        if (found := _peaks(findings, arm.name, state)) is not None
    }
    if not bars:
        return ""
    maximum = max(anon + file for anon, file in bars.values())
    rows = []
    for name, (anon, file) in bars.items():
        parts = (("anonymous", anon, "c0"), ("files", file, "c5"))
        segments = [svg.Segment(size, f"{what}: {bytes_text(size)}", style) for what, size, style in parts]
        label = f"{name}: {bytes_text(anon)} anonymous, {bytes_text(file)} of files"
        figure = f"<b>{escape(bytes_text(anon))}</b> + {escape(bytes_text(file))}"
        rows.append(_row(name, svg.stack(segments, maximum, label), figure))
    scale = scale_for(Metric.PEAK_ANON, maximum)
    legend = _legend({"anonymous: what the machine cannot take back": "c0", "mapped files: what it can": "c5"})
    return "".join(rows) + _foot(svg.axis(maximum, scale.tick)) + legend


def _peaks(findings: Findings, arm: str, state: PageCache) -> tuple[float, float] | None:
    found = [
        sample.memory
        for sample in findings.experiment.samples
        if sample.arm == arm and sample.run >= 0 and sample.page_cache is state and sample.memory and not sample.error
    ]
    if not found:
        return None
    return median(peak.peak_anon for peak in found), median(peak.peak_file for peak in found)


def trends(series: Sequence[Series]) -> Iterator[str]:
    """A drawing for each figure that has been measured more than once; wall time of arms that were once without a
    startup, because it says the most of them."""
    for metric in (Metric.WALL, Metric.STARTUP, Metric.FIRST_RESULT, Metric.STEADY, Metric.PEAK_RSS):
        lines = [one for one in series if one.metric is metric]
        if metric is Metric.WALL:
            started = {(one.arm, one.page_cache): len(one.points) for one in series if one.metric is Metric.STARTUP}
            lines = [one for one in lines if started.get((one.arm, one.page_cache), 0) < len(one.points)]
        if any(len(one.points) > 1 for one in lines):
            yield _trend(metric, lines)


def _trend(metric: Metric, lines: Sequence[Series]) -> str:
    names = sorted({(point.created, point.name) for one in lines for point in one.points})
    places = {name: place for place, (_, name) in enumerate(names)}
    colours = {arm: f"c{n % _COLOURS}" for n, arm in enumerate(dict.fromkeys(one.arm for one in lines))}
    styles = {
        one.arm + state_text(one.page_cache, ()): colours[one.arm]
        + (" cold" if one.page_cache is PageCache.COLD else "")
        for one in lines
    }
    drawn = [
        (style, [_trend_point(metric, one.arm, point, places[point.name]) for point in one.points])
        for one, style in zip(lines, styles.values(), strict=True)
    ]
    label = f"{metric_name(metric)} over {len(names)} runs"
    drawing = svg.trend(drawn, len(names), lambda value: figure_text(metric, value), label)
    span = f"{names[0][0][:10]} to {names[-1][0][:10]}; logarithmic"
    return f'<h3>{escape(heading(metric))}</h3>{drawing}<p class="quiet">{escape(span)}</p>{_legend(styles)}'


def _trend_point(metric: Metric, arm: str, point: Point, place: int) -> svg.TrendPoint:
    said = f"{arm}, {point.created}, {point.version}: {figure_text(metric, point.median)}"
    return svg.TrendPoint(
        place=place,
        value=point.median,
        low=point.interval.low,
        high=point.interval.high,
        title="; ".join([said, *point.changes]),
        broken=bool(point.changes),
    )


def _row(name: str, drawing: str, figure: str) -> str:
    return (
        f'<div class="row"><span class="name">{escape(name)}</span>{drawing}<span class="figure">{figure}</span></div>'
    )


def _foot(axis: str) -> str:
    return f'<div class="row foot"><span class="name"></span>{axis}<span class="figure"></span></div>'


def _legend(styles: dict[str, str]) -> str:
    patch = '<svg aria-hidden="true"><rect class="{}" width="11" height="11" rx="2"/></svg>'
    entries = "".join(f"<span>{patch.format(style)}{escape(name)}</span>" for name, style in styles.items())
    return f'<p class="legend">{entries}</p>'
