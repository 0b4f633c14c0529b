"""What the commands of ``imgtool bench`` share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from imgtool.bench.arms.commands import split_words
from imgtool.bench.arms.definitions import CACHED
from imgtool.cli.bench.common import contenders, made_ready
from imgtool.errors import UsageProblem
from tests.pictures import flat


def test_options_are_split_as_a_shell_does() -> None:
    assert split_words("--tasks caption --cache-dir 'a b'") == ("--tasks", "caption", "--cache-dir", "a b")
    assert split_words("") == ()
    with pytest.raises(UsageProblem, match="cannot be read"):
        split_words("'open")


def test_without_an_arm_it_is_analyze_as_it_is_configured() -> None:
    (one,) = contenders([], [], ["--tasks", "caption", "--caption-engine", "describe"], ["x.png"])
    assert one.arm.name == "analyze"
    assert [name for name, _ in one.weights] == ["describe"]


def test_two_arms_of_one_name_are_refused() -> None:
    program = f"x={sys.executable}"
    with pytest.raises(UsageProblem, match="two arms have the name 'x'"):
        contenders(["x="], [program], [], ["x.png"])


def test_the_cached_arm_gets_a_cache_of_its_own(tmp_path: Path) -> None:
    common = ["--tasks", "caption", "--caption-engine", "describe"]
    image = str(flat(tmp_path / "x.png"))
    said: list[str] = []
    (plain,) = contenders([], [], common, [image])
    assert made_ready(plain, common, tmp_path, 60, said.append) is plain
    (cached,) = contenders([CACHED], [], common, [image])
    ready = made_ready(cached, common, tmp_path, 60, said.append)
    assert ready.arm.command[-2:] == ("--cache-dir", str(tmp_path / "cache"))
    assert said == ["filling the cache of the arm cached", "it has answers of describe (python)"]
