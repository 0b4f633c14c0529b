"""The invisible text of a searchable page, at the boxes of its lines."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from itertools import groupby
from pathlib import Path

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf

from imgtool.documents.boxes import character_width
from imgtool.formats.clean import REPLACEMENT, well_formed
from imgtool.types import Box, Point

FONT = Name("/ImgtoolText")
"""What pages call the font."""

_ASCENT, _DESCENT = 800, -200
"""Of the font, in thousandths of its size: together a line's height."""

_MOST_RISE = 1.0
"""How far a line may rise over its length, in its heights, and have its text level in the rectangle around it."""

_MOST_CODES = 0xFFFF


class TextLayer:
    """The text of pages of ``pdf``, in one font without visible glyphs that has every character of Unicode.

    Each character that occurs has a code of its own, whose meaning the font's ToUnicode map states. Widths are one unit
    for narrow and two for wide (Korean, Chinese, Japanese) characters, stretched so that a line is as long as its box.
    """

    def __init__(self, pdf: Pdf) -> None:
        self._pdf = pdf
        self._codes: dict[str, int] = {}
        self.font = pdf.make_indirect(Dictionary(Type=Name.Font))

    def content(self, lines: Iterable[tuple[str, Box]], place: Callable[[float, float], Point]) -> bytes:
        """The operators that write ``lines``; ``place`` is from a pixel of the upright page to the page's own units."""
        written = [operators for text, box in lines if (operators := self._line(text, box, place))]
        return ("\n".join(["q", "BT", "3 Tr", *written, "ET", "Q"]) + "\n").encode("ascii") if written else b""

    def _line(self, text: str, box: Box, place: Callable[[float, float], Point]) -> str:
        text = " ".join(well_formed(text).split())
        if not text or not all(math.isfinite(number) for point in box for number in point):
            return ""
        shown = _from_left_to_right(text)
        if level := _is_level(box):
            left, right = min(x for x, _ in box), max(x for x, _ in box)
            top, bottom = min(y for _, y in box), max(y for _, y in box)
            box = ((left, top), (right, top), (right, bottom), (left, bottom))
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (place(*point) for point in box)
        length = max(math.hypot(x2 - x3, y2 - y3), 0.01)
        height = max((math.hypot(x0 - x3, y0 - y3) + math.hypot(x1 - x2, y1 - y2)) / 2, 0.01)
        along_x, along_y = ((x2 - x3) / length, (y2 - y3) / length) if (x2, y2) != (x3, y3) else (1.0, 0.0)
        up = -_DESCENT / (_ASCENT - _DESCENT) * height
        start_x, start_y = x3 - along_y * up, y3 + along_x * up
        natural = sum(map(character_width, shown)) * height / 2
        matrix = f"{along_x:.6f} {along_y:.6f} {-along_y:.6f} {along_x:.6f} {start_x:.4f} {start_y:.4f}"
        codes = "".join(f"{self._code(character):04X}" for character in shown)
        operators = f"{FONT} {height:.4f} Tf {100 * length / natural:.4f} Tz {matrix} Tm"
        # The space keeps it apart from what stands beside it; and PDFium finds no character that is alone.
        space = f"{self._code(' '):04X}"
        if level or len(shown) == 1:
            return f"{operators} <{codes}{space}> Tj"
        # Programs that extract text by its place would take a slanting line apart.
        whole = f"/Span <</ActualText <FEFF{text.encode('utf-16-be').hex()}>>>"
        return f"{operators} {whole} BDC <{codes}> Tj EMC <{space}> Tj"

    def _code(self, character: str) -> int:
        if len(self._codes) == _MOST_CODES and character not in self._codes:
            character = REPLACEMENT
        return self._codes.setdefault(character, len(self._codes) + 1)

    def finish(self) -> None:
        """Complete the font once all text is written."""
        pdf = self._pdf
        wide = [character_width(character) == 2 for character in self._codes]
        glyphs = b"\0\0" + b"".join(b"\0\2" if each else b"\0\1" for each in wide)
        widths = [part for code, each in enumerate(wide, 1) if each for part in (code, Array([1000]))]
        descriptor = Dictionary(
            Type=Name.FontDescriptor,
            FontName=Name.Glyphless,
            Flags=5,
            FontBBox=[0, _DESCENT, 1000, _ASCENT],
            ItalicAngle=0,
            Ascent=_ASCENT,
            Descent=_DESCENT,
            CapHeight=_ASCENT,
            StemV=80,
            FontFile2=pdf.make_stream(_font_file()),
        )
        descendant = Dictionary(
            Type=Name.Font,
            Subtype=Name.CIDFontType2,
            BaseFont=Name.Glyphless,
            CIDSystemInfo=Dictionary(
                Registry=pikepdf.String("Adobe"), Ordering=pikepdf.String("Identity"), Supplement=0
            ),
            FontDescriptor=pdf.make_indirect(descriptor),
            DW=500,
            W=Array(widths),
            CIDToGIDMap=pdf.make_stream(glyphs),
        )
        self.font.Subtype = Name.Type0
        self.font.BaseFont = Name.Glyphless
        self.font.Encoding = Name("/Identity-H")
        self.font.DescendantFonts = Array([pdf.make_indirect(descendant)])
        self.font.ToUnicode = pdf.make_stream(self._to_unicode())

    def _to_unicode(self) -> bytes:
        """A CMap as of section 9.10.3 of ISO 32000-1."""
        rows = [f"<{code:04X}> <{character.encode('utf-16-be').hex()}>" for character, code in self._codes.items()]
        blocks = []
        for start in range(0, len(rows), 100):  # more in a block are not allowed
            part = rows[start : start + 100]
            blocks += [f"{len(part)} beginbfchar", *part, "endbfchar"]
        head = (
            "/CIDInit /ProcSet findresource begin",
            "12 dict begin",
            "begincmap",
            "/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def",
            "/CMapName /Adobe-Identity-UCS def",
            "/CMapType 2 def",
            "1 begincodespacerange",
            "<0000> <FFFF>",
            "endcodespacerange",
        )
        tail = ("endcmap", "CMapName currentdict /CMap defineresource pop", "end", "end")
        return "\n".join([*head, *blocks, *tail]).encode("ascii")


@cache
def _font_file() -> bytes:
    return Path(__file__).with_name("glyphless.ttf").read_bytes()


def _is_level(box: Box) -> bool:
    """Whether a line is read from left to right and hardly slants: programs select and extract level text better."""
    (left, start), (right, end) = box[3], box[2]
    height = math.hypot(box[0][0] - left, box[0][1] - start)
    return right > left and abs(end - start) <= _MOST_RISE * height


def _from_left_to_right(text: str) -> str:
    """``text`` as it stands on the page: right-to-left scripts are reversed, numbers in them are not.

    A simplification of the Unicode Bidirectional Algorithm that has no brackets and no embedding.
    """
    kinds = [unicodedata.bidirectional(character) for character in text]
    if not any(kind in ("R", "AL") for kind in kinds):
        return text
    runs = [
        "".join(c for c, _ in run) for _, run in groupby(zip(text, kinds, strict=True), lambda each: _is_ltr(each[1]))
    ]
    placed = (run if _is_ltr(unicodedata.bidirectional(run[0])) else run[::-1] for run in reversed(runs))
    return "".join(placed)


def _is_ltr(kind: str) -> bool:
    return kind in ("L", "EN", "AN")
