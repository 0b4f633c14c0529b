"""Where results go: several outputs at once, and earlier ones that are never lost."""

from __future__ import annotations

import csv
import json
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgtool.cli.analyze.outputs import Outputs
from imgtool.cli.analyze.run import AnalyzeRun
from imgtool.config import resolve
from imgtool.engine.analysis import Analysis
from imgtool.engine.files.words import path_of_address
from imgtool.errors import ExitCode, NoImages, TooManyFailures, UsageProblem
from imgtool.options import OutputOptions
from tests import pictures, planted
from tests.command import imgtool

PLANTED = {"tasks": "caption", "caption_engine": "tests.planted:Hazard", "quiet": None}
EARLIER = "of an earlier run\n"


def run(folder: Path, *paths: Path, **flags: Any) -> ExitCode:
    resolved = resolve({**PLANTED, **flags}, folder=folder, user_file=folder / "none.toml")
    return AnalyzeRun(resolved).run([str(path) for path in paths])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv", "r.json", "r.html", "r.txt"])
def test_what_finds_nothing_leaves_an_earlier_output(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / name
    output.write_text(EARLIER)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoImages):
        run(tmp_path, tmp_path / "empty", output=[str(output)])
    assert run(tmp_path, tmp_path / "gone.png", tmp_path / "*.gif", output=[str(output)]) is ExitCode.NONE_ANSWERED
    assert output.read_text() == EARLIER
    assert "stays as it was" in capsys.readouterr().err
    run(tmp_path, tmp_path / "gone.png", pictures.flat(tmp_path / "a.png"), output=[str(output)])
    written = output.read_text()
    assert EARLIER not in written
    assert written.index("gone.png") < written.index("a.png")


def test_who_reads_along_sees_a_result_before_the_next_is_there(tmp_path: Path) -> None:
    output = tmp_path / "r.jsonl"
    photos = [pictures.flat(tmp_path / name) for name in ("a.png", "b.png")]
    seen: list[bool] = []

    def one_after_the_other() -> Iterator[str]:
        yield str(photos[0])
        until = time.monotonic() + 30
        while time.monotonic() < until and not (output.exists() and "a.png" in output.read_text()):
            time.sleep(0.01)
        seen.append("a.png" in output.read_text())
        yield str(photos[1])

    resolved = resolve({**PLANTED, "output": [str(output)]}, folder=tmp_path, user_file=tmp_path / "none.toml")
    assert AnalyzeRun(resolved).run(one_after_the_other()) is ExitCode.OK
    assert seen == [True]
    assert len(lines(output)) == 2


def test_what_finds_nothing_makes_no_file(tmp_path: Path) -> None:
    for name in ("r.jsonl", "r.csv", "r.xlsx"):
        with pytest.raises(NoImages):
            run(tmp_path, tmp_path, output=[str(tmp_path / name)])
    assert not files(tmp_path)


def test_a_workbook_replaces_an_earlier_one_once_there_is_a_result(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    output = tmp_path / "r.xlsx"
    output.write_text(EARLIER)
    run(tmp_path, tmp_path / "gone.png", output=[str(output)])
    assert output.read_text() == EARLIER
    run(tmp_path, pictures.flat(tmp_path / "a.png"), output=[str(output)])
    assert openpyxl.load_workbook(output)["Images"].max_row == 2
    with pytest.raises(UsageProblem, match="retry-failed"):
        run(tmp_path, tmp_path / "a.png", output=[str(output)], retry_failed=True)
    assert openpyxl.load_workbook(output)["Images"].max_row == 2


def test_several_outputs_are_all_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = pictures.flat(tmp_path / "a.png")
    names = ("a.jsonl", "b.csv", "c.html", "d")
    assert run(tmp_path, photo, output=[str(tmp_path / name) for name in names], format="json") is ExitCode.OK
    assert "thumbnail" not in lines(tmp_path / "a.jsonl")[0]
    assert len((tmp_path / "b.csv").read_text().splitlines()) == 2
    assert "data:image/jpeg" in (tmp_path / "c.html").read_text() or "thumbnail" in (tmp_path / "c.html").read_text()
    assert len(json.loads((tmp_path / "d").read_text())) == 1
    assert "a.jsonl and " in capsys.readouterr().err
    with pytest.raises(UsageProblem, match="same file"):
        run(tmp_path, photo, output=[str(tmp_path / "a.jsonl")] * 2)


def test_a_suffix_that_no_format_has_is_refused(tmp_path: Path) -> None:
    photo = pictures.flat(tmp_path / "a.png")
    with pytest.raises(UsageProblem, match=r"\.ods") as caught:
        run(tmp_path, photo, output=[str(tmp_path / "r.ods")])
    assert ".csv" in caught.value.remedy
    assert files(tmp_path) == {"a.png"}
    assert run(tmp_path, photo, output=[str(tmp_path / "r.log")], format="jsonl") is ExitCode.OK


def test_csv_has_a_byte_order_mark_where_a_spreadsheet_will_open_it(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    photo, output = pictures.flat(tmp_path / "a.png"), tmp_path / "r.csv"
    mark = "\ufeff".encode()
    for flags, expected in (({}, True), ({"csv_bom": False}, False), ({"csv_bom": True}, True)):
        for merged in (False, True):  # written anew, and into what is there
            run(tmp_path, photo, output=[str(output)], retry_failed=merged, **flags)
            assert output.read_bytes().startswith(mark + b"path,") is expected
            assert output.read_bytes().count(mark) == expected
    capsysbinary.readouterr()
    for flags, expected in (({}, False), ({"csv_bom": True}, True)):
        run(tmp_path, photo, format="csv", **flags)
        assert capsysbinary.readouterr().out.startswith(mark) is expected
    for named in ("/dev/stdout", "-"):
        run(tmp_path, photo, format="csv", output=[named])
        assert capsysbinary.readouterr().out.startswith(b"path,")


def test_json_lines_are_added(tmp_path: Path) -> None:
    photo, output = pictures.flat(tmp_path / "a.png"), tmp_path / "r.jsonl"
    for _ in range(2):
        run(tmp_path, photo, output=[str(output)], append=True)
    output.write_text(output.read_text().removesuffix("\n"))  # killed before its last byte
    run(tmp_path, photo, output=[str(output)], append=True)
    assert [Path(line["path"]).name for line in lines(output)] == ["a.png"] * 3
    for flags in ({"output": [str(tmp_path / "r.csv")]}, {}):
        with pytest.raises(UsageProblem, match="--append"):
            run(tmp_path, photo, append=True, **flags)


@pytest.mark.parametrize("name", ["r.jsonl", "r.json", "r.csv"])
def test_what_is_tried_again_is_put_into_its_own_output(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = pictures.folder(tmp_path / "photos", [(9, 9, 9), planted.YELLOW, (20, 20, 20)])
    output = tmp_path / name
    run(tmp_path, photos, output=[str(output)])
    before = output.read_text()
    pictures.flat(photos / "003.png", planted.YELLOW)
    run(tmp_path, photos / "003.png", output=[str(tmp_path / "other.jsonl")])
    run(tmp_path, photos, output=[str(output)], retry_failed=True)
    if name == "r.csv":
        rows: list[Any] = list(csv.DictReader(output.read_text("utf-8-sig").splitlines()))
    else:
        rows = lines(output) if name == "r.jsonl" else json.loads(output.read_text())
    assert [Path(row["path"]).name for row in rows] == ["000.png", "001.png", "002.png", "003.png"]
    assert [row["status"] for row in rows] == ["ok", "failed", "ok", "failed"]
    assert before.splitlines()[0] == output.read_text().splitlines()[0]


def test_what_is_tried_again_does_not_replace_what_cannot_be_merged(tmp_path: Path) -> None:
    output = tmp_path / "r.html"
    output.write_text(EARLIER)
    with pytest.raises(UsageProblem, match="retry-failed"):
        run(tmp_path, pictures.flat(tmp_path / "a.png"), output=[str(output)], retry_failed=True)
    assert output.read_text() == EARLIER


def test_an_interrupted_output_is_kept_under_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    places = [tmp_path / name for name in ("r.csv", "r.json", "r.jsonl")]
    for place in places[:2]:
        place.write_text(EARLIER)
    step, taken = Analysis.__next__, iter(range(2))

    def interrupted(analysis: Analysis) -> Any:
        if next(taken, None) is None:
            raise KeyboardInterrupt
        return step(analysis)

    monkeypatch.setattr(Analysis, "__next__", interrupted)
    (tmp_path / "r.interrupted.csv").write_text(EARLIER)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, photos, output=list(map(str, places)))
    assert files(tmp_path) == {
        *("r.csv", "r.json", "r.jsonl", "r.interrupted.csv", "r.interrupted1.csv", "r.interrupted.json")
    }
    assert [place.read_text() for place in (*places[:2], tmp_path / "r.interrupted.csv")] == [EARLIER] * 3
    assert len((tmp_path / "r.interrupted1.csv").read_text().splitlines()) == 3
    assert len(json.loads((tmp_path / "r.interrupted.json").read_text())) == 2
    assert len(lines(tmp_path / "r.jsonl")) == 2
    assert "r.interrupted1.csv" in capsys.readouterr().err


def test_a_run_that_is_stopped_replaces_no_earlier_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = pictures.folder(tmp_path / "photos", [(9, 9, 9), planted.YELLOW, *pictures.greys(30)])
    output = tmp_path / "r.csv"
    for earlier in (False, True):
        with pytest.raises(TooManyFailures):
            run(tmp_path, photos, output=[str(output)], fail_fast=True)
        assert len(output.read_text().splitlines()) == (1 if earlier else 3)
        output.write_text(EARLIER)
    assert len((tmp_path / "r.interrupted.csv").read_text().splitlines()) == 3
    assert "written to " + str(tmp_path / "r.interrupted.csv") in capsys.readouterr().err


def test_what_contradicts_itself_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    twice = OutputOptions(output=(tmp_path / "a.csv", tmp_path / "a.csv"))
    with pytest.raises(UsageProblem, match="the same file"):
        Outputs(twice, merge=False)
    with pytest.raises(UsageProblem, match="JSON Lines"):
        Outputs(OutputOptions(output=(tmp_path / "a.csv",), append=True), merge=False)
    assert Outputs(OutputOptions(output=(tmp_path / "a.html",)), merge=False).needs_thumbnails
    assert files(tmp_path) == set()


def test_after_a_gallery_one_line_says_what_to_open_and_what_to_try(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "my photos", [(9, 9, 9), (90, 9, 9)])
    cache = tmp_path / "a cache"
    place = tmp_path / "g 1.html"
    options = ("-t", "caption", "--caption-engine", "describe", "--cache-dir", str(cache))
    done = imgtool("analyze", str(photos), *options, "-o", str(place), "-o", str(tmp_path / "r.csv"))
    assert done.code == ExitCode.OK, done.err
    said = next(line for line in done.err.splitlines() if line.startswith("open "))
    address = said.removeprefix("open ").split(" ")[0]
    assert path_of_address(address) == str(place)
    assert "? shows its keys" in said
    command = shlex.split(said.rpartition("imgtool ")[2])
    found = imgtool(*command)
    assert found.code == ExitCode.OK, found.err
    assert "2 hits" in found.err
    for more in (("-q",), ("-o", str(tmp_path / "only.csv"))):
        output = () if more[0] == "-o" else ("-o", str(place))
        assert "open " not in imgtool("analyze", str(photos), *options, *output, *more).err


@pytest.mark.parametrize("more", [("--no-cache",), ("--database", "off")])
def test_without_a_database_no_search_is_offered(tmp_path: Path, more: tuple[str, ...]) -> None:
    photos = pictures.folder(tmp_path / "photos", [(9, 9, 9)])
    options = ("-t", "caption", "--caption-engine", "describe", "--cache-dir", str(tmp_path / "cache"))
    done = imgtool("analyze", str(photos), *options, "-o", str(tmp_path / "g.html"), *more)
    said = next(line for line in done.err.splitlines() if line.startswith("open "))
    assert "search" not in said
