"""Writes imgtool/documents/pdf/glyphless.ttf: the font of the invisible text of searchable PDF documents.

    pip install fonttools && python scripts/make_glyphless_font.py

Three glyphs without outlines: .notdef, one half as wide as high and one as wide as high. The same bytes every time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fontTools.fontBuilder import FontBuilder
from fontTools.ttLib.tables._g_l_y_f import Glyph

PLACE = Path(__file__).resolve().parent.parent / "imgtool" / "documents" / "pdf" / "glyphless.ttf"
WIDTHS = {".notdef": 500, "narrow": 500, "wide": 1000}


def main() -> None:
    builder: Any = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(WIDTHS))
    builder.setupCharacterMap({0x20: "narrow"})
    builder.setupGlyf({name: Glyph() for name in WIDTHS})
    builder.setupHorizontalMetrics({name: (width, 0) for name, width in WIDTHS.items()})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Glyphless", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWinAscent=800, usWinDescent=200)
    builder.setupPost(keepGlyphNames=False)
    builder.font.recalcTimestamp = False
    builder.updateHead(created=0, modified=0)
    builder.save(PLACE)


if __name__ == "__main__":
    main()
