"""An experiment at a terminal: who is how many times faster, at a glance and with the spread."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from imgtool.bench.data.record import Experiment, Metric
from imgtool.bench.gate.judgement import Judgement, Outcome
from imgtool.bench.report.findings import Findings, Row, failure_sentence, heading, versus_text
from imgtool.bench.report.units import median_text, range_text, scale_for
from imgtool.bench.stats.statistics import Summary
from imgtool.formats.clean import printable, printable_prose

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MIN_WIDTH = 40
_WITH_RANGE, _WITH_MEAN = 88, 120
"""Terminals at least so wide also show the range, and the mean."""

_TAIL_LINES = 8
_STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.INCONCLUSIVE: "yellow"}


def render(experiment: Experiment, *, width: int, color: bool, judgement: Judgement | None = None) -> str:
    """Tables and sentences no wider than ``width`` cells (at least :data:`MIN_WIDTH`)."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(
        file=out,
        width=max(width, MIN_WIDTH),
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    findings = Findings(experiment)
    for metric in findings.metrics:
        console.print(heading(metric), style="bold")
        console.print(_table(findings, metric, max(width, MIN_WIDTH)))
        console.print()
    _print_sentences(console, findings)
    _print_failures(console, findings)
    _print_notes(console, findings)
    if judgement is not None:
        _print_judgement(console, judgement)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _table(findings: Findings, metric: Metric, width: int) -> Table:
    """A row an arm: its figures in each state of the page cache side by side, and what that makes of it."""
    states = findings.page_caches
    several = len(states) > 1
    table = _empty()
    for state in states:
        table.add_column(
            f"{state.value} page cache" if several else "median ± deviation", justify="right", no_wrap=True
        )
        for name in _extra_columns(width, several):
            table.add_column(name, justify="right", no_wrap=True)
    table.add_column("runs", justify="right", no_wrap=True)
    for state in states if width >= _WITH_RANGE or not several else ():
        against = f"against {printable(findings.reference)}"
        table.add_column(f"{state.value}, {against}" if several else against, overflow="fold")
    for arm in findings.experiment.arms:
        rows = [findings.row(arm.name, metric, state) for state in states]
        if any(row is not None for row in rows):
            table.add_row(*_cells(arm.name, metric, rows, width))
    return table


def _extra_columns(width: int, several: bool) -> tuple[str, ...]:
    if several:
        return ("range",) if width >= _WITH_MEAN else ()
    return ("mean", "range") if width >= _WITH_MEAN else ("range",) if width >= _WITH_RANGE else ()


def _cells(arm: str, metric: Metric, rows: list[Row | None], width: int) -> list[str]:
    several = len(rows) > 1
    cells = [printable(arm)]
    for row in rows:
        cells.append("" if row is None else median_text(metric, row.summary))
        for name in _extra_columns(width, several):
            cells.append("" if row is None else _extra(name, metric, row.summary))
    cells.append("/".join(dict.fromkeys(str(row.summary.n if row else 0) for row in rows)))
    if width >= _WITH_RANGE or not several:
        cells += ["" if row is None else versus_text(metric, row.versus) for row in rows]
    return cells


def _extra(name: str, metric: Metric, summary: Summary) -> str:
    if name == "mean":
        return scale_for(metric, summary.median).one(summary.mean)
    return range_text(metric, summary)


def _empty() -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("arm", overflow="fold")
    return table


def _print_sentences(console: Console, findings: Findings) -> None:
    if not findings.sentences:
        return
    console.print("Summary", style="bold")
    for sentence in findings.sentences:
        _bullet(console, sentence)
    console.print()


def _print_failures(console: Console, findings: Findings) -> None:
    for sample in findings.failures:
        console.print(printable_prose(failure_sentence(sample)), style="red")
        for line in sample.stderr_tail.strip().splitlines()[-_TAIL_LINES:]:
            _bullet(console, printable(line), mark="|")
        console.print()


def _print_notes(console: Console, findings: Findings) -> None:
    for title, lines in (("Noise", findings.advice), ("Outliers (counted all the same)", findings.outliers)):
        if lines:
            console.print(title, style="bold")
            for line in lines:
                _bullet(console, line)
            console.print()


def _print_judgement(console: Console, judgement: Judgement) -> None:
    console.print(f"Gate {judgement.verdict}", style=f"bold {_STYLES[judgement.outcome]}")
    for check in judgement.checks:
        _bullet(console, check.text, mark=check.outcome.value, style=_STYLES[check.outcome])
    for notice in judgement.notices:
        _bullet(console, notice, mark="note")


def _bullet(console: Console, text: str, *, mark: str = "-", style: str = "") -> None:
    """A line that hangs behind its mark where it is folded."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(f"  {mark}", style), Text(printable_prose(text)))
    console.print(grid)
