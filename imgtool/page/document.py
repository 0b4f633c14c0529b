"""A report as data, independent of its format: sections of paragraphs, tables and charts.

:func:`as_html` writes it as a page that needs no network. All text is escaped, except the ``svg`` of a chart, which
:mod:`imgtool.page.charts` makes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from imgtool.page.charts import stylesheet
from imgtool.page.template import render


@dataclass(frozen=True)
class Paragraph:
    """Running text; ``style`` is a class of the style sheet, such as ``quiet``."""

    text: str
    style: str = ""
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Bullets:
    """A list. ``marks`` are words before its lines that name a class of the style sheet too, such as ``failed``."""

    lines: Sequence[str]
    marks: Sequence[str] = ()
    style: str = ""
    kind: ClassVar[str] = "bullets"


@dataclass(frozen=True)
class Table:
    """Columns in the places of ``words`` hold text, the others figures. A newline in a cell begins a second line."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int] = (0,)
    caption: str = ""
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Code:
    """Lines as they stand."""

    text: str
    caption: str = ""
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    entries: Mapping[str, str]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Cards:
    """Figures to be seen first, with what each is."""

    entries: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "cards"


@dataclass(frozen=True)
class Chart:
    """One chart as wide as the page. ``legend`` is style and words of each colour."""

    svg: str
    legend: Sequence[tuple[str, str]] = ()
    caption: str = ""
    note: str = ""
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True)
class ChartRows:
    """Charts below each other on one scale, whose numbers are in ``axis``: name, SVG, figure and detail of each.

    ``heads`` of name, figure and detail are for formats without charts; without them these leave the rows out."""

    rows: Sequence[tuple[str, str, str, str]]
    axis: str
    legend: Sequence[tuple[str, str]] = ()
    caption: str = ""
    note: str = ""
    heads: tuple[str, str, str] | None = None
    kind: ClassVar[str] = "rows"


@dataclass(frozen=True)
class Frame:
    """A file beside the page, shown in it: it may run its own scripts and reach nothing of the page."""

    file: str
    title: str
    kind: ClassVar[str] = "frame"


Block = Paragraph | Bullets | Table | Code | Facts | Cards | Chart | ChartRows | Frame


@dataclass(frozen=True)
class Section:
    """``folded`` where it is rarely needed and the format can fold it away."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False


def as_html(title: str, about: str, sections: Sequence[Section]) -> str:
    """The page of ``sections`` that have any block."""
    style = stylesheet() + Path(__file__).with_name("document.css").read_text(encoding="ascii")
    shown = [section for section in sections if section.blocks]
    framed = any(block.kind == "frame" for section in shown for block in section.blocks)
    return render(
        "page/document.html.j2",
        title=title,
        style=style,
        sources={"frame-src": "'self'"} if framed else {},
        about=about,
        sections=shown,
    )
