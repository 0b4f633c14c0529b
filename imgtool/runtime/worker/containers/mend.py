"""Files of which a little is missing or wrong, made whole enough for a decoder: browsers show them."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile

NEARLY = 0.02
"""The share of a picture that may be missing from a file that still counts as nearly whole."""

_PIECE = 4096
_MOST_BYTES_A_PIXEL = 4
_GREY, _BLOCK = 128, 16
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


class Mended(NamedTuple):
    """A file that decodes, and the share of the picture, 0 to 1, that it lacks."""

    content: bytes
    missing: float


def mend(content: bytes, kind: str, max_pixels: int, most_missing: float) -> Mended | None:
    """A file of the format ``kind`` (Pillow's name) mended; ``None`` where it cannot be, or lacks more than that."""
    how = {"JPEG": _jpeg, "PNG": _png, "WEBP": _filled_up, "BMP": _filled_up}.get(kind)
    return how(content, max_pixels, most_missing) if how is not None else None


def _jpeg(content: bytes, max_pixels: int, most_missing: float) -> Mended | None:
    """With an end: what is missing before it becomes an even grey, from the top left to the bottom right."""
    mended = content + b"\xff\xd9"
    with suppress(Exception):
        image = Image.open(io.BytesIO(mended), formats=["JPEG"])
        if image.width * image.height > max_pixels:
            return None
        missing = 0.0 if _is_whole(mended) else _grey_at_the_end(image)
        return Mended(mended, missing) if missing <= most_missing else None
    return None


def _filled_up(content: bytes, max_pixels: int, most_missing: float) -> Mended | None:
    """With zeros up to the size that a WebP or a bitmap says it has. ``max_pixels`` is checked where it is decoded."""
    is_webp = content.startswith(b"RIFF")
    said = int.from_bytes(content[4:8], "little") + 8 if is_webp else int.from_bytes(content[2:6], "little")
    lacking = said - len(content)
    if not 0 < lacking <= most_missing * said or said > _MOST_BYTES_A_PIXEL * max_pixels:
        return None
    return Mended(content + bytes(lacking), lacking / said)


def _is_whole(content: bytes) -> bool:
    """Whether libjpeg-turbo finds nothing missing in a JPEG."""
    try:
        import simplejpeg

        simplejpeg.decode_jpeg(content, "RGB", strict=True)
    except (ImportError, ValueError):
        return False
    return True


def _grey_at_the_end(image: Image.Image) -> float:
    """The share of a baseline JPEG that is an even grey at its end. A progressive one lacks detail all over: 1."""
    if "progressive" in image.info:
        return 1.0
    grey = np.asarray(image.convert("L")) == _GREY
    rows = (~grey).any(axis=1).nonzero()[0]
    last = int(rows.max()) // _BLOCK * _BLOCK if rows.size else 0
    return float(grey[last:].sum() / grey.size)


def _png(content: bytes, max_pixels: int, most_missing: float) -> Mended | None:
    """Without chunks that are wrong and can be done without, without the animation, and with rows of zeros in place of
    those that are missing (PNG 3rd edition, 5.3 and 8.1)."""
    header, kept, packed, at = b"", b"", b"", 8
    while at + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        body = content[at + 8 : at + 8 + length]
        is_right = content[at + 8 + length : at + 12 + length] == struct.pack(">I", zlib.crc32(name + body))
        if name == b"IHDR" and is_right:
            header = body
        elif name == b"IDAT":
            packed += body
        elif is_right and name != b"IEND" and name not in _ANIMATION and not packed:
            kept += content[at : at + 12 + length]
        elif name == b"PLTE":
            return None
        at += 12 + length
    if len(header) != 13:
        return None
    width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if not 0 < width * height <= max_pixels or colours not in _CHANNELS:
        return None
    bits = depth * _CHANNELS[colours]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sides = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
    size = sum(tall * (1 + (wide * bits + 7) // 8) for wide, tall in sides if wide > 0 and tall > 0)
    rows = _unpacked(packed, size)
    missing = 1 - len(rows) / size
    if missing > most_missing:
        return None
    parts = (b"IHDR" + header, None, b"IDAT" + zlib.compress(rows.ljust(size, b"\0"), 1), b"IEND")
    made = [
        kept if part is None else struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
        for part in parts
    ]
    return Mended(content[:8] + b"".join(made), missing)


def _unpacked(packed: bytes, size: int) -> bytes:
    """What can be unpacked, ``size`` bytes at most."""
    unpacker, found = zlib.decompressobj(), bytearray()
    with suppress(zlib.error):
        for start in range(0, len(packed), _PIECE):
            found += unpacker.decompress(packed[start : start + _PIECE], max(1, size - len(found)))
            if len(found) >= size:
                break
    return bytes(found[:size])


class Lenient:
    """While this is entered, Pillow leaves blank what a file lacks."""

    def __enter__(self) -> None:
        ImageFile.LOAD_TRUNCATED_IMAGES = True

    def __exit__(self, *_: object) -> None:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
