"""Pixels in memory as the bytes of an uncompressed TIFF: what a worker decodes, and what is hashed.

The same pixels always give the same bytes, so an image that is asked about again is found in the cache, whatever
version of a library made it. TIFF 6.0, sections 2 to 8 and 18.
"""

from __future__ import annotations

import struct
from typing import Any

from imgtool.errors import SourceProblem

_ENTRY = struct.Struct("<HHII")
_SHORT, _LONG = 3, 4
_LAYOUTS = "(height, width), (height, width, 1), (height, width, 3) RGB or (height, width, 4) RGBA"
_ORIENTATION_TAG = 0x0112

_BANDS = {"L": 1, "RGB": 3, "RGBA": 4}
_OTHER_MODES = {"1": "L", "LA": "RGBA", "La": "RGBA", "PA": "RGBA", "RGBa": "RGBA", "RGBX": "RGB"}
"""What images of Pillow's other modes are made into; whatever is not named becomes RGB."""


def from_array(array: Any) -> bytes:
    """A numpy array: ``uint8`` from 0 to 255, or ``bool``, or floats from 0 to 1; grey (H, W) or (H, W, 1), RGB
    (H, W, 3), RGBA (H, W, 4). Rows go from the top down, pixels from left to right.

    Raises:
        SourceProblem: it has another shape or type.
    """
    import numpy as np

    shape = tuple(int(size) for size in array.shape)
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or shape[2] not in (1, 3, 4) or 0 in shape:
        raise SourceProblem(f"an array of shape {tuple(array.shape)} is no image", f"give one of {_LAYOUTS}")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            array = np.rint(np.clip(np.nan_to_num(array), 0.0, 1.0) * 255.0).astype(np.uint8)
    elif array.dtype != np.uint8:
        text = f"an array of {array.dtype} is no image"
        raise SourceProblem(text, "give uint8 from 0 to 255, or floats from 0 to 1")
    return tiff(np.ascontiguousarray(array).tobytes(), shape[1], shape[0], shape[2])


def from_pillow(image: Any) -> bytes:
    """An image of Pillow, with the orientation of its EXIF data and its transparency.

    Raises:
        SourceProblem: it has no pixels, or they cannot be loaded.
    """
    try:
        if 0 in image.size:
            raise SourceProblem("the image has no pixels", "give one that has")
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            image = _eight_bits(image)
        elif image.mode not in _BANDS:
            image = image.convert("LA") if image.mode == "La" else image
            transparent = getattr(image, "has_transparency_data", False)
            image = image.convert("RGBA" if transparent else _OTHER_MODES.get(image.mode, "RGB"))
        elif image.mode in ("L", "RGB") and "transparency" in image.info:
            image = image.convert("RGBA")
        raw = image.tobytes()
    except SourceProblem:
        raise
    except Exception as error:
        text = f"the image cannot be loaded: {type(error).__name__}: {error}"
        raise SourceProblem(text, "give the file itself: its path, or its bytes") from error
    orientation = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    return tiff(raw, image.width, image.height, _BANDS[image.mode], orientation)


def _eight_bits(image: Any) -> Any:
    """Grey of 16 bits by its upper eight; what has no range of its own, between its smallest and largest value."""
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.float64)
    low, high = 0.0, 65535.0
    if not image.mode.startswith("I;16"):
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        if low >= 0 and high <= 65535 and image.mode == "I":
            low, high = 0.0, 65535.0
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) * (255.0 / ((high - low) or 1.0))
    return Image.fromarray(np.rint(np.clip(scaled, 0, 255)).astype(np.uint8), "L")


def tiff(raw: bytes, width: int, height: int, bands: int, orientation: int = 1) -> bytes:
    """A TIFF of 8-bit grey, RGB or RGBA pixels in one strip; ``raw`` goes from the top left, band by band a pixel."""
    entries = [
        (256, _LONG, 1, width),
        (257, _LONG, 1, height),
        (258, _SHORT, bands, 8),  # bits a sample; where there are several they lie outside the entry
        (259, _SHORT, 1, 1),  # no compression
        (262, _SHORT, 1, 1 if bands == 1 else 2),  # black is zero, or RGB
        (273, _LONG, 1, 0),  # where the strip begins, known below
        (274, _SHORT, 1, orientation),
        (277, _SHORT, 1, bands),
        (278, _LONG, 1, height),  # rows a strip
        (279, _LONG, 1, len(raw)),
        *([(338, _SHORT, 1, 2)] if bands == 4 else []),  # the fourth is an alpha that is not multiplied in
    ]
    bits_at = 8 + 2 + 12 * len(entries) + 4
    bits = struct.pack(f"<{bands}H", *[8] * bands) if bands > 2 else b""
    strip_at = bits_at + len(bits) + len(bits) % 2
    values = {258: bits_at if bands > 2 else 8, 273: strip_at}
    body = b"".join(_ENTRY.pack(tag, kind, count, values.get(tag, value)) for tag, kind, count, value in entries)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + body + struct.pack("<I", 0) + bits
    return head.ljust(strip_at, b"\0") + raw
