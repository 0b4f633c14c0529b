"""An experiment as one HTML file: the verdict in words, every sample, where time and memory went, and on what machine.

It needs no network, no second file and no script; a Content-Security-Policy allows nothing but its own style sheet.
Whatever comes from an experiment (names of arms, what programs said) is escaped.
"""

from __future__ import annotations

import shlex
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files

from imgtool.bench.data.history import History, trend
from imgtool.bench.data.record import Arm, Experiment, Machine, Metric, Noise, Settings
from imgtool.bench.gate.judgement import Judgement, Outcome
from imgtool.bench.report import charts
from imgtool.bench.report.findings import LEGEND, Findings, failure_sentence, heading, state_text
from imgtool.bench.report.model_loads import HEADS as LOAD_HEADS
from imgtool.bench.report.model_loads import load_note, load_rows
from imgtool.bench.report.units import SUMMARY_HEADS, summary_texts
from imgtool.bench.report.wording import bytes_text
from imgtool.formats.clean import well_formed


def render(experiment: Experiment, judgement: Judgement | None = None, history: History | None = None) -> str:
    """The whole page. ``history`` adds a plot of medians over runs."""
    findings = Findings(experiment)
    style = (files(__package__) / "report.css").read_text(encoding="ascii")
    digest = b64encode(sha256(style.encode("ascii")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "".join(
        f"<section><h2>{escape(title)}</h2>{content}</section>" for title, content in _sections(findings, history)
    )
    return well_formed(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>imgtool bench, {escape(experiment.created)}</title><style>{style}</style></head>\n<body>"
        f"{_header(experiment)}<main>{_verdict(findings, judgement)}{body}</main></body></html>\n"
    )


def _header(experiment: Experiment) -> str:
    machine = experiment.machine
    facts = f"{experiment.created} · imgtool {experiment.version} · {machine.cpu}, {machine.granted_cores:g} cores"
    return f"<header><h1>imgtool bench</h1><p>{escape(facts)}</p></header>"


def _verdict(findings: Findings, judgement: Judgement | None) -> str:
    sentences = findings.sentences
    if judgement is not None and judgement.checks:
        head = f'<p class="{judgement.outcome.value}">{escape(f"Gate {judgement.verdict}")}</p>'
    else:
        head = f"<p>{escape(findings.headline)}</p>"
    return f'<section class="card verdict">{head}{_checks(judgement)}{_list(sentences)}{_failures(findings)}</section>'


def _checks(judgement: Judgement | None) -> str:
    if judgement is None:
        return ""
    ordered = sorted(judgement.checks, key=lambda check: list(Outcome).index(check.outcome) != 1)
    rows = [
        f'<li><span class="mark {check.outcome.value}">{check.outcome.value}</span> {escape(check.text)}</li>'
        for check in ordered
    ]
    rows += [f'<li class="quiet">{escape(notice)}</li>' for notice in judgement.notices]
    return f'<ul class="plain">{"".join(rows)}</ul>' if rows else ""


def _failures(findings: Findings) -> str:
    return "".join(
        f'<p class="failed">{escape(failure_sentence(sample))}</p>'
        + (f"<pre>{escape(sample.stderr_tail.strip())}</pre>" if sample.stderr_tail.strip() else "")
        for sample in findings.failures
    )


def _sections(findings: Findings, history: History | None) -> Iterator[tuple[str, str]]:
    experiment = findings.experiment
    contents = [
        ("Every sample", "".join(charts.strips(findings)) + _key()),
        ("Where the time to the first result goes", charts.phases(findings)),
        ("Memory at the peak", charts.memory(findings)),
        ("Loading each model", _loads(findings)),
        ("All figures", _figures(findings)),
        ("Over time", _history(history)),
        ("Noise", _noise(findings)),
        ("Environment", _facts(_environment(experiment.machine))),
        ("How it was measured", _facts(_method(experiment)) + _notices(history)),
        ("Measure it again", _commands(experiment)),
    ]
    for title, content in contents:
        if content:
            yield title, f'<div class="card">{content}</div>'


def _key() -> str:
    return (
        '<p class="legend">A dot is a fresh process; the line is the median, the band its 95 % interval; '
        "hollow dots stand apart and are counted.</p>"
    )


def _loads(findings: Findings) -> str:
    rows = load_rows(findings)
    return _table(LOAD_HEADS, rows, numbers=5) + f'<p class="legend">{escape(load_note(findings))}</p>' if rows else ""


def _figures(findings: Findings) -> str:
    names = ("arm", *SUMMARY_HEADS, "apart")
    tables = "".join(
        f"<h3>{escape(heading(metric))}</h3>" + _table(names, _figure_rows(findings, metric), numbers=8)
        for metric in findings.metrics
    )
    return tables and f'{tables}<p class="legend">{escape(LEGEND)}</p>'


def _figure_rows(findings: Findings, metric: Metric) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for row in findings.rows(metric):
        name = row.arm + state_text(row.page_cache, findings.page_caches)
        apart = ", ".join(f"run {run}" for run in findings.outlier_runs(metric, row))
        rows.append((name, *summary_texts(metric, row.summary), apart or "none"))
    return rows


def _history(history: History | None) -> str:
    if history is None or len(history.runs) < 2:
        return ""
    series = trend(history.runs)
    changes = dict.fromkeys(change for one in series for point in one.points for change in point.changes)
    said = "<p>Dotted: not to be compared, because something changed in between.</p>" if changes else ""
    return "".join(charts.trends(series)) + said + _list(changes)


def _noise(findings: Findings) -> str:
    facts = _facts(_noise_facts(findings.experiment.noise))
    said = _list(findings.advice) or "<p>Nothing that would make these figures doubtful was seen.</p>"
    return said + facts


def _noise_facts(noise: Noise) -> dict[str, str]:
    known = {
        "load average": _pair(noise.load_before, noise.load_after),
        "stolen": None if noise.steal_share is None else f"{noise.steal_share:.1%} of the time, by other machines",
        "swapped": None if noise.swapped_bytes is None else bytes_text(noise.swapped_bytes),
        "governor": noise.governor,
        "temperature": None if noise.temperature_celsius is None else f"{noise.temperature_celsius:.0f} °C",
        "throttled": None if noise.throttled is None else f"{noise.throttled} times",
        "busy processes": ", ".join(noise.busy_processes) or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _pair(before: float | None, after: float | None) -> str | None:
    return None if before is None or after is None else f"{before:.2f} before, {after:.2f} after"


def _environment(machine: Machine) -> dict[str, str]:
    return {
        "processor": f"{machine.cpu}, {machine.cores} cores, {machine.granted_cores:g} granted",
        "features": " ".join(machine.cpu_features) or "unknown",
        "memory": bytes_text(machine.memory_bytes),
        "system": f"{machine.system} {machine.kernel}",
        "Python": machine.python,
        "threads": ", ".join([str(machine.threads), *(f"{k}={v}" for k, v in machine.thread_settings.items())]),
        "libraries": ", ".join(f"{name} {version}" for name, version in machine.libraries.items()) or "none",
        "weights": ", ".join(f"{name}: {version}" for name, version in machine.weights.items()) or "none",
    }


def _method(experiment: Experiment) -> dict[str, str]:
    settings: Settings = experiment.settings
    order = "arms took turns (ABBA)" if settings.interleaved else "one arm after the other"
    methods = dict.fromkeys(sample.memory.method for sample in experiment.samples if sample.memory)
    return {
        "runs": f"{settings.runs} an arm after {settings.warm_ups} to warm up, each a fresh process; {order}",
        "images": ", ".join(settings.images) or "none",
        "tasks": ", ".join(settings.tasks) or "none",
        "weights": settings.weights,
        "page cache": " and ".join(state.value for state in settings.page_cache),
        "memory": "; ".join(methods) or "not measured",
    }


def _notices(history: History | None) -> str:
    return _list(history.notices) if history is not None else ""


def _commands(experiment: Experiment) -> str:
    whole = f"<pre>{escape(shlex.join(experiment.command))}</pre>"
    return whole + "".join(_arm(arm) for arm in experiment.arms)


def _arm(arm: Arm) -> str:
    summary = f": {arm.summary}" if arm.summary else ""
    return f"<h3>{escape(arm.name + summary)}</h3><pre>{escape(shlex.join(arm.command))}</pre>"


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{rows}</dl>" if rows else ""


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int) -> str:
    """A table whose last ``numbers`` columns are set to the right; empty where there are no rows."""
    if not rows:
        return ""
    text = len(names) - numbers
    head = "".join(f"<th{_number(place >= text)}>{escape(name)}</th>" for place, name in enumerate(names))
    body = "".join(
        "<tr>" + "".join(f"<td{_number(place >= text)}>{escape(cell)}</td>" for place, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _number(is_number: bool) -> str:
    return ' class="number"' if is_number else ""
