"""What was typed after ``imgtool profile``, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.cli.analyze.parser import parse
from imgtool.cli.profile.job import request_of
from imgtool.errors import UsageProblem
from imgtool.profiling.record import View
from imgtool.profiling.runner import ProfileRequest


def asked(*words: str, interval: str | None = None) -> tuple[ProfileRequest, str]:
    return request_of(
        words, parse(words), views=["cpu"], rate=50, interval=interval, line_by_line=None, folder=Path("there")
    )


@pytest.mark.parametrize(
    ("words", "added", "said"),
    [
        ((), ("--no-cache",), "no answers are taken from the cache"),
        (("--cache",), (), "with --cache the first run fills the cache"),
        (("--no-cache",), (), ""),
    ],
)
def test_each_run_does_the_same_work_unless_the_cache_is_asked_for(
    words: tuple[str, ...], added: tuple[str, ...], said: str
) -> None:
    request, notice = asked("x.png", *words)
    assert request.arguments == ("x.png", *words, *added)
    assert notice.startswith(said) and bool(notice) is bool(said)
    assert (request.views, request.rate) == ({View.CPU}, 50)


def test_an_interval_has_bounds() -> None:
    assert asked("x.png", interval="20ms")[0].interval_seconds == 0.02
    with pytest.raises(UsageProblem, match="--interval 20s is out of range"):
        asked("x.png", interval="20s")


@pytest.mark.parametrize("words", [(), ("-",), ("--from-file", "-")])
def test_paths_that_cannot_be_read_again_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageProblem, match="paths"):
        asked(*words)
