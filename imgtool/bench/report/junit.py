"""A benchmark as JUnit XML, which continuous integration shows beside tests: a test case for each check of the gate.

Without a gate there is a case for each arm, which passes if its runs succeeded. The format is what Jenkins, GitLab and
the actions for GitHub read (https://github.com/testmoapp/junitxml): ``failure`` for a check that failed, ``error`` for
one that could not be decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum
from xml.etree import ElementTree

from imgtool.bench.data.record import Experiment, Metric
from imgtool.bench.gate.judgement import Check, CheckOutcome, Judgement
from imgtool.bench.report.findings import Findings, failure_sentence
from imgtool.bench.report.units import median_text, metric_text
from imgtool.formats.clean import printable, printable_prose

_SUITE = "imgtool bench"
_ELEMENTS = {CheckOutcome.FAILED: "failure", CheckOutcome.INCONCLUSIVE: "error"}


def junit_report(experiment: Experiment, judgement: Judgement | None) -> str:
    """The report as a document; times are seconds of the counted runs."""
    findings = Findings(experiment)
    checks = judgement.checks if judgement is not None else ()
    cases = [_case(findings, check) for check in checks] or list(_arms(findings))
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": "0",
        "time": f"{_seconds(experiment):.6f}",
    }
    suite = ElementTree.Element("testsuite", {"name": _SUITE, "timestamp": experiment.created[:19], **counts})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(experiment, findings):
        ElementTree.SubElement(properties, "property", {"name": name, "value": printable_prose(value)})
    suite.extend(cases)
    if judgement is not None and judgement.notices:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(map(printable_prose, judgement.notices))
    root = ElementTree.Element("testsuites", {"name": _SUITE, **counts})
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(findings: Findings, check: Check) -> ElementTree.Element:
    what = "runs" if check.metric is None else metric_text(check.metric)
    against = " against its counterpart" if check.comparison is not None else ""
    state = findings.state_text(check.page_cache)
    case = _element(findings.experiment, check.arm, f"{what}{state}{against}")
    if (name := _ELEMENTS.get(check.outcome)) is not None:
        found = ElementTree.SubElement(
            case, name, {"message": printable_prose(check.text), "type": check.outcome.value}
        )
        found.text = printable_prose(check.text)
    else:
        ElementTree.SubElement(case, "system-out").text = printable_prose(check.text)
    return case


def _arms(findings: Findings) -> Iterator[ElementTree.Element]:
    failures = {sample.arm: sample for sample in findings.failures}
    for arm in findings.experiment.arms:
        case = _element(findings.experiment, arm.name, "runs")
        if (sample := failures.get(arm.name)) is not None:
            said = printable_prose(failure_sentence(sample))
            found = ElementTree.SubElement(case, "failure", {"message": said, "type": "failed"})
            found.text = "\n".join([said, *map(printable, sample.stderr_tail.strip().splitlines())])
        else:
            rows = ((metric, findings.row(arm.name, metric, findings.page_caches[0])) for metric in findings.metrics)
            told = [f"{metric_text(metric)}: {median_text(metric, row.summary)}" for metric, row in rows if row]
            ElementTree.SubElement(case, "system-out").text = "\n".join(told)
        yield case


def _element(experiment: Experiment, arm: str, name: str) -> ElementTree.Element:
    attributes = {"classname": printable_prose(arm), "name": name, "time": f"{_seconds(experiment, arm):.6f}"}
    return ElementTree.Element("testcase", attributes)


def _seconds(experiment: Experiment, *names: str) -> float:
    arms = names or tuple(arm.name for arm in experiment.arms)
    samples = [sample for name in arms for sample in experiment.counted(name)]
    return fsum(value for sample in samples if (value := sample.value(Metric.WALL)) is not None)


def _properties(experiment: Experiment, findings: Findings) -> Iterator[tuple[str, str]]:
    yield "version", experiment.version
    yield "processor", experiment.machine.cpu
    yield "runs", str(experiment.settings.runs)
    yield "noise", findings.noise
    for number, line in enumerate(findings.sentences, 1):
        yield f"summary {number}", line
