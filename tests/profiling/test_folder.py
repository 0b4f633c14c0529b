"""The files of a profile: the trace that Perfetto opens, the pictures, the page in a real browser."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from imgtool.profiling.page.html import page
from imgtool.profiling.record import Absence, Cpu, Function, Import, ImportTree, Profile
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


def test_pictures_are_whole_files(written: Path) -> None:
    names = {path.name for path in written.glob("*.svg")}
    assert {"phases.svg", "memory.svg", "imports-parent.svg", "imports-worker.svg"} <= names
    for path in written.glob("*.svg"):
        root = ElementTree.fromstring(path.read_text())
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert float(root.attrib["height"]) > 0
        for bar in root.iter("{http://www.w3.org/2000/svg}svg"):
            if bar.get("class", "").startswith("bar"):
                left, width = (float(bar.attrib[key].rstrip("%")) for key in ("x", "width"))
                assert left >= 0
                assert width >= 0
                assert left + width <= 100.01


def test_nothing_is_left_of_what_the_runs_wrote_for_us(written: Path) -> None:
    assert not list(written.glob("*.imports"))
    assert not list(written.glob("*.jsonl"))
    assert not list(written.glob("*.tmp-*"))


def _views(browser: Browser) -> Iterator[str]:
    for name in browser.evaluate("[...document.querySelectorAll('nav a')].map(link => link.hash)"):
        browser.evaluate(f"location.hash = '{name}'")
        browser.settle()
        yield name


_CUT = """
[...document.querySelectorAll('section.open td, section.open th, section.open .card, nav a')]
  .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
  .map(e => e.textContent)
"""
_LABELS_CUT = """
[...document.querySelectorAll('section.open .bar')].filter(bar => {
  const words = bar.querySelector('text'), box = bar.querySelector('rect').getBoundingClientRect();
  return bar.style.display !== 'none' && words.textContent && words.getBoundingClientRect().right > box.right + 1;
}).map(bar => bar.dataset.label)
"""
_OVERLAPPING = """
[...document.querySelectorAll('section.open .picture')].flatMap(picture => {
  const words = [...picture.children].filter(e => e.tagName === 'text').map(e => [e, e.getBoundingClientRect()]);
  return words.flatMap(([a, p], i) => words.slice(i + 1).filter(([b, q]) =>
    p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 2 && q.top < p.bottom - 2)
    .map(([b]) => `${a.textContent} / ${b.textContent}`));
})
"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_every_tab_fits_wide_and_narrow(written: Path) -> None:
    with Browser() as browser:
        for width in WIDTHS:
            browser.viewport(width, 1600)
            browser.open(written / "index.html")
            seen = 0
            for name in _views(browser):
                seen += 1
                where = f"{name} at {width}"
                assert browser.evaluate("document.querySelectorAll('section.open').length") == 1, where
                wide = browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert wide <= 0, where
                for wrong in (_CUT, _LABELS_CUT, _OVERLAPPING):
                    assert browser.evaluate(wrong) == [], where
            assert seen >= 4
        assert browser.problems == []
        assert all(request.endswith("index.html") for request in browser.requests)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_click_looks_closer_and_a_click_beside_goes_back(written: Path) -> None:
    bar = "document.querySelector('section.open .zooms .bar:nth-child(3)')"
    with Browser() as browser:
        browser.viewport(1280, 1600)
        browser.open(written / "index.html")
        browser.evaluate("location.hash = '#imports'")
        browser.settle()
        before = browser.evaluate(f"{bar}.getBoundingClientRect().width")
        browser.evaluate(f"{bar}.querySelector('rect').dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
        closer = browser.evaluate(f"{bar}.getBoundingClientRect().width")
        picture = browser.evaluate(f"{bar}.closest('.picture').getBoundingClientRect().width")
        assert closer == pytest.approx(picture, rel=0.01)
        assert closer > before
        browser.evaluate(
            "document.querySelector('section.open .zooms').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
        )
        assert browser.evaluate(f"{bar}.getBoundingClientRect().width") == pytest.approx(before, rel=0.01)


def _hostile() -> Profile:
    word = "</script><img src=x onerror=alert(1)>\"'&"
    function = Function(name=word, where=f"{word}:1", process=word, own_seconds=1, total_seconds=1)
    return Profile(
        version="1",
        created="now",
        command=("imgtool", "profile", word),
        machine={word: word},
        cpu=Cpu(
            tool=word, covers=word, rate=100, native=False, samples=1, seconds=1, functions=(function,),
            stacks={f"worker;{word};{word} ({word}:1)": 1},
        ),
        imports=(ImportTree(process=word, imports=(Import(name=word, depth=0, own_seconds=1, cumulative_seconds=1),)),),
        absences=(Absence(view=word, reason=word, remedy=word),),
        notices=(word,),
    )  # fmt: skip


def test_nothing_that_a_program_is_called_becomes_markup() -> None:
    text = page(_hostile())
    assert "<img" not in text
    assert text.count("</script>") == 1


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_hostile_profile_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    path.write_text(page(_hostile()), encoding="utf-8")
    with Browser() as browser:
        browser.open(path)
        for _ in _views(browser):
            assert browser.evaluate("document.querySelectorAll('img').length") == 0
        assert browser.problems == []
