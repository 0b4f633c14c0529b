"""Composes an English sentence from an image's measurements. Nothing is measured here, and nothing heavy is imported.

The sentence mentions only what is remarkable: not, for example, what is neither bright nor dark, or neither sharp nor
blurry.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imgtool.types import TextLine, sure_lines

TRANSPARENT = "transparent"
"""The ground of an image that has none."""

QUOTE_WORDS = 6
QUOTE_CHARACTERS = 40

# Joiners change letters in Persian, Indic scripts and emoji: without them the quoted words would differ.
_JOINERS = "\u200c\u200d"
_DOUBLE_QUOTES = dict.fromkeys(map(ord, '"“”„‟″«»＂'), "'")


@dataclass(frozen=True)
class ColourShare:
    """A colour name and the share of the image that has it, in [0, 1]."""

    name: str
    share: float


@dataclass(frozen=True)
class TextSummary:
    """How much text was read: the number of lines, the share of the image they cover in [0, 1], the first line."""

    lines: int = 0
    share: float = 0.0
    first: str = ""


@dataclass(frozen=True)
class Measurements:
    """What was measured of one upright image.

    ``width`` and ``height`` are pixels. ``lightness`` is the mean L* and ``contrast`` the distance in L* between the
    dark and the light part, both in [0, 100]. ``edge_width`` is the standard deviation in pixels of the blur of its
    edges at a longest side of at most 1024, ``None`` if there is no edge. ``colours`` are those of the whole image,
    largest first; if ``ground`` names a plain background, ``figure`` are the colours of what stands out from it.
    """

    width: int
    height: int
    lightness: float
    contrast: float
    greyscale: bool
    flat: bool
    edge_width: float | None
    colours: tuple[ColourShare, ...]
    ground: str | None = None
    figure: tuple[ColourShare, ...] = ()
    text: TextSummary = TextSummary()
    qr_codes: int = 0
    barcodes: int = 0


def compose(found: Measurements) -> str:
    """One line of at most 300 characters, with a full stop at the end and without control characters."""
    shape = orientation(found.width, found.height)
    if found.flat:
        clauses = [f"A plain {found.colours[0].name} {shape} image"]
    else:
        kind = "greyscale" if found.greyscale else ""
        words = filter(None, ("A", brightness(found.lightness), kind, shape, "image"))
        details = colour_phrase(found), contrast_word(found.contrast), sharpness_word(found.edge_width)
        clauses = [", ".join([" ".join(words), *filter(None, details)])]
    if found.text.lines:
        where = " over much of it" if found.text.share >= 0.25 else ""
        beginning = f" beginning {quoted(found.text.first)}" if one_line(found.text.first) else ""
        clauses.append(f"{_counted(found.text.lines, 'line')} of text{where}{beginning}")
    codes = [_counted(found.qr_codes, "QR code"), _counted(found.barcodes, "barcode")]
    if any(codes):
        clauses.append(_joined([code for code in codes if code]))
    return "; ".join(clauses) + "."


def summarise_text(lines: Sequence[TextLine], width: int, height: int) -> TextSummary:
    """The text answer of an image of ``width`` x ``height`` pixels in a few numbers, and its first readable line."""
    readable = [(line, text) for line in sure_lines(lines) if (text := one_line(line.text))]
    if not readable:
        return TextSummary()
    covered = 0.0
    for line, _ in readable:
        # The area of a simple polygon in square pixels (the shoelace formula).
        corners = zip(line.box, (*line.box[1:], line.box[0]), strict=True)
        covered += abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in corners)) / 2
    return TextSummary(len(readable), min(1.0, covered / max(1, width * height)), readable[0][1])


def orientation(width: int, height: int) -> str:
    """Portrait, landscape, square (within 2 %), panoramic (2:1 and wider, the convention) or tall (1:2 and higher)."""
    ratio = width / height
    if ratio >= 2:
        return "panoramic"
    if ratio <= 0.5:
        return "tall"
    if abs(ratio - 1) <= 0.02:
        return "square"
    return "landscape" if ratio > 1 else "portrait"


def brightness(lightness: float) -> str:
    """Word for the mean CIE 1976 lightness L*; a mid-grey wall has 50. Empty for ordinary exposure."""
    if lightness < 12:
        return "very dark"
    if lightness < 30:
        return "dark"
    return "bright" if lightness > 72 else ""


def contrast_word(contrast: float) -> str:
    """Word for the distance between the dark and the light part in L*; black on white has 100."""
    if contrast < 15:
        return "low contrast"
    return "high contrast" if contrast > 60 else ""


def sharpness_word(edge_width: float | None) -> str:
    """Word for the blur of the edges at 1024 pixels: sharp edges have less than one. Empty in between."""
    if edge_width is None:
        return ""
    if edge_width < 1.2:
        return "sharp"
    if edge_width < 2:
        return ""
    return "blurry"


def colour_phrase(found: Measurements) -> str:
    """The named colours: those on a plain background, else the dominant one with its companions, else the largest."""
    if found.ground is not None:
        figure = _figure_names(found.figure, found.ground)
        ground = found.ground if found.ground == TRANSPARENT else f"plain {found.ground}"
        return f"{_joined(figure)} on a {ground} background" if figure else f"mostly {ground}"
    largest = _folded(found.colours)
    named = [colour.name for colour in largest if colour.share >= 0.08][:3]
    if sum(colour.share for colour in largest[: len(named)]) < 0.6:
        return "many colours"
    if largest[0].share < 0.5:
        return _joined(named)
    return f"mostly {named[0]}" + (f" with {_joined(named[1:])}" if named[1:] else "")


def quoted(text: str) -> str:
    """The first words of ``text`` in double quotes: at most six words and forty characters, cut at a word."""
    words = one_line(text).translate(_DOUBLE_QUOTES).split()
    taken = words[:QUOTE_WORDS]
    while len(taken) > 1 and len(" ".join(taken)) > QUOTE_CHARACTERS:
        taken.pop()
    start = " ".join(taken)
    if len(start) > QUOTE_CHARACTERS:
        # Not between a letter and the accents that follow it.
        end = QUOTE_CHARACTERS
        while end > 1 and unicodedata.combining(start[end]):
            end -= 1
        start = start[:end].rstrip()
    return f'"{start}…"' if start != " ".join(words) else f'"{start}"'


def one_line(text: str) -> str:
    """``text`` on one line, without control characters, direction overrides or lone surrogates, spaces collapsed."""
    words = "".join(map(_printable, text)).split()
    return " ".join(word for word in words if word.strip(_JOINERS))


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":
        return character if character in _JOINERS else ""
    return " " if category in {"Cc", "Cs", "Cn", "Co", "Zl", "Zp"} else character


def _folded(colours: Iterable[ColourShare]) -> list[ColourShare]:
    """Shades of one hue as one colour, largest first; a shade that makes up most of its hue keeps its own name."""
    hues: dict[str, list[ColourShare]] = {}
    for colour in colours:
        hues.setdefault(_hue(colour.name), []).append(colour)
    folded = []
    for hue, shades in hues.items():
        total = sum(shade.share for shade in shades)
        main = max(shades, key=lambda shade: shade.share)
        folded.append(ColourShare(main.name if main.share >= 0.6 * total else hue, total))
    return sorted(folded, key=lambda colour: (-colour.share, colour.name))


def _figure_names(figure: Iterable[ColourShare], ground: str) -> list[str]:
    """The colours that stand out from a plain background, three at most.

    The smoothed edges of black letters on white are grey, so a grey counts only if it has a quarter of what stands out
    and a twentieth of the image, or if nothing else stands out.
    """
    folded = [colour for colour in _folded(figure) if colour.name != ground]
    total = sum(colour.share for colour in folded)
    if total < 0.003:
        return []
    strong = []
    for colour in folded:
        least = max(0.25 * total, 0.05) if _hue(colour.name) == "grey" else 0.067 * total
        strong += [colour] if colour.share >= least else []
    return [colour.name for colour in strong or folded[:1]][:3]


def _hue(name: str) -> str:
    """``dark blue`` is a shade of ``blue``."""
    return name.rsplit(" ", 1)[-1]


def _counted(number: int, thing: str) -> str:
    if number <= 0:
        return ""
    return f"one {thing}" if number == 1 else f"{number} {thing}s"


def _joined(words: Sequence[str]) -> str:
    unique = list(Counter(words))
    return " and ".join([", ".join(unique[:-1]), unique[-1]] if len(unique) > 1 else unique)
