"""Pixels in memory as the bytes of an uncompressed TIFF: what a worker decodes, and what is hashed.

The same pixels always give the same bytes, so an image that is asked about again is found in the cache, whatever
version of a library made it. TIFF 6.0, sections 2 to 8, 18 and 19. Neither numpy nor Pillow is imported here: who has
an array or an image of theirs has done that.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from imgtool.errors import SourceProblem

_ENTRY = struct.Struct("<HHII")
_SHORT, _LONG = 3, 4
_SHAPES = "(height, width), (height, width, 1), (height, width, 3) RGB or (height, width, 4) RGBA"
_ORIENTATION_TAG = 0x0112


class Layout(NamedTuple):
    """How a pixel lies in memory: its bands, the bits of each, and their kind (1: unsigned, 2: signed, 3: float)."""

    bands: int
    bits: int = 8
    kind: int = 1


_LAYOUTS = {
    "L": Layout(1),
    "RGB": Layout(3),
    "RGBA": Layout(4),
    "I;16": Layout(1, 16),
    "I": Layout(1, 32, 2),
    "F": Layout(1, 32, 3),
}
_OTHER_MODES = {"1": "L", "LA": "RGBA", "PA": "RGBA", "RGBa": "RGBA", "I;16B": "I", "I;16L": "I", "I;16N": "I"}
"""What images of Pillow's other modes are made into; whatever is not named becomes RGB, or RGBA if transparent."""


def from_array(array: Any) -> bytes:
    """A numpy array: ``uint8`` from 0 to 255, or ``bool``, or floats from 0 to 1; grey (H, W) or (H, W, 1), RGB
    (H, W, 3), RGBA (H, W, 4). Rows go from the top down, pixels from left to right.

    Raises:
        SourceProblem: it has another shape or type.
    """
    shape = tuple(int(size) for size in array.shape)
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or shape[2] not in (1, 3, 4) or 0 in shape:
        raise SourceProblem(f"an array of shape {tuple(array.shape)} is no image", f"give one of {_SHAPES}")
    if array.dtype.kind == "b":
        array = array.astype("uint8") * 255
    elif array.dtype.kind == "f":
        array = array.astype("float64")
        array[array.__ne__(array)] = 0.0  # what is no number
        array = (array.clip(0.0, 1.0) * 255.0).round().astype("uint8")
    elif array.dtype != "uint8":
        raise SourceProblem(f"an array of {array.dtype} is no image", "give uint8 from 0 to 255, or floats from 0 to 1")
    return tiff(array.tobytes(), shape[1], shape[0], Layout(shape[2]))


def from_pillow(image: Any) -> bytes:
    """An image of Pillow, with the orientation of its EXIF data and its transparency.

    Raises:
        SourceProblem: it has no pixels, or they cannot be loaded.
    """
    if 0 in image.size:
        raise SourceProblem("the image has no pixels", "give one that has")
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
        image = image.convert("LA") if image.mode == "La" else image
        if image.mode not in _LAYOUTS or (image.mode in ("L", "RGB") and "transparency" in image.info):
            transparent = getattr(image, "has_transparency_data", False)
            image = image.convert("RGBA" if transparent else _OTHER_MODES.get(image.mode, "RGB"))
        raw = image.tobytes()
    except Exception as error:
        text = f"the image cannot be loaded: {type(error).__name__}: {error}"
        raise SourceProblem(text, "give the file itself: its path, or its bytes") from error
    orientation = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    return tiff(raw, image.width, image.height, _LAYOUTS[image.mode], orientation)


def tiff(raw: bytes, width: int, height: int, layout: Layout, orientation: int = 1) -> bytes:
    """A TIFF of grey, RGB or RGBA pixels in one strip; ``raw`` goes from the top left, band by band a pixel."""
    bands, bits, kind = layout
    entries = [
        (256, _LONG, 1, width),
        (257, _LONG, 1, height),
        (258, _SHORT, bands, bits),  # bits a sample; where there are several they lie outside the entry
        (259, _SHORT, 1, 1),  # no compression
        (262, _SHORT, 1, 1 if bands == 1 else 2),  # black is zero, or RGB
        (273, _LONG, 1, 0),  # where the strip begins, known below
        (274, _SHORT, 1, orientation),
        (277, _SHORT, 1, bands),
        (278, _LONG, 1, height),  # rows a strip
        (279, _LONG, 1, len(raw)),
        *([(338, _SHORT, 1, 2)] if bands == 4 else []),  # the fourth is an alpha that is not multiplied in
        *([(339, _SHORT, 1, kind)] if kind != 1 else []),
    ]
    bits_at = 8 + 2 + 12 * len(entries) + 4
    outside = struct.pack(f"<{bands}H", *[bits] * bands) if bands > 2 else b""
    strip_at = bits_at + len(outside) + len(outside) % 2
    values = {258: bits_at if bands > 2 else bits, 273: strip_at}
    body = b"".join(_ENTRY.pack(tag, size, count, values.get(tag, value)) for tag, size, count, value in entries)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + body + struct.pack("<I", 0) + outside
    return head.ljust(strip_at, b"\0") + raw
