"""No text engine is worse than what it wraps, on pictures whose text is known.

EasyOCR's answers are compared with its library's, line by line, in ``tests/analyzers/text/test_easyocr.py``.
"""

from __future__ import annotations

import shutil

import pytest

from scripts.compare_text_engines import compare, error_rate, known_pictures

PICTURES = {each.name: each for each in known_pictures()}
BETTER = {
    "rapidocr": (
        "two columns gothic",
        "heading over two columns serif",
        "turned 90 serif",
        "turned 180 gothic",
        "digit",
    ),
    "tesseract": ("plain mono", "turned 90 gothic", "turned 180 serif", "receipt gothic"),
}
ALIKE = {
    "rapidocr": ("plain serif", "receipt mono", "chat", "dark"),
    "tesseract": ("two columns serif", "notice gothic", "turned 270 gothic", "noise"),
}


def check(engine: str, names: tuple[str, ...]) -> None:
    if engine == "tesseract" and shutil.which("tesseract") is None:
        pytest.skip("tesseract is not installed")
    for name, bare, ours in compare(engine, [PICTURES[name] for name in names]):
        assert ours <= bare, name
        assert ours < bare / 10 or name not in BETTER[engine], (name, bare, ours)


@pytest.mark.slow
@pytest.mark.parametrize("engine", BETTER)
def test_some_pictures_are_read_better_and_others_not_worse(engine: str) -> None:
    check(engine, BETTER[engine] + ALIKE[engine])


@pytest.mark.slow
@pytest.mark.parametrize("engine", BETTER)
def test_no_picture_is_read_worse(engine: str) -> None:
    assert len(PICTURES) == 40
    check(engine, tuple(PICTURES))


def test_the_error_rate_counts_edits() -> None:
    assert error_rate("kitten", "sitting") == pytest.approx(3 / 7)
    assert error_rate("one\ntwo  three ", "one two\nthree") == 0
    assert error_rate("", "abc") == 1
    assert error_rate("abcd", "abc") == pytest.approx(1 / 3)
