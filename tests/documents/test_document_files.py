"""A file for each document: whole or not at all, all pages in it, and nothing that was there before is lost."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imgtool.documents.document_files import DocumentFiles
from imgtool.documents.interface import DocumentFailed
from imgtool.documents.places import Places
from imgtool.documents.text_file import Captions, JsonResult, RecognisedText, TextFileWriter, TextForm
from imgtool.documents.xmp import XmpForm
from imgtool.errors import OutputNotWritable
from imgtool.types import ImageResult
from tests.results import answered, caption, failed, labels, text

TEXT, CAPTION, JSON = TextForm(".txt", RecognisedText), TextForm(".txt", Captions), TextForm(".json", JsonResult)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c.tif"):
        (folder / name).touch()
    return folder


def pages(path: Path, *texts: str | None) -> list[ImageResult]:
    """The pages of a document; one whose text is ``None`` failed."""
    found = []
    for number, lines in enumerate(texts):
        page = failed(str(path)) if lines is None else answered(str(path), text=text(*lines.split("\n")))
        found.append(replace(page, page=number, pages=len(texts)))
    return found


def write(
    results: Iterable[ImageResult], *forms: Any, overwrite: bool = False, folder: Path | None = None
) -> DocumentFiles:
    files = DocumentFiles(forms or (TEXT,), Places(folder), overwrite=overwrite)
    for result in results:
        files.add(result)
    files.close()
    return files


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".imgtool-*")]


def test_the_pages_of_a_document_are_in_one_file(photos: Path) -> None:
    results = [*pages(photos / "a.jpg", "one\n둘"), *pages(photos / "c.tif", "first", "", "third")]
    files = write(results, TEXT, JSON)
    assert (photos / "a.txt").read_text() == "one\n둘\n"
    assert (photos / "c.txt").read_text() == "first\n\f\fthird\n"
    assert ImageResult.from_json((photos / "a.json").read_text()) == results[0]
    many = (photos / "c.json").read_text()
    assert many.startswith("[\n{") and many.count('"page":') == 3
    assert files.figures.written == {".txt": 2, ".json": 2}
    assert not left_over(photos)


def test_captions_are_as_trainers_read_them(photos: Path) -> None:
    results = [
        answered(str(photos / "a.jpg"), caption=caption("A dog\non a  beach.")),
        answered(str(photos / "b.jpg"), text=text("no caption")),
        replace(answered(str(photos / "c.tif"), caption=caption("One.")), pages=2),
        replace(answered(str(photos / "c.tif"), caption=caption("Two.")), page=1, pages=2),
    ]
    write(results, CAPTION)
    assert (photos / "a.txt").read_bytes() == b"A dog on a beach."
    assert (photos / "c.txt").read_bytes() == b"One.\nTwo."
    assert not (photos / "b.txt").exists()


def test_what_is_there_stays_unless_it_may_be_overwritten(photos: Path) -> None:
    (photos / "a.txt").write_text("mine")
    files = write([*pages(photos / "a.jpg", "new"), *pages(photos / "b.jpg", "new")])
    assert (photos / "a.txt").read_text() == "mine"
    assert (photos / "b.txt").read_text() == "new\n"
    assert (files.figures.kept, files.figures.written) == (1, {".txt": 1})
    assert "--overwrite" in files.notes()[0]
    (photos / "a.txt").chmod(0o600)
    write(pages(photos / "a.jpg", "newer"), overwrite=True)
    assert (photos / "a.txt").read_text() == "newer\n"
    assert (photos / "a.txt").stat().st_mode & 0o777 == 0o600


def test_what_another_process_has_put_there_meanwhile_stays(photos: Path) -> None:
    files = DocumentFiles([TEXT], Places(None), overwrite=False)
    first, second = pages(photos / "c.tif", "one", "two")
    files.add(first)
    (photos / "c.txt").write_text("theirs")
    files.add(second)
    files.close()
    assert (photos / "c.txt").read_text() == "theirs"
    assert (files.figures.kept, files.figures.written) == (1, {})
    assert not left_over(photos)


def test_the_sidecar_of_another_program_is_never_replaced(photos: Path) -> None:
    result = answered(str(photos / "a.jpg"), caption=caption("A dog."), labels=labels(dog=0.9))
    theirs = '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0"/>'
    (photos / "a.xmp").write_text(theirs)
    files = write([result], XmpForm(), overwrite=True)
    assert (photos / "a.xmp").read_text() == theirs
    assert files.figures.foreign == 1
    assert "other programs" in files.notes()[0]
    (photos / "a.xmp").unlink()
    for sentence in ("A dog.", "A cat."):
        write([replace(result, tasks=replace(result.tasks, caption=caption(sentence)))], XmpForm(), overwrite=True)
    assert "A cat." in (photos / "a.xmp").read_text()


def test_a_link_stays_a_link(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (photos / "a.txt").symlink_to(tmp_path / "real.txt")
    write(pages(photos / "a.jpg", "new"))
    assert (tmp_path / "real.txt").read_text() == "old"
    write(pages(photos / "a.jpg", "new"), overwrite=True)
    assert (photos / "a.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new\n"


def test_pages_that_failed_are_empty_and_said(photos: Path) -> None:
    files = write([*pages(photos / "c.tif", "one", None, "three"), *pages(photos / "a.jpg", None)], TEXT, JSON)
    assert (photos / "c.txt").read_text() == "one\n\f\fthree\n"
    assert files.figures.incomplete == 1
    assert "failed" in files.notes()[0]
    assert not (photos / "a.txt").exists() and not (photos / "a.json").exists()  # the next run tries it again
    assert not left_over(photos)


def test_one_page_of_a_document_is_a_file(photos: Path) -> None:
    (only,) = pages(photos / "c.tif", "one")
    write([replace(only, pages=9), *pages(photos / "a.jpg", "next")])
    assert (photos / "c.txt").read_text() == "one\n"
    assert (photos / "a.txt").read_text() == "next\n"


def test_a_document_that_is_not_complete_is_given_up(photos: Path) -> None:
    files = DocumentFiles([TEXT, JSON], Places(None), overwrite=False)
    files.add(pages(photos / "c.tif", "one", "two")[0])
    assert len(left_over(photos)) == 2
    files.abandon()
    assert sorted(path.name for path in photos.iterdir()) == ["a.jpg", "b.jpg", "c.tif"]


def test_a_folder_of_their_own_is_made(photos: Path, tmp_path: Path) -> None:
    places = Places(tmp_path / "out" / "text")
    places.root = str(photos)
    files = DocumentFiles([TEXT], places, overwrite=False)
    files.add(pages(photos / "a.jpg", "one")[0])
    files.close()
    assert (tmp_path / "out" / "text" / "a.txt").read_text() == "one\n"
    assert not (photos / "a.txt").exists()


class Refusing(TextFileWriter):
    """Cannot write the page that says so."""

    def add(self, result: ImageResult) -> None:
        self._says_something = True
        if result.text == "bad":
            raise DocumentFailed("there is a hole in it")
        if result.text == "full":
            raise OSError(errno.ENOSPC, "No space left on device")


def test_what_cannot_be_made_costs_one_file(photos: Path) -> None:
    refusing = TextForm(".bad", Refusing)
    files = write([*pages(photos / "a.jpg", "bad"), *pages(photos / "b.jpg", "good")], refusing, TEXT)
    assert files.figures.failed == [f"{photos / 'a.bad'}: there is a hole in it"]
    assert sorted(path.name for path in photos.iterdir() if path.suffix != ".jpg") == [
        "a.txt",
        "b.bad",
        "b.txt",
        "c.tif",
    ]


def test_a_disk_that_fills_up_while_files_are_flushed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    files = DocumentFiles([TEXT, JSON], Places(None), overwrite=False)
    monkeypatch.setattr(os, "fsync", full)
    files.add(pages(photos / "a.jpg", "one")[0])
    files.add(pages(photos / "b.jpg", "two")[0])
    with pytest.raises(OutputNotWritable, match="no space"):
        files.close()
    files.abandon()
    assert sorted(path.name for path in photos.iterdir()) == ["a.jpg", "b.jpg", "c.tif"]


def test_a_full_disk_ends_the_run(photos: Path) -> None:
    files = DocumentFiles([TextForm(".bad", Refusing)], Places(None), overwrite=False)
    with pytest.raises(OutputNotWritable, match="no space") as caught:
        files.add(pages(photos / "a.jpg", "full")[0])
    assert "--sidecar-dir" in caught.value.remedy
    files.abandon()
    assert not left_over(photos)


def test_names_that_are_too_long_cost_one_file(photos: Path) -> None:
    path = photos / ("x" * 250 + ".jpg")
    path.touch()
    files = write([*pages(path, "one"), *pages(photos / "a.jpg", "two")], TextForm(".alto.xml", RecognisedText))
    assert len(files.figures.failed) == 1
    assert (photos / "a.alto.xml").exists()


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    Path(os.fsdecode(folder + b"/\xff.jpg")).touch()
    write(pages(tmp_path / "\\xff.jpg", "one"))
    assert Path(os.fsdecode(folder + b"/\xff.txt")).read_text() == "one\n"


ENDLESS = """
import sys
from pathlib import Path
from imgtool.documents.document_files import DocumentFiles
from imgtool.documents.places import Places
from imgtool.documents.text_file import RecognisedText, TextForm
from tests.results import answered, text
from msgspec.structs import replace
folder = Path(sys.argv[1])
files = DocumentFiles([TextForm(".txt", RecognisedText)], Places(folder), overwrite=True)
number = 0
print("begun", flush=True)
while True:
    for page in range(3):
        lines = text(*[f"{number} {page} {line}" for line in range(50)])
        files.add(replace(answered(f"{number % 20}.jpg", text=lines), page=page, pages=3))
    number += 1
"""


def test_what_is_there_after_a_kill_is_whole(tmp_path: Path) -> None:
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", ENDLESS, tmp_path], stdout=subprocess.PIPE, cwd=tmp_path)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        written = list(tmp_path.glob("*.txt"))
        assert written
        for path in written:
            parts = path.read_text().split("\f")
            assert [part.count("\n") for part in parts] == [50] * 3
            assert len({part.split()[0] for part in parts}) == 1


def peak_of(program: str, *words: str | Path) -> int:
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, check=True, text=True)
    return int(done.stdout)


PAGES = """
import resource, sys
from imgtool.documents.alto import Alto
from imgtool.documents.document_files import DocumentFiles
from imgtool.documents.hocr import Hocr
from imgtool.documents.places import Places
from imgtool.documents.text_file import JsonResult, RecognisedText, TextForm
from tests.results import answered, text
from msgspec.structs import replace
forms = [TextForm(s, w) for s, w in ((".txt", RecognisedText), (".json", JsonResult), (".hocr", Hocr), (".xml", Alto))]
files = DocumentFiles(forms, Places(None), overwrite=True)
count = int(sys.argv[2])
for page in range(count):
    files.add(replace(answered(sys.argv[1], text=text(*["word " * 8] * 60)), page=page, pages=count))
files.close()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_one_page_is_held_at_a_time(tmp_path: Path) -> None:
    count = 500
    few, many = (peak_of(PAGES, tmp_path / "a.tif", str(pages)) for pages in (5, count))
    assert many - few < 4_000  # kB
    assert (tmp_path / "a.hocr").stat().st_size > 45_000 * count
