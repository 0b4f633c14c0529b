"""An experiment as Markdown, for a comment on a pull request or the summary of a step in continuous integration."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator

from imgtool.bench.data.record import Experiment, Metric
from imgtool.bench.gate.judgement import Judgement, Outcome
from imgtool.bench.report.findings import LEGEND, Findings, failure_sentence, heading, state_text, versus_text
from imgtool.bench.report.model_loads import HEADS as LOAD_HEADS
from imgtool.bench.report.model_loads import load_note, load_rows
from imgtool.bench.report.units import SUMMARY_HEADS, median_text, range_text, summary_texts
from imgtool.bench.report.wording import bytes_text
from imgtool.formats.clean import printable, printable_prose, well_formed

_MARKS = {Outcome.PASSED: "✅", Outcome.FAILED: "❌", Outcome.INCONCLUSIVE: "❔"}
_SPECIAL = re.compile(r"([\\`*_\[\]#|~$@&<>]|^[-+](?=\s)|(?<=^\d)[.)])")


def render(experiment: Experiment, judgement: Judgement | None = None) -> str:
    """GitHub's dialect: a headline, a table for each figure, and what is rarely needed folded away.

    What comes from an experiment is escaped: no name of an arm becomes a table, a tag or a mention.
    """
    findings = Findings(experiment)
    parts = [*_head(findings, judgement), *_tables(findings), *_failures(findings)]
    parts += [*_figures(findings), *_loads(findings), *_method(findings)]
    return well_formed("\n\n".join(parts) + "\n")


def _head(findings: Findings, judgement: Judgement | None) -> Iterator[str]:
    if judgement is not None and judgement.checks:
        yield f"### {_MARKS[judgement.outcome]} Benchmark {_text(judgement.verdict)}"
        yield _list(f"{_MARKS[check.outcome]} {check.outcome.value}: {check.text}" for check in judgement.checks)
        if judgement.notices:
            yield _list(judgement.notices)
    else:
        yield f"### {_text(findings.headline)}"
    if findings.sentences:
        yield _list(findings.sentences)
    if findings.advice:
        yield "> " + "<br>".join(f"**Noise**: {_text(line)}" for line in findings.advice)


def _tables(findings: Findings) -> Iterator[str]:
    for metric in findings.metrics:
        rows: list[tuple[str, ...]] = [
            (
                _text(row.arm + state_text(row.page_cache, findings.page_caches)),
                median_text(metric, row.summary),
                range_text(metric, row.summary),
                str(row.summary.n),
                _text(versus_text(metric, row.versus)),
            )
            for row in findings.rows(metric)
        ]
        yield f"**{_text(heading(metric))}**\n\n" + _table(_heads(findings), rows, words=(0, 4))


def _heads(findings: Findings) -> tuple[str, ...]:
    return ("arm", "median ± deviation", "range", "runs", f"against {_text(findings.reference)}")


def _failures(findings: Findings) -> Iterator[str]:
    for sample in findings.failures:
        yield f"**{_text(failure_sentence(sample))}**"
        if tail := sample.stderr_tail.strip():
            # Four spaces need no closing fence that the text could hold.
            yield "\n".join("    " + printable(line) for line in tail.splitlines())


def _figures(findings: Findings) -> Iterator[str]:
    tables = [
        f"**{_text(heading(metric))}**\n\n" + _table(("arm", *SUMMARY_HEADS), _figure_rows(findings, metric))
        for metric in findings.metrics
    ]
    if tables:
        yield _folded("All figures", "\n\n".join([*tables, _text(LEGEND)]))


def _figure_rows(findings: Findings, metric: Metric) -> list[tuple[str, ...]]:
    return [
        (_text(row.arm + state_text(row.page_cache, findings.page_caches)), *summary_texts(metric, row.summary))
        for row in findings.rows(metric)
    ]


def _loads(findings: Findings) -> Iterator[str]:
    rows = [(_text(arm), _text(model), *figures) for arm, model, *figures in load_rows(findings)]
    if rows:
        table = _table(LOAD_HEADS, rows, words=(0, 1))
        yield _folded("Loading each model", f"{table}\n\n{_text(load_note(findings))}")


def _method(findings: Findings) -> Iterator[str]:
    experiment = findings.experiment
    machine, settings = experiment.machine, experiment.settings
    lines = [
        f"{machine.cpu}, {machine.granted_cores:g} of {machine.cores} cores, {bytes_text(machine.memory_bytes)}, "
        f"{machine.system} {machine.kernel}, Python {machine.python}",
        ", ".join(f"{name} {version}" for name, version in machine.libraries.items()),
        f"weights: {settings.weights}; tasks: {', '.join(settings.tasks)}; images: {', '.join(settings.images)}",
        f"{settings.runs} runs an arm after {settings.warm_ups} to warm up, each a fresh process",
        f"measured {experiment.created} with imgtool {experiment.version}",
        *(f"stands apart: {line}" for line in findings.outliers),
    ]
    body = _list(filter(None, lines))
    command = printable_prose(shlex.join(experiment.command))
    yield _folded("Environment and method", f"{body}\n\n    {command}")


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_text(line)}" for line in lines)


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]], words: Collection[int] = (0,)) -> str:
    """A table; its columns are set to the right but for those in the places of ``words``."""
    lines = [heads, ["---" if place in words else "---:" for place in range(len(heads))], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(text: str) -> str:
    """One line in which no character means anything to Markdown, HTML or GitHub."""
    escaped = _SPECIAL.sub(r"\\\1", printable_prose(text))
    return escaped.replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")
