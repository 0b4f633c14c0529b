"""The parameters of engines, which ``--ocr``, ``--classifier`` and ``--codes`` set by name: what each takes and means.

A parameter that is not set is left to the engine, whose own default is the one that is stated here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

Check = Callable[[Any], Any]
"""Takes a value of the right kind and returns it as the engine takes it; ``ValueError`` says what is wrong with it."""

MAX_SIDE = 8192
"""The longest side of a classifier's input, in pixels."""


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of the engines ``engines``; ``kind`` is the type that text is converted to before ``check``."""

    engines: tuple[str, ...]
    name: str
    kind: Any
    check: Check
    takes: str
    default: str
    meaning: str


def _between(least: float, most: float) -> tuple[Check, str]:
    def check(value: float) -> float:
        if not least <= value <= most:  # also refuses what is not a number
            raise ValueError(f"must lie between {least} and {most}, not {value}")
        return value

    return check, f"{least} to {most:,}"


def _one_of(*names: str) -> tuple[Check, str]:
    by_folded = {name.casefold(): name for name in names}

    def check(value: Any) -> str:
        found = by_folded.get(value.casefold()) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"{value!r} is not one of {', '.join(names)}")
        return found

    return check, ", ".join(names)


def _as_it_is(value: Any) -> Any:
    return value


def _page_mode(value: int) -> int:
    if value not in range(1, 14) or value == 2:  # 0 and 2 only look at the layout
        raise ValueError(f"{value} reads no text: take 1 or 3 to 13")
    return value


def parse_side_lengths(value: Any) -> tuple[int, int]:
    """(height, width) from ``224``, ``"224"``, ``"224x256"``, ``[224, 256]`` or ``{"height": 224, "width": 256}``.

    Raises:
        ValueError: it is none of these, or a side is not in 1..8192.
    """
    if isinstance(value, str):
        if not re.fullmatch(r"\s*\d+\s*([xX]\s*\d+\s*)?", value):
            raise ValueError(f"{value!r} is not a size like 224 or 224x256 (height x width)")
        value = [int(side) for side in re.split("[xX]", value)]
    if isinstance(value, Mapping) and {"height", "width"} <= set(value):
        value = [value["height"], value["width"]]
    sides = list(value) if isinstance(value, (list, tuple)) else [value]
    if not sides or len(sides) > 2 or any(type(side) is not int or not 1 <= side <= MAX_SIDE for side in sides):
        raise ValueError(f"{value!r} is not a height and a width between 1 and {MAX_SIDE} pixels")
    return sides[0], sides[-1]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{value!r} is not a number")
    # Neither infinity, nor a whole number of hundreds of digits, which no float can be.
    if not abs(value) <= sys.float_info.max:
        raise ValueError(f"{str(value)[:80]} is not a number that can be computed with")
    return float(value)


def _positive(value: Any) -> float:
    if _number(value) <= 0:
        raise ValueError(f"{value!r} is not more than 0")
    return float(value)


def _fraction(value: Any) -> float:
    if not 0 < _number(value) <= 1:
        raise ValueError(f"{value!r} is not between 0 and 1")
    return float(value)


def _level(value: Any) -> float:
    if not 0 <= _number(value) <= 255:
        raise ValueError(f"{value!r} is not between 0 and 255")
    return float(value)


def _a_channel(one: Check) -> Check:
    def check(value: Any) -> tuple[float, ...]:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if len(values) not in (1, 3):
            raise ValueError(f"{len(values)} numbers given where one, or one for each of three channels, is needed")
        return tuple(one(number) for number in values)

    return check


LINK_PLACES = {
    "code": "all digits: 8471300100",
    "hs": "the six digits that all countries share: 847130",
    "dotted": "the same with a dot: 8471.30",
    "national": "the digits after them: 0100",
    "chapter": "the first two: 84",
    "heading": "the first four: 8471",
}
"""The places in the template of a link to a tariff number, written in braces, and what each is filled with."""

LINKS = ("https://hts.usitc.gov/search?query={dotted}", "https://www.trade-tariff.service.gov.uk/headings/{heading}")
"""The official tariffs of the United States and of the United Kingdom: the first six digits are the same everywhere."""

_PLACE = re.compile(r"\{([^{}]*)\}")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.\-]+(?::[0-9]+)?(?:[/?#][^\s\"'<>\\]*)?", re.IGNORECASE)


def _link_templates(templates: tuple[str, ...]) -> tuple[str, ...]:
    if templates in (("none",), ()):
        return ()
    for template in templates:
        unknown = [name for name in _PLACE.findall(template) if name not in LINK_PLACES]
        if unknown or not _PLACE.search(template):
            wrong = f"{{{unknown[0]}}} in {template!r} is not" if unknown else f"{template!r} has none"
            raise ValueError(f"{wrong} of {', '.join('{' + name + '}' for name in LINK_PLACES)}")
        if not _ADDRESS.fullmatch(_PLACE.sub("0", template)):
            raise ValueError(f"{template!r} is not an address that begins with https:// or http://")
    return templates


_Numbers = float | tuple[float, ...]
_Angles = tuple[int, ...]
_FILTERS = (
    *("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"),
    *("cv2-nearest", "cv2-linear", "cv2-cubic", "cv2-area", "cv2-lanczos4"),
)
_Texts = tuple[str, ...]

# fmt: off
_EASYOCR = [
    Parameter(("easyocr",), *row) for row in (
        ("decoder", str, *_one_of("greedy", "beamsearch", "wordbeamsearch"), "greedy", "How characters are chosen."),
        ("beam_width", int, *_between(1, 1000), "5", "Beams of the two other decoders."),
        ("paragraph", bool, _as_it_is, "yes or no", "no", "Join lines into paragraphs."),
        ("min_size", int, *_between(0, 100_000), "20", "Leave out boxes smaller than this, in pixels."),
        ("text_threshold", float, *_between(0, 1), "0.7", "Least confidence that something is text."),
        ("low_text", float, *_between(0, 1), "0.4", "Score at which the edge of a box is drawn."),
        ("link_threshold", float, *_between(0, 1), "0.4", "Least confidence that two characters belong together."),
        ("canvas_size", int, *_between(1, 100_000), "2560", "Longest side that is looked at; larger images shrink."),
        ("mag_ratio", float, *_between(0.01, 100), "1", "Magnification before text is looked for."),
        ("contrast_threshold", float, *_between(0, 1), "0.1", "Lines of less contrast are read a second time."),
        ("adjust_contrast", float, *_between(0, 1), "0.5", "Contrast that the second reading aims at."),
        ("rotations", _Angles, _as_it_is, "angles: 90,180,270", "none", "Also read each box turned by these angles."),
        ("allowlist", str, _as_it_is, "characters", "all", "Read these characters alone."),
        ("blocklist", str, _as_it_is, "characters", "none", "Never read these characters."),
    )
]
_TESSERACT = [
    Parameter(("tesseract",), "psm", int, _page_mode, "1, 3 to 13", "the best",
              "Page segmentation mode. Without it, 3 reads, and where letters are left 4, 1 and the page turned."),
]
_TEXT = [
    Parameter(("rapidocr", "easyocr", "tesseract"), "order", str, *_one_of("auto", "columns", "raw"), "auto",
              "columns: as a person reads; raw: just as the engine answers; auto: columns with rapidocr, else raw."),
]
_CLASSIFIER = [
    Parameter(("classifier",), *row) for row in (
        ("size", Any, parse_side_lengths, "224 or 224x256", "the model's", "Input size in pixels, height x width."),
        ("mean", _Numbers, _a_channel(_number), "1 or 3 numbers", "0.485,0.456,0.406",
         "Mean of each channel, after scaling."),
        ("std", _Numbers, _a_channel(_positive), "1 or 3 numbers", "0.229,0.224,0.225",
         "Standard deviation of each channel."),
        ("scale", float, _positive, "a number", "255", "Pixel values are divided by this first."),
        ("layout", str, *_one_of("NCHW", "NHWC"), "the model's", "Order of the input's dimensions."),
        ("resize", str, *_one_of("squash", "crop", "pad", "none"), "crop", "How images get to the input size."),
        ("crop_pct", float, _fraction, "0 to 1", "0.875",
         "Share kept of what resize makes; 1 unless that is crop."),
        ("position", str, *_one_of("centre", "corner"), "centre", "Where it is cut, or where padding leaves it."),
        ("fill", _Numbers, _a_channel(_level), "1 or 3 numbers", "the mean",
         "Levels 0 to 255 of padding: grey, or red, green and blue."),
        ("interpolation", str, *_one_of(*_FILTERS), "bilinear", "How images are resampled; cv2-... as OpenCV does it."),
        ("channels", str, *_one_of("RGB", "BGR", "L"), "RGB", "Order of the channels; L is grey."),
        ("activation", str, *_one_of("auto", "softmax", "sigmoid", "none"), "auto", "What makes probabilities."),
    )
]
_CODES = [
    Parameter(("codes",), *row) for row in (
        ("find", str, *_one_of("all", "barcodes", "hs"), "all", "Which codes to find; hs needs the task text."),
        ("min_confidence", float, *_between(0, 1), "0.5", "Leave out tariff numbers less certain than this."),
        ("links", _Texts, _link_templates, "addresses, or none", ",".join(LINKS),
         "Links of a tariff number, made from {code}, {hs}, {dotted}, {national}, {chapter}, {heading}."),
    )
]
# fmt: on

TABLES: dict[str, dict[str, Parameter]] = {
    "ocr": {each.name: each for each in (*_EASYOCR, *_TESSERACT, *_TEXT)},
    "classifier": {each.name: each for each in _CLASSIFIER},
    "codes": {each.name: each for each in _CODES},
}
"""The options that set parameters, each with its parameters by name."""


def parameters_of(engine: str) -> tuple[str, list[Parameter]]:
    """The option that sets the parameters of ``engine``, and those parameters; ``""`` and none where it has none."""
    for option, table in TABLES.items():
        if found := [each for each in table.values() if engine in each.engines]:
            return option, found
    return "", []


def formerly(name: str) -> tuple[str, str] | None:
    """The option that sets a parameter and the parameter, given the option that earlier versions had for it alone:
    ``("ocr", "allowlist")`` for ``ocr_allowlist``."""
    for prefix, option in (("ocr_", "ocr"), ("tesseract_", "ocr"), ("labels_", "classifier")):
        if name.startswith(prefix) and name.removeprefix(prefix) in TABLES[option]:
            return option, name.removeprefix(prefix)
    return None
