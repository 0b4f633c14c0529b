"""``--text-out`` and ``--sidecar`` as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from imgtool.documents.document_files import DocumentFiles
from imgtool.errors import ExitCode
from tests import pictures, planted
from tests.cli.test_start import HEAVY, modules_after
from tests.command import Outcome, imgtool

WITH = ("--caption-engine", "tests.planted:Numbered", "--text-engine", "tests.planted:NumberedText")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two pictures, and a document of three pages."""
    folder = tmp_path / "scans"
    (folder / "2026").mkdir(parents=True)
    for number, place in enumerate((folder / "a.png", folder / "2026" / "b.jpg")):
        Image.new("RGB", (40, 30), (0, number, 90)).save(place)
    pages = [Image.new("RGB", (40, 30), (1, number, 90)) for number in range(3)]
    pages[0].save(folder / "c.tif", save_all=True, append_images=pages[1:])
    return folder


def analyze(*words: str | Path, tasks: str = "caption,text", **environ: str) -> Outcome:
    return imgtool("analyze", *words, *WITH, "-t", tasks, "-f", "jsonl", **environ)


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_files_lie_beside_the_images(scans: Path) -> None:
    before = {path: path.read_bytes() for path in scans.rglob("*.*") if path.is_file()}
    done = analyze(scans, "--sidecar", "txt,json,xmp", "--text-out", "hocr,alto,pdf")
    assert done.code is ExitCode.OK, done.err
    kinds = ("txt", "json", "xmp", "hocr", "alto.xml", "ocr.pdf")
    expected = {f"{stem}.{kind}" for stem in ("a", "2026/b", "c") for kind in kinds}
    assert below(scans) == expected | {"a.png", "2026/b.jpg", "c.tif"}
    assert {path: path.read_bytes() for path in before} == before
    assert (scans / "a.txt").read_text() == "number 0"
    assert (scans / "c.txt").read_text().splitlines() == [f"number {256 + n}" for n in range(3)]
    assert json.loads((scans / "a.json").read_text())["path"] == str(scans / "a.png")
    assert [page["page"] for page in json.loads((scans / "c.json").read_text())] == [0, 1, 2]
    assert "beside the images: 3 .hocr, 3 .alto.xml, 3 .ocr.pdf, 3 .txt, 3 .json, 3 .xmp" in done.err


def test_what_was_written_is_no_input_of_the_next_run(scans: Path) -> None:
    first = analyze(scans, "--text-out", "pdf")
    again = analyze(scans, "--text-out", "pdf")
    assert [each["path"] for each in again.results] == [each["path"] for each in first.results]
    assert "3 other files passed over: 3 .ocr.pdf" in again.err
    assert "3 files were there already" in again.err
    named = analyze(scans / "a.ocr.pdf")  # but may be named
    assert [each["format"] for each in named.results] == ["PDF"]


def test_files_lie_in_a_folder_of_their_own(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert analyze(scans, "--text-out", "txt", "--sidecar-dir", out).code is ExitCode.OK
    assert below(out) == {"a.txt", "2026/b.txt", "c.txt"}
    assert (out / "c.txt").read_text() == "number 256\n\fnumber 257\n\fnumber 258\n"
    os.chdir(tmp_path)
    assert analyze("scans/a.png", "scans/2026", "--text-out", "txt", "--sidecar-dir", "more").code is ExitCode.OK
    assert below(tmp_path / "more") == {"scans/a.txt", "scans/2026/b.txt"}


def test_a_form_is_added_from_the_cache(scans: Path, tmp_path: Path) -> None:
    analyze(scans, "--text-out", "txt")
    stats = tmp_path / "stats.json"
    done = analyze(scans, "--text-out", "txt,hocr,alto,pdf", "--sidecar", "json,xmp", "--stats", stats)
    figures = done.stats(stats)
    assert (figures["hit_rate_percent"], figures["workers"]["started"]) == (100, 0)
    assert "3 files were there already and stay as they were; --overwrite replaces them" in done.err
    assert len(below(scans)) == 3 + 6 * 3


def test_a_folder_for_no_files_is_refused(scans: Path, tmp_path: Path) -> None:
    for flags in (["--sidecar-dir", "out"], ["--overwrite"]):
        done = analyze(scans, *flags)
        assert done.code is ExitCode.USAGE
        assert "--text-out txt" in done.err
    assert analyze(scans, IMGTOOL_SIDECAR_DIR=str(tmp_path / "out")).code is ExitCode.OK
    assert not (tmp_path / "out").exists()


def test_what_is_piped_in_has_files_in_the_current_folder(scans: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "imgtool", "analyze", "-", *WITH, "-t", "text", "--text-out", "txt", "-q"]
    with (scans / "a.png").open("rb") as picture:
        subprocess.run(command, stdin=picture, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "stdin.txt").read_text() == "number 0\n"


def test_names_that_clash_are_resolved_and_said(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.png"):
        Image.new("RGB", (40, 30), (0, 7, 90)).save(tmp_path / name)
    done = analyze(tmp_path / "a.jpg", tmp_path / "a.png", tmp_path / "b.png", "--text-out", "txt")
    assert {"a.jpg.txt", "a.png.txt", "b.txt"} < below(tmp_path)
    assert "2 images share their name with another one but for the suffix (a.jpg and a.png)" in done.err


def test_a_document_that_cannot_become_a_pdf_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    done = imgtool("analyze", "--from-file", "list", *WITH, "-t", "text", "--text-out", "pdf,txt", "-q")
    assert done.code is ExitCode.USAGE  # there is no list
    import pikepdf

    held = tmp_path / "scan.pdf"
    Image.new("RGB", (40, 30)).save(held, "PDF")
    with pikepdf.open(held, allow_overwriting_input=True) as pdf:
        pdf.save(encryption=pikepdf.Encryption(owner="secret", user=""))
    done = imgtool("analyze", "scan.pdf", *WITH, "-t", "text", "--text-out", "pdf,txt")
    assert done.code is ExitCode.SOME_FAILED
    assert "not written: " in done.err and "scan.ocr.pdf: the PDF document forbids changes" in done.err
    assert "number 0" in (tmp_path / "scan.txt").read_text()


def test_a_folder_that_cannot_be_written_ends_the_run(scans: Path) -> None:
    (scans / "2026").chmod(0o555)
    done = imgtool("analyze", scans, *WITH, "-t", "text", "--text-out", "txt", bound=True)
    (scans / "2026").chmod(0o755)
    assert done.code is ExitCode.NOT_WRITABLE
    assert "permission denied" in done.err and "--sidecar-dir" in done.err


def test_what_failed_has_no_files_until_it_is_answered(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", [(0, 1, 2), planted.YELLOW])
    hazard = ("-t", "caption", "--caption-engine", "tests.planted:Hazard", "--sidecar", "txt")
    done = imgtool("analyze", photos, *hazard)
    assert done.code is ExitCode.SOME_FAILED
    assert below(photos) == {"000.png", "001.png", "000.txt"}


def test_without_these_options_nothing_of_them_is_imported(scans: Path) -> None:
    given = ("analyze", scans, "-t", "caption", "--caption-engine", "describe", "-q", "-f", "jsonl")
    assert imgtool(*given).code is ExitCode.OK
    loaded = modules_after(*given)
    assert not {name for name in loaded if name.startswith("imgtool.documents")} | loaded & {"pikepdf", "xlsxwriter"}
    loaded = modules_after(*given, "--sidecar", "json,xmp")
    assert not loaded & (HEAVY | {"pikepdf", "img2pdf", "imgtool.documents.pdf.process"})
    assert "imgtool.documents.xmp" in loaded
    assert DocumentFiles.__module__ in loaded


@pytest.mark.slow
def test_after_kills_every_file_is_whole_and_the_same_command_writes_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(60):
        pages = [Image.new("RGB", (300, 200), (number, page, 90)) for page in range(3)]
        pages[0].save(folder / f"{number:02}.tif", save_all=True, append_images=pages[1:])
    given = [folder, *WITH, "-t", "text", "--text-out", "txt,hocr,pdf", "--sidecar", "json", "-q", "-f", "jsonl"]
    command = [sys.executable, "-m", "imgtool", "analyze", *map(str, given)]
    seen = 0
    for more in (1, 18, 35, 52):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(written(folder)) < seen + more and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        process.wait()
        seen = check_whole(folder)
    assert 100 < seen < 240
    assert imgtool("analyze", *given).code is ExitCode.OK
    assert check_whole(folder) == 240


def written(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix != ".tif" and not path.name.startswith(".")]


def check_whole(folder: Path) -> int:
    """The number of files about documents, each of which has all three pages."""
    import pikepdf

    files = written(folder)
    for path in files:
        if path.suffix == ".pdf":
            with pikepdf.open(path) as pdf:
                assert len(pdf.pages) == 3
        elif path.suffix == ".json":
            assert len(json.loads(path.read_text())) == 3
        elif path.suffix == ".hocr":
            assert path.read_text().count(">number<") == 3
            assert path.read_text().endswith("</html>\n")
        else:
            assert path.read_text().count("number") == 3
    return len(files)
