"""Charts: where things are drawn, that text stays text, and that many bars stay few."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.page.charts import (
    Bar,
    Curve,
    Dot,
    Track,
    TrendPoint,
    as_file,
    axis,
    bar_row,
    end_to_end,
    in_lanes,
    joined,
    log_ticks,
    strip,
    stylesheet,
    ticks,
    timeline,
    tracks,
    trend,
)

HOSTILE = "</svg><script>alert(1)</script>\"'&"


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(tag))


@given(st.floats(1e-6, 1e12))
def test_ticks_are_few_and_within_the_scale(maximum: float) -> None:
    found = ticks(maximum)
    assert found[0] == 0
    assert found[-1] <= maximum * 1.0001
    assert 3 <= len(found) <= 6


def test_ticks_are_round() -> None:
    assert ticks(10.0) == [0, 2.5, 5, 7.5, 10]
    assert ticks(0.83) == pytest.approx([0, 0.25, 0.5, 0.75])
    assert ticks(0.0) == [0.0]


def test_ticks_of_a_logarithmic_scale() -> None:
    assert log_ticks(0.9, 12) == [1, 2, 5, 10]
    assert log_ticks(0.001, 1000) == pytest.approx([0.001, 0.01, 0.1, 1, 10, 100, 1000])


def test_a_strip_has_a_dot_a_value_in_its_place() -> None:
    dots = [Dot(1.0, "1 s"), Dot(4.0, "4 s", outlier=True)]
    svg = strip(dots, 2.0, (1.0, 4.0), 8.0, "two runs")
    found = elements(svg, "circle")
    assert [(each.attrib["cx"], each.attrib["class"]) for each in found] == [
        ("12.500%", "dot"),
        ("50.000%", "dot outlier"),
    ]
    (band,) = elements(svg, "rect")
    assert (band.attrib["x"], band.attrib["width"]) == ("12.500%", "37.500%")


def test_bars_stand_end_to_end() -> None:
    svg = bar_row(end_to_end([(1.0, "a: 1 s", "c0"), (3.0, "b: 3 s", "c1")]), 4.0, "two parts")
    assert [(each.attrib["x"], each.attrib["width"]) for each in elements(svg, "rect")] == [
        ("0.000%", "25.000%"),
        ("25.000%", "75.000%"),
    ]


def test_the_numbers_of_an_axis_stay_within_it() -> None:
    found = elements(axis(10.0, lambda value: f"{value:g} s"), "text")
    assert [(each.text, each.attrib["text-anchor"]) for each in found] == [
        ("0 s", "start"),
        ("2.5 s", "middle"),
        ("5 s", "middle"),
        ("7.5 s", "middle"),
        ("10 s", "end"),
    ]


def test_tracks_stand_below_each_other_and_no_bar_leaves_the_chart() -> None:
    rows = [Track("parent", [Bar(0, 5, "start", "c0", "start")]), Track("worker", [Bar(4, 9, "late", "c1", "late")])]
    svg = tracks(rows, 10.0, str, "two processes")
    bars = [each for each in elements(svg, "svg") if each.get("class", "").startswith("bar")]
    assert [float(each.attrib["y"]) for each in bars] == [16, 52]
    assert (bars[1].attrib["x"], bars[1].attrib["width"]) == ("40.0000%", "60.0000%")


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 5)), max_size=30))
def test_bars_in_lanes_never_overlap(spans: list[tuple[float, float]]) -> None:
    bars = [Bar(begin, length, "", "c0") for begin, length in sorted(spans)]
    lanes = in_lanes(bars)
    assert sorted(bar.begin for lane in lanes for bar in lane) == [bar.begin for bar in bars]
    for lane in lanes:
        assert all(before.end <= after.begin for before, after in pairwise(lane))


def test_bars_too_narrow_to_see_are_joined() -> None:
    many = [Bar(0.01 * number, 0.01, f"call {number}", "c0") for number in range(10_000)]
    found = joined(many, 100.0)
    assert len(found) < 1000
    assert sum(bar.length for bar in found) == pytest.approx(100.0, rel=0.1)
    apart = [Bar(0, 1, "a", "c0"), Bar(50, 1, "b", "c0"), Bar(51, 1, "c", "c1")]
    assert joined(apart, 100.0) == apart


def test_a_timeline_scales_its_curves_to_the_highest_value() -> None:
    curve = Curve("c0", [0.0, 5.0, 10.0], [0, 100, 50])
    svg = timeline(
        [curve, Curve("rss", [], [], filled=False)],
        [Track("loads", [Bar(2, 3, "blip", "c2", "blip")])],
        duration=10.0,
        time_text=str,
        value_text=str,
        bands=[Bar(2, 3, "", "")],
        marker=5.0,
        label="memory",
    )
    (area,) = elements(svg, "polygon")
    points = [tuple(map(float, pair.split(","))) for pair in area.attrib["points"].split()]
    assert [x for x, _ in points] == [0, 0, 500, 1000, 1000]
    assert points[2][1] == pytest.approx(200 * (1 - 1 / 1.08), abs=0.1)
    assert [each.attrib["class"] for each in elements(svg, "line")].count("marker") == 1
    assert elements(svg, "polyline") == []


def test_a_trend_is_broken_where_figures_cannot_be_compared() -> None:
    points = [TrendPoint(place, 1.0 + place, 1.0, 4.0, f"run {place}", broken=place == 2) for place in range(3)]
    svg = trend([("c0", points)], 3, str, "a trend")
    lines = [each.attrib["class"] for each in elements(svg, "line") if "trend" in each.attrib["class"]]
    assert lines == ["trend c0", "trend c0 broken"]
    assert len(elements(svg, "circle")) == 3


def test_text_stays_text() -> None:
    drawn = (
        strip([Dot(1.0, HOSTILE)], 1.0, (1.0, 1.0), 1.0, HOSTILE),
        bar_row([Bar(0, 1, HOSTILE, "c0")], 1.0, HOSTILE),
        tracks([Track(HOSTILE, [Bar(0, 1, HOSTILE, "c0", HOSTILE)])], 1.0, lambda _: HOSTILE, HOSTILE),
        trend([("c0", [TrendPoint(0, 1.0, 1.0, 1.0, HOSTILE)])], 1, lambda _: HOSTILE, HOSTILE),
    )
    for svg in drawn:
        assert "<script" not in svg
        assert ElementTree.fromstring(svg).attrib["aria-label"] == HOSTILE


def test_a_file_of_its_own_has_its_style() -> None:
    root = ElementTree.fromstring(as_file(tracks([Track("a", [Bar(0, 1, "x", "c0")])], 1.0, str, "one")))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.attrib["width"].isdecimal()
    (style,) = root.iter("{http://www.w3.org/2000/svg}style")
    assert style.text is not None
    assert stylesheet() in style.text


def test_every_colour_class_has_a_rule() -> None:
    assert {f"c{number}" for number in range(10)} <= set(re.findall(r"^\.(c\d)", stylesheet(), re.M))
