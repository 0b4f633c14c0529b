"""Progress and summary as a person sees them: on a terminal, in a log, and not at all."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from imgtool.cli.progress import ProgressLine, duration, progress_text
from imgtool.engine.statistics import Statistics
from tests import pictures
from tests.command import imgtool

SLOW = ("-t", "caption", "--caption-engine", "tests.planted:Slow")


def on_a_terminal(*arguments: str | Path) -> str:
    """What a terminal of 80 columns receives, stdout and stderr together."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "imgtool", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=child, stderr=child, stdin=child, env={**os.environ, "TERM": "xterm"})
    os.close(child)
    received = b""
    while True:
        try:
            data = os.read(parent, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not data:
            break
        received += data
    os.close(parent)
    assert process.wait(timeout=30) == 0
    return received.decode()


def test_a_terminal_gets_one_line_that_is_drawn_again_and_cleared(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(20))
    screen = on_a_terminal("analyze", photos, *SLOW, "-o", tmp_path / "out.jsonl")
    drawn = re.findall(r"\r\x1b\[2K([^\r]*)", screen)
    assert any(re.match(r"\d+ of 20 images · [\d.]+ images/s", line) for line in drawn)
    assert "\r\x1b[2K" in screen
    assert "20 images" in screen.rpartition("\x1b[2K")[2]  # the summary comes after the line is gone


def test_a_log_gets_no_animation(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    outcome = imgtool("analyze", photos, *SLOW, "-o", tmp_path / "out.jsonl")
    assert "\x1b" not in outcome.err
    assert "\r" not in outcome.err
    assert "3 images in" in outcome.err
    assert outcome.out == ""


def test_quiet_says_nothing(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    assert imgtool("analyze", photos, *SLOW, "-o", tmp_path / "out.jsonl", "--quiet").err == ""


def test_no_color_is_obeyed_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = pictures.flat(tmp_path / "a.png")
    assert "\x1b[1m" in on_a_terminal("analyze", photo, *SLOW)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[\d;]*m", on_a_terminal("analyze", photo, *SLOW))


def test_the_line_says_what_is_known() -> None:
    figures = Statistics(images=412, hits=120, failed=2)
    assert progress_text(figures, 1000, 100.0) == (
        "412 of 1,000 images · 4.1 images/s · 120 from cache · 2 failed · 2 min left"
    )
    assert progress_text(Statistics(images=3), None, 1.5) == "3 images · 2.0 images/s"
    assert progress_text(Statistics(), 10, 0.0) == "0 of 10 images"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (45, "45 s"), (89.4, "89 s"), (180, "3 min"), (7800, "2 h 10 min")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_is_drawn_when_it_is_due_and_cut_to_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, clock = Screen(), [100.0]
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("imgtool.cli.progress.time.monotonic", lambda: clock[0])
    monkeypatch.setenv("COLUMNS", "20")
    line = ProgressLine(shown=True)
    line.clear()
    line.show("too early")
    assert screen.getvalue() == ""
    clock[0] += 0.2
    assert line.due()
    line.show("x" * 50)
    line.show("again too early")
    assert screen.getvalue() == "\r\x1b[2K" + "x" * 19
    line.clear()
    line.clear()
    assert screen.getvalue() == "\r\x1b[2K" + "x" * 19 + "\r\x1b[2K"
    assert line.seconds == pytest.approx(0.2)


def test_off_a_terminal_a_line_comes_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    log, clock = io.StringIO(), [0.0]
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr("imgtool.cli.progress.time.monotonic", lambda: clock[0])
    late, early, silent = ProgressLine(shown=True), ProgressLine(shown=True, at_once=True), ProgressLine(shown=False)
    for second in range(22):
        clock[0] = float(second)
        late.show(f"late {second}")
        early.show(f"early {second}")
        silent.show("silent")
    assert log.getvalue().splitlines() == ["early 0", "late 10", "early 10", "late 20", "early 20"]
