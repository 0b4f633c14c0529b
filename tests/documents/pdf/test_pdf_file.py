"""Documents of many pages, and PDF documents that keep their own pages."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgtool.documents.interface import DocumentFailed
from imgtool.runtime.worker.decode import Decoder
from tests.documents.pdf.readers import around, level, lines_by_page, needs_poppler, rectangle, rendered, words

pikepdf = pytest.importorskip("pikepdf")
pytest.importorskip("img2pdf")
SIZE = (500, 700)
LINES = [("첫 줄 first", level(50, 60, 300, 30)), ("last line", level(250, 640, 200, 40))]


def scan(path: Path, count: int = 3) -> Path:
    """A multi-page TIFF of grey pages."""
    sheets = [Image.new("L", SIZE, 100 + number) for number in range(count)]
    sheets[0].save(path, save_all=True, append_images=sheets[1:], dpi=(100, 100))
    return path


def pdf_scan(path: Path, rotation: int = 0, *, crop: bool = False, inherited: bool = False, count: int = 1) -> Path:
    """A PDF document of pictures; ``crop`` moves the origin, ``inherited`` states the rotation above the pages."""
    pdf = pikepdf.new()
    for number in range(count):
        held = BytesIO()
        Image.new("RGB", (100, 140), (200, number, 0)).save(held, "PDF")
        pdf.pages.extend(pikepdf.open(held).pages)
        page = pdf.pages[-1].obj
        box = [-30, 20, 330, 524] if crop else [0, 0, 360, 504]
        page.MediaBox = [-90, -90, 500, 600] if crop else box
        page.CropBox = box
        old = page.Contents.read_bytes()
        page.Contents = pdf.make_stream(b"2 0 0 2 7 7 cm q q " + old)  # changes the coordinates for what follows
        if not inherited:
            page.Rotate = rotation
    if inherited:
        pdf.Root.Pages.Rotate = rotation
    pdf.save(path)
    return path


def write(path: Path, document: Any, pages: dict[int, list[Any]], size: tuple[int, int] = SIZE) -> Path:
    for number, lines in pages.items():
        document.add(number, size, lines)
    with path.open("wb") as out:
        document.save(out)
    document.close()
    return path


def pictures(path: Path, pages: int) -> Any:
    from imgtool.documents.pdf.page_image import PageImages
    from imgtool.documents.pdf.pdf_file import PicturesAsPdf

    return PicturesAsPdf(str(path), pages, PageImages(Decoder(10**8)))


def own_pages(path: Path) -> Any:
    from imgtool.documents.pdf.pdf_file import PdfWithText

    return PdfWithText(str(path))


@needs_poppler
@pytest.mark.parametrize("most", [50, 2, 3])
def test_pages_are_in_order_with_their_own_text(tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from imgtool.documents.pdf import pdf_file

    monkeypatch.setattr(pdf_file, "_MOST_PAGES", most)
    texts = {number: [(f"쪽 {number}", level(50, 60, 200, 30))] for number in range(7)}
    path = write(tmp_path / "a.pdf", pictures(scan(tmp_path / "a.tif", 7), 7), texts)
    assert lines_by_page(path) == [[f"쪽 {number}"] for number in range(7)]
    for number in (0, 6):
        assert rendered(path, number, (50, 70)).getpixel((9, 9)) == (100 + number,) * 3
    with pikepdf.open(path) as found:
        assert "imgtool" in str(found.docinfo["/Producer"])
        assert found.check_pdf_syntax() == []


@needs_poppler
@pytest.mark.parametrize("crop", [False, True])
@pytest.mark.parametrize("inherited", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270, -90])
def test_a_pdf_document_gets_the_text_where_it_is_seen(
    tmp_path: Path, rotation: int, crop: bool, inherited: bool
) -> None:
    source = pdf_scan(tmp_path / "a.pdf", rotation, crop=crop, inherited=inherited)
    size = SIZE[::-1] if rotation % 180 else SIZE
    lines = [("첫 줄 first", level(50, 60, 300, 30)), ("last line", level(250, size[1] - 60, 200, 40))]
    path = write(tmp_path / "b.pdf", own_pages(source), {0: lines}, size)
    found = words(path, size)[0]
    for text, box in lines:
        count = len(text.split())
        assert [place.text for place in found[:count]] == text.split()
        assert around(found[:count]) == pytest.approx(rectangle(box), abs=2)
        del found[:count]
    assert rendered(path, 0, size).tobytes() == rendered(source, 0, size).tobytes()


def test_a_pdf_document_keeps_its_pictures(tmp_path: Path) -> None:
    source = pdf_scan(tmp_path / "a.pdf", count=3)
    path = write(tmp_path / "b.pdf", own_pages(source), {1: LINES})
    with pikepdf.open(source) as before, pikepdf.open(path) as after:
        assert len(after.pages) == 3
        for old, new in zip(before.pages, after.pages, strict=True):
            (one,), (other,) = (list(page.obj.Resources.XObject.values()) for page in (old, new))
            assert one.read_raw_bytes() == other.read_raw_bytes()


@needs_poppler
def test_text_that_a_page_has_is_not_written_twice(tmp_path: Path) -> None:
    born = b"BT /F 20 Tf 20 60 Td (HELLO 42 and more) Tj ET"
    pdf = pikepdf.open(pdf_scan(tmp_path / "a.pdf", count=2))
    font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    pdf.pages[0].add_resource(font, pikepdf.Name.Font, pikepdf.Name.F)
    pdf.pages[0].contents_add(born, prepend=True)
    pdf.save(tmp_path / "mixed.pdf")
    pdf.close()
    own = [("HELLO 42 and more", level(20, 600, 200, 20))]
    path = write(tmp_path / "b.pdf", own_pages(tmp_path / "mixed.pdf"), {0: own, 1: own})
    assert lines_by_page(path) == [["HELLO 42 and more"]] * 2


def test_what_cannot_be_changed_is_refused(tmp_path: Path) -> None:
    with pikepdf.open(pdf_scan(tmp_path / "a.pdf")) as pdf:
        pdf.save(tmp_path / "owner.pdf", encryption=pikepdf.Encryption(owner="secret", user=""))
        pdf.save(tmp_path / "user.pdf", encryption=pikepdf.Encryption(owner="secret", user="word"))
    (tmp_path / "no.pdf").write_bytes(b"%PDF-1.7\nnothing")
    for name, why in (("owner", "protection"), ("user", "encrypted"), ("no", "damaged")):
        with pytest.raises(DocumentFailed, match=why):
            own_pages(tmp_path / f"{name}.pdf")
    document = own_pages(tmp_path / "a.pdf")
    with pytest.raises(DocumentFailed, match="analyzed"):
        document.add(7, SIZE, LINES)
    document.close()


MEASURE = """
import resource, sys
from pathlib import Path
from imgtool.runtime.worker.decode import Decoder
from imgtool.documents.pdf.page_image import PageImages
from imgtool.documents.pdf.pdf_file import PicturesAsPdf
from PIL import Image
count = int(sys.argv[2])
sheets = [Image.frombytes("RGB", (400, 300), __import__("random").Random(n).randbytes(360000)) for n in range(count)]
sheets[0].save(sys.argv[1], save_all=True, append_images=sheets[1:], compression="tiff_lzw")
del sheets
document = PicturesAsPdf(sys.argv[1], count, PageImages(Decoder(10**8)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
line = [("some words of a line", ((10, 10), (300, 10), (300, 20), (10, 20)))]
for page in range(count):
    document.add(page, (400, 300), line * 20)
with open(sys.argv[1] + ".pdf", "wb") as out:
    document.save(out)
document.close()
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, Path(sys.argv[1] + ".pdf").stat().st_size)
"""


@pytest.mark.slow
def test_five_hundred_pages_take_no_more_memory_than_sixty(tmp_path: Path) -> None:
    def figures(count: int) -> list[int]:
        command = [sys.executable, "-c", MEASURE, tmp_path / f"{count}.tif", str(count)]
        return [
            int(word) for word in subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
        ]

    few, many = figures(60), figures(500)
    assert many[2] > 170_000_000  # the document does not fit
    assert many[1] < max(few[1], many[0]) + 60_000
