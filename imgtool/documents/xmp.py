"""XMP sidecars: caption and labels as programs that manage photos read them (ISO 16684-1)."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from imgtool import __version__
from imgtool.documents.text_file import TextForm
from imgtool.documents.xml_file import XmlFileWriter
from imgtool.types import ImageResult

LEAST = 0.5
"""The probability from which on a label is a keyword."""

_TOOLKIT = "imgtool"
_HEAD_BYTES = 1000


class Xmp(XmlFileWriter):
    """The first caption as ``dc:description``, the labels of at least :data:`LEAST` as ``dc:subject``."""

    def __init__(self, out: IO[str], first: ImageResult) -> None:
        super().__init__(out, first)
        self._caption: str | None = None
        self._keywords: dict[str, None] = {}

    def add(self, result: ImageResult) -> None:
        self._caption = self._caption or result.caption
        likely = (label.label for label in result.labels or () if label.score >= LEAST)
        self._keywords |= dict.fromkeys(filter(None, likely))

    def close(self) -> bool:
        self._says_something = bool(self._caption or self._keywords)
        self.raw('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n')
        with (
            self.element("x:xmpmeta", xmlns__x="adobe:ns:meta/", x__xmptk=f"{_TOOLKIT} {__version__}"),
            self.element("rdf:RDF", xmlns__rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"),
            self.element("rdf:Description", rdf__about="", xmlns__dc="http://purl.org/dc/elements/1.1/"),
        ):
            self._values()
        self.raw('<?xpacket end="w"?>\n')
        return super().close()

    def _values(self) -> None:
        if self._caption:
            with self.element("dc:description"), self.element("rdf:Alt"):
                self.leaf("rdf:li", self._caption, xml__lang="x-default")
        if self._keywords:
            with self.element("dc:subject"), self.element("rdf:Bag"):
                for keyword in self._keywords:
                    self.leaf("rdf:li", keyword)


class XmpForm(TextForm):
    """XMP that replaces its own files alone: one of another program may hold a photographer's work."""

    def __init__(self) -> None:
        super().__init__(".xmp", Xmp)

    def may_replace(self, existing: Path) -> bool:
        with existing.open("rb") as file:
            return f'x:xmptk="{_TOOLKIT} '.encode() in file.read(_HEAD_BYTES)
