"""The performance report as Markdown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from imgtool.bench.data.record import Experiment, PageCache
from imgtool.bench.report.findings import LEGEND, Findings, heading, state_text, versus_text
from imgtool.bench.report.model_loads import IMPORTS, ModelLoad, model_loads, not_apart, side_by_side
from imgtool.bench.report.units import SUMMARY_HEADS, median_text, range_text, summary_texts
from imgtool.bench.report.wording import bytes_text, seconds_text, share_text
from imgtool.profiling.advice import BACK
from imgtool.profiling.report import METRICS, Figure, Report

_SPECIAL = re.compile(r"([\\`*_\[\]|<>])")


def as_markdown(report: Report, picture: str = "") -> str:
    """The whole report; ``picture`` is the name of a file beside it that shows the phases."""
    return "\n\n".join(_parts(report, picture)) + "\n"


def _parts(report: Report, picture: str) -> Iterator[str]:
    yield f"# {text(report.title)}"
    yield f"{_arm(report, before=True)}\n{_arm(report, before=False)}"
    if report.notices:
        yield bullets(report.notices)
    yield "## Before and after\n\n" + bullets(report.sentences)
    yield table(FIGURE_HEADS, [figure_row(report, figure) for figure in report.figures])
    yield text(LEGEND)
    yield "### Targets\n\n" + table(TARGET_HEADS, target_rows(report))
    yield "## Main improvements\n\n" + IMPROVEMENTS
    if picture:
        yield f"![Seconds until the first result by phase, before and after]({picture})"
    yield table(IMPROVEMENT_HEADS, improvement_rows(report))
    yield from _memory(report)
    yield "## Where nothing was gained\n\n" + (bullets(report.not_better) or "In no figure.")
    yield "## What comes next\n\n" + next_sentence(report)
    yield table(NEXT_HEADS, next_rows(report))
    yield "## The way back\n\n" + table(("switch", "brings back"), [(f"`{switch}`", what) for switch, what in BACK])
    yield "## All arms\n\n" + table(("arm", "what it is", *map(heading_short, METRICS)), arm_rows(report))
    yield f"<details><summary>{ALL_FIGURES}</summary>\n\n{_all_figures(report)}\n\n</details>"
    yield "## How it was measured\n\n" + bullets(facts(report))
    yield f"```\n{commands(report)}\n```"


def _arm(report: Report, *, before: bool) -> str:
    arm, word = (report.before, "Before") if before else (report.after, "After")
    options = f" (`{shlex.join(arm.options)}`)" if arm.options else ""
    return f"- **{word}**: {text(arm.name)}, {text(arm.summary or 'as it comes')}{options}"


FIGURE_HEADS = ("figure", "before", "after", "range after", "verdict")
TARGET_HEADS = ("target", "measured", "kept")
IMPROVEMENT_HEADS = ("until the first result", "before", "after", "gained", "share of all gains")
NEXT_HEADS = ("phase", "seconds", "share", "what would make it smaller")
IMPROVEMENTS = (
    "Median seconds until the first result, every moment given to one phase, so that a column sums to about the time "
    "of the first result."
)


def figure_row(report: Report, figure: Figure) -> tuple[str, ...]:
    """A metric before and after, and what may be said."""
    measured = tuple(report.experiment.settings.page_cache) or (PageCache.WARM,)
    return (
        heading(figure.metric) + state_text(figure.page_cache, measured),
        median_text(figure.metric, figure.before),
        median_text(figure.metric, figure.after),
        range_text(figure.metric, figure.after),
        versus_text(figure.metric, figure.comparison),
    )


def target_rows(report: Report) -> list[tuple[str, ...]]:
    """Promises, and whether they are kept."""
    words = {True: "yes", False: "no", None: "not measured"}
    return [(target.text, target.measured or "-", words[target.met]) for target in report.targets]


def improvement_rows(report: Report) -> list[tuple[str, ...]]:
    """Groups of phases, the largest gain first."""
    return [
        (
            each.group,
            seconds_text(each.before),
            seconds_text(each.after),
            f"{'' if each.gained >= 0 else '−'}{seconds_text(abs(each.gained))}",
            "costs more" if each.share is None else share_text(round(each.share, 3)),
        )
        for each in report.improvements
        if max(each.before, each.after) >= 0.0005
    ]


def next_sentence(report: Report) -> str:
    """The largest item that is left, in words."""
    if not report.remaining:
        return "The phases of the run are not known."
    first = report.remaining[0]
    why = first.way.why
    way = f"`{first.way.option}`: {why}" if first.way.option else why[0].upper() + why[1:]
    return f"The largest item left is {first.phase}, {share_text(round(first.share, 2))} of the first result. {way}."


def next_rows(report: Report) -> list[tuple[str, ...]]:
    """What is left, the largest first."""
    return [
        (
            each.phase,
            seconds_text(each.seconds),
            share_text(round(each.share, 3)),
            f"{each.way.option}: {each.way.why}" if each.way.option else each.way.why,
        )
        for each in report.remaining
    ]


def arm_rows(report: Report) -> list[tuple[str, ...]]:
    """Every arm of the later experiment, median by median."""
    found = Findings(report.experiment)
    rows = []
    for arm in report.experiment.arms:
        each = [found.row(arm.name, metric) for metric in METRICS]
        figures = [median_text(metric, row.summary) if row else "-" for metric, row in zip(METRICS, each, strict=True)]
        rows.append((arm.name, arm.summary or shlex.join(arm.options), *figures))
    return rows


ALL_FIGURES = "Mean, least and greatest of every figure"
SUMMARY_ROW = ("arm", *SUMMARY_HEADS)


def _all_figures(report: Report) -> str:
    tables = (f"**{text(title)}**\n\n{table(SUMMARY_ROW, rows)}" for title, rows in summary_rows(report))
    return "\n\n".join(tables)


def summary_rows(report: Report) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """The heading of each metric with a row an arm and state of the page cache: everything that is said of it."""
    found = Findings(report.experiment)
    for metric in METRICS:
        rows = [
            (row.arm + state_text(row.page_cache, found.page_caches), *summary_texts(metric, row.summary))
            for row in found.rows(metric)
        ]
        if rows:
            yield heading(metric), rows


def heading_short(metric: object) -> str:
    """A metric's name for a column."""
    from imgtool.bench.report.wording import metric_text

    return metric_text(metric)  # type: ignore[arg-type]


def _memory(report: Report) -> Iterator[str]:
    rows = memory_rows(report)
    if rows:
        yield "### Loading each model\n\n" + table(MEMORY_HEADS, rows)
        yield text(memory_note(report))


MEMORY_HEADS = ("arm", "model", "time to load", "own memory before", "after", "mapped files added")


def memory_rows(report: Report) -> list[tuple[str, ...]]:
    """Seconds of each model and memory before and after it, by the medians of either arm's runs."""
    return [_memory_row(arm, load) for experiment, arm in _either_arm(report) for load in _model_loads(experiment, arm)]


def memory_note(report: Report) -> str:
    """What to know when reading :func:`memory_rows`."""
    beside = [arm for experiment, arm in _either_arm(report) if arm in side_by_side(experiment, _state(experiment))]
    return "; ".join((IMPORTS, *((not_apart(beside),) if beside else ())))


def _either_arm(report: Report) -> tuple[tuple[Experiment, str], ...]:
    return (report.former, report.before.name), (report.experiment, report.after.name)


def _model_loads(experiment: Experiment, arm: str) -> tuple[ModelLoad, ...]:
    return model_loads(experiment, arm, _state(experiment))


def _state(experiment: Experiment) -> PageCache:
    """Warm, but where only cold runs were made."""
    states = experiment.settings.page_cache
    return PageCache.WARM if PageCache.WARM in states or not states else states[0]


def _memory_row(arm: str, load: ModelLoad) -> tuple[str, ...]:
    seconds = "-" if load.seconds is None else seconds_text(load.seconds)
    if (step := load.memory) is None:
        return arm, load.model, seconds, "-", "-", "-"
    mapped = max(0, step.file_after - step.file_before)
    return arm, load.model, seconds, bytes_text(step.anon_before), bytes_text(step.anon_after), bytes_text(mapped)


def facts(report: Report) -> list[str]:
    """Machine, software, commands."""
    machine, settings = report.experiment.machine, report.experiment.settings
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    found = [
        f"machine: {machine.cpu}, {machine.granted_cores:g} of {machine.cores} cores, "
        f"{bytes_text(machine.memory_bytes)} of memory, {machine.system}, kernel {machine.kernel}",
        f"software: imgtool {report.experiment.version}, {machine.python}, {libraries}",
        f"weights: {settings.weights}; {'; '.join(f'{name} {what}' for name, what in machine.weights.items())}",
        f"runs: {settings.runs} an arm after {settings.warm_ups} that do not count, "
        + ("the arms taking turns" if settings.interleaved else "arm after arm"),
        f"images: {', '.join(settings.images[:4])}" + (" ..." if len(settings.images) > 4 else ""),
        f"measured {report.experiment.created}",
    ]
    if report.former != report.experiment:
        found.append(f"before was measured {report.former.created}")
    return found + [f"noise: {notice}" for notice in report.experiment.noise.notices]


def commands(report: Report) -> str:
    """What was typed, a line a measurement."""
    typed = dict.fromkeys((report.former.command, report.experiment.command))
    return "\n".join(shlex.join(("imgtool", *words[1:])) for words in typed)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in GitHub's dialect."""
    lines = [heads, ["---"] * len(heads), *([_cell(each) for each in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(words: str) -> str:
    return words if words.startswith("`") and words.endswith("`") else text(words)


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {text(line)}" for line in lines)


def text(words: str) -> str:
    """``words`` so that nothing in them is markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(words.split()))
