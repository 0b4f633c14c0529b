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
