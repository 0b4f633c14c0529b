"""Pages of PDF documents as images, by PDFium (extra ``pdf``), and the text that a born-digital page has of its own."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from imgtool.distribution import install_command
from imgtool.runtime.worker.decode_errors import DAMAGED_REMEDY, DecodeError
from imgtool.runtime.worker.memory import bounded
from imgtool.types import TextLine

if TYPE_CHECKING:
    from PIL import Image

_POINTS = 72
_SCAN = 0.8
"""The share of a page from which on a picture on it makes it a scan, whose hidden text another program has read."""


class PdfPages:
    """A PDF document that is held open. Sizes are pixels at ``dpi``."""

    def __init__(self, file: BinaryIO, dpi: int, max_growth: int | None = None) -> None:
        """Open it. A few hundred bytes can have PDFium draw until all memory is taken, and it cannot be interrupted:
        the process ends if opening it or drawing a page takes more than ``max_growth`` bytes.

        Raises:
            DecodeError: PDFium is not installed, or the document is encrypted or damaged.
        """
        try:
            import pypdfium2
        except ImportError as error:
            raise DecodeError(
                "unsupported", "PDF documents need an optional package", install_command("pdf")
            ) from error
        file.seek(0)
        try:
            with bounded(max_growth):
                self._document: Any = pypdfium2.PdfDocument(BytesIO(file.read()), autoclose=True)
                self.pages = len(self._document)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                text, remedy = "the PDF document is encrypted with a password", "save a copy of it without the password"
                raise DecodeError("encrypted", text, remedy) from error
            raise DecodeError("damaged", f"the PDF document is damaged ({error})", DAMAGED_REMEDY) from error
        if not self.pages:
            raise DecodeError("damaged", "the PDF document has no pages", DAMAGED_REMEDY)
        self._scale, self._max_growth = dpi / _POINTS, max_growth

    def size(self, page: int) -> tuple[int, int]:
        """Width and height of a page."""
        width, height = self._document.get_page_size(page)
        return max(1, round(width * self._scale)), max(1, round(height * self._scale))

    def render(self, page: int) -> tuple[Image.Image, tuple[TextLine, ...]]:
        """A page as an RGB image, and its own lines of text; none where it is a scan or has no text."""
        with bounded(self._max_growth):
            opened = self._document[page]
            try:
                image = opened.render(scale=self._scale).to_pil().convert("RGB")
                return image, () if self._is_scan(opened) else self._lines(opened)
            finally:
                opened.close()

    def _is_scan(self, page: Any) -> bool:
        from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

        width, height = page.get_size()
        for found in page.get_objects(filter=(FPDF_PAGEOBJ_IMAGE,)):
            left, bottom, right, top = found.get_bounds()
            if (right - left) * (top - bottom) >= _SCAN * width * height:
                return True
        return False

    def _lines(self, page: Any) -> tuple[TextLine, ...]:
        found, (_, height), texts = [], page.get_size(), page.get_textpage()
        if page.get_rotation():  # places are those of the page before it is turned
            return ()
        for number in range(texts.count_rects()):
            left, bottom, right, top = texts.get_rect(number)
            text = " ".join(texts.get_text_bounded(left, bottom, right, top).split())
            x0, x1, y0, y1 = (self._scale * each for each in (left, right, height - top, height - bottom))
            if text:
                found.append(TextLine(text, 1.0, ((x0, y0), (x1, y0), (x1, y1), (x0, y1))))
        return tuple(found)

    def close(self) -> None:
        """Give the document back."""
        self._document.close()
