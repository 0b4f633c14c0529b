"""The contents of the report of a benchmark, in order, for every format."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from imgtool.bench.data.history import History, trend
from imgtool.bench.data.record import ArmKind, Experiment
from imgtool.bench.gate.baseline import against
from imgtool.bench.gate.judgement import CheckOutcome, Judgement
from imgtool.bench.report import advice, charts
from imgtool.bench.report.findings import LEGEND, Findings, failure_sentence, heading, versus_text
from imgtool.bench.report.model_loads import HEADS as LOAD_HEADS
from imgtool.bench.report.model_loads import load_note, load_rows
from imgtool.bench.report.units import (
    SUMMARY_HEADS,
    bytes_text,
    median_text,
    metric_text,
    seconds_text,
    share_text,
    summary_texts,
)
from imgtool.bench.stats.statistics import summarise
from imgtool.errors import UsageProblem
from imgtool.formats.clean import well_formed
from imgtool.page.document import Block, Bullets, Code, Facts, Paragraph, Section, Table, as_html


@dataclass(frozen=True)
class Report:
    """What is reported. ``former`` is an earlier experiment to compare with, ``history`` all runs of a folder; ``arm``
    is the arm whose phases are explained, by default the one that :func:`imgtool.bench.report.advice.default_arm`
    chooses.
    """

    experiment: Experiment
    judgement: Judgement | None = None
    history: History | None = None
    former: Experiment | None = None
    arm: str | None = None


def html_report(report: Report, title: str = "imgtool bench") -> str:
    """The report as one page that needs no network, no second file and no script."""
    experiment, machine = report.experiment, report.experiment.machine
    about = f"{experiment.created} · imgtool {experiment.version} · {machine.cpu}, {machine.granted_cores:g} cores"
    return well_formed(as_html(title, about, sections(report)))


def sections(report: Report) -> list[Section]:
    """All sections; one without blocks is not shown.

    Raises:
        UsageProblem: there is no arm ``report.arm``.
        imgtool.errors.UsageProblem: ``report.former`` cannot be compared with.
    """
    findings = Findings(report.experiment)
    arms = report.experiment.arms
    names = [arm.name for arm in arms]
    if report.arm is not None and report.arm not in names:
        raise UsageProblem(f"there is no arm {report.arm!r}", f"arms are {', '.join(names)}")
    arm = report.arm or advice.default_arm(report.experiment)
    memory = charts.memory(findings)
    loads = load_rows(findings)
    # Targets and advice are about what imgtool gains on the plain program.
    eager = len(arms) > 1 and any(a.name == findings.reference and a.kind is ArmKind.EAGER for a in arms)
    return [
        Section("", list(_head(findings, report.judgement, arm))),
        Section("All runs", list(_runs(findings))),
        Section("Against the earlier benchmark", list(_former(report.experiment, report.former))),
        Section("Where the time to the first result goes", list(_phases(findings, arm))),
        Section("What is left", list(_remainders(findings, arm)) if eager else ()),
        Section("Targets", list(_targets(findings, arm)) if eager else ()),
        Section("Memory at the peak", [memory] if memory else ()),
        Section(
            "Loading each model",
            [Table(LOAD_HEADS, loads, (0, 1)), Paragraph(load_note(findings), "quiet")] if loads else (),
            folded=True,
        ),
        Section("All figures", list(_figures(findings)), folded=True),
        Section("Over time", list(_history(report.history))),
        Section("Environment and method", list(_method(report.experiment, findings)), folded=True),
    ]


def _head(findings: Findings, judgement: Judgement | None, arm: str) -> Iterator[Block]:
    """The verdict, then its details."""
    if judgement is not None and judgement.checks:
        noise = f"; {findings.noise}" if findings.noise else ""
        yield Paragraph(f"Gate {judgement.verdict}{noise}", f"verdict {judgement.outcome.value}")
        order = (CheckOutcome.FAILED, CheckOutcome.INCONCLUSIVE, CheckOutcome.PASSED)
        checks = sorted(judgement.checks, key=lambda check: order.index(check.outcome))
        yield Bullets([check.text for check in checks], [check.outcome.value for check in checks])
        yield Bullets(judgement.notices)
    else:
        yield Paragraph(findings.headline(arm), "verdict")
    yield Bullets(findings.sentences)
    for sample in findings.failures:
        yield Paragraph(failure_sentence(sample), "failed")
        if tail := sample.stderr_tail.strip():
            yield Code(tail)
    yield Bullets([f"noise: {line}" for line in findings.advice], style="notes")


def _runs(findings: Findings) -> Iterator[Block]:
    strips = list(charts.strips(findings))
    yield from strips
    if strips:
        yield Paragraph(LEGEND, "quiet")


def _former(experiment: Experiment, former: Experiment | None) -> Iterator[Block]:
    """Each arm against the arm of its name in an earlier experiment."""
    if former is None:
        return
    baseline = against(experiment, former, across_machines=True)
    rows = []
    for found in baseline.all_compared():
        if found.values and found.reference:
            medians = [summarise(values) for values in (found.reference, found.values)]
            shown = [f"{m.median:.3g} times" if found.ratios else median_text(found.metric, m) for m in medians]
            name = found.arm + Findings(experiment).state_text(found.page_cache)
            rows.append((name, metric_text(found.metric), *shown, versus_text(found.metric, found.comparison)))
    yield Bullets(
        [
            f"the earlier benchmark was made {former.created}, in another session: drift between the two is in every "
            "ratio",
            *baseline.notices,
        ]
    )
    yield Table(("arm", "figure", "earlier", "now", "verdict"), rows, (0, 1, 4))


def _phases(findings: Findings, arm: str) -> Iterator[Block]:
    if chart := charts.phases(findings):
        yield chart
    found = advice.gains(findings.experiment, findings.reference, arm) if arm != findings.reference else []
    if found:
        rows = [
            (
                each.group,
                seconds_text(each.before),
                seconds_text(each.after),
                f"{'' if each.before >= each.after else '−'}{seconds_text(abs(each.before - each.after))}",
                "-" if each.share is None else share_text(round(each.share, 3)),
            )
            for each in found
            if max(each.before, each.after) >= 0.0005
        ]
        heads = ("until the first result", findings.reference, arm, "saved", "share of all savings")
        yield Table(heads, rows, caption=f"What {arm} saves")
        yield Paragraph(
            "Medians over the runs. Every moment is given to one phase, so that a column sums to about the time of the "
            "first result.",
            "quiet",
        )


def _remainders(findings: Findings, arm: str) -> Iterator[Block]:
    rows = [
        (
            each.phase,
            seconds_text(each.seconds),
            share_text(round(each.share, 3)),
            f"{each.option}: {each.why}" if each.option else each.why,
        )
        for each in advice.remainders(findings.experiment, findings.experiment.arm(arm))
    ]
    if rows:
        caption = f"The longest phases of {arm} until its first result"
        yield Table(("phase", "seconds", "share", "what would reduce it"), rows, (0, 3), caption=caption)


def _targets(findings: Findings, arm: str) -> Iterator[Block]:
    words = {True: "yes", False: "no", None: "not measured"}
    rows = [(check.text, check.measured or "-", words[check.met]) for check in advice.targets(findings.experiment, arm)]
    yield Table(("target", "measured", "met"), rows, (0, 1, 2), caption=f"{arm} against {findings.reference}")
    yield Table(("option", "effect"), advice.SWITCHES, (0, 1), caption="How each fast path is switched off")


def _figures(findings: Findings) -> Iterator[Block]:
    for metric in findings.metrics:
        rows = [
            (
                row.name,
                *summary_texts(metric, row.summary),
                ", ".join(f"run {run}" for run in row.outlier_runs) or "none",
            )
            for row in findings.rows(metric)
        ]
        yield Table(("arm", *SUMMARY_HEADS, "outliers"), rows, caption=heading(metric))


def _history(history: History | None) -> Iterator[Block]:
    if history is None:
        return
    if len(history.runs) > 1:
        series = trend(history.runs)
        yield from charts.trends(series)
        changes = dict.fromkeys(change for one in series for point in one.points for change in point.changes)
        if changes:
            yield Paragraph("A dotted line joins runs that cannot be compared, because something changed between them:")
            yield Bullets(list(changes))
    if history.notices:
        yield Bullets(history.notices)


def _method(experiment: Experiment, findings: Findings) -> Iterator[Block]:
    machine, settings, noise = experiment.machine, experiment.settings, experiment.noise
    order = "arms took turns (ABBA)" if settings.interleaved else "one arm after the other"
    methods = dict.fromkeys(sample.memory.method for sample in experiment.samples if sample.memory)
    foreign = all(arm.kind is ArmKind.COMMAND for arm in experiment.arms)
    warm_ups = f"{settings.warm_ups} warm-up run{'' if settings.warm_ups == 1 else 's'}"
    codes = "all" if settings.ignored_codes is None else ", ".join(map(str, settings.ignored_codes))
    load = None if noise.load_before is None else f"{noise.load_before:.2f} before, {noise.load_after or 0:.2f} after"
    facts = {
        "processor": f"{machine.cpu}, {machine.granted_cores:g} of {machine.cores} cores granted",
        "features": " ".join(machine.cpu_features),
        "memory": bytes_text(machine.memory_bytes),
        "system": f"{machine.system}, kernel {machine.kernel}",
        "Python": machine.python,
        "threads": ", ".join(
            [*([] if foreign else [str(machine.threads)]), *(f"{k}={v}" for k, v in machine.thread_settings.items())]
        ),
        "libraries": ", ".join(f"{name} {version}" for name, version in machine.libraries.items()),
        "weights": "; ".join(
            [*filter(None, [settings.weights]), *(f"{name}: {what}" for name, what in machine.weights.items())]
        ),
        "runs": f"{settings.runs} an arm after {warm_ups}, each a fresh process; {order}",
        "images": ", ".join(settings.images[:4]) + (" ..." if len(settings.images) > 4 else ""),
        "tasks": ", ".join(settings.tasks),
        "page cache": None if foreign else " and ".join(state.value for state in settings.page_cache),
        "shell": f"its start, {seconds_text(experiment.shell_seconds)}, is not counted"
        if experiment.shell_seconds
        else None,
        "exit codes that are no failure": codes,
        "memory was read": "; ".join(methods),
        "load average": load,
        "stolen": None if noise.steal_share is None else f"{noise.steal_share:.1%} of the time, by other machines",
        "swapped": None if noise.swapped_bytes is None else bytes_text(noise.swapped_bytes),
        "governor": noise.governor,
        "temperature": None if noise.temperature_celsius is None else f"{noise.temperature_celsius:.0f} °C",
        "throttled": None if noise.throttled is None else f"{noise.throttled} times",
        "busy processes": ", ".join(noise.busy_processes),
        "outliers": "; ".join(findings.outliers),
        "measured": f"{experiment.created}, with imgtool {experiment.version}",
    }
    yield Facts({name: value for name, value in facts.items() if value})
    yield Code(shlex.join(experiment.command), caption="The command")
    for arm in experiment.arms:
        yield Code(shlex.join(arm.command), caption=f"{arm.name}: {arm.summary}" if arm.summary else arm.name)
        for name in ("setup", "prepare", "cleanup"):
            if words := getattr(arm, name):
                yield Code(shlex.join(words), caption=f"{arm.name}, {name}")
