"""What the README says is run, and what it lists is compared with the code."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imgtool.bench.data.record import Experiment
from imgtool.bench.report.markdown import headline_table
from imgtool.errors import ExitCode
from imgtool.ground.versioned import decode
from tests.command import imgtool
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


COMMANDS = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like a checkout, for commands that write."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "out").mkdir()
    return folder


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_works(command: str, desk: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    words = shlex.split(command)
    assert words[0] == "imgtool"
    cache = tmp_path_factory.getbasetemp() / "readme-cache"  # shared: the later commands are quick
    if words[1] == "search":  # what an earlier command has analyzed, perhaps in another process
        names = ("street-sign.jpg", "minutes.tif")
        few = [f"examples/images/{name}" for name in names]
        imgtool("analyze", *few, "--pages", "all", "-l", "en", cwd=desk, IMGTOOL_CACHE_DIR=str(cache))
    # English alone: with Korean, an installed Tesseract would read every page, and take minutes over it.
    outcome = imgtool(*words[1:], cwd=desk, timeout=300, IMGTOOL_CACHE_DIR=str(cache), IMGTOOL_LANGUAGES="en")
    assert outcome.code is ExitCode.OK, outcome.err


def test_the_python_example_works(desk: Path) -> None:
    (code,) = blocks("python")
    code = code.replace("Engine(", 'Engine(languages=["en"], ')  # as above
    done = subprocess.run([sys.executable, "-c", code], cwd=desk, capture_output=True, text=True, check=True)
    assert "no-such-file.png failed: no such file" in done.stdout
    words = " ".join(line for line in done.stdout.splitlines() if line.startswith("examples/images"))
    assert len(words) > 1000


def test_the_exit_codes_are_those_of_the_code() -> None:
    table = README.partition("<!-- exit codes")[2].partition("<!-- end")[0]
    rows = re.findall(r"^\| (\d+) \| (.*?) \|$", table, flags=re.M)
    assert rows == [(str(int(code)), code.meaning) for code in ExitCode]


def test_the_two_commands_of_the_set_up_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", blocks("")[0], flags=re.M):
        assert re.search(rf"^{target}:", makefile, flags=re.M)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_every_flag_that_is_named_exists() -> None:
    commands = ("analyze --help-all", "cache prune --help", "warm-cache --help-all", "bench startup --help")
    helps = "".join(imgtool(*words.split(), COLUMNS="200").out for words in commands)
    for flag in set(re.findall(r"`(--[a-z-]+)", README)):
        assert flag in helps


def test_the_headline_is_what_was_measured() -> None:
    table = README.partition("<!-- headline: generated from docs/performance.json -->\n")[2].partition("<!-- end")[0]
    measured = decode((ROOT / "docs" / "performance.json").read_bytes(), Experiment)
    assert table.strip() == headline_table(measured).strip()
