"""The files of a profile: the trace that Perfetto opens, the page in a real browser."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from imgtool.profiling.page import page
from imgtool.profiling.record import Absence, Cpu, Function, Import, ImportTree, Profile
from imgtool.profiling.views.cpu import find_py_spy
from tests.browser import CHROMIUM, Browser
from tests.profiling.runs import profiled

WIDTHS = (1280, 400)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every view that can be had here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
        outcome, where = profiled(tmp_path_factory.mktemp("folder"), "Large", images=3)
    assert outcome.code == 0, outcome.err
    return where


def test_the_trace_is_one_that_perfetto_opens(written: Path) -> None:
    trace: dict[str, Any] = json.loads((written / "trace.json").read_text())
    assert trace["displayTimeUnit"] in ("ms", "ns")
    events = trace["traceEvents"]
    assert events
    for event in events:
        assert event["ph"] in {"X", "i", "M", "C"}
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert isinstance(event["name"], str)
        assert isinstance(event["ts"], int | float)
        if event["ph"] == "X":
            assert event["dur"] >= 0
            assert event["cat"]
        elif event["ph"] == "i":
            assert event["s"] in {"g", "p", "t"}
        elif event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())
        else:
            assert event["name"] in {"process_name", "thread_name"}
            assert event["args"]["name"]
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in events if e["ph"] in "Xi"} <= named


def test_spans_of_a_thread_nest(written: Path) -> None:
    """The format draws nonsense where two spans of one thread overlap and neither holds the other."""
    trace = json.loads((written / "trace.json").read_text())
    threads: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            threads[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for spans in threads.values():
        spans.sort(key=lambda span: (span[0], -span[1]))
        open_ends: list[float] = []
        for began, ended in spans:
            while open_ends and open_ends[-1] <= began + 2:
                open_ends.pop()
            assert not open_ends or ended <= open_ends[-1] + 2, "microseconds"
            open_ends.append(ended)


def test_the_union_of_the_spans_is_the_wall_time(written: Path) -> None:
    trace = json.loads((written / "trace.json").read_text())
    spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in trace["traceEvents"] if e["ph"] == "X")
    covered, at = 0.0, 0.0
    for began, ended in spans:
        covered += max(0.0, ended - max(began, at))
        at = max(at, ended)
    assert covered / 1e6 == pytest.approx(trace["otherData"]["wall_seconds"], rel=0.05)


def test_nothing_is_left_of_what_the_runs_wrote_for_us(written: Path) -> None:
    assert not list(written.glob("*.imports"))
    assert not list(written.glob("*.jsonl"))
    assert not list(written.glob("*.tmp-*"))


_CUT = """
[...document.querySelectorAll('td, th, .card, nav a')]
  .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
  .map(e => e.textContent)
"""
_OVERLAPPING = """
[...document.querySelectorAll('svg.chart')].flatMap(chart => {
  const words = [...chart.children].filter(e => e.tagName === 'text').map(e => [e, e.getBoundingClientRect()]);
  return words.flatMap(([a, p], i) => words.slice(i + 1).filter(([b, q]) =>
    p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 2 && q.top < p.bottom - 2)
    .map(([b]) => `${a.textContent} / ${b.textContent}`));
})
"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_page_fits_wide_and_narrow(written: Path) -> None:
    with Browser() as browser:
        for width in WIDTHS:
            browser.viewport(width, 1600)
            browser.open(written / "index.html")
            wide = browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, width
            assert browser.evaluate("document.querySelectorAll('h2').length") >= 5
            for wrong in (_CUT, _OVERLAPPING):
                assert browser.evaluate(wrong) == [], width
        assert browser.problems == []
        assert {request.rpartition("/")[2] for request in browser.requests} <= {"index.html", "cpu.svg"}


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.skipif(find_py_spy() is None, reason="py-spy is not installed")
def test_the_flame_graph_runs_its_own_scripts_and_reaches_nothing_of_the_page(written: Path) -> None:
    with Browser() as browser:
        browser.viewport(1280, 1600)
        browser.open(written / "index.html")
        assert any(request.endswith("/cpu.svg") for request in browser.requests)
        assert browser.evaluate("document.querySelector('iframe').contentDocument") is None
        assert browser.evaluate("document.querySelector('iframe').sandbox.value") == "allow-scripts"
        assert browser.problems == []


def _hostile() -> Profile:
    word = "</script><img src=x onerror=alert(1)>\"'&"
    function = Function(name=word, where=f"{word}:1", process=word, own_seconds=1, total_seconds=1)
    return Profile(
        version="1",
        created="now",
        command=("imgtool", "profile", word),
        machine={word: word},
        cpu=Cpu(
            tool=word, covers=word, rate=100, samples=1, seconds=1, functions=(function,),
        ),
        imports=(ImportTree(process=word, imports=(Import(name=word, depth=0, own_seconds=1, cumulative_seconds=1),)),),
        absences=(Absence(view=word, reason=word, remedy=word),),
        notices=(word,),
    )  # fmt: skip


def test_nothing_that_a_program_is_called_becomes_markup() -> None:
    text = page(_hostile())
    assert "<img" not in text
    assert "<script" not in text


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_hostile_profile_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    path.write_text(page(_hostile()), encoding="utf-8")
    with Browser() as browser:
        browser.open(path)
        assert browser.evaluate("document.images.length + document.scripts.length") == 0
        assert browser.problems == []
