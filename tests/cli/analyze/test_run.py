"""A run of ``analyze`` in this process: what is checked before the work, and the exit code that results deserve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imgtool.cli.analyze.run import AnalyzeRun, exit_code
from imgtool.config import resolve
from imgtool.engine.statistics import Statistics
from imgtool.errors import ExitCode, NoImages, OutputNotWritable, TooManyFailures, UsageProblem
from tests import pictures, planted

PLANTED = {"tasks": "caption", "caption_engine": "tests.planted:Hazard", "quiet": True}


def run(tmp_path: Path, *paths: Path, **flags: Any) -> ExitCode:
    resolved = resolve({**PLANTED, **flags}, folder=tmp_path, user_file=tmp_path / "none.toml")
    return AnalyzeRun(resolved).run([str(path) for path in paths])


@pytest.mark.parametrize(
    ("figures", "problems", "code"),
    [
        (Statistics(images=3, answered=3), {}, ExitCode.OK),
        (Statistics(images=3, answered=2, failed=1), {}, ExitCode.SOME_FAILED),
        (Statistics(images=3, answered=2, partial=1), {}, ExitCode.SOME_FAILED),
        (Statistics(images=3, partial=3), {}, ExitCode.SOME_FAILED),
        (Statistics(images=3, failed=3), {}, ExitCode.NONE_ANSWERED),
        (Statistics(images=3, answered=3), {"labels": "missing"}, ExitCode.MODEL_MISSING),
        (Statistics(images=3, failed=3), {"labels": "missing"}, ExitCode.MODEL_MISSING),
        (Statistics(), {}, ExitCode.OK),
    ],
)
def test_the_exit_code_that_results_deserve(figures: Statistics, problems: dict[str, str], code: ExitCode) -> None:
    assert exit_code(figures, problems) is code


@pytest.mark.parametrize(
    ("name", "flags", "first"),
    [
        ("out.jsonl", {}, '{"schema_version"'),
        ("out.csv", {}, "\ufeffpath,"),
        ("out.html", {}, "<!doctype html>"),
        ("out.csv", {"format": "jsonl"}, '{"schema_version"'),
        ("out.txt", {}, "✓ "),
    ],
)
def test_the_suffix_sets_the_format_unless_it_is_named(
    tmp_path: Path, name: str, flags: dict[str, str], first: str
) -> None:
    photo = pictures.flat(tmp_path / "a.png")
    assert run(tmp_path, photo, output=str(tmp_path / name), **flags) is ExitCode.OK
    assert (tmp_path / name).read_text().startswith(first)


def test_what_would_spoil_the_end_is_known_before_the_work(tmp_path: Path) -> None:
    photo = pictures.flat(tmp_path / "a.png")
    before = photo.read_bytes()
    with pytest.raises(UsageProblem, match="overwritten"):
        run(tmp_path, photo, output=str(photo))
    with pytest.raises(OutputNotWritable, match="statistics"):
        run(tmp_path, photo, output=str(tmp_path / "out.csv"), stats=str(tmp_path / "no" / "stats.json"))
    assert photo.read_bytes() == before
    assert not (tmp_path / "out.csv").exists()


def test_statistics_are_written(tmp_path: Path) -> None:
    photo = pictures.flat(tmp_path / "a.png")
    run(tmp_path, photo, output=str(tmp_path / "out.csv"), stats=str(tmp_path / "stats.json"))
    assert json.loads((tmp_path / "stats.json").read_text())["images"] == 1


def test_statistics_of_an_earlier_run_are_there_until_there_are_new_ones(tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    stats.write_text("earlier")
    for name in ("stats.json", "new.json"):
        with pytest.raises(NoImages):
            run(tmp_path, tmp_path, stats=str(tmp_path / name))
    assert stats.read_text() == "earlier"
    assert not (tmp_path / "new.json").exists()


def test_nothing_found_says_what_may_have_kept_it_from_being_found(tmp_path: Path) -> None:
    pictures.flat(tmp_path / "a.png")
    with pytest.raises(NoImages) as caught:
        run(tmp_path, tmp_path, output=str(tmp_path / "out.csv"), include=["*.jpg"], exclude=["b*"])
    assert "--include *.jpg --exclude b*" in caught.value.remedy
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoImages) as caught:
        run(tmp_path, tmp_path / "empty", output=str(tmp_path / "out.csv"))
    assert "JPEG" in caught.value.remedy


def test_a_run_that_is_stopped_has_written_what_it_answered(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", [(9, 9, 9), planted.YELLOW, *pictures.greys(30)])
    with pytest.raises(TooManyFailures):
        run(tmp_path, photos, output=str(tmp_path / "out.jsonl"), fail_fast=True)
    statuses = [json.loads(line)["status"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert statuses == ["ok", "failed"]


def test_origins_are_shown_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = pictures.flat(tmp_path / "a.png")
    (tmp_path / "imgtool.toml").write_text("[ocr]\npsm = 6\n")
    run(tmp_path, photo, output=str(tmp_path / "out.csv"), quiet=None, verbose=True)
    said = capsys.readouterr().err
    assert "option tasks comes from flag" in said
    assert f"option ocr.psm comes from {tmp_path / 'imgtool.toml'}" in said


def test_files_that_are_passed_over_are_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    pictures.flat(folder / "a.png")
    for name in (
        "a.TXT",
        "b.txt",
        "notes",
        "c.mp4",
        "below/d.txt",
        ".hidden.txt",
        b"e.\xff".decode("utf8", "surrogateescape"),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"words")
    (tmp_path / "elsewhere.fli").write_bytes(b"words")
    (folder / "linked.fli").symlink_to(tmp_path / "elsewhere.fli")
    stats = tmp_path / "stats.json"
    run(tmp_path, folder, output=str(tmp_path / "out.csv"), quiet=None, stats=str(stats))
    said = capsys.readouterr().err
    assert "7 other files passed over: 3 .txt, 2 without extension, 1 .mp4, 1 .fli" in said.splitlines()
    assert json.loads(stats.read_text())["passed_over"] == {".txt": 3, "without extension": 2, ".mp4": 1, ".fli": 1}
    with pytest.raises(NoImages, match=r"7 other files passed over: 3 \.txt"):
        run(tmp_path, folder, exclude=["*.png"])


def test_images_that_are_not_read_are_named_by_their_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    pictures.flat(folder / "a.png")
    drawing = b'<?xml version="1.0"?>\n<!-- ' + b"x" * 80 + b' -->\n<svg xmlns="http://www.w3.org/2000/svg"/>'
    for name, content in (
        ("layers", b"8BPS\0\1"), ("other.dat", b"8BPS\0\1"), ("logo.xml", drawing), ("words.svg", b"words"),
        ("figure.eps", b"%!PS-Adobe-3.0 EPSF-3.0"), ("wall.dds", b"DDS |\0\0\0"), ("app.icns", b"icns\0\0\1\0"),
        ("old.svgz", b"\x1f\x8b\x08"),
    ):  # fmt: skip
        (folder / name).write_bytes(content)
    stats = tmp_path / "stats.json"
    run(tmp_path, folder, output=str(tmp_path / "out.csv"), quiet=None, stats=str(stats))
    found = {"PSD": 2, "ICNS": 1, "EPS": 1, "SVG": 1, ".svgz": 1, "DDS": 1, ".svg": 1}
    assert json.loads(stats.read_text())["passed_over"] == found
    line = next(line for line in capsys.readouterr().err.splitlines() if "passed over" in line)
    assert line.startswith("8 other files passed over: 2 PSD, ") and all(name in line for name in found)


def test_failed_files_are_named_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = pictures.folder(tmp_path / "photos", [(9, 9, 9), *[planted.YELLOW] * 1])
    for number in range(12):
        (photos / f"broken{number:02}.jpg").write_bytes(b"\xff\xd8\xff garbage")
    run(tmp_path, photos, output=str(tmp_path / "out.jsonl"), quiet=None)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]
    assert len(told) == 11
    assert "001.png: " in told[0]
    assert "broken00.jpg: the JPEG file" in told[1]
    assert told[-1] == "failed: 3 more"
