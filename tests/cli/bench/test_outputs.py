"""Outputs of a benchmark: what is refused before it runs, and what is written after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.bench.data.saved import load_experiment
from imgtool.cli.bench.options import BenchOptions
from imgtool.cli.bench.outputs import check_file, check_outputs, replacing_nothing, write_outputs, write_text
from imgtool.cli.console import Messages
from imgtool.errors import OutputNotWritable, UsageProblem
from tests.bench.sample_experiments import experiment
from tests.pictures import flat

MADE = experiment({"a": 2.0, "b": 1.0})
QUIET = Messages(quiet=True)


def test_outputs_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "base.json").touch()
    for options, said in (
        (BenchOptions(save=Path("-")), "--save needs a file"),
        (BenchOptions(json=Path("-"), markdown=Path("-")), "two outputs go to -"),
        (BenchOptions(json=tmp_path / "x", html=tmp_path / "." / "x"), "two outputs go to"),
        (BenchOptions(save=tmp_path / "base.json", baseline=str(tmp_path / "base.json")), "is the baseline"),
    ):
        with pytest.raises(UsageProblem, match=said):
            check_outputs(options)


def test_places_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, said in (
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "x.html", "is not a folder"),
    ):
        with pytest.raises(OutputNotWritable, match=said):
            check_file(path)
    with pytest.raises(OutputNotWritable, match="cannot be made one"):
        check_outputs(BenchOptions(history=tmp_path / "file"))
    check_outputs(BenchOptions(html=tmp_path / "file", history=tmp_path / "new"))
    assert (tmp_path / "new").is_dir()


def test_every_file_is_written_and_the_tables_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = BenchOptions(
        json=tmp_path / "a.json", markdown=tmp_path / "a.md", html=tmp_path / "a.html", history=tmp_path / "runs"
    )
    check_outputs(options)
    write_outputs(MADE, None, options, QUIET)
    assert load_experiment(tmp_path / "a.json") == MADE
    assert (tmp_path / "a.md").read_text().startswith("### b starts ")
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert len(list((tmp_path / "runs").glob("*.json"))) == 1
    assert (tmp_path / "runs" / "index.html").is_file()
    assert "b starts " in capsys.readouterr().out


def test_a_file_on_stdout_takes_the_place_of_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    write_outputs(MADE, None, BenchOptions(markdown=Path("-")), QUIET)
    assert capsys.readouterr().out.startswith("### b starts ")


def test_a_self_test_prints_the_noise_floor(capsys: pytest.CaptureFixture[str]) -> None:
    write_outputs(experiment({"x A": 2.0, "x B": 2.0}), None, BenchOptions(self_test=True), QUIET)
    out = capsys.readouterr().out
    assert "noise floor: the same arm twice\n  startup: " in out
    assert "slower would be detected" in out


def test_one_file_that_fails_does_not_prevent_the_others(tmp_path: Path) -> None:
    options = BenchOptions(json=Path("/dev/full"), markdown=tmp_path / "a.md")
    with pytest.raises(OutputNotWritable, match="/dev/full"):
        write_outputs(MADE, None, options, QUIET)
    assert (tmp_path / "a.md").is_file()


def test_a_device_is_written_to_and_not_replaced() -> None:
    write_text(Path("/dev/null"), "text")
    assert not Path("/dev/null").is_file()


def test_where_no_run_succeeded_earlier_outputs_stay(tmp_path: Path) -> None:
    (tmp_path / "there.json").write_text("{}")
    asked = BenchOptions(save=tmp_path / "there.json", html=tmp_path / "new.html", json=Path("-"))
    left = replacing_nothing(asked, QUIET)
    assert (left.save, left.html, left.json) == (None, tmp_path / "new.html", Path("-"))


def test_an_image_is_no_output(tmp_path: Path) -> None:
    flat(tmp_path / "photo.png")
    with pytest.raises(UsageProblem, match="is an image"):
        check_outputs(BenchOptions(save=tmp_path / "photo.png"))
