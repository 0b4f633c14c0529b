"""The performance report as one HTML file that needs no network and no script."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from html import escape

from imgtool.bench.report.findings import LEGEND
from imgtool.profiling.advice import BACK
from imgtool.profiling.page.markup import (
    asset,
    digest_policy,
    fill,
    heading,
    legend,
    legend_style,
    notes,
    paragraph,
    table,
)
from imgtool.profiling.page.svg import STYLE, picture
from imgtool.profiling.report import METRICS, Report
from imgtool.profiling.report_markdown import (
    ALL_FIGURES,
    FIGURE_HEADS,
    IMPROVEMENT_HEADS,
    IMPROVEMENTS,
    MEMORY_HEADS,
    NEXT_HEADS,
    SUMMARY_ROW,
    TARGET_HEADS,
    arm_rows,
    commands,
    facts,
    figure_row,
    heading_short,
    improvement_rows,
    memory_note,
    memory_rows,
    next_rows,
    next_sentence,
    summary_rows,
    target_rows,
)
from imgtool.profiling.report_picture import legend_entries, phase_picture


def as_html(report: Report) -> str:
    """The whole page."""
    style = STYLE + asset("style.css") + legend_style()
    return fill(
        asset("report.html"),
        {
            "policy": digest_policy(style),
            "title": escape(report.title),
            "about": escape(f"{report.after.name} against {report.before.name}, {report.experiment.created}"),
            "style": style,
            "body": "".join(_parts(report)),
        },
    )


def _parts(report: Report) -> Iterable[str]:
    yield notes(report.notices)
    for word, arm in (("Before", report.before), ("After", report.after)):
        options = f" ({shlex.join(arm.options)})" if arm.options else ""
        yield paragraph(f"{word}: {arm.name}, {arm.summary or 'as it comes'}{options}")
    yield heading("Before and after") + _list(report.sentences)
    yield table(FIGURE_HEADS, [figure_row(report, figure) for figure in report.figures], [1, 2, 3])
    yield paragraph(LEGEND, quiet=True)
    yield heading("Targets") + table(TARGET_HEADS, target_rows(report))
    drawn = phase_picture(report, labels=False)
    yield heading("Main improvements") + paragraph(IMPROVEMENTS, quiet=True)
    yield f'<div class="figure">{picture(drawn.body, drawn.height, drawn.title)}{legend(legend_entries(report))}</div>'
    yield table(IMPROVEMENT_HEADS, improvement_rows(report), [1, 2, 3, 4])
    if rows := memory_rows(report):
        yield heading("Loading each model") + table(MEMORY_HEADS, rows, [2, 3, 4, 5])
        yield paragraph(memory_note(report), quiet=True)
    yield heading("Where nothing was gained") + _list(report.not_better or ["In no figure."])
    yield heading("What comes next") + paragraph(next_sentence(report).replace("`", ""))
    yield table(NEXT_HEADS, next_rows(report), [1, 2])
    yield heading("The way back") + table(("switch", "brings back"), BACK)
    heads = ("arm", "what it is", *map(heading_short, METRICS))
    yield heading("All arms") + f'<div class="wide">{table(heads, arm_rows(report), range(2, 8))}</div>'
    yield f"<details><summary>{escape(ALL_FIGURES)}</summary>{''.join(_all_figures(report))}</details>"
    yield heading("How it was measured") + _list(facts(report))
    yield f"<pre>{escape(commands(report))}</pre>"


def _all_figures(report: Report) -> Iterable[str]:
    for title, rows in summary_rows(report):
        yield f'<h3>{escape(title)}</h3><div class="wide">{table(SUMMARY_ROW, rows, range(1, 8))}</div>'


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
