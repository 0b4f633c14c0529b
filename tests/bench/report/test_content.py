"""The report of a benchmark, and its page in a real browser, from experiments whose figures are known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from imgtool.bench.data.history import append, load_history
from imgtool.bench.data.record import Noise
from imgtool.bench.gate.budgets import parse_budgets
from imgtool.bench.gate.checks import judge
from imgtool.bench.report.content import Report, html_report
from imgtool.bench.report.findings import Findings
from tests.bench.sample_experiments import beside, experiment, hostile, machine
from tests.browser import CHROMIUM, Browser


def test_escapes_whatever_comes_from_an_experiment() -> None:
    page = html_report(Report(hostile()))
    assert "<img" not in page
    assert "<script" not in page
    assert "&lt;img src=x" in page


def test_draws_every_counted_sample_as_a_dot() -> None:
    made = experiment(runs=6)
    page = html_report(Report(made))
    metrics = len(Findings(made).metrics)
    assert len(re.findall(r'<circle class="dot', page)) == 6 * 3 * metrics


def test_asks_for_nothing_from_elsewhere() -> None:
    page = html_report(Report(experiment()))
    assert "default-src 'none'" in unescape(page)
    assert not re.search(r"(?:src|href)=(?!\"(?:#|data:,))|url\(|@import|https?:", page)


def test_has_environment_noise_and_the_command_to_repeat_it() -> None:
    noise = Noise(notices=("load average is 3.2 on 2 cores: close other programs",), steal_share=0.031)
    page = html_report(Report(experiment(noise=noise)))
    for fact in (
        "Planted CPU 3000",
        "imgtool bench --runs 10",
        "imgtool analyze",
        "close other programs",
        "3.1% of",
    ):
        assert fact in page


def test_shows_memory_around_each_model_by_medians_of_good_runs() -> None:
    page = html_report(Report(hostile()))
    cell = r"<td class=\"number\">([^<]*)</td>"
    rows = re.findall(rf"<tr><td>([^<]*)</td><td>blip</td>{cell}{cell}", page)
    assert [(arm, before) for arm, _, before in rows] == [("eager", "50 MB"), ("compiled", "50 MB")]
    assert [seconds.split()[1] for _, seconds, _ in rows] == ["s", "ms"]


def test_models_that_load_side_by_side_have_no_memory_of_their_own() -> None:
    page = html_report(Report(beside(experiment({"eager": 5.0, "lazy": 4.6}))))
    cell = r"<td class=\"number\">([^<]*)</td>"
    rows = re.findall(rf"<tr><td>([^<]*)</td><td>easyocr</td>{cell}{cell}{cell}", page)
    assert [(arm, *memory) for arm, _, *memory in rows] == [("eager", "50 MB", "700 MB"), ("lazy", "-", "-")]
    assert re.findall(rf"<td>([^<]*)</td><td>all together</td>{cell}", page)[0][0] == "lazy"
    assert "Models of lazy load at the same time" in page


def test_says_what_deviations_and_intervals_are_of() -> None:
    page = html_report(Report(experiment()))
    assert "± is the standard deviation of the runs" in page
    assert "(a..b) is the 98 % confidence interval of the ratio before it" in page


def test_draws_the_trend_of_a_history_and_breaks_it_where_the_machine_changed(tmp_path: Path) -> None:
    for day in range(1, 5):
        kernel = "6.1.0" if day < 3 else "6.2.0"
        append(tmp_path, experiment(created=f"2030-01-0{day}T00:00:00+00:00", machine=machine(kernel=kernel), runs=3))
    page = html_report(Report(experiment(runs=3), history=load_history(tmp_path)))
    lines = re.findall(r'<line class="trend c\d(?: cold)?( broken)?"', page)
    series = 3 * 4  # arms; startup, first result, seconds an image, memory
    assert len(lines) == 3 * series
    assert lines.count(" broken") == series
    assert "kernel: 6.1.0 → 6.2.0" in page


def test_a_single_run_has_no_trend(tmp_path: Path) -> None:
    append(tmp_path, experiment(runs=1))
    assert "Over time" not in html_report(Report(experiment(runs=1), history=load_history(tmp_path)))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html_report(Report(hostile(), judge(hostile(), "eager", parse_budgets({"fail_slower": "10%"})))))
    with Browser() as browser:
        browser.viewport(1280, 900)
        browser.open(path)
        yield browser


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install chromium to run the browser tests")
class TestInABrowser:
    @pytest.mark.parametrize(("width", "dark"), [(400, False), (400, True), (1280, False), (1280, True)])
    def test_nothing_is_wider_than_the_window(self, page: Browser, width: int, dark: bool) -> None:
        page.viewport(width, 900, dark=dark)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        shade = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
        assert (shade < 60) is dark

    def test_nothing_hostile_happened_and_nothing_was_fetched(self, page: Browser) -> None:
        assert page.evaluate("document.title").startswith("imgtool bench")
        assert page.evaluate("document.images.length + document.scripts.length") == 0
        assert page.problems == []
        assert {request.partition(":")[0] for request in page.requests} <= {"file", "about"}

    def test_dots_stay_within_their_drawing(self, page: Browser) -> None:
        page.viewport(400, 900)
        outside = page.evaluate(
            "[...document.querySelectorAll('svg.plot')].filter(plot => [...plot.querySelectorAll('circle, rect')].some("
            "mark => mark.getBoundingClientRect().right > plot.getBoundingClientRect().right + 5)).length"
        )
        assert outside == 0
