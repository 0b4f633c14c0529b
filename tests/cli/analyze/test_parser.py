"""The words of an analyze that another command runs, read by analyze's own parser."""

from __future__ import annotations

import pytest

from imgtool.cli.analyze.parser import engine_flags, engine_options
from imgtool.errors import UsageProblem
from imgtool.types import Task


def test_words_are_read_as_a_command_line_does() -> None:
    words = ["--tasks", "text", "--no-isolate", "--languages=en,ko", "-j", "2", "--strict"]
    read = engine_flags(words)
    assert read == {"tasks": "text", "isolate": False, "languages": "en,ko", "workers": "2", "strict": True}
    assert engine_options(words).tasks == (Task.TEXT,)


@pytest.mark.parametrize("words", [["--nope", "1"], ["tasks"], ["--tasks"], ["--no-tasks"], ["--format", "json"]])
def test_words_that_are_none_of_analyze_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageProblem):
        engine_flags(words)


@pytest.mark.parametrize(
    ("words", "option", "expected"),
    [
        (["--ocr-allowlist", "0123"], "ocr", {"allowlist": "0123"}),
        (["--ocr-canvas-size=1280", "--no-ocr-paragraph"], "ocr", {"canvas_size": 1280, "paragraph": False}),
        (["--tesseract-psm", "6"], "ocr", {"psm": 6}),
        (["--labels-mean", "0,0,0", "--labels-std=1,1,1"], "classifier", {"mean": (0, 0, 0), "std": (1, 1, 1)}),
    ],
)
def test_options_of_earlier_versions_are_understood_and_todays_are_said(
    words: list[str], option: str, expected: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert getattr(engine_options(words), option) == expected
    said = capsys.readouterr().err
    for line in said.splitlines():
        again = line.partition(": write ")[2].split()
        assert getattr(engine_options(again), option).items() <= expected.items()
    assert said.count("earlier versions") == len(expected) and not capsys.readouterr().err
    assert getattr(engine_options(["-q", *words]), option) == expected
    assert not capsys.readouterr().err


def test_what_looks_like_a_former_option_and_is_none_is_refused() -> None:
    for words in (["--ocr-nonsense", "1"], ["--labels-sized", "3"], ["--codes-find", "all"]):
        with pytest.raises(UsageProblem):
            engine_options(words)
