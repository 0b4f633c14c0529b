"""The short table of an experiment, for a README: an arm a row, what people ask first as columns."""

from __future__ import annotations

from imgtool.bench.data.record import Experiment, Metric
from imgtool.bench.report.findings import Findings, versus_text
from imgtool.bench.report.units import median_text

_COLUMNS = (
    (Metric.STARTUP, "ready to answer"),
    (Metric.FIRST_RESULT, "first result"),
    (Metric.PEAK_ANON, "own memory at the peak"),
)


def render(experiment: Experiment) -> str:
    """A Markdown table of medians with their standard deviation, and how the start compares; warm page cache only."""
    findings = Findings(experiment)
    heads = ("arm", *(title for _, title in _COLUMNS), f"ready, against {findings.reference}")
    lines = [_line(heads), _line(["---"] * len(heads))]
    lines += [_line([arm.name, *_cells(findings, arm.name)]) for arm in experiment.arms]
    return "\n".join(lines) + "\n"


def _cells(findings: Findings, arm: str) -> list[str]:
    rows = [(metric, findings.row(arm, metric)) for metric, _ in _COLUMNS]
    cells = ["" if row is None else median_text(metric, row.summary) for metric, row in rows]
    start = findings.row(arm, Metric.STARTUP)
    return [*cells, "" if start is None else versus_text(Metric.STARTUP, start.versus)]


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"
