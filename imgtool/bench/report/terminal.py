"""An experiment at a terminal: figures, how arms compare, and the noise of the machine."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from imgtool.bench.data.record import Experiment, Metric
from imgtool.bench.gate.judgement import CheckOutcome, Judgement
from imgtool.bench.report.findings import Findings, failure_sentence, heading, versus_text
from imgtool.bench.report.units import median_text, range_text, scale_for
from imgtool.formats.clean import printable, printable_prose

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MIN_WIDTH = 40
_WITH_RANGE, _WITH_MEAN = 88, 120
"""Terminals at least so wide also show the range, and the mean."""

_TAIL_LINES = 8
_STYLES = {CheckOutcome.PASSED: "green", CheckOutcome.FAILED: "bold red", CheckOutcome.INCONCLUSIVE: "yellow"}


def terminal_report(experiment: Experiment, *, width: int, color: bool, judgement: Judgement | None = None) -> str:
    """Tables and sentences no wider than ``width`` cells (at least :data:`MIN_WIDTH`)."""
    from rich.console import Console

    out = io.StringIO()
    width = max(width, MIN_WIDTH)
    console = Console(
        file=out,
        width=width,
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
        console.print(_table(findings, metric, width))
        console.print()
    _print_list(console, f"Summary ({findings.noise})" if findings.noise else "Summary", findings.sentences)
    for sample in findings.failures:
        console.print(printable_prose(failure_sentence(sample)), style="red")
        for line in sample.stderr_tail.strip().splitlines()[-_TAIL_LINES:]:
            _bullet(console, printable(line), mark="|")
        console.print()
    _print_list(console, "Noise", findings.advice)
    _print_list(console, "Outliers (they are counted)", findings.outliers)
    if judgement is not None:
        console.print(f"Gate {judgement.verdict}", style=f"bold {_STYLES[judgement.outcome]}")
        for check in judgement.checks:
            _bullet(console, check.text, mark=check.outcome.value, style=_STYLES[check.outcome])
        for notice in judgement.notices:
            _bullet(console, notice, mark="note")
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _table(findings: Findings, metric: Metric, width: int) -> Table:
    """A row an arm: its figures in each state of the page cache side by side, and how they compare."""
    from rich.table import Table

    states = findings.page_caches
    several = len(states) > 1
    extra = ("mean", "range") if width >= _WITH_MEAN else ("range",) if width >= _WITH_RANGE else ()
    if several:
        extra = ("range",) if width >= _WITH_MEAN else ()
    compared = states if width >= _WITH_RANGE or not several else ()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("arm", overflow="fold")
    for state in states:
        for name in (f"{state.value} page cache" if several else "median ± deviation", *extra):
            table.add_column(name, justify="right", no_wrap=True)
    table.add_column("runs", justify="right", no_wrap=True)
    for state in compared:
        against = f"against {printable(findings.reference)}"
        table.add_column(f"{state.value}, {against}" if several else against, overflow="fold")
    for arm in findings.experiment.arms:
        rows = [findings.row(arm.name, metric, state) for state in states]
        if not any(rows):
            continue
        cells = [printable(arm.name)]
        for row in rows:
            texts = {}
            if row is not None:
                mean = scale_for(row.summary.median, memory=metric.is_memory).one(row.summary.mean)
                texts = {"mean": mean, "range": range_text(metric, row.summary)}
            cells += ["" if row is None else median_text(metric, row.summary), *(texts.get(name, "") for name in extra)]
        cells.append("/".join(dict.fromkeys(str(row.summary.n if row else 0) for row in rows)))
        if compared:
            cells += ["" if row is None else versus_text(metric, row.versus) for row in rows]
        table.add_row(*cells)
    return table


def _print_list(console: Console, title: str, lines: tuple[str, ...]) -> None:
    if lines:
        console.print(title, style="bold")
        for line in lines:
            _bullet(console, line)
        console.print()


def _bullet(console: Console, text: str, *, mark: str = "-", style: str = "") -> None:
    """A line that is indented behind its mark where it is folded."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(f"  {mark}", style), Text(printable_prose(text)))
    console.print(grid)
