"""The performance report: what it says of made-up benchmarks whose truth is known."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from statistics import mean, stdev

import pytest
from msgspec.structs import replace

from imgtool.bench.data.record import (
    Arm,
    ArmKind,
    Experiment,
    Machine,
    Memory,
    MemoryStep,
    Metric,
    Noise,
    PageCache,
    Phase,
    Sample,
    Settings,
)
from imgtool.errors import ExitCode
from imgtool.ground.versioned import encode
from imgtool.profiling.report import Report, build
from imgtool.profiling.report_html import as_html
from imgtool.profiling.report_markdown import as_markdown
from tests.browser import CHROMIUM, Browser
from tests.command import imgtool

EAGER = Arm(name="eager", kind=ArmKind.EAGER, summary="everything first")
COMPILED = Arm(name="compiled", kind=ArmKind.ANALYZE, options=("--backend", "onnx"), summary="compiled models")
SAME = Arm(name="same", kind=ArmKind.ANALYZE, options=("--backend", "torch"), summary="no better")

_PHASES = {
    "eager": {"interpreter": 0.1, "imports": 4.0, "load blip": 1.0, "load easyocr": 1.5, "caption": 1.0, "text": 2.0},
    "same": {"interpreter": 0.1, "imports": 4.0, "load blip": 1.0, "load easyocr": 1.5, "caption": 1.0, "text": 2.0},
    "compiled": {
        "interpreter": 0.2,
        "imports": 0.5,
        "load blip": 0.1,
        "load easyocr": 0.1,
        "caption": 0.5,
        "text": 1.1,
    },
}
_READY = {"eager": 6.6, "same": 6.6, "compiled": 0.9}
_RSS = {"eager": 2.3e9, "same": 2.3e9, "compiled": 0.9e9}


def _sample(arm: str, run: int, chance: random.Random) -> Sample:
    factor, at, phases = chance.gauss(1, 0.01), 0.0, []
    for name, seconds in _PHASES[arm].items():
        phases.append(Phase(name=name, began=at, seconds=seconds * factor))
        at += seconds * factor
    rss = int(_RSS[arm] * factor)
    step = MemoryStep(model="blip", anon_before=0, anon_after=rss // 2, file_before=0, file_after=10_000_000)
    return Sample(
        arm=arm,
        run=run,
        order=run,
        wall=at + 0.2,
        startup=_READY[arm] * factor,
        first_result=at,
        steady=2.0 * factor,
        phases=tuple(phases),
        memory=Memory(
            peak_rss=rss, peak_anon=rss // 2, peak_file=0, tree_peak_rss=rss, method="made up", steps=(step,)
        ),
    )


def experiment(*arms: Arm, kernel: str = "6.1", created: str = "2026-01-01T00:00:00+00:00") -> Experiment:
    """Ten runs an arm, one percent of noise."""
    chance = random.Random(7)
    samples = tuple(_sample(arm.name, run, chance) for run in range(10) for arm in arms)
    return Experiment(
        version="0.1.0",
        created=created,
        command=("/somewhere/imgtool", "bench", "--save", "b.json"),
        machine=Machine(
            cpu="made up",
            cores=2,
            granted_cores=2,
            cpu_features=(),
            memory_bytes=8_000_000_000,
            system="Linux",
            kernel=kernel,
            python="CPython 3.11",
            libraries={"torch": "2.9"},
            weights={"blip": "synthetic-1"},
            threads=2,
        ),
        noise=Noise(),
        settings=Settings(
            runs=10, warm_ups=1, steady=2, page_cache=(PageCache.WARM,), tasks=("caption", "text"),
            images=("a.jpg, 1 MB",), weights="synthetic",
        ),
        arms=arms,
        samples=samples,
        reference=arms[0].name,
    )  # fmt: skip


def _report(*arms: Arm) -> Report:
    found = experiment(*arms)
    return build(found, found, (None, None), "Performance", ("b.json", "b.json"))


def test_the_default_is_eager_against_compiled() -> None:
    report = _report(EAGER, SAME, COMPILED)
    assert (report.before.name, report.after.name) == ("eager", "compiled")


def test_every_figure_has_its_verdict() -> None:
    text = as_markdown(_report(EAGER, COMPILED))
    assert "compiled starts 7.3" in text
    assert "times faster than eager" in text
    assert "times sooner than eager" in text
    assert re.search(r"\| 2\.[23]\d ± 0\.0\d GB \| \d+ ± \d+ MB \|", text)


def test_shares_of_the_improvement_come_from_the_phases() -> None:
    rows = {row.group: row for row in _report(EAGER, COMPILED).improvements}
    assert rows["imports"].gained == pytest.approx(3.5, rel=0.03)
    assert rows["models load"].gained == pytest.approx(2.3, rel=0.03)
    assert rows["first answers"].gained == pytest.approx(1.4, rel=0.05)
    assert rows["start of processes"].share is None
    assert sum(row.share for row in rows.values() if row.share is not None) == pytest.approx(1)
    assert rows["imports"].share == pytest.approx(3.5 / 7.2, rel=0.02)


def test_what_is_left_is_what_comes_next() -> None:
    report = _report(EAGER, COMPILED)
    assert report.remaining[0].phase == "text"
    assert report.remaining[0].way.option == "--precision fast"
    assert "The largest item left is text, 44 %" in as_markdown(report)


def test_what_an_arm_does_already_is_not_advised() -> None:
    report = _report(COMPILED, EAGER)
    found = build(report.experiment, report.experiment, ("compiled", "eager"), "x", ("a", "b"))
    assert found.remaining[0].phase == "imports"
    assert "--compile" in found.remaining[0].way.option


def test_where_nothing_was_gained_is_said() -> None:
    report = build(*(experiment(EAGER, SAME),) * 2, (None, "same"), "x", ("a", "b"))
    text = as_markdown(report)
    assert len(report.not_better) == len(report.figures)
    assert "same starts as fast as eager" in text
    assert "| startup at least 30 % shorter |" in text
    assert text.count("| no |") == 2, "neither shorter nor within 5 s"


def test_targets_are_kept_or_not_measured() -> None:
    targets = {target.text: target.met for target in _report(EAGER, COMPILED).targets}
    assert targets == {
        "startup at least 30 % shorter": True,
        "peak memory at most 20 % larger": True,
        "first result within 5 s": True,
    }


def test_a_median_that_rounds_to_its_target_is_told_from_it() -> None:
    found = experiment(EAGER, COMPILED)
    late = [replace(one, first_result=5.0015) if one.arm == "compiled" else one for one in found.samples]
    found = replace(found, samples=tuple(late))
    text = as_markdown(build(found, found, (None, None), "x", ("a", "b")))
    assert re.search(r"\| first result within 5 s \| 5\.00[12] s \| no \|", text)


def test_every_arm_has_mean_least_and_greatest_of_every_figure() -> None:
    report = _report(EAGER, SAME, COMPILED)
    text, page = as_markdown(report), as_html(report)
    startups = report.experiment.values("same", Metric.STARTUP)
    shown = [f"{figure:.2f} s" for figure in (mean(startups), min(startups), max(startups), stdev(startups))]
    assert f"| same | {' | '.join(shown)} | " in text.partition("<details>")[2]
    assert "".join(f'<td class="number">{each}</td>' for each in shown) in page
    for out in (text, page):
        assert "± is the standard deviation of the runs" in out


def test_models_that_load_side_by_side_have_seconds_and_no_memory_of_their_own() -> None:
    apart, found = experiment(EAGER, COMPILED), []
    for one in apart.samples:
        load = next(phase for phase in one.phases if phase.name == "load blip")
        beside = [replace(each, began=load.began) if each.name == "load easyocr" else each for each in one.phases]
        found.append(replace(one, phases=tuple(beside)) if one.arm == "compiled" else one)
    both = replace(apart, samples=tuple(found))
    text = as_markdown(build(both, both, (None, None), "x", ("a", "b")))
    assert re.search(r"\| eager \| blip \| (1\.0\d s|9\d\d ms) \| 0 kB \| 1\.1\d GB \| 10 MB \|", text)
    assert re.search(r"\| compiled \| blip \| \d+(\.\d)? ms \| - \| - \| - \|", text)
    assert re.search(r"\| compiled \| all together \| \d+(\.\d)? ms \| 0 kB \| \d+ MB \| 10 MB \|", text)
    assert "compiled loads models side by side" in text


def test_two_sessions_and_two_machines_are_said() -> None:
    former, later = experiment(EAGER), experiment(COMPILED, kernel="6.9", created="2026-02-01T00:00:00+00:00")
    text = as_markdown(build(former, later, ("eager", "compiled"), "x", ("a", "b")))
    assert "measured in two sessions" in text
    assert "the machines differ: kernel: 6.1 → 6.9" in text


def test_no_path_of_the_machine_is_in_the_report() -> None:
    assert "/somewhere" not in as_markdown(_report(EAGER, COMPILED))
    assert "imgtool bench --save b.json" in as_markdown(_report(EAGER, COMPILED))


def test_every_way_back_is_an_option_of_analyze() -> None:
    from imgtool.profiling.advice import BACK

    said = imgtool("analyze", "--help", COLUMNS="200").out
    for switch, _ in BACK:
        assert switch.split()[0] in said


def test_files_are_written_side_by_side(tmp_path: Path) -> None:
    saved = tmp_path / "b.json"
    saved.write_bytes(encode(experiment(EAGER, COMPILED)))
    outcome = imgtool("profile", "report", "--before", saved, "--after", saved, "-o", tmp_path / "docs")
    assert outcome.code is ExitCode.OK, outcome.err
    assert {path.name for path in (tmp_path / "docs").iterdir()} == {
        "performance.md", "performance.html", "performance.svg",
    }  # fmt: skip
    assert "](performance.svg)" in (tmp_path / "docs" / "performance.md").read_text()
    assert imgtool("profile", "report", "--before", saved, "--after", saved).out.startswith("# Performance")


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (b"{}", (), "b.json"),
        (b'{"tool": "imgtool bench", "schema_ver', (), "b.json"),
        (None, (), "b.json"),
        (encode(experiment(EAGER, COMPILED)), ("--after-arm", "nobody"), "has no arm 'nobody'"),
        (encode(experiment(EAGER, COMPILED)), ("-o", "{file}"), "cannot be written"),
    ],
)
def test_what_cannot_be_reported(tmp_path: Path, content: bytes | None, words: tuple[str, ...], said: str) -> None:
    saved = tmp_path / "b.json"
    if content is not None:
        saved.write_bytes(content)
    named = [word.format(file=saved) for word in words]
    outcome = imgtool("profile", "report", "--before", saved, "--after", saved, *named)
    assert outcome.code in (ExitCode.USAGE, ExitCode.NOT_WRITABLE)
    assert said in outcome.err
    assert "internal error" not in outcome.err


def test_names_of_arms_are_not_markup() -> None:
    hostile = Arm(name="a|b</td><img>", kind=ArmKind.ANALYZE, summary="`x` <script>")
    _PHASES[hostile.name], _READY[hostile.name], _RSS[hostile.name] = _PHASES["same"], 6.6, 2e9
    report = _report(EAGER, hostile)
    assert "<img" not in as_html(report)
    assert "<script" not in as_html(report)
    assert "<img" not in as_markdown(report).replace("\\<img", "")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_page_fits_wide_and_narrow(tmp_path: Path) -> None:
    path = tmp_path / "performance.html"
    path.write_text(as_html(_report(EAGER, SAME, COMPILED)), encoding="utf-8")
    with Browser() as browser:
        for width in (1280, 400):
            browser.viewport(width, 1600)
            browser.open(path)
            assert (
                browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
            ), width
        assert browser.problems == []
    assert json.dumps(browser.requests).count("performance.html") == len(browser.requests)
