"""The process that makes PDF documents: whatever happens to it costs one document."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image

from imgtool.documents.document_files import DocumentFiles
from imgtool.documents.pdf.process import SearchablePdf
from imgtool.documents.places import Places
from imgtool.options import EngineOptions
from imgtool.types import ImageResult
from tests.documents.pdf.readers import lines_by_page, needs_poppler
from tests.results import answered, failed, text

pytest.importorskip("pikepdf")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.png", "c.webp"):
        Image.new("RGB", (300, 200), (9, 90, 200)).save(folder / name)
    return folder


def read(path: Path, *lines: str, size: tuple[int, int] = (300, 200)) -> ImageResult:
    return replace(answered(str(path), text=text(*lines)), width=size[0], height=size[1], format="JPEG")


@needs_poppler
def test_documents_are_made_one_after_the_other(photos: Path) -> None:
    form = SearchablePdf(EngineOptions())
    files = DocumentFiles([form], Places(None), overwrite=False)
    for name in ("a.jpg", "b.png", "c.webp"):
        files.add(read(photos / name, "하나", "\ud800 two"))
    pid = form._process.pid  # type: ignore[union-attr]
    files.close()
    assert files.figures.written == {".ocr.pdf": 3}
    assert lines_by_page(photos / "c.ocr.pdf") == [["하나", "� two"]]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list(photos.glob(".*"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_crash_or_a_hang_costs_one_document(
    photos: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = SearchablePdf(EngineOptions())
    files = DocumentFiles([form], Places(None), overwrite=False)
    files.add(read(photos / "a.jpg", "one"))
    process = form._process
    assert process is not None
    form._seconds = 60.0 if number is signal.SIGKILL else 0.5
    os.kill(process.pid, number)
    files.add(read(photos / "b.png", "two"))
    form._seconds = 60.0
    files.add(read(photos / "c.webp", "three"))
    files.close()
    (why,) = files.figures.failed
    assert why.startswith(str(photos / "b.ocr.pdf"))
    assert ("code -9" if number is signal.SIGKILL else "took more than") in why
    assert sorted(path.name for path in photos.glob("*.pdf")) == ["a.ocr.pdf", "c.ocr.pdf"]
    assert process.poll() is not None
    assert not list(photos.glob(".*"))


def test_what_cannot_be_read_costs_one_document(photos: Path) -> None:
    files = DocumentFiles([SearchablePdf(EngineOptions())], Places(None), overwrite=False)
    files.add(read(photos / "a.jpg", "one", size=(200, 300)))
    files.add(read(photos / "gone.jpg", "one"))
    files.add(read(photos / "b.png", "two"))
    files.add(failed(str(photos / "c.webp")))
    files.add(read(Path("-"), "piped"))
    files.close()
    assert [why.partition(": ")[2][:20] for why in files.figures.failed] == [
        "the image is not the",
        "FileNotFoundError: [",
        "what is piped in can",
    ]
    assert sorted(path.name for path in photos.glob("*.pdf")) == ["b.ocr.pdf"]


def test_a_document_that_is_given_up_leaves_nothing(photos: Path) -> None:
    form = SearchablePdf(EngineOptions())
    files = DocumentFiles([form], Places(None), overwrite=False)
    files.add(replace(read(photos / "a.jpg", "one"), pages=2))
    process = form._process
    files.abandon()
    assert process is not None and process.returncode is not None
    assert sorted(path.name for path in photos.iterdir()) == ["a.jpg", "b.png", "c.webp"]
