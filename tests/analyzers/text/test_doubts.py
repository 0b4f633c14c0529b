"""Lines of a script that an engine cannot read: kept with a doubt, and not offered as words."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from imgtool.analyzers.text.doubts import asks_for_ideographs, with_doubts
from imgtool.analyzers.text.rapidocr import RapidOcr
from imgtool.database.entry import rows
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
from imgtool.types import ImageResult, Status, TaskResults, TextLine, TextResult, sure_lines
from tests.conftest import ROOT
from tests.results import by, text

BOX = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))


def test_a_doubt_depends_on_the_confidence_and_on_the_script() -> None:
    lines = [TextLine(*line, BOX) for line in (("sure", 0.9), ("poor", 0.79), ("圣补", 0.85), ("圣补", 0.95))]
    assert [line.doubt is None for line in with_doubts(lines, "rapidocr", 0.8, 0.9)] == [True, False, False, True]
    assert [line.doubt is None for line in with_doubts(lines, "rapidocr", 0.8)] == [True, False, True, True]
    assert "rapidocr" in str(with_doubts(lines, "rapidocr", 0.8)[1].doubt)


@pytest.mark.parametrize(("languages", "asked"), [(("ko", "en"), False), (("zh-TW",), True), (("en", "ch_sim"), True)])
def test_chinese_and_japanese_are_known_by_any_code(languages: tuple[str, ...], asked: bool) -> None:
    assert asks_for_ideographs(languages) is asked
    assert RapidOcr.parameters(EngineOptions(languages=languages)).get("ideographs", False) is asked


def test_hangul_is_no_word_of_rapidocr_and_the_rest_of_the_page_is() -> None:
    image = Image.new("RGB", (900, 320), "white")
    font = ImageFont.truetype(str(ROOT / "examples" / "fonts" / "gothic.ttf"), 36)
    for row, words in enumerate(
        ("입주민 여러분께 알려드립니다.", "계단을 이용하여 주시기 바랍니다.", "MAPLE STREET 42")
    ):
        ImageDraw.Draw(image).text((40, 30 + 90 * row), words, fill="black", font=font)
    answers = {}
    for name, more in (("own", {}), ("raw", {"raw": True})):
        analyzer = RapidOcr({"threads": 1, **more})
        analyzer.load()
        (answers[name],) = analyzer.run([Picture(np.asarray(image), *image.size, "PNG")])
    assert [line.text for line in sure_lines(answers["own"])] == ["MAPLE STREET 42"]
    assert all(line.doubt is None for line in answers["raw"])


def test_a_doubtful_line_is_in_the_lines_and_not_in_the_text() -> None:
    lines = with_doubts((TextLine("MAPLE STREET", 0.97, BOX), TextLine("Hhio", 0.5, BOX)), "rapidocr", 0.8)
    found = TaskResults(text=TextResult(value=lines, **by("rapidocr")))
    result = ImageResult(
        path="a.png", status=Status.OK, tasks=found, processing_time_ms=1, cache_enabled=True, from_cache=False
    )
    assert (
        rows(result).words.text
        == rows(msgspec.structs.replace(result, tasks=TaskResults(text=text("MAPLE STREET")))).words.text
    )
    assert result.text == "MAPLE STREET" and result.lines == lines
    assert ImageResult.from_json(result.to_json()) == result
    assert [line.get("doubt") is None for line in result.to_dict()["tasks"]["text"]["value"]] == [True, False]
