"""Completion as the shells themselves ask for it: their scripts are loaded, and a line is completed."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = {"numpy", "PIL", "cv2", "onnxruntime", "torch", "transformers", "easyocr", "sqlite3", "diskcache", "psycopg"}
LINES = [
    ("imgtool analyze --tasks ca", {"caption"}),
    ("imgtool analyze --tasks text,c", {"text,caption", "text,codes"}),
    ("imgtool analyze -f j", {"json", "jsonl"}),
    ("imgtool analyze --text-engine ", {"easyocr", "rapidocr", "tesseract"}),
    ("imgtool analyze -l ko,e", {"ko,en", "ko,es"}),
    ("imgtool analyze --backend ", {"auto", "onnx", "torch"}),
    ("imgtool warm-cache bl", {"blip-base", "blip-large"}),
    ("imgtool warm-cache --precision ", {"exact", "fast"}),
    ("imgtool bench --arms e", {"eager"}),
    ("imgtool bench startup --page-cache ", {"warm", "cold", "both"}),
    ("imgtool cache prune --engine r", {"rapidocr"}),
    ("imgtool profile --format ", {"text", "json"}),
    ("imgtool database status --log-format ", {"text", "json"}),
]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with the script ``imgtool`` on its path, as an installation has it."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "imgtool"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(folder / "run.py"))} "$@"\n')
    script.chmod(0o755)
    (folder / "run.py").write_text("import sys\nsys.argv[0] = 'imgtool'\nfrom imgtool.__main__ import main\nmain()\n")
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "TERM": "dumb", "HOME": str(folder)}


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


def source(shell: str, environ: dict[str, str]) -> str:
    """What ``imgtool --install-completion`` writes for ``shell``."""
    asked = {**environ, "_IMGTOOL_COMPLETE": f"source_{shell}"}
    return subprocess.run(["imgtool"], env=asked, capture_output=True, text=True, check=True).stdout


@needs("bash")
@pytest.mark.parametrize("line, some", LINES)
def test_bash(line: str, some: set[str], environ: dict[str, str]) -> None:
    words = line.split(" ")
    array = " ".join(map(shlex.quote, words))
    script = (
        f"{source('bash', environ)}\nCOMP_WORDS=({array}); COMP_CWORD={len(words) - 1}\n"
        "complete -p imgtool | grep -q _imgtool_completion && _imgtool_completion imgtool\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "--norc", "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert some <= set(done.stdout.split())


@needs("fish")
@pytest.mark.parametrize("line, some", LINES)
def test_fish(line: str, some: set[str], environ: dict[str, str]) -> None:
    script = f"{source('fish', environ)}\ncomplete --do-complete {shlex.quote(line)}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    assert some <= {row.split("\t")[0] for row in done.stdout.splitlines()}, done.stderr


@needs("zsh")
@pytest.mark.parametrize("line, some", LINES)
def test_zsh(line: str, some: set[str], environ: dict[str, str], tmp_path: Path) -> None:
    """Typed into a terminal, with Tab at the end."""
    (tmp_path / "_imgtool").write_text(source("zsh", environ))
    begin = (
        f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -D; PS1='> '; zstyle ':completion:*' menu no; "
        f"setopt auto_list no_list_ambiguous; unsetopt list_beep; source {tmp_path}/_imgtool; echo READY''NOW"
    )
    parent, child = pty.openpty()
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"], stdin=child, stdout=child, stderr=child, env={**environ, "COLUMNS": "200"}, cwd=tmp_path
    )
    os.close(child)
    try:
        os.write(parent, begin.encode() + b"\n")
        read_until(parent, lambda seen: "READYNOW" in seen)
        os.write(parent, f"{line}\t".encode())
        seen = read_until(parent, lambda seen: all(each in seen for each in some))
    finally:
        shell.kill()
        shell.wait()
        os.close(parent)
    for each in some:
        assert each in seen, seen


def read_until(terminal: int, enough: object) -> str:
    """What the terminal shows, without its control sequences, until it is enough or half a minute has passed."""
    seen, end = "", time.monotonic() + 30
    while time.monotonic() < end and not enough(seen):  # type: ignore[operator]
        if select.select([terminal], [], [], 0.1)[0]:
            raw = os.read(terminal, 1 << 16).decode("utf-8", "replace")
            seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r|\x07", "", seen + raw)
    return seen


@pytest.mark.parametrize("line", [line for line, _ in LINES])
def test_nothing_heavy_is_imported(line: str, environ: dict[str, str]) -> None:
    words = line.split(" ")
    # What measures coverage imports sqlite3 itself.
    asked = {
        **{name: value for name, value in environ.items() if not name.startswith("COVERAGE")},
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_IMGTOOL_COMPLETE": "complete_bash",
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    done = subprocess.run(["imgtool"], env=asked, capture_output=True, text=True, check=False)
    imported = {row.rpartition("|")[2].strip().partition(".")[0] for row in done.stderr.splitlines()}
    assert "imgtool" in imported
    assert not HEAVY & imported
