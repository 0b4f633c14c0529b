"""A benchmark as Markdown in GitHub's dialect: the report for a pull request or a document, and the README's table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from imgtool.bench.data.record import Experiment, Metric
from imgtool.bench.report.content import Report, sections
from imgtool.bench.report.findings import Findings, versus_text
from imgtool.bench.report.units import median_text
from imgtool.formats.clean import printable, printable_prose, well_formed
from imgtool.page.document import Block, Bullets, ChartRows, Code, Facts, Paragraph, Table

_MARKS = {"passed": "✅", "failed": "❌", "inconclusive": "❔"}
_SPECIAL = re.compile(r"([\\`*_\[\]#|~$@&<>])")
_LIST_MARK = re.compile(r"^[-+](?=\s)|(?<=^\d)[.)](?=\s)")

_HEADLINE = (
    (Metric.STARTUP, "ready to answer"),
    (Metric.FIRST_RESULT, "first result"),
    (Metric.PEAK_ANON, "own memory at the peak"),
)


def markdown_report(report: Report, title: str = "", picture: str = "") -> str:
    """The report without its charts; what is rarely needed is folded away. Whatever comes from an experiment is
    escaped: no name of an arm becomes a table, a tag or a mention.

    ``title`` makes it a document of its own; ``picture`` is the name of a file beside it that shows the phases.
    """
    level = "##" if title else "###"
    parts = [f"# {_text(title)}"] if title else []
    for number, section in enumerate(sections(report)):
        blocks = [written for block in section.blocks if (written := _written(block, level))]
        if picture and isinstance(next(iter(section.blocks), None), ChartRows) and section.title.startswith("Where"):
            blocks.insert(0, f"![{section.title}]({picture})")
        if not blocks:
            continue
        if section.folded:
            body = "\n\n".join(blocks)
            parts.append(f"<details><summary>{section.title}</summary>\n\n{body}\n\n</details>")
        else:
            parts += [*([f"{level} {section.title}"] if number else []), *blocks]
    return well_formed("\n\n".join(parts) + "\n")


def headline_table(experiment: Experiment) -> str:
    """The short table for the README: medians with their standard deviation, and how the start compares, with a warm
    page cache."""
    findings = Findings(experiment)
    rows = []
    for arm in experiment.arms:
        figures = [(metric, findings.row(arm.name, metric)) for metric, _ in _HEADLINE]
        start = figures[0][1]
        rows.append(
            (
                arm.name,
                *("" if row is None else median_text(metric, row.summary) for metric, row in figures),
                "" if start is None else versus_text(Metric.STARTUP, start.versus),
            )
        )
    heads = ("arm", *(title for _, title in _HEADLINE), f"ready, against {findings.reference}")
    return _table(heads, rows, range(len(heads))) + "\n"


def _written(block: Block, level: str) -> str:
    """``block`` as Markdown; empty for a chart."""
    text = ""
    match block:
        case Paragraph(text=words, style=style) if style.startswith("verdict"):
            mark = _MARKS.get(style.removeprefix("verdict").strip(), "")
            text = f"{level} {mark} {_text(words)}" if mark else f"{level} {_text(words)}"
        case Paragraph(text=words, style=style):
            text = f"**{_text(words)}**" if style == "failed" else _text(words)
        case Bullets(lines=lines, marks=words):
            marks = [f"{_MARKS[mark]} {mark}: " for mark in words] or [""] * len(lines)
            text = "\n".join(f"- {mark}{_text(line)}" for mark, line in zip(marks, lines, strict=True))
        case Facts(entries=entries):
            text = "\n".join(f"- {name}: {_text(value)}" for name, value in entries.items())
        case Code():
            # Four spaces need no closing fence that the text could contain.
            text = "\n".join("    " + printable(line) for line in block.text.splitlines())
        case Table(heads=heads, rows=rows, words=columns) if rows:
            text = _table(heads, rows, columns)
        case ChartRows(heads=heads, rows=rows) if heads is not None:
            text = _table(heads, [(name, figure, detail) for name, _, figure, detail in rows], (0, 2))
    caption = getattr(block, "caption", "")
    return f"**{_text(caption)}**\n\n{text}" if caption and text else text


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], words: Iterable[int]) -> str:
    """A table; its columns are set to the right except those in the places of ``words``."""
    left = set(words)
    rule = ["---" if place in left else "---:" for place in range(len(heads))]
    lines = [list(map(_inline, heads)), rule, *(list(map(_inline, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(text: str) -> str:
    """One line in which no character means anything to Markdown, HTML or GitHub."""
    return _LIST_MARK.sub(r"\\\g<0>", _inline(text))


def _inline(text: str) -> str:
    escaped = _SPECIAL.sub(r"\\\1", printable_prose(text))
    return escaped.replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")
