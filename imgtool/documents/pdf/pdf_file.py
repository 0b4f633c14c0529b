"""Searchable PDF documents, made page by page: of pictures, or of a PDF document that keeps its own pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Protocol, cast

import pikepdf
from pikepdf import Dictionary, Name, Pdf

from imgtool import __version__
from imgtool.documents.interface import DocumentFailed
from imgtool.documents.pdf.page_image import PageImages
from imgtool.documents.pdf.text_layer import FONT, TextLayer
from imgtool.types import Box, Point

Lines = Sequence[tuple[str, Box]]
"""The text and the box of each line, in pixels of the upright page."""

_MOST_PAGES, _MOST_BYTES = 50, 64 << 20
"""What is held in memory of a document of pictures, about, before it is put into a temporary file."""

_OWN_TEXT = 0.5
"""A page that has at least this share of the recognised characters as text of its own gets no second layer."""


class PdfFile(Protocol):
    """A document that is being made."""

    def add(self, page: int, size: tuple[int, int], lines: Lines) -> None:
        """Add page ``page`` (from 0), of which ``size`` was analyzed, in pixels.

        Raises:
            DocumentFailed: it cannot be read, or is not what was analyzed.
        """

    def save(self, out: BinaryIO) -> None:
        """Write the document."""

    def close(self) -> None:
        """Give everything back."""


class PicturesAsPdf:
    """The pages of a picture file as a PDF document. Parts of it wait in temporary files, to bound its memory."""

    def __init__(self, path: str, pages: int, images: PageImages) -> None:
        self._path, self._pages, self._images = path, pages, images
        self._parts: list[BinaryIO] = []
        self._begin()

    def _begin(self) -> None:
        self._pdf = pikepdf.new()
        self._layer = TextLayer(self._pdf)
        self._size = 0

    def add(self, page: int, size: tuple[int, int], lines: Lines) -> None:
        made = self._images.of(self._path, page, self._pages, size)
        with closing(made.pdf):
            image = self._pdf.copy_foreign(made.image)
            self._size += len(made.image.read_raw_bytes())
            a, b, c, d, e, f = made.matrix
            width, height = made.width, made.height
            numbers = (a * width, b * height, c * width, d * height, e * width, f * height)
            shown = f"q {' '.join(f'{number:.4f}' for number in numbers)} cm /Picture Do Q\n".encode("ascii")

            def place(x: float, y: float) -> Point:
                return x / size[0] * width, height - y / size[1] * height

            new = self._pdf.add_blank_page(page_size=(width, height))
            new.obj.Contents = self._pdf.make_stream(shown + self._layer.content(lines, place))
            fonts = Dictionary({str(FONT): self._layer.font})
            new.obj.Resources = Dictionary(XObject=Dictionary(Picture=image), Font=fonts)
            if self._size >= _MOST_BYTES or len(self._pdf.pages) >= _MOST_PAGES:
                self._put_aside()

    def _put_aside(self) -> None:
        self._layer.finish()
        part = cast(BinaryIO, TemporaryFile())  # noqa: SIM115 - it is closed with the document
        self._parts.append(part)
        self._pdf.save(part)
        self._pdf.close()
        self._begin()

    def save(self, out: BinaryIO) -> None:
        if self._parts and self._pdf.pages:
            self._put_aside()
        if not self._parts:
            self._layer.finish()
            _save(self._pdf, out)
            return
        sources = [Pdf.open(part) for part in self._parts]
        with closing(pikepdf.new()) as whole:
            for source in sources:
                whole.pages.extend(source.pages)
            _save(whole, out)
        for source in sources:
            source.close()

    def close(self) -> None:
        self._pdf.close()
        for part in self._parts:
            part.close()


class PdfWithText:
    """A PDF document with its own pages, and the text under what they show."""

    def __init__(self, path: str) -> None:
        """
        Raises:
            DocumentFailed: it is encrypted or damaged.
        """
        import pypdfium2

        try:
            self._pdf = Pdf.open(path)
        except pikepdf.PasswordError as error:
            raise DocumentFailed("the PDF document is encrypted: save a copy of it without the password") from error
        except pikepdf.PdfError as error:
            raise DocumentFailed(f"the PDF document is damaged ({error}): get another copy of it") from error
        if self._pdf.is_encrypted:
            raise DocumentFailed("the PDF document forbids changes: save a copy of it without protection")
        self._layer = TextLayer(self._pdf)
        self._reader: Any = pypdfium2.PdfDocument(path)

    def add(self, page: int, size: tuple[int, int], lines: Lines) -> None:
        if page >= len(self._pdf.pages):
            raise DocumentFailed("the PDF document is not the one that was analyzed: analyze it again")
        recognised = sum(len("".join(text.split())) for text, _ in lines)
        if not recognised or self._own_characters(page) >= _OWN_TEXT * recognised:
            return
        changed = self._pdf.pages[page]
        layer = self._layer.content(lines, _placing(changed, size))
        if layer:
            # Before what the page shows, whose own changes of the coordinate system cannot move it then.
            changed.contents_add(layer, prepend=True)
            changed.add_resource(self._layer.font, Name.Font, FONT)

    def _own_characters(self, page: int) -> int:
        opened = self._reader[page]
        texts = opened.get_textpage()
        try:
            return len("".join(texts.get_text_range().split()))
        finally:
            texts.close()
            opened.close()

    def save(self, out: BinaryIO) -> None:
        self._layer.finish()
        _save(self._pdf, out)

    def close(self) -> None:
        self._reader.close()
        self._pdf.close()


def _placing(page: pikepdf.Page, size: tuple[int, int]) -> Callable[[float, float], Point]:
    """From pixels of a page as it is shown to its own coordinates, which know nothing of its rotation."""
    x0, y0, x1, y1 = (float(number) for number in page.cropbox)
    x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    turn = int(page.obj.get("/Rotate", 0)) if "/Rotate" in page.obj else _inherited_rotation(page)

    def place(x: float, y: float) -> Point:
        right, down = x / size[0], y / size[1]
        across, up = {
            0: (right, 1 - down),
            90: (down, right),
            180: (1 - right, down),
            270: (1 - down, 1 - right),
        }[turn % 360 // 90 * 90]
        return x0 + across * (x1 - x0), y0 + up * (y1 - y0)

    return place


def _inherited_rotation(page: pikepdf.Page) -> int:
    node: Any = page.obj
    for _ in range(100):  # a damaged tree may be a circle
        if "/Rotate" in node:
            return int(node.Rotate)
        if "/Parent" not in node:
            break
        node = node.Parent
    return 0


def _save(pdf: Pdf, out: BinaryIO) -> None:
    pdf.docinfo["/Producer"] = f"imgtool {__version__} (pikepdf {pikepdf.__version__})"
    pdf.save(out, deterministic_id=True)
