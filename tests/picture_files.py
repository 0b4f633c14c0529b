"""Picture files made byte by byte: kinds of PNG, bitmaps, icons and Targas that Pillow does not write, and profiles."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[Any]

WIDTH, HEIGHT = 93, 64
_X = np.linspace(0, 1, WIDTH)[None, :].repeat(HEIGHT, 0)
_Y = np.linspace(0, 1, HEIGHT)[:, None].repeat(WIDTH, 1)
LIGHT: Pixels = np.stack([_X, _Y, 0.5 + 0.4 * np.sin(6 * _X) * np.cos(4 * _Y)], -1)
"""A picture of smooth colours, (HEIGHT, WIDTH, 3) from 0 to 1."""
RGB: Pixels = np.rint(LIGHT * 255).astype(np.uint8)
DARK: Pixels = np.rint(LIGHT * 140).astype(np.uint8)
GREY: Pixels = np.rint((0.7 * _X + 0.3 * _Y) * 255).astype(np.uint8)
ALPHA: Pixels = np.rint(np.clip(1.5 - 2 * np.hypot(_X - 0.5, _Y - 0.5), 0, 1) * 255).astype(np.uint8)


def saved(image: Image.Image | Pixels, name: str, **options: object) -> bytes:
    """The bytes of what Pillow writes as format ``name``."""
    held = io.BytesIO()
    # A copy: Pillow leaves settings of one format in the image, where they disturb the next.
    (image.copy() if isinstance(image, Image.Image) else Image.fromarray(image)).save(held, name, **options)
    return held.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: Pixels, colours: int, *chunks: bytes, depth: int | None = None) -> bytes:
    """A PNG of the colour type ``colours`` whose samples are (height, width) or (height, width, channels)."""
    height, width = samples.shape[:2]
    bits = depth or samples.dtype.itemsize * 8
    if bits < 8:
        packed = np.packbits(np.unpackbits(samples[..., None], axis=-1)[..., 8 - bits :].reshape(height, -1), axis=1)
    else:
        packed = samples.astype(samples.dtype.newbyteorder(">"))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0))
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    parts = (header, *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gamma(value: float) -> bytes:
    """The chunk gAMA."""
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def chromaticities(*values: float) -> bytes:
    """The chunk cHRM: x and y of white, red, green and blue."""
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


def profile_chunk(profile: bytes) -> bytes:
    """The chunk iCCP."""
    return chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))


# Colour profiles (ICC.1:2001)

_D50 = (0.9642, 1.0, 0.8249)
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
WIDE = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))
"""Red, green and blue of Display P3 and of ROMM RGB as XYZ under D50."""


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(*_D50),
        **tags,
    }
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(padded))
        body += padded
    head = struct.pack(">I", start + len(body)) + b"\0\0\0\0\x02\x10\0\0mntr" + space + b"XYZ "
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    return head + date + b"acsp" + bytes(28) + _fixed(*_D50) + bytes(48) + table + body


def _curve(power: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(power * 256)) + b"\0\0"


def rgb_profile(primaries: tuple[tuple[float, float, float], ...], power: float) -> bytes:
    """A profile of RGB with these primaries and this gamma."""
    colours = zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(power))
    return _profile(b"RGB ", {name: b"XYZ \0\0\0\0" + _fixed(*each) for name, each in colours} | curves)


def grey_profile(power: float) -> bytes:
    """A profile of grey with this gamma."""
    return _profile(b"GRAY", {b"kTRC": _curve(power)})


# Bitmaps


def bitmap_rows(pixels: Pixels, bits: int) -> bytes:
    """Rows from the lowest up, each filled up to four bytes: indices of 1, 2, 4 or 8 bits, or whole pixels."""
    found = []
    for row in pixels[::-1]:
        data = row.tobytes()
        if bits < 8:
            data = np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].ravel()).tobytes()
        found.append(data + bytes(-len(data) % 4))
    return b"".join(found)


def bitmap_info(
    bits: int, width: int, height: int, compression: int = 0, *, length: int = 40, used: int = 0, more: bytes = b""
) -> bytes:
    """A header of ``length`` bytes, ``more`` behind the first 40 of them."""
    if length == 12:
        return struct.pack("<IHHHH", 12, width, height, 1, bits)
    head = struct.pack("<IiiHHIIiiII", length, width, height, 1, bits, compression, 0, 2835, 2835, used, 0)
    return (head[:length] + more).ljust(length, b"\0")


def bitmap(header: bytes, data: bytes, palette: bytes = b"") -> bytes:
    """A BMP file."""
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + palette + data


def masks(*values: int) -> bytes:
    """Bit fields, or any other numbers of four bytes."""
    return struct.pack(f"<{len(values)}I", *values)


def palette_bytes(colours: Pixels, each: int = 4) -> bytes:
    """Colours (n, 3) as the palette of a bitmap."""
    return b"".join(bytes(colour[::-1]) + b"\0" * (each - 3) for colour in colours)


def palette(count: int) -> Pixels:
    """So many colours from blue to yellow."""
    ramp = np.rint(np.arange(count) * 255 / (count - 1)).astype(np.uint8)
    return np.stack([ramp, ramp, 255 - ramp], -1)


def fields(pixels: Pixels, *values: int, kind: str) -> Pixels:
    """(height, width, channels) of 0 to 255 as numbers with these bit fields."""
    found = np.zeros(pixels.shape[:2], np.uint64)
    for channel, mask in enumerate(values):
        shift = (mask & -mask).bit_length() - 1
        found |= np.rint(pixels[..., channel] / 255 * (mask >> shift)).astype(np.uint64) << np.uint64(shift)
    return found.astype(kind)


def icon(*pictures: tuple[int, int, bytes], kind: int = 1) -> bytes:
    """An icon (kind 1) or a cursor (kind 2) of pictures: side, bits, bytes."""
    head, body, start = struct.pack("<HHH", 0, kind, len(pictures)), b"", 6 + 16 * len(pictures)
    for side, bits, data in pictures:
        more = (1, bits) if kind == 1 else (3, 4)
        head += struct.pack("<BBBBHHII", side % 256, side % 256, 0, 0, *more, len(data), start + len(body))
        body += data
    return head + body


def icon_bitmap(pixels: Pixels, bits: int, mask: Pixels, colours: bytes = b"") -> bytes:
    """A bitmap of an icon with its mask, which is 1 where nothing is."""
    height, width = pixels.shape[:2]
    return bitmap_info(bits, width, 2 * height) + colours + bitmap_rows(pixels, bits) + bitmap_rows(mask, 1)


def targa(kind: int, bits: int, data: bytes, *, colours: Pixels | None = None, flags: int = 0x20) -> bytes:
    """A TGA file of WIDTH by HEIGHT, from the top down unless ``flags`` say otherwise."""
    count = 0 if colours is None else len(colours)
    of_map = (0, count, 24 if count else 0)
    head = struct.pack("<BBBHHBHHHHBB", 0, int(count > 0), kind, *of_map, 0, 0, WIDTH, HEIGHT, bits, flags)
    return head + (b"" if colours is None else palette_bytes(colours, 3)) + data


# Camera RAW


def dng(colours: Pixels, turn: int = 1) -> bytes:
    """A DNG without any JPEG: the (height, width, 3) uint8 picture as a sensor with a Bayer mosaic of 14 bits sees it
    (DNG specification 1.7)."""
    height, width = colours.shape[:2]
    linear = np.rint((colours / 255.0) ** 2.2 * 16383).astype("<u2")
    mosaic = linear[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = linear[::2, ::2, 0], linear[1::2, 1::2, 2]
    identity = [value for row in ((3.24, -1.54, -0.50), (-0.97, 1.88, 0.04), (0.06, -0.20, 1.06)) for value in row]
    byte, text, short, long, ratio, signed = 1, 2, 3, 4, 5, 10
    forms = {byte: "B", text: "B", short: "H", long: "I"}
    model = b"Test camera\0"
    tags: dict[int, tuple[int, list[int]]] = {
        254: (long, [0]), 256: (long, [width]), 257: (long, [height]), 258: (short, [16]), 259: (short, [1]),
        262: (short, [32803]), 271: (text, list(b"Test\0")), 272: (text, list(model)), 273: (long, [0]),
        274: (short, [turn]), 277: (short, [1]), 278: (long, [height]), 279: (long, [mosaic.nbytes]),
        33421: (short, [2, 2]), 33422: (byte, [0, 1, 1, 2]), 50706: (byte, [1, 4, 0, 0]), 50708: (text, list(model)),
        50714: (long, [0]), 50717: (long, [16383]), 50721: (signed, [round(each * 10_000) for each in identity]),
        50728: (ratio, [1, 1, 1]), 50778: (short, [21]),
    }  # fmt: skip
    entries, behind = b"", b""
    after = 8 + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in tags.items():
        if kind in (ratio, signed):
            parts = (struct.pack("<ii", value, 1 if kind == ratio else 10_000) for value in values)
            data = b"".join(parts)
        else:
            data = struct.pack(f"<{len(values)}{forms[kind]}", *values)
        if tag == 273:  # the pixels follow at a round place
            data = struct.pack("<I", 2048)
        place = data.ljust(4, b"\0")
        if len(data) > 4:
            place = struct.pack("<I", after + len(behind))
            behind += data + b"\0" * (len(data) % 2)
        entries += struct.pack("<HHI", tag, kind, len(values)) + place
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + behind
    return head.ljust(2048, b"\0") + mosaic.tobytes()
