"""``imgtool bench report``: a saved benchmark as a page, as a document, on stdout; and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from imgtool.errors import ExitCode
from imgtool.ground.versioned import encode
from tests.bench.sample_experiments import experiment, machine
from tests.command import Outcome, imgtool

MADE = experiment({"eager": 5.0, "compiled": 0.45})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "b.json"
    path.write_bytes(encode(MADE))
    return path


def report(*words: str | Path) -> Outcome:
    return imgtool("bench", "report", *words)


def test_markdown_goes_to_stdout(saved: Path) -> None:
    outcome = report(saved, "--title", "Startup")
    assert outcome.code is ExitCode.OK, outcome.err
    assert outcome.out.startswith("# Startup\n\n## compiled starts 11.")
    assert outcome.err == ""


@pytest.mark.parametrize(("name", "begins"), [("r.html", "<!doctype html>"), ("r.md", "# Benchmark\n")])
def test_the_suffix_chooses_the_format(saved: Path, tmp_path: Path, name: str, begins: str) -> None:
    outcome = report(saved, "-o", tmp_path / name)
    assert outcome.code is ExitCode.OK, outcome.err
    assert (tmp_path / name).read_text().startswith(begins)
    assert outcome.out == ""


def test_an_earlier_benchmark_is_compared_arm_by_arm(saved: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.json"
    earlier.write_bytes(encode(experiment({"eager": 5.0, "compiled": 0.9}, seed=2)))
    text = report(saved, "--baseline", earlier).out.partition("## Against the earlier benchmark")[2]
    row = next(line for line in text.splitlines() if line.startswith("| compiled | startup |"))
    assert "less time" in row
    assert "| eager | startup |" in text
    assert "in another session" in text


def test_of_another_machine_only_ratios_are_compared(saved: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.json"
    elsewhere = replace(experiment({"eager": 9.0, "compiled": 0.8}, seed=2), machine=machine(cpu="another"))
    earlier.write_bytes(encode(elsewhere))
    text = report(saved, "--baseline", earlier).out
    assert "only ratios to eager are compared" in text
    assert "| compiled | startup | 0.0" in text.replace("0.09", "0.0").replace("0.08", "0.0")
    assert "| eager | startup |" not in text


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (b"{}", (), "b.json"),
        (b'{"tool": "imgtool bench", "schema_ver', (), "cut off"),
        (None, (), "does not exist"),
        (encode(MADE), ("--arm", "nobody"), "there is no arm 'nobody'"),
        (encode(MADE), ("-o", "r.pdf"), "ends neither in .html nor in .md"),
        (encode(MADE), ("-o", "none/r.md"), "is not a folder"),
        (encode(MADE), ("--baseline", "none.json"), "none.json does not exist"),
    ],
)
def test_what_cannot_be_reported(tmp_path: Path, content: bytes | None, words: tuple[str, ...], said: str) -> None:
    if content is not None:
        (tmp_path / "b.json").write_bytes(content)
    outcome = imgtool("bench", "report", "b.json", *words, cwd=tmp_path)
    assert outcome.code in (ExitCode.USAGE, ExitCode.NOT_WRITABLE)
    assert said in outcome.err
    assert "internal error" not in outcome.err
    assert outcome.out == ""
