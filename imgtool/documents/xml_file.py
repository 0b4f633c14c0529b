"""XML written element by element, so that a document of any length takes no memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from imgtool.documents.text_file import TextFileWriter
from imgtool.formats.clean import REPLACEMENT, well_formed
from imgtool.types import ImageResult

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class XmlFileWriter(TextFileWriter):
    """What a writer of XML has in common."""

    def __init__(self, out: IO[str], first: ImageResult) -> None:
        super().__init__(out, first)
        stream: Any = out  # text as well as bytes may be written to
        self._xml = XMLGenerator(stream, "utf-8", short_empty_elements=True)
        self._xml.startDocument()

    def raw(self, text: str) -> None:
        """Write ``text`` as it is: a declaration, or white space."""
        self._xml.ignorableWhitespace(text)

    def start(self, element: str, /, **attributes: object) -> None:
        """Begin an element. Attributes that are ``None`` are left out; ``_`` at the end of a name is dropped, and
        ``__`` in it is a colon."""
        given = {key.rstrip("_").replace("__", ":"): value for key, value in attributes.items() if value is not None}
        self._xml.startElement(element, AttributesImpl({key: xml_text(str(value)) for key, value in given.items()}))

    def end(self, name: str, *, newline: bool = True) -> None:
        """End an element."""
        self._xml.endElement(name)
        if newline:
            self.raw("\n")

    def text(self, text: str) -> None:
        """Write text."""
        self._xml.characters(xml_text(text))

    @contextmanager
    def element(self, element: str, /, **attributes: object) -> Iterator[None]:
        """An element around what is written inside."""
        self.start(element, **attributes)
        yield
        self.end(element)

    def leaf(self, element: str, text: str = "", /, **attributes: object) -> None:
        """An element with nothing but ``text``."""
        self.start(element, **attributes)
        self.text(text)
        self.end(element)


def xml_text(text: str) -> str:
    """``text`` with what XML 1.0 does not allow replaced by U+FFFD."""
    return _NOT_XML.sub(REPLACEMENT, well_formed(text))
