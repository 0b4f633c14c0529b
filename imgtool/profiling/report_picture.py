"""The picture of a performance report: the phases until the first result, before above after."""

from __future__ import annotations

from collections.abc import Iterator

from imgtool.bench.report.wording import seconds_text
from imgtool.profiling.page.pictures import Picture
from imgtool.profiling.page.svg import ROW, Bar, bars, text, time_axis
from imgtool.profiling.report import Report

_KINDS = {
    "start of processes": "k-start",
    "imports": "standard",
    "models load": "k-load",
    "warm-up": "k-warm-up",
    "decode": "k-decode",
    "first answers": "k-task",
    "files and store": "k-parent",
}
_TRACK = 16


def phase_picture(report: Report, *, labels: bool = True) -> Picture:
    """Two tracks of stacked bars on one scale of seconds; without ``labels`` where a legend stands beside it."""
    rows = {f"before: {report.before.name}": 0, f"after: {report.after.name}": 1}
    columns = [[(each.group, (each.before, each.after)[row]) for each in report.improvements] for row in rows.values()]
    longest = max(sum(seconds for _, seconds in column) for column in columns) or 1.0
    parts, top = [], 0
    for (name, _), column in zip(rows.items(), columns, strict=True):
        whole = seconds_text(sum(seconds for _, seconds in column))
        parts += [
            text("0", top + 12, f"{name}, {whole}", kind="track"),
            bars(_stack(column, longest, labels), top + _TRACK),
        ]
        top += _TRACK + ROW + 4
    return Picture("".join(parts) + time_axis(top, longest), top + _TRACK, "Phases until the first result")


def legend_entries(report: Report) -> list[tuple[str, str]]:
    """Class and name of each group that is drawn."""
    return [(_KINDS.get(each.group, "whole"), each.group) for each in report.improvements]


def _stack(column: list[tuple[str, float]], longest: float, labels: bool) -> Iterator[Bar]:
    ordered = sorted(column, key=lambda item: list(_KINDS).index(item[0]) if item[0] in _KINDS else len(_KINDS))
    at = 0.0
    for group, seconds in ordered:
        if seconds > 0:
            share = seconds / longest
            title, label = f"{group}: {seconds_text(seconds)}", group if labels else ""
            yield Bar(at, min(share, 1 - at), 0, label, title, _KINDS.get(group, "whole"))
            at += share
