"""The examples of docs/service.md are run as they stand, against a real service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from imgtool.cli.main import app
from imgtool.service.openapi import OPERATIONS
from tests import pictures
from tests.conftest import ROOT
from tests.service.running import Running, running

TEXT = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
EXAMPLES = [
    (re.findall(r"^## (.*)$", TEXT[: block.start()], flags=re.M)[-1], block[1])
    for block in re.finditer(r"^```sh\n(.*?)^```", TEXT, flags=re.M | re.S)
]
NUMBERED = (
    *("-t", "caption,text", "--caption-engine", "tests.planted:Numbered"),
    *("--text-engine", "tests.planted:NumberedText"),
)
EXPECTED = {
    "Ask about an image": "number 258",
    "Each part as it is ready": "event: complete",
    "Ask by hash": "number 258",
    "Jobs": '"path":"',
    "Look at it": "imgtool_build_info",
    "Who may ask": "removed anna",
}

needs_programs = pytest.mark.skipif(
    not all(map(shutil.which, ("curl", "jq", "bash", "sha256sum"))), reason="the examples use curl and jq"
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the photos that the examples speak of, and the command."""
    folder = tmp_path_factory.mktemp("desk")
    pictures.flat(folder / "photo.png", (1, 2, 3))
    photos = pictures.folder(folder / "photos", [(4, n, 1) for n in range(3)])
    shutil.copy(photos / "001.png", photos / "1.png")
    (folder / "bin").mkdir()
    (folder / "bin" / "imgtool").write_text(f'#!/bin/sh\nexec {sys.executable} -m imgtool "$@"\n')
    (folder / "bin" / "imgtool").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def service(desk: Path) -> Iterator[Running]:
    with running(*NUMBERED, "--root", desk, "--cache-dir", desk / "cache") as found:
        yield found


@needs_programs
@pytest.mark.parametrize(("heading", "code"), EXAMPLES, ids=[f"{h} {n}" for n, (h, _) in enumerate(EXAMPLES)])
def test_an_example_works(service: Running, desk: Path, heading: str, code: str) -> None:
    script = 'set -euo pipefail\ncurl() { command curl -sS --fail-with-body "$@"; }\n'
    script += code.replace("http://127.0.0.1:8000", service.address)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=desk,
        env={**os.environ, "PATH": f"{desk / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if code == dict(reversed(EXAMPLES))[heading]:
        assert EXPECTED[heading] in done.stdout


def test_each_heading_with_examples_says_what_is_expected() -> None:
    assert {heading for heading, _ in EXAMPLES} == set(EXPECTED)


def test_every_address_is_described() -> None:
    for operation in OPERATIONS:
        parts = re.split(r"\{\w+\}", operation.path)
        assert re.search(r"[\w$\"({][^\s`]*".join(map(re.escape, parts)), TEXT), operation.path


def test_every_option_that_is_named_exists() -> None:
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    known = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT.replace("--data-binary", "")))
    assert named - known <= {"--expires", "--role"}
    for option in ("--max-body", "--queue", "--deadline", "--grace", "--job-ttl", "--jobs-dir", "--root"):
        assert option in named
