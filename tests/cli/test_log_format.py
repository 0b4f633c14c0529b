"""``--log-format json``: whatever a command says on stderr is an object a line, and never what is in an image."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image, ImageDraw, ImageFont

from imgtool.cli.log_format import FLAG, asked
from imgtool.cli.main import app
from imgtool.errors import ExitCode
from tests.command import Outcome, imgtool
from tests.pictures import flat

DESCRIBE = ("--tasks", "caption", "--caption-engine", "describe", "--no-cache")


def records(err: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in err.splitlines()]
    for each in found:
        assert list(each)[:4] == ["time", "level", "event", "message"]
        assert datetime.fromisoformat(each["time"]).utcoffset() is not None
        assert each["level"] in ("info", "warning", "error")
        assert "\x1b" not in each["message"]
    return found


def logged(*words: str | Path, **environ: str) -> tuple[Outcome, list[dict[str, Any]]]:
    outcome = imgtool(*words, FLAG, "json", **environ)
    return outcome, records(outcome.err)


def commands(command: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield names, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *names, name)


def test_every_command_has_the_option() -> None:
    for names, command in commands(typer.main.get_command(app)):
        assert [FLAG in option.opts for option in command.params].count(True) == 1, names


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("analyze", "--bogus"), ExitCode.USAGE, "No such option"),
        (("analyze", "gone", "--workers", "none"), ExitCode.USAGE, "--workers"),
        (("nope",), ExitCode.USAGE, "there is no command"),
        (("--bogus",), ExitCode.USAGE, "No such option"),
        (("bench", "report", "gone.json"), ExitCode.USAGE, "does not exist"),
        (("bench", "echo a > b"), ExitCode.USAGE, "only a shell understands"),
        (("bench", "soak", "--restarts", "x"), ExitCode.USAGE, "--restarts"),
        (("bench", "throughput", "gone"), ExitCode.USAGE, "does not exist"),
        (("cache", "prune"), ExitCode.USAGE, "nothing chosen"),
        (("models", "none"), ExitCode.USAGE, "there is no engine"),
        (("profile", "x.png", "--bogus"), ExitCode.USAGE, "No such option"),
        (("search", "colour:(", "--database", "sqlite:///gone.sqlite"), None, ""),
        (("database", "import", "gone"), ExitCode.USAGE, "cannot be read"),
        (("warm-cache", "none"), ExitCode.USAGE, "none"),
    ],
)
def test_a_mistake_is_one_record_with_code_exit_code_and_remedy(
    words: tuple[str, ...], code: ExitCode | None, said: str, tmp_path: Path
) -> None:
    outcome, found = logged(*words, IMGTOOL_CACHE_DIR=str(tmp_path))
    assert outcome.code is (code or outcome.code)
    (error,) = [each for each in found if each["level"] == "error"]
    assert said in error["message"]
    assert error["exit_code"] == outcome.code != ExitCode.OK
    assert error["code"].isidentifier()
    assert error["remedy"]
    assert not outcome.out


def test_a_run_logs_its_summary_and_what_failed(tmp_path: Path) -> None:
    flat(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    outcome, found = logged("analyze", tmp_path, *DESCRIBE, "--format", "jsonl", "--stats", "-")
    assert outcome.code is ExitCode.SOME_FAILED
    assert len(outcome.results) == 2
    by_event = {each["event"]: each for each in found}
    assert (by_event["summary"]["images"], by_event["summary"]["failed"]) == (2, 1)
    assert by_event["image_failed"]["level"] == "warning"
    assert by_event["statistics"]["images"] == 2


def test_progress_has_its_figures() -> None:
    _, found = logged("bench", "sleep 0.01", "-n", "2")
    progress = next(each for each in found if each["event"] == "progress")
    assert (progress["arm"], progress["done"], progress["total"]) == ("sleep 0.01", 0, 3)
    assert not logged("bench", "sleep 0.01", "-n", "2", "--quiet")[1]


def test_an_interrupt_and_a_failed_arm_are_records() -> None:
    _, found = logged("bench", "sh -c 'echo planted >&2; exit 3'", "-n", "2")
    error = next(each for each in found if each["level"] == "error")
    assert (error["code"], error["remedy"]) == ("arm_failed", "--ignore-failure 3 counts such runs")


def test_it_has_nothing_of_what_is_in_an_image(tmp_path: Path) -> None:
    image = Image.new("RGB", (600, 120), "white")
    ImageDraw.Draw(image).text((20, 20), "SECRETWORD 4711", fill="black", font=ImageFont.load_default(60))
    image.save(tmp_path / "a.png")
    words = ("--tasks", "text,caption", "--caption-engine", "describe", "--text-engine", "rapidocr", "-l", "en")
    outcome, found = logged("analyze", tmp_path / "a.png", *words, "--no-cache", "--format", "jsonl", "--verbose")
    assert "SECRETWORD" in outcome.out
    assert found
    assert not any(word in outcome.err for word in ("SECRETWORD", "4711", "white"))


def test_a_traceback_is_part_of_the_record(tmp_path: Path) -> None:
    outcome, found = logged("analyze", tmp_path / "gone", "--verbose", "--top-k", "x")
    assert outcome.code is ExitCode.USAGE
    assert any("Traceback" in line for line in found[-1]["traceback"])
    assert "traceback" not in logged("analyze", tmp_path / "gone", "--top-k", "x")[1][-1]


def test_what_libraries_print_is_a_record_too() -> None:
    code = (
        "import sys, warnings; sys.argv = ['imgtool', '--log-format', 'json', 'schema']\n"
        "from imgtool.cli import schema\n"
        "def noisy():\n    warnings.warn('planted'); print('half', end='', file=sys.stderr)\n"
        "from imgtool.cli import main\n"
        "main.app.command('noisy')(noisy); sys.argv[-1] = 'noisy'; main.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "planted" in records(done.stderr)[0]["message"]


def test_the_environment_asks_for_it_and_the_option_wins() -> None:
    assert records(imgtool("cache", "prune", IMGTOOL_LOG_FORMAT="json").err)
    text = imgtool("cache", "prune", FLAG, "text", IMGTOOL_LOG_FORMAT="json").err
    assert text.startswith("error: ")
    wrong = imgtool("schema", IMGTOOL_LOG_FORMAT="yaml")
    assert (wrong.code, "IMGTOOL_LOG_FORMAT is 'yaml'" in wrong.err) == (ExitCode.USAGE, True)
    assert "'yaml' is none of text, json" in " ".join(imgtool("schema", FLAG, "yaml").err.split())


def test_what_a_command_starts_writes_text(tmp_path: Path) -> None:
    words = ("profile", tmp_path / "gone.png", *DESCRIBE, "--view", "phases", "--output", tmp_path / "out")
    error = records(imgtool(*words, IMGTOOL_LOG_FORMAT="json").err)[-1]
    assert error["code"] == "target_failed"
    assert "{" not in error["message"]


@pytest.mark.parametrize(
    "words, format",
    [
        (["analyze", "x"], "text"),
        (["analyze", "--log-format", "json"], "json"),
        (["--log-format=json", "analyze"], "json"),
        (["search", "--", "--log-format", "json"], "text"),
        (["analyze", "--log-format"], "text"),
    ],
)
def test_it_is_read_anywhere_before_a_double_dash(words: list[str], format: str) -> None:
    assert asked(words, {}) == format


def test_a_terminal_gets_the_same(tmp_path: Path) -> None:
    flat(tmp_path / "a.png")
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "imgtool", FLAG, "json", "analyze", str(tmp_path), *DESCRIBE, "-f", "jsonl"]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=child, check=True)
    os.close(child)
    assert records(os.read(parent, 1 << 16).decode())
    os.close(parent)
