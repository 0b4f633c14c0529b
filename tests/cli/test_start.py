"""What a start must not do: import anything heavy. Seen from fresh processes, in ``sys.modules`` itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pictures
from tests.command import imgtool

HEAVY = {
    *("numpy", "PIL", "onnxruntime", "cv2", "torch", "transformers", "easyocr", "rapidocr", "pyarrow", "pydantic"),
    *("psycopg", "redis", "xlsxwriter", "pikepdf", "img2pdf", "lxml"),
    *("starlette", "uvicorn", "httptools", "python_multipart", "limits", "prometheus_client", "anyio", "ray"),
}
PAGES = {"jinja2"}
"""Imported when a page is written, and not before."""

# Runs the command in-process as the script does, then reports what was imported on a descriptor of its own.
_PROBE = """
import json, os, sys
sys.argv = ["imgtool", *json.loads(sys.argv[1])]
from imgtool.cli.main import main
try:
    main()
finally:
    os.write(2, b"\\nMODULES " + json.dumps(sorted(sys.modules)).encode())
"""


def modules_after(*arguments: str | Path, **environ: str) -> set[str]:
    """Top-level modules imported by a command that succeeds."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, json.dumps([str(a) for a in arguments])],
        capture_output=True,
        check=True,
        env={**os.environ, **environ},
    )
    listed = json.loads(done.stderr.rpartition(b"MODULES ")[2])
    return {name.partition(".")[0] for name in listed} | {name for name in listed if name.startswith("imgtool.")}


COMMANDS = [
    ["--help"],
    ["--version"],
    ["analyze", "--help"],
    ["models", "--help"],
    ["models"],
    ["schema"],
    ["warm-cache", "--help"],
    ["search", "--help"],
    ["database", "--help"],
    ["database", "init"],
    ["database", "status", "--help"],
    ["cache", "--help"],
    ["cache", "stats", "--help"],
    ["cache", "clear", "--help"],
    ["cache", "prune", "--help"],
    ["cache", "verify", "--help"],
    ["cache", "stats"],
    ["bench", "--help"],
    ["bench", "startup", "--help"],
    ["bench", "throughput", "--help"],
    ["bench", "soak", "--help"],
    ["bench", "report", "--help"],
    ["profile", "--help"],
    ["serve", "--help"],
    ["serve", "keys", "--help"],
    ["bench", "--command", "nothing=true", "-n", "2"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_that_computes_nothing_imports_nothing_heavy(arguments: list[str]) -> None:
    assert modules_after(*arguments) & (HEAVY | PAGES) == set()


COMPLETING = {"_IMGTOOL_COMPLETE": "complete_bash", "COMP_WORDS": "imgtool an", "COMP_CWORD": "1"}


def test_completion_knows_the_commands_and_costs_nothing() -> None:
    assert modules_after(**COMPLETING) & (HEAVY | PAGES) == set()
    code = "import sys; sys.argv = ['imgtool']; from imgtool.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **COMPLETING}
    )
    assert done.stdout.split() == ["analyze"]


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "html"])
def test_a_run_from_the_cache_imports_nothing_heavy_and_starts_no_worker(tmp_path: Path, form: str) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    # The gallery needs thumbnails too: they are kept like any other answer.
    first = imgtool("analyze", photos, "-t", "caption", "-f", form, "-o", tmp_path / "first")
    assert first.code == 0, first.err
    stats = tmp_path / "stats.json"
    loaded = modules_after("analyze", photos, "-t", "caption", "-f", form, "-o", tmp_path / "again", "--stats", stats)
    assert loaded & HEAVY == set()
    assert loaded & PAGES == (PAGES if form == "html" else set())
    figures = json.loads(stats.read_text())
    assert figures["hit_rate_percent"] == 100
    assert figures["workers"]["started"] == 0


def test_a_shared_cache_is_connected_after_a_local_miss_alone(tmp_path: Path) -> None:
    pytest.importorskip("redis")
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    command = ("analyze", photos, "-t", "caption", "-f", "jsonl", "--shared-cache", "redis://127.0.0.1:1/0")
    assert "redis" in modules_after(*command)
    assert modules_after(*command) & HEAVY == set()


def test_a_search_needs_neither_an_engine_nor_what_shows_tables(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    assert imgtool("analyze", photos, "-t", "caption", "--caption-engine", "describe").code == 0
    loaded = modules_after("search", "image OR picture", photos, "-f", "jsonl")
    assert loaded & (HEAVY | PAGES | {"diskcache", "imgtool.engine.engine", "imgtool.runtime.pool"}) == set()
    assert not {name for name in loaded if name.startswith("imgtool.analyzers")}


def test_a_command_imports_no_other() -> None:
    def commands(*words: str) -> set[str]:
        return {name for name in modules_after(*words) if name.endswith(".command") or name == "imgtool.cli.models"}

    assert commands("--version") == set()
    assert commands("search", "--help") == {"imgtool.cli.search.command"}


def test_importing_the_package_imports_none_of_its_parts() -> None:
    code = "import imgtool, sys; print([m for m in sys.modules if m.startswith('imgtool.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "['imgtool.trace', 'imgtool.ground', 'imgtool.ground.privacy']"


def test_the_probe_of_this_test_can_fail() -> None:
    """A run that computes in-process does import what the others must not."""
    photo = Path(__file__).parents[2] / "examples/images/logo.png"
    assert "numpy" in modules_after("analyze", photo, "--no-isolate", "-t", "caption")
