"""A benchmark as JUnit XML: what a reader of test results finds in it."""

from __future__ import annotations

from xml.etree import ElementTree

from msgspec.structs import replace

from imgtool.bench.data.record import Metric
from imgtool.bench.gate.budgets import Budgets
from imgtool.bench.gate.checks import judge
from imgtool.bench.report.junit import junit_report
from tests.bench.judged import around
from tests.bench.judged import experiment as of_figures
from tests.bench.sample_experiments import experiment, hostile


def suite(text: str) -> ElementTree.Element:
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    (found,) = root.findall("testsuite")
    cases = found.findall("testcase")
    for element in (root, found):
        assert int(element.attrib["tests"]) == len(cases)
        assert int(element.attrib["failures"]) == len(found.findall("testcase/failure"))
        assert int(element.attrib["errors"]) == len(found.findall("testcase/error"))
    return found


def test_each_check_is_a_case_and_says_why_it_failed() -> None:
    made = of_figures({"base": {Metric.WALL: around(1)}, "head": {Metric.WALL: around(2)}})
    judged = judge(made, "base", Budgets(fail_slower=0.1, max_wall=5.0))
    found = suite(junit_report(made, judged))
    cases = found.findall("testcase")
    assert [case.attrib["classname"] for case in cases] == [check.arm for check in judged.checks]
    assert len({(case.attrib["classname"], case.attrib["name"]) for case in cases}) == len(cases)
    (failure,) = found.findall("testcase/failure")
    assert "at most +10.0 % is allowed" in failure.attrib["message"]
    assert float(found.attrib["time"]) > 0
    assert "at most 5.00 s is allowed" in str(found.findtext("testcase/system-out"))


def test_what_is_inconclusive_is_an_error_and_no_pass() -> None:
    made = of_figures({"base": {Metric.WALL: around(1, runs=2)}, "head": {Metric.WALL: around(1, runs=2)}})
    found = suite(junit_report(made, judge(made, "base", Budgets(fail_slower=0.1))))
    assert [error.attrib["type"] for error in found.findall("testcase/error")] == ["inconclusive"]


def test_without_a_gate_each_arm_is_a_case() -> None:
    made = experiment()
    found = suite(junit_report(made, None))
    assert [case.attrib["classname"] for case in found.findall("testcase")] == [arm.name for arm in made.arms]
    broken = replace(
        made, samples=(replace(made.samples[0], error="exited with code 9", stderr_tail="planted"), *made.samples[1:])
    )
    (failure,) = suite(junit_report(broken, None)).findall("testcase/failure")
    assert "exited with code 9" in failure.attrib["message"]
    assert "planted" in str(failure.text)


def test_the_noise_is_a_property() -> None:
    properties = suite(junit_report(experiment(spread=0.2), None)).findall("properties/property")
    assert "spread up to" in {each.attrib["name"]: each.attrib["value"] for each in properties}["noise"]


def test_hostile_names_make_no_markup() -> None:
    made = hostile()
    text = junit_report(made, None)
    assert [case.attrib["name"] for case in suite(text).findall("testcase")] == ["runs"] * len(made.arms)
