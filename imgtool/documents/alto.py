"""ALTO 4.4: recognised lines and their places as libraries and archives keep them (https://www.loc.gov/standards/alto/)."""

from __future__ import annotations

from typing import IO

from imgtool import __version__
from imgtool.documents.boxes import Rectangle, words
from imgtool.documents.xml_file import XmlFileWriter
from imgtool.types import Box, ImageResult, TextLine, sure_lines

_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
_SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-4.xsd"


class Alto(XmlFileWriter):
    """One ``Page`` a page, with one ``TextBlock`` for all its lines. Units are pixels of the upright image. A line has
    the four corners of its box as ``Polygon``; the places of words are estimated from their line's."""

    def __init__(self, out: IO[str], first: ImageResult) -> None:
        super().__init__(out, first)
        self.start(
            "alto",
            xmlns=_NAMESPACE,
            xmlns__xsi="http://www.w3.org/2001/XMLSchema-instance",
            xsi__schemaLocation=f"{_NAMESPACE} {_SCHEMA}",
            SCHEMAVERSION="4.4",
        )
        with self.element("Description"):
            self.leaf("MeasurementUnit", "pixel")
            with self.element("sourceImageInformation"):
                self.leaf("fileName", first.path)
            answer = first.tasks.text
            with self.element("Processing", ID="ocr"):
                if answer is not None:
                    settings = f"engine {answer.engine}, model {answer.model} {answer.model_version}"
                    self.leaf("processingStepSettings", settings)
                with self.element("processingSoftware"):
                    self.leaf("softwareName", "imgtool")
                    self.leaf("softwareVersion", __version__)
        self.start("Layout")
        self.raw("\n")

    def add(self, result: ImageResult) -> None:
        self._says_something |= result.lines is not None
        lines = [line for line in sure_lines(result.lines or ()) if line.text.strip()]  # each must hold a word
        page = f"page_{result.page + 1}"
        size = {"HEIGHT": result.height, "WIDTH": result.width}
        with self.element("Page", ID=page, PHYSICAL_IMG_NR=result.page + 1, **size):
            whole = {"HPOS": 0, "VPOS": 0, "HEIGHT": result.height or 0, "WIDTH": result.width or 0}
            with self.element("PrintSpace", **whole):
                if lines:
                    with self.element("TextBlock", ID=f"{page}_block", **_place(*(line.box for line in lines))):
                        for number, line in enumerate(lines, 1):
                            self._line(f"{page}_line_{number}", line)

    def close(self) -> bool:
        self.end("Layout")
        self.end("alto")
        return super().close()

    def _line(self, name: str, line: TextLine) -> None:
        with self.element("TextLine", ID=name, **_place(line.box)):
            with self.element("Shape"):
                self.leaf("Polygon", POINTS=" ".join(f"{x:.1f},{y:.1f}" for x, y in line.box))
            for number, word in enumerate(words(line), 1):
                if number > 1:
                    self.leaf("SP")
                confidence = f"{min(1.0, max(0.0, line.confidence)):.3f}"
                place = _place(word.box)
                self.leaf("String", ID=f"{name}_{number}", CONTENT=word.text, **place, WC=confidence)


def _place(*boxes: Box) -> dict[str, object]:
    left, top, right, bottom = Rectangle.around(*boxes)
    return {"HPOS": left, "VPOS": top, "WIDTH": right - left, "HEIGHT": bottom - top}
