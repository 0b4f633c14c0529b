"""Pictures in a PDF document: a JPEG byte by byte, all others pixel by pixel, and upright."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imgtool.documents.interface import DocumentFailed
from imgtool.runtime.worker.decode import Decoder
from tests.documents.pdf.readers import rendered

pikepdf = pytest.importorskip("pikepdf")
pytest.importorskip("img2pdf")


OPEN: list[Any] = []
"""Documents whose images are looked at."""


def drawn(size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Image.Image:
    """A picture whose corners differ."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width, dtype=np.uint8)
    pixels[..., 1] = np.linspace(0, 255, height, dtype=np.uint8)[:, None]
    pixels[: height // 4, : width // 4] = (255, 255, 255)
    return Image.fromarray(pixels).convert(mode)


def in_pdf(path: Path, page: int = 0, pages: int = 1) -> tuple[bytes, Any, np.ndarray[Any, Any]]:
    """The document, its image, and the pixels that were analyzed."""
    from imgtool.documents.pdf.page_image import PageImages
    from imgtool.documents.pdf.pdf_file import PicturesAsPdf

    decoder = Decoder(10**8)
    analyzed = decoder.decode(str(path), page).pixels
    size = (analyzed.shape[1], analyzed.shape[0])
    document = PicturesAsPdf(str(path), pages, PageImages(decoder))
    document.add(page, size, [])
    out = BytesIO()
    document.save(out)
    document.close()
    decoder.close()
    opened = pikepdf.open(BytesIO(out.getvalue()))
    OPEN.append(opened)
    return out.getvalue(), opened.pages[0].Resources.XObject.Picture, analyzed


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_kept_byte_by_byte_and_shown_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    drawn((64, 48)).save(tmp_path / "a.jpg", quality=95, exif=exif)
    document, image, analyzed = in_pdf(tmp_path / "a.jpg")
    assert image.read_raw_bytes() == (tmp_path / "a.jpg").read_bytes()
    assert image.Filter == "/DCTDecode"
    shown = np.asarray(rendered(document, 0, (analyzed.shape[1], analyzed.shape[0])))
    assert shown.shape == analyzed.shape
    assert np.abs(shown.astype(int) - analyzed).mean() < 6  # the renderer resamples


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_other_pictures_are_shown_upright(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    drawn().save(tmp_path / name, exif=exif)
    document, _, analyzed = in_pdf(tmp_path / name)
    shown = np.asarray(rendered(document, 0, (analyzed.shape[1], analyzed.shape[0])))
    assert np.abs(shown.astype(int) - analyzed).mean() < 6


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_of_other_colours_is_kept(tmp_path: Path, mode: str) -> None:
    drawn(mode=mode).save(tmp_path / "a.jpg")
    _, image, _ = in_pdf(tmp_path / "a.jpg")
    assert image.read_raw_bytes() == (tmp_path / "a.jpg").read_bytes()


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp", "a.tif", "a.gif"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "RGBA"])
def test_other_pictures_lose_nothing(tmp_path: Path, name: str, mode: str) -> None:
    picture = drawn(mode=mode)
    if mode == "RGBA":
        picture.putalpha(drawn(mode="L"))
    try:
        picture.save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
    except OSError:
        pytest.skip("there is no such file")
    _, image, analyzed = in_pdf(tmp_path / name)
    kept = pikepdf.PdfImage(image).as_pil_image().convert("RGB")
    assert np.array_equal(np.asarray(kept), analyzed)


def test_black_and_white_is_compressed_as_faxes_are(tmp_path: Path) -> None:
    page = Image.new("1", (1700, 2200), 1)
    for row in range(30):
        ImageDraw.Draw(page).text((100, 60 + 70 * row), "Lorem ipsum dolor sit amet " * 3, font_size=30)
    page.save(tmp_path / "a.tif", dpi=(200, 200))
    document, image, analyzed = in_pdf(tmp_path / "a.tif")
    assert "CCITTFaxDecode" in repr(image.Filter)
    assert len(document) < 60_000
    assert np.array_equal(np.asarray(pikepdf.PdfImage(image).as_pil_image().convert("RGB")), analyzed)


@pytest.mark.parametrize(
    ("dpi", "expected"),
    [
        ((200, 200), (288, 216)),
        ((300, 300), (192, 144)),
        ((72, 72), (842, 631.5)),
        (None, (842, 631.5)),
        ((204, 102), (282.35, 423.5)),
    ],
)
def test_pages_are_as_large_as_the_file_says(tmp_path: Path, dpi: Any, expected: tuple[float, float]) -> None:
    drawn((800, 600), "L").save(tmp_path / "a.tif", **({"dpi": dpi} if dpi else {}))
    document, _, _ = in_pdf(tmp_path / "a.tif")
    with pikepdf.open(BytesIO(document)) as opened:
        assert [float(number) for number in opened.pages[0].mediabox][2:] == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("size", [(1, 1), (6000, 1), (1, 6000), (70_000, 4)])
def test_pages_of_any_shape_can_be_made(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("L", size, 90).save(tmp_path / "a.png", dpi=(100, 100))
    document, image, _ = in_pdf(tmp_path / "a.png")
    assert (image.Width, image.Height) == size
    with pikepdf.open(BytesIO(document)) as opened:
        assert all(3 <= float(number) <= 14_400 for number in opened.pages[0].mediabox[2:])


def test_another_picture_than_was_analyzed_is_refused(tmp_path: Path) -> None:
    from imgtool.documents.pdf.page_image import PageImages

    images = PageImages(Decoder(10**8))
    for name in ("a.jpg", "a.png"):
        drawn().save(tmp_path / name)
        with pytest.raises(DocumentFailed, match="analyzed"):
            images.of(str(tmp_path / name), 0, 1, (48, 64))
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(DocumentFailed):
        images.of(str(tmp_path / "a.jpg"), 0, 1, (64, 48))
