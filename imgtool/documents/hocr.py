"""hOCR 1.2: recognised lines and their places as XHTML (https://kba.github.io/hocr-spec/1.2/)."""

from __future__ import annotations

from typing import IO

from imgtool import __version__
from imgtool.documents.boxes import Rectangle, slant, words
from imgtool.documents.xml_file import XmlFileWriter
from imgtool.types import Box, ImageResult, TextLine, sure_lines

_DOCTYPE = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"'
    ' "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
)
_LEVEL = 0.5
"""Degrees; the angle of a line is said beyond it."""


class Hocr(XmlFileWriter):
    """One ``ocr_page`` a page, with its lines, and in them their words. Coordinates are pixels of the upright image;
    the places of words are estimated from their line's."""

    def __init__(self, out: IO[str], first: ImageResult) -> None:
        super().__init__(out, first)
        self._count = 0
        self.raw(_DOCTYPE)
        self.start("html", xmlns="http://www.w3.org/1999/xhtml", xml__lang="und", lang="und")
        with self.element("head"):
            self.leaf("title", first.path)
            engine = first.tasks.text.engine if first.tasks.text is not None else ""
            self.leaf("meta", **{"http-equiv": "Content-Type", "content": "text/html; charset=utf-8"})
            self.leaf("meta", name="ocr-system", content=f"imgtool {__version__} {engine}".strip())
            self.leaf("meta", name="ocr-capabilities", content="ocr_page ocr_line ocrx_word ocrp_wconf")
            self.leaf("meta", name="ocr-number-of-pages", content=first.pages)
        self.start("body")
        self.raw("\n")

    def add(self, result: ImageResult) -> None:
        self._count += 1
        page = self._count
        self._says_something |= result.lines is not None
        image = result.path.replace("\\", "\\\\").replace('"', '\\"')
        title = f'image "{image}"; bbox 0 0 {result.width or 0} {result.height or 0}; ppageno {result.page}'
        with self.element("div", class_="ocr_page", id=f"page_{page}", title=title):
            for number, line in enumerate(sure_lines(result.lines or ()), 1):
                self._line(f"{page}_{number}", line)

    def close(self) -> bool:
        self.end("body")
        self.end("html")
        return super().close()

    def _line(self, name: str, line: TextLine) -> None:
        confidence = f"x_wconf {round(100 * line.confidence)}"
        angle = slant(line.box)
        title = bbox(line.box) + (f"; textangle {angle:.1f}" if abs(angle) > _LEVEL else "")
        self.start("span", class_="ocr_line", id=f"line_{name}", title=f"{title}; {confidence}")
        for number, word in enumerate(words(line), 1):
            if number > 1:
                self.raw(" ")
            self.start("span", class_="ocrx_word", id=f"word_{name}_{number}", title=f"{bbox(word.box)}; {confidence}")
            self.text(word.text)
            self.end("span", newline=False)
        self.end("span")


def bbox(box: Box) -> str:
    """``box`` as hOCR's property."""
    return "bbox {} {} {} {}".format(*Rectangle.around(box))
