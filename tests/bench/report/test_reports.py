"""Reports of a benchmark: what a person reads, from experiments whose figures are known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median, stdev

import pytest
from msgspec.structs import replace

from imgtool.bench.data.history import append, load_history
from imgtool.bench.data.record import Arm, ArmKind, Experiment, Metric, Noise, PageCache, Sample
from imgtool.bench.gate.gate import judge, parse_budgets
from imgtool.bench.measure.shares import OTHER, median_shares, shares
from imgtool.bench.report import html as report_html
from imgtool.bench.report import markdown as report_markdown
from imgtool.bench.report import tables
from imgtool.bench.report.findings import Findings
from tests.bench.sample_experiments import BOTH, experiment, machine, sample
from tests.browser import CHROMIUM, Browser

HOSTILE = "<img src=x onerror=document.title='owned'>"
WORDS = "</pre></script><script>document.title='owned'</script>"


def hostile() -> Experiment:
    """An arm whose name and words would be markup if they were not escaped; it failed."""
    made = experiment({"eager": 5.0, "compiled": 0.45})
    bad = replace(
        made.samples[-1], arm=HOSTILE, error=f"exited with code 1 {WORDS}", stderr_tail=f"| a\n\x1b[31m{WORDS}"
    )
    arm = Arm(name=HOSTILE, kind=ArmKind.COMMAND, command=("sh", "-c", WORDS))
    return replace(made, arms=(*made.arms, arm), samples=(*made.samples, bad))


def beside(made: Experiment) -> Experiment:
    """``made`` with a second model that every sample of ``lazy`` loads beside the first, and others after it."""

    def more(one: Sample) -> Sample:
        assert one.memory is not None
        load = next(phase for phase in one.phases if phase.name == "load blip")
        began = load.began + (0.5 if one.arm == "lazy" else 1.0) * load.seconds
        second = replace(load, name="load easyocr", began=began, seconds=2 * load.seconds)
        steps = (*one.memory.steps, replace(one.memory.steps[0], model="easyocr", anon_after=int(7e8)))
        return replace(one, phases=(*one.phases, second), memory=replace(one.memory, steps=steps))

    return replace(made, samples=tuple(map(more, made.samples)))


def text(**changes: object) -> str:
    return tables.render(experiment(**changes), width=100, color=False)  # type: ignore[arg-type]


class TestTables:
    def test_says_who_is_how_many_times_faster_with_the_interval(self) -> None:
        sentence = Findings(experiment()).headline
        found = re.fullmatch(r"compiled starts (\S+) \((\S+)\.\.(\S+)\) times faster than eager", sentence)
        assert found is not None, sentence
        estimate, low, high = map(float, found.groups())
        assert low <= estimate <= high
        assert low < 5.0 / 0.45 < high

    def test_has_median_deviation_range_and_runs_of_every_arm(self) -> None:
        made = experiment(runs=7)
        out = tables.render(made, width=100, color=False)
        for arm in ("eager", "lazy", "compiled"):
            values = made.values(arm, Metric.STARTUP)
            row = next(line for line in out.splitlines() if line.startswith(f"{arm} "))
            unit = 1.0 if arm != "compiled" else 1e-3
            shown = f"{min(values) / unit:.{2 if unit == 1 else 0}f}..{max(values) / unit:.{2 if unit == 1 else 0}f}"
            assert shown in row
            assert re.search(r" 7  ", row)

    def test_equal_arms_are_said_to_be_so(self) -> None:
        assert "b starts as fast as a, within 5 %" in text(arms={"a": 2.0, "b": 2.0}, spread=0.005)

    def test_a_slower_arm_is_called_slower(self) -> None:
        assert re.search(r"b starts 1\.[45]\S* \(\S+\) times slower than a", text(arms={"a": 2.0, "b": 3.0}))

    def test_memory_is_less_not_faster(self) -> None:
        rows = [line for line in text().split("peak of resident memory")[1].splitlines() if line.startswith("compiled")]
        assert "times less" in rows[0]

    def test_advises_what_to_do_about_noise(self) -> None:
        assert re.search(
            r"spread is \d+ % .*: close other programs, or raise --runs", " ".join(text(spread=0.2).split())
        )
        assert "spread is" not in text(spread=0.02)

    def test_names_outliers_by_run_and_figure(self) -> None:
        made = experiment({"a": 2.0}, runs=10)
        wild = [replace(s, startup=9.0) if s.run == 3 else s for s in made.samples]
        out = tables.render(replace(made, samples=tuple(wild)), width=100, color=False)
        assert "a, run 4: startup 9.00 s" in out

    def test_both_states_of_the_page_cache_stand_side_by_side(self) -> None:
        made = experiment(states=BOTH)
        out = tables.render(made, width=100, color=False)
        row = next(line for line in out.splitlines() if line.startswith("eager "))
        warm, cold = (made.values("eager", Metric.STARTUP, state) for state in BOTH)
        for values in (warm, cold):
            middle = sorted(values)[4:6]
            assert f"{sum(middle) / 2:.2f} ±" in row
        assert "from a cold page cache, compiled starts" in out

    def test_a_failed_arm_shows_its_reason_and_words_and_the_others_go_on(self) -> None:
        out = tables.render(hostile(), width=100, color=False)
        assert "failed in run 10: exited with code 1" in " ".join(out.split())
        assert "\x1b" not in out
        assert re.search(r"compiled \S+ 11\.\d", out)

    def test_an_experiment_without_a_single_success_still_prints(self) -> None:
        made = experiment({"a": 1.0}, runs=2)
        failed = tuple(replace(s, error="was killed by SIGSEGV", stderr_tail="boom") for s in made.samples)
        out = tables.render(replace(made, samples=failed), width=80, color=False)
        assert "a failed in its warm-up run: was killed by SIGSEGV" in out
        assert "boom" in out
        assert "No run succeeded" in report_html.render(replace(made, samples=failed))

    def test_a_reference_without_figures_makes_others_not_comparable(self) -> None:
        made = experiment({"a": 1.0, "b": 1.0}, runs=3)
        without = tuple(replace(s, memory=None) if s.arm == "a" else s for s in made.samples)
        out = tables.render(replace(made, samples=without), width=100, color=False)
        memory = out.split("peak of resident memory")[1]
        assert "not comparable" in memory
        assert "reference" not in memory.split("Summary")[0].replace("against", "")

    @pytest.mark.parametrize("width", [60, 72, 80, 100, 120, 160, 200])
    @pytest.mark.parametrize("color", [False, True])
    def test_nothing_is_wider_than_the_terminal_and_no_figure_is_cut(self, width: int, color: bool) -> None:
        made = experiment(
            {"eager": 5.0, "a-name-of-forty-characters-as-long-as-any": 0.0123, "x": 171.3}, states=BOTH, spread=0.2
        )
        judged = judge(made, "eager", parse_budgets({"fail_slower": "10%", "max_startup": "2s"}))
        for one in (made, experiment(), hostile()):
            out = tables.render(one, width=width, color=color, judgement=judged)
            plain = re.sub(r"\x1b\[[0-9;]*m", "", out)
            assert max(map(len, plain.splitlines())) <= width
            assert "…" not in plain
            assert ("\x1b[" in out) is color

    def test_the_judgement_is_said_with_every_check(self) -> None:
        made = experiment()
        judged = judge(made, "eager", parse_budgets({"fail_slower": "10%", "max_startup": "2s"}))
        out = tables.render(made, width=200, color=False, judgement=judged)
        assert f"Gate {judged.verdict}" in out
        for check in judged.checks:
            assert check.text in out


class TestShares:
    def test_add_up_to_the_first_result(self) -> None:
        one = sample("a", 0, 0, 2.0, PageCache.WARM)
        found = shares(one)
        assert sum(found.values()) == pytest.approx(one.first_result)
        assert found["imports"] == pytest.approx(1.0)
        assert found[OTHER] == pytest.approx(0.1)

    def test_of_phases_that_overlap_a_moment_belongs_to_the_last_begun(self) -> None:
        one = sample("a", 0, 0, 2.0, PageCache.WARM)
        inner = replace(one.phases[1], name="inner", began=0.5, seconds=0.2)
        found = shares(replace(one, phases=(*one.phases, inner)))
        assert found["inner"] == pytest.approx(0.2)
        assert found["imports"] == pytest.approx(0.8)
        assert sum(found.values()) == pytest.approx(one.first_result)

    def test_tasks_that_compute_at_once_share_their_moments(self) -> None:
        one = replace(sample("a", 0, 0, 2.0, PageCache.WARM), first_result=4.0)
        text, caption = (replace(one.phases[1], name=name, began=1.0) for name in ("text", "caption"))
        found = shares(replace(one, phases=(replace(text, seconds=3.0), replace(caption, seconds=2.0))))
        assert found == pytest.approx({OTHER: 1.0, "text": 2.0, "caption": 1.0})

    def test_medians_come_in_the_order_of_the_phases(self) -> None:
        names = list(median_shares(experiment(), "eager"))
        assert names == ["interpreter", "imports", "load blip", "caption", OTHER]


class TestMarkdown:
    def test_has_the_sentence_and_a_row_an_arm(self) -> None:
        out = report_markdown.render(experiment())
        assert re.match(r"### compiled starts \S+ \(\S+\) times faster than eager\n", out)
        assert re.search(
            r"^\| compiled \| \d+ ± \d+ ms \| \d+\.\.\d+ ms \| 10 \| \S+ \(\S+\) times faster \|$", out, re.M
        )

    def test_has_every_figure_folded_away(self) -> None:
        made = experiment({"eager": 5.0, "lazy": 4.6}, runs=7)
        out = report_markdown.render(made)
        folded = out.partition("<details><summary>All figures</summary>")[2].partition("</details>")[0]
        assert "| arm | mean | min | max | deviation | median | its interval | runs |" in folded
        assert folded.count("\n| lazy | ") == len(Findings(made).metrics)
        values = made.values("lazy", Metric.STARTUP)
        figures = (mean(values), min(values), max(values), stdev(values), median(values))
        assert f"| lazy | {' | '.join(f'{figure:.2f} s' for figure in figures)} | " in folded

    def test_says_what_deviations_and_intervals_are_of(self) -> None:
        out = report_markdown.render(experiment())
        assert "± is the standard deviation of the runs" in out
        assert "(a..b) is the 98 % interval of the ratio before it" in out

    def test_has_the_seconds_of_each_model_and_its_memory_where_that_can_be_told(self) -> None:
        out = report_markdown.render(beside(experiment({"eager": 5.0, "lazy": 4.6}, spread=0.0)))
        folded = out.partition("<details><summary>Loading each model</summary>")[2].partition("</details>")[0]
        assert "| eager | blip | 2.00 s | 50 MB | 1.00 GB | 10 MB | 90 MB |" in folded
        assert "| eager | easyocr | 4.00 s | 50 MB | 700 MB | 10 MB | 90 MB |" in folded
        assert "| lazy | blip | 1.84 s | - | - | - | - |" in folded
        assert "lazy loads models side by side: what each of them takes cannot be told apart" in folded
        assert "eager loads" not in folded

    def test_says_the_verdict_of_the_gate_first(self) -> None:
        made = experiment()
        judged = judge(made, "eager", parse_budgets({"max_startup": "2s"}))
        assert report_markdown.render(made, judged).startswith("### ❌ Benchmark failed: ")

    def test_hostile_names_are_neither_tags_nor_tables_nor_mentions(self) -> None:
        made = replace(hostile(), arms=(*hostile().arms, Arm(name="@team|x", kind=ArmKind.COMMAND)))
        made = replace(made, samples=(*made.samples, replace(made.samples[0], arm="@team|x", error="#1 `x`")))
        out = report_markdown.render(made)
        prose = "\n".join(line for line in out.splitlines() if not line.startswith("    "))
        assert not re.search(r"<(?!/?details>|/?summary>|br>)", prose)
        assert "\\@team\\|x" in out
        assert "\\#1 \\`x\\`" in out


class TestHtml:
    def test_escapes_whatever_comes_from_an_experiment(self) -> None:
        page = report_html.render(hostile())
        assert "<img" not in page
        assert "<script" not in page
        assert "&lt;img src=x" in page

    def test_draws_every_counted_sample_as_a_dot(self) -> None:
        made = experiment(runs=6)
        page = report_html.render(made)
        metrics = len(Findings(made).metrics)
        assert len(re.findall(r'<circle class="dot', page)) == 6 * 3 * metrics

    def test_asks_for_nothing_from_elsewhere(self) -> None:
        page = report_html.render(experiment())
        assert "default-src 'none'" in page.replace("&#x27;", "'")
        assert not re.search(r"(?:src|href)=|url\(|@import|https?:", page)

    def test_has_environment_noise_and_the_command_to_repeat_it(self) -> None:
        noise = Noise(notices=("load average is 3.2 on 2 cores: close other programs",), steal_share=0.031)
        page = report_html.render(experiment(noise=noise))
        for fact in (
            "Planted CPU 3000",
            "imgtool bench --runs 10",
            "imgtool analyze",
            "close other programs",
            "3.1% of",
        ):
            assert fact in page

    def test_shows_memory_around_each_model_by_medians_of_good_runs(self) -> None:
        page = report_html.render(hostile())
        cell = r"<td class=\"number\">([^<]*)</td>"
        rows = re.findall(rf"<tr><td>([^<]*)</td><td>blip</td>{cell}{cell}", page)
        assert [(arm, before) for arm, _, before in rows] == [("eager", "50 MB"), ("compiled", "50 MB")]
        assert [seconds.split()[1] for _, seconds, _ in rows] == ["s", "ms"]

    def test_models_that_load_side_by_side_have_no_memory_of_their_own(self) -> None:
        page = report_html.render(beside(experiment({"eager": 5.0, "lazy": 4.6})))
        cell = r"<td class=\"number\">([^<]*)</td>"
        rows = re.findall(rf"<tr><td>([^<]*)</td><td>easyocr</td>{cell}{cell}{cell}", page)
        assert [(arm, *memory) for arm, _, *memory in rows] == [("eager", "50 MB", "700 MB"), ("lazy", "-", "-")]
        assert re.findall(rf"<td>([^<]*)</td><td>all together</td>{cell}", page)[0][0] == "lazy"
        assert "lazy loads models side by side" in page

    def test_says_what_deviations_and_intervals_are_of(self) -> None:
        page = report_html.render(experiment())
        assert "± is the standard deviation of the runs" in page
        assert "(a..b) is the 98 % interval of the ratio before it" in page

    def test_draws_the_trend_of_a_history_and_breaks_it_where_the_machine_changed(self, tmp_path: Path) -> None:
        for day in range(1, 5):
            kernel = "6.1.0" if day < 3 else "6.2.0"
            append(
                tmp_path, experiment(created=f"2030-01-0{day}T00:00:00+00:00", machine=machine(kernel=kernel), runs=3)
            )
        page = report_html.render(experiment(runs=3), None, load_history(tmp_path))
        lines = re.findall(r'<line class="trend c\d(?: cold)?( broken)?"', page)
        series = 3 * 4  # arms; startup, first result, seconds an image, memory
        assert len(lines) == 3 * series
        assert lines.count(" broken") == series
        assert "kernel: 6.1.0 → 6.2.0" in page

    def test_a_single_run_has_no_trend(self, tmp_path: Path) -> None:
        append(tmp_path, experiment(runs=1))
        assert "Over time" not in report_html.render(experiment(runs=1), None, load_history(tmp_path))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_html.render(hostile(), judge(hostile(), "eager", parse_budgets({"fail_slower": "10%"}))))
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
