"""Pictures made of bars over time or share, as SVG that keeps its letters' size whatever its width.

Horizontal places are percentages and vertical ones pixels, so a picture can be as wide as the page. Each bar is a
nested ``<svg>``, which clips what is inside it; labels are cut to fit ``WIDTH`` pixels here, and cut anew by the page's
script.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from msgspec import Struct

from imgtool.bench.report.wording import seconds_text

WIDTH = 1180
"""Pixels for which labels are cut where no script cuts them."""

ROW = 18
CHARACTER = 6.3
"""Pixels of a letter of the labels' font, on average."""

_BAR = 16

COLOURS = {
    "ours": "#f2a93b",
    "library": "#9dc183",
    "standard": "#b8c7d9",
    "native": "#d9a6c2",
    "whole": "#c9c2b5",
    "k-start": "#b8c7d9",
    "k-parent": "#c9c2b5",
    "k-load": "#9dc183",
    "k-warm-up": "#d7d36b",
    "k-decode": "#d9a6c2",
    "k-task": "#f2a93b",
    "k-wait": "#e9e9e4",
    "k-collector": "#e07a6c",
}
"""Of bars by their kind; all light enough for dark letters."""

STYLE = """
.picture text{font:11px ui-sans-serif,system-ui,sans-serif;fill:#1c1c1c}
.picture .axis{fill:#777}
.picture .grid{stroke:#888;stroke-opacity:.35;stroke-width:1}
.picture .track{fill:#777}
.picture .anon{fill:#4c78a8;fill-opacity:.85}
.picture .file{fill:#9ecae9;fill-opacity:.75}
.picture .rss{fill:none;stroke:#d45087;stroke-width:1.5;vector-effect:non-scaling-stroke}
.picture .peak{stroke:#c0392b;stroke-width:1.5}
.picture .band{fill:#f2a93b;fill-opacity:.28}
""" + "".join(f".{kind} rect{{fill:{colour}}}" for kind, colour in COLOURS.items())


class Bar(Struct, frozen=True):
    """``left`` and ``width`` are shares of the whole, 0 to 1; ``row`` counts from the top; ``kind`` is a CSS class."""

    left: float
    width: float
    row: int
    label: str
    title: str
    kind: str


def bars(many: Iterable[Bar], top: int = 0) -> str:
    """Bars as SVG elements; ``top`` is where row 0 begins, in pixels."""
    return "".join(_bar(bar, top) for bar in many)


def _bar(bar: Bar, top: int) -> str:
    # A process may end a moment after the whole was measured.
    left = min(bar.left, 1.0)
    width = min(bar.width, 1 - left)
    place = f'x="{left:.4%}" y="{top + bar.row * ROW}" width="{width:.4%}" height="{_BAR}"'
    data = f'data-left="{bar.left:.6f}" data-width="{bar.width:.6f}" data-label="{escape(bar.label)}"'
    shown = fitted(bar.label, bar.width * WIDTH)
    return (
        f'<svg class="bar {bar.kind}" {place} {data}><title>{escape(bar.title)}</title>'
        f'<rect width="100%" height="{_BAR}" rx="1"/><text x="3" y="12">{escape(shown)}</text></svg>'
    )


def fitted(label: str, pixels: float) -> str:
    """As much of ``label`` as fits into ``pixels``; nothing rather than two letters."""
    room = int((pixels - 6) / CHARACTER)
    if room >= len(label):
        return label
    return f"{label[: room - 1]}…" if room >= 4 else ""


def text(left: str, y: float, words: str, *, anchor: str = "start", kind: str = "axis") -> str:
    """Words at ``left``, a percentage or pixels."""
    return f'<text class="{kind}" x="{left}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def time_axis(y: int, seconds: float, ticks: int = 5) -> str:
    """Seconds below a picture, from 0 to ``seconds``."""
    parts = []
    for number in range(ticks):
        share = number / (ticks - 1)
        anchor = "start" if number == 0 else "end" if number == ticks - 1 else "middle"
        parts.append(text(f"{share:.2%}", y + 12, seconds_text(seconds * share) if number else "0", anchor=anchor))
    return "".join(parts)


def picture(body: str, height: int, title: str) -> str:
    """A picture as a part of a page, as wide as what it stands in."""
    head = f'<svg class="picture" width="100%" height="{height}" role="img" aria-label="{escape(title)}">'
    return f"{head}{body}</svg>"


def document(body: str, height: int, title: str) -> str:
    """A picture as a file of its own."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" width="{WIDTH}" height="{height}">'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    return f"{head}<title>{escape(title)}</title><style>{STYLE}</style>{paper}{body}</svg>\n"
