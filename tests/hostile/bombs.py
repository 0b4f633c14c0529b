"""Files made by hand to cost far more than they weigh: pixels, frames, pages, metadata, and references in circles.

Every function gives one file; :func:`bombs` gives all by name. None is larger than a megabyte or so.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image

from tests import picture_files as made
from tests.picture_files import RGB, chunk, saved

LENGTHS = (0, 1, 2, 32_767, 32_768, 65_500, 65_535, 65_536, 1_000_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def bombs() -> dict[str, bytes]:
    """Name to content; the same bytes at every call."""
    found = _pngs() | _jpegs() | _gifs() | _riffs() | _boxes() | _tiffs() | _pdfs() | _plain() | _foreign()
    return dict(sorted(found.items()))


def _png(width: int, height: int, data: bytes, *chunks: bytes, depth: int = 8, kind: int = 2, lace: int = 0) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, lace))
    return b"\x89PNG\r\n\x1a\n" + b"".join((header, *chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")))


def _pngs() -> dict[str, bytes]:
    zeros = zlib.compress(bytes(40_000_000), 9)
    small = zlib.compress((b"\0" + bytes(30)) * 10)
    found = {
        "png-pixels": _png(60_000, 60_000, zeros),
        "png-pixels-of-16-bits": _png(7_000, 7_000, zeros, depth=16, kind=6),
        "png-pixels-interlaced": _png(7_000, 7_000, zeros, lace=1),
        "png-too-much-data": _png(10, 10, zeros),
        "png-text": _png(10, 10, small, chunk(b"zTXt", b"a\0\0" + zeros)),
        "png-international-text": _png(10, 10, small, chunk(b"iTXt", b"a\0\1\0\0\0" + zeros)),
        "png-profile": _png(10, 10, small, chunk(b"iCCP", b"a\0\0" + zeros)),
        "png-texts": _png(
            10, 10, small, *[chunk(b"zTXt", b"k%d\0\0" % n + zlib.compress(bytes(900_000))) for n in range(200)]
        ),
        "png-many-chunks": _png(10, 10, small, *[chunk(b"tEXt", b"k%d\0v" % n) for n in range(30_000)]),
        "png-empty-data": _png(10, 10, small, *[chunk(b"IDAT", b"")] * 30_000),
        "png-exif-circle": _png(10, 10, small, chunk(b"eXIf", _circle())),
        "png-no-palette": _png(10, 10, small, kind=3),
        "png-long-palette": _png(10, 10, small, chunk(b"PLTE", bytes(3 * 5000)), kind=3),
        "png-bad-kind": _png(10, 10, small, kind=5),
        "png-bad-depth": _png(10, 10, small, depth=7),
        "apng-frames": _png(10, 10, small, chunk(b"acTL", struct.pack(">II", 0xFFFFFFFF, 0))),
        "apng-no-frames": _png(10, 10, small, chunk(b"acTL", struct.pack(">II", 0, 0))),
        "apng-many-frames": _apng(3_000, 10, 10),
        "apng-frames-outside": _apng(5, 10, 10, x=0x7FFFFFF0),
        "apng-large-frames": _apng(5, 30_000, 30_000),
    }
    for kind, depth in ((0, 1), (0, 16), (2, 8), (3, 8), (6, 16)):
        for width in LENGTHS:
            for height in (1, 65_535):
                found[f"png-{kind}-{depth}-{width}x{height}"] = _png(width, height, small, depth=depth, kind=kind)
    return found


def _apng(frames: int, width: int, height: int, x: int = 0) -> bytes:
    data = zlib.compress((b"\0" + bytes(30)) * 10)
    parts = [chunk(b"IDAT", data)]
    for number in range(frames):
        head = struct.pack(">IIIIIHHBB", 2 * number, width, height, x, 0, 1, 10, 0, 0)
        parts += [chunk(b"fcTL", head), chunk(b"fdAT", struct.pack(">I", 2 * number + 1) + data)]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 8, 2, 0, 0, 0))
    control = chunk(b"acTL", struct.pack(">II", frames + 1, 0))
    return b"\x89PNG\r\n\x1a\n" + header + control + b"".join(parts) + chunk(b"IEND", b"")


def _circle() -> bytes:
    """EXIF data whose directories name each other, and itself."""
    entries = struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<HHII", 0x8825, 4, 1, 8)
    entries += struct.pack("<HHII", 0xA005, 4, 1, 8)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 3) + entries + struct.pack("<I", 8)


def _segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def _jpegs() -> dict[str, bytes]:
    whole, progressive = saved(RGB, "JPEG"), saved(Image.fromarray(RGB), "JPEG", progressive=True)
    frame, scan = whole.index(b"\xff\xc0"), whole.index(b"\xff\xda")
    last = progressive.rindex(b"\xff\xda")
    exif, parts = b"Exif\0\0", 40
    big = struct.pack("<H", 1) + struct.pack("<HHII", 0x9286, 7, 0xFFFFFFF0, 26) + bytes(4)
    found = {
        "jpg-exif-circle": whole[:2] + _segment(0xE1, exif + _circle()) + whole[2:],
        "jpg-exif-lies": whole[:2] + _segment(0xE1, exif + b"II*\0\x08\0\0\0" + big) + whole[2:],
        "jpg-exif-far": whole[:2] + _segment(0xE1, exif + b"MM\0*\xff\xff\xff\xf0") + whole[2:],
        "jpg-exif-many": whole[:2]
        + _segment(0xE1, exif + b"II*\0\x08\0\0\0" + b"\xff\xff" + bytes(60_000))
        + whole[2:],
        "jpg-orientation-9": whole[:2] + _segment(0xE1, exif + _orientation(9)) + whole[2:],
        "jpg-orientation-huge": whole[:2] + _segment(0xE1, exif + _orientation(0xFFFFFFFF, 4)) + whole[2:],
        "jpg-many-segments": whole[:2] + _segment(0xE2, bytes(60)) * 15_000 + whole[2:],
        "jpg-many-comments": whole[:2] + _segment(0xFE, b"x") * 60_000 + whole[2:],
        "jpg-profile-of-255-parts": whole[:2]
        + b"".join(_segment(0xE2, b"ICC_PROFILE\0" + bytes((n, 255)) + bytes(4_000)) for n in range(1, 256))
        + whole[2:],
        "jpg-profile-twice-first": whole[:2] + _segment(0xE2, b"ICC_PROFILE\0\1\2" + bytes(200)) * 2 + whole[2:],
        "jpg-profile-of-no-parts": whole[:2] + _segment(0xE2, b"ICC_PROFILE\0\0\0") + whole[2:],
        "jpg-xmp": whole[:2] + _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + _laughs()) + whole[2:],
        "jpg-photoshop": whole[:2] + _segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\xff\xff\xff\xff") + whole[2:],
        "jpg-scans": progressive[:last] + progressive[last:-2] * 400 + b"\xff\xd9",
        "jpg-fill-bytes": whole[:2] + b"\xff" * 200_000 + whole[2:],
        "jpg-in-jpg": whole[:scan] + whole * parts,
        "jpg-restarts": whole[:scan] + _segment(0xDD, b"\0\1") + whole[scan:-2] + b"\xff\xd0" * 50_000 + b"\xff\xd9",
        "jpg-no-tables": whole[:2] + whole[frame:],
        "jpg-no-frame": whole[:frame] + whole[scan:],
        "jpg-two-frames": whole[:scan] + whole[frame:],
        "jpg-only-markers": b"\xff\xd8\xff\xd9",
        "jpg-starts": b"\xff\xd8\xff" * 30_000,
    }
    for marker in (0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA):
        for width, height in ((0, 0), (1, 0), (0, 1), (65_535, 1), (1, 65_535), (65_535, 65_535), (65_500, 600)):
            lying = bytearray(whole)
            lying[frame + 1] = marker
            lying[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
            found[f"jpg-{marker:x}-{width}x{height}"] = bytes(lying)
    return found


def _orientation(value: int, kind: int = 3) -> bytes:
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, kind, 1, value) + bytes(4)


def _laughs() -> bytes:
    """XML whose entities unpack to gigabytes, if anybody unpacks them."""
    lines = ["<!ENTITY a0 'ha'>", *(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12))]
    return f"<?xml version='1.0'?><!DOCTYPE x [{''.join(lines)}]><x:xmpmeta>&a11;</x:xmpmeta>".encode()


def _gifs() -> dict[str, bytes]:
    whole = saved(Image.fromarray(RGB).quantize(16), "GIF")
    screen, body = 13 + (3 << (whole[10] & 7) + 1), whole.index(b"\x2c", 13)
    frame = whole[body:-1]
    tiny = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    found = {
        "gif-frames": whole[:screen] + tiny * 40_000 + b";",
        "gif-large-frames": whole[:6] + b"\xff\xff\xff\xff" + whole[10:screen] + tiny * 500 + b";",
        "gif-blank-frames": whole[:6] + struct.pack("<HH", 6_000, 6_000) + whole[10:screen] + tiny * 300 + b";",
        "gif-comments": whole[:screen]
        + b"\x21\xfe\xff"
        + b"x" * 255
        + (b"\xff" + b"x" * 255) * 3_000
        + b"\0"
        + frame
        + b";",
        "gif-loops": whole[:screen] + (b"\x21\xff\x0bNETSCAPE2.0\3\1\0\0\0") * 20_000 + frame + b";",
        "gif-no-frame": whole[:screen] + b";",
        "gif-no-end": whole[:-1],
        "gif-lzw-0": whole[:screen] + frame[:10] + b"\0" + frame[11:] + b";",
        "gif-lzw-12": whole[:screen] + frame[:10] + b"\x0c" + frame[11:] + b";",
        "gif-frame-grows": whole[:screen] + frame + b"\x2c\0\0\0\0\xff\xff\xff\xff\0\2\2\x44\1\0;",
        "gif-frame-outside": whole[:screen] + b"\x2c\xff\xff\xff\xff\1\0\1\0\0\2\2\x44\1\0;",
        "gif-trailing": whole + bytes(500_000),
    }
    for width, height in ((0, 0), (0, 9), (65_535, 1), (1, 65_535), (65_535, 65_535)):
        sizes = struct.pack("<HH", width, height)
        found[f"gif-screen-{width}x{height}"] = whole[:6] + sizes + whole[10:]
        found[f"gif-frame-{width}x{height}"] = whole[:screen] + frame[:5] + sizes + frame[9:] + b";"
    return found


def _riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _riffs() -> dict[str, bytes]:
    plain = saved(RGB, "WEBP")[12:]
    lossy = plain[8:]

    def canvas(width: int, height: int, flags: int) -> tuple[bytes, bytes]:
        return b"VP8X", bytes((flags, 0, 0, 0)) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]

    def frame(x: int = 0) -> tuple[bytes, bytes]:
        sizes = struct.pack("<I", 92)[:3] + struct.pack("<I", 63)[:3]
        return b"ANMF", struct.pack("<I", x)[:3] + bytes(3) + sizes + b"\x64\0\0\0" + plain

    head = (b"ANIM", bytes(6))
    return {
        "webp-canvas": _riff(canvas(16_384, 16_384, 0), (b"VP8 ", lossy)),
        "webp-canvas-2-24": _riff(canvas(1 << 24, 1 << 24, 0), (b"VP8 ", lossy)),
        "webp-frames": _riff(canvas(93, 64, 2), head, *[frame()] * 1_500),
        "webp-frame-outside": _riff(canvas(93, 64, 2), head, frame(0xFFFFFF)),
        "webp-large-canvas-frames": _riff(canvas(16_000, 3_000, 2), head, *[frame()] * 60),
        "webp-animation-of-nothing": _riff(canvas(93, 64, 2), head),
        "webp-no-picture": _riff(canvas(93, 64, 0)),
        "webp-exif": _riff(canvas(93, 64, 8), (b"VP8 ", lossy), (b"EXIF", _circle())),
        "webp-profile": _riff(canvas(93, 64, 32), (b"ICCP", bytes(300_000)), (b"VP8 ", lossy)),
        "webp-many-chunks": _riff(canvas(93, 64, 0), *[(b"junk", b"")] * 60_000, (b"VP8 ", lossy)),
        "webp-two-pictures": _riff((b"VP8 ", lossy), (b"VP8 ", lossy)),
    }


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + kind + data


def _boxes() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    nested = b""
    for _ in range(20_000):
        nested = _box(b"meta", b"\0\0\0\0" + nested)
        if len(nested) > 200_000:
            break
    jp2 = saved(RGB, "JPEG2000")
    code = jp2.index(b"\xff\x4f\xff\x51")
    for brand in (b"avif", b"heic", b"mif1", b"avis", b"msf1", b"crx "):
        head = _box(b"ftyp", brand + bytes(4) + brand)
        name = brand.decode().strip()
        items = b"".join(_box(b"infe", b"\2\0\0\0" + struct.pack(">HH", n, 0) + b"av01\0") for n in range(20_000))
        found |= {
            f"boxes-{name}-alone": head,
            f"boxes-{name}-nested": head + nested,
            f"boxes-{name}-many": head + _box(b"free", b"") * 50_000,
            f"boxes-{name}-items": head + _box(b"meta", bytes(4) + _box(b"iinf", bytes(4) + b"\x4e\x20" + items)),
            f"boxes-{name}-zero": head + bytes(5_000),
            f"boxes-{name}-large": head + struct.pack(">I", 1) + b"meta" + b"\x7f" + b"\xff" * 7,
        }
    for width, height in ((0, 0), (1, 0xFFFFFFFF), (0xFFFFFFFF, 1), (65_535, 65_535), (65_535, 1)):
        lying = bytearray(jp2)
        lying[code + 8 : code + 16] = struct.pack(">II", width, height)
        found[f"jp2-codestream-{width}x{height}"] = bytes(lying[code:])
        found[f"jp2-{width}x{height}"] = bytes(lying)
    lying = bytearray(jp2[code:])
    lying[24:32] = struct.pack(">II", 1, 1)  # tiles of one pixel
    found["jp2-tiles"] = bytes(lying)
    found["jp2-components"] = jp2[: code + 40] + b"\x40\0" + jp2[code + 42 :]
    found["jp2-nested"] = jp2[:12] + nested + jp2[12:]
    found["jxl-alone"] = b"\xff\x0a"
    found["jxl-ones"] = b"\xff\x0a" + b"\xff" * 5_000
    found["jxl-zeros"] = b"\xff\x0a" + bytes(5_000)
    found["jxl-brotli"] = b"\0\0\0\x0cJXL \r\n\x87\n" + _box(b"brob", b"Exif" + b"\xff" * 3_000)
    return found


def _tiff(*pages: list[tuple[int, int, int, int]], after: int = 0, data: bytes = b"") -> bytes:
    """Directories one behind the other; ``after`` is where the last one points, ``data`` stands at byte 8."""
    content = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    for number, entries in enumerate(pages):
        end = len(content) + 6 + 12 * len(entries)
        content += struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
        content += struct.pack("<I", after if number == len(pages) - 1 else end)
    return content


def _page(width: int, height: int, **more: int) -> list[tuple[int, int, int, int]]:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 64}
    tags |= {int(name[1:]): value for name, value in more.items()}
    return [(tag, 4, 1, value) for tag, value in tags.items()]


def _tiffs() -> dict[str, bytes]:
    grey = bytes(range(64))
    shape = _page(8, 8)
    found = {
        "tiff-circle": _tiff(shape, after=8 + 64, data=grey),
        "tiff-circle-of-two": _tiff(shape, shape, after=8 + 64, data=grey),
        "tiff-pages-500": _tiff(*[shape] * 500, data=grey),
        "tiff-sub-directories": _tiff([*shape, (330, 4, 1, 72)], data=grey),
        "tiff-sub-directories-many": _tiff([*shape, (330, 4, 0x00FFFFFF, 8)], data=grey),
        "tiff-exif-circle": _tiff([*shape, (34665, 4, 1, 72), (34853, 4, 1, 72)], data=grey),
        "tiff-tiles": _tiff(
            [*_page(60_000, 800), (322, 4, 1, 1), (323, 4, 1, 1), (324, 4, 1, 8), (325, 4, 1, 1)], data=grey
        ),
        "tiff-tile-of-nothing": _tiff(
            [*shape, (322, 4, 1, 0), (323, 4, 1, 0), (324, 4, 1, 8), (325, 4, 1, 1)], data=grey
        ),
        "tiff-huge-tile": _tiff(
            [*shape, (322, 4, 1, 0x7FFFFFF0), (323, 4, 1, 0x7FFFFFF0), (324, 4, 1, 8), (325, 4, 1, 64)], data=grey
        ),
        "tiff-lzw-bomb": _tiff(_page(7_000, 7_000, t259=5), data=grey),
        "tiff-deflate-bomb": _tiff(_page(7_000, 7_000, t259=8, t279=40_000), data=zlib.compress(bytes(40_000_000), 9)),
        "tiff-deflate-rows": _tiff(_page(7_000, 7_000, t259=8, t278=1), data=zlib.compress(bytes(4_000_000), 9)),
        "tiff-no-strips": _tiff([entry for entry in shape if entry[0] not in (273, 279)], data=grey),
        "tiff-strip-outside": _tiff(_page(8, 8, t273=0xFFFFFFF0), data=grey),
        "tiff-strip-huge": _tiff(_page(8, 8, t279=0xFFFFFFFF), data=grey),
        "tiff-rows-of-nothing": _tiff(_page(8, 8, t278=0), data=grey),
        "tiff-profile-outside": _tiff([*shape, (34675, 7, 0xFFFFFFFF, 8)], data=grey),
        "tiff-profile-nonsense": _tiff([*shape, (34675, 7, 64, 8)], data=grey),
        "tiff-no-tags": _tiff([], data=grey),
        "tiff-many-tags": _tiff([(60_000 + n % 5_000, 4, 1, n) for n in range(60_000)], data=grey),
        "tiff-same-tags": _tiff([*shape] * 3_000, data=grey),
        "tiff-bits": _tiff(_page(8, 8, t258=64), data=grey),
        "tiff-samples": _tiff(_page(8, 8, t277=65_535), data=grey),
        "tiff-dng-of-nothing": _tiff([*shape, (50706, 1, 4, 0x401)], data=grey),
        "tiff-alone": b"II*\0",
        "tiff-big-alone": b"II+\0\x08\0\0\0",
        "tiff-big-far": b"II+\0\x08\0\0\0" + b"\xff" * 8,
        "tiff-big-count": b"II+\0\x08\0\0\0\x10" + bytes(7) + b"\xff" * 8 + bytes(64),
        "tiff-big-offsets-of-3": b"II+\0\x03\0\0\0\x10" + bytes(80),
    }
    for compression in (
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        32773,
        32809,
        34676,
        34712,
        34887,
        34925,
        34933,
        50000,
        50001,
        50002,
        65_000,
    ):
        found[f"tiff-compression-{compression}"] = _tiff(_page(8, 8, t259=compression), data=grey)
    for photometric in (0, 2, 3, 4, 5, 6, 8, 9, 10, 32803, 34892, 65_535):
        found[f"tiff-colours-{photometric}"] = _tiff(_page(8, 8, t262=photometric), data=grey)
    for width, height in ((0, 0), (0, 1), (65_535, 1), (1, 65_535), (65_535, 65_535), (0xFFFFFFFF, 1), (0x7FFFFFFF, 2)):
        found[f"tiff-{width}x{height}"] = _tiff(_page(width, height), data=grey)
    return found


def _pdf(*objects: bytes, trailer: bytes = b"<</Root 1 0 R>>") -> bytes:
    body = b"".join(b"%d 0 obj%sendobj\n" % (number, each) for number, each in enumerate(objects, 1))
    return b"%PDF-1.7\n" + body + b"trailer" + trailer + b"\n%%EOF"


def _stream(data: bytes, more: bytes = b"") -> bytes:
    return b"<</Length %d%s>>stream\n%s\nendstream " % (len(data), more, data)


def _pdfs() -> dict[str, bytes]:
    root, pages = b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>>>"
    draw = _stream(b"/X Do")
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 200 100]/Resources<</XObject<</X %d 0 R>>>>"
    twice = [_stream(b"/X Do " * 10, form % number) for number in range(6, 30)]
    packed = zlib.compress(b"0 0 1 1 re f " * 3_000_000, 9)
    image = (
        b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode"
    )
    pixels = zlib.compress(bytes(30_000_000), 9)
    found = {
        "pdf-form-in-itself": _pdf(root, pages, page, draw, _stream(b"/X Do", form % 5)),
        "pdf-forms": _pdf(root, pages, page, draw, *twice),
        "pdf-long-content": _pdf(root, pages, page, _stream(packed, b"/Filter/FlateDecode")),
        "pdf-deep-graphics": _pdf(root, pages, page, _stream(b"q " * 200_000)),
        "pdf-deep-array": _pdf(root, pages, page, _stream(b"[" * 200_000)),
        "pdf-deep-object": _pdf(root, pages, page, draw, b"[" * 100_000),
        "pdf-deep-dictionary": _pdf(b"<</A" * 50_000, pages, page),
        "pdf-image": _pdf(root, pages, page, draw, _stream(pixels, image % (60_000, 60_000))),
        "pdf-image-of-nothing": _pdf(root, pages, page, draw, _stream(pixels, image % (0, 0))),
        "pdf-image-negative": _pdf(root, pages, page, draw, _stream(pixels, image % (-5, -5))),
        "pdf-filters": _pdf(root, pages, page, _stream(pixels, b"/Filter[" + b"/FlateDecode" * 500 + b"]")),
        "pdf-pages-circle": _pdf(root, b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"),
        "pdf-pages-lie": _pdf(root, b"<</Type/Pages/Kids[3 0 R]/Count 2000000000>>", page, draw),
        "pdf-pages-negative": _pdf(root, b"<</Type/Pages/Kids[3 0 R]/Count -1>>", page, draw),
        "pdf-pages-300": _pdf(root, b"<</Type/Pages/Kids[" + b"3 0 R " * 300 + b"]/Count 300>>", page, draw),
        "pdf-root-circle": _pdf(b"1 0 R", pages, page),
        "pdf-length-circle": _pdf(root, pages, page, b"<</Length 4 0 R>>stream\n/X Do\nendstream "),
        "pdf-length-lies": _pdf(root, pages, page, b"<</Length 999999999>>stream\n/X Do\nendstream "),
        "pdf-no-root": _pdf(pages, trailer=b"<<>>"),
        "pdf-previous-circle": b"%PDF-1.4\nxref\n0 1\n0000000000 65535 f \ntrailer<</Size 1/Prev 9>>\nstartxref\n9\n%%EOF",
        "pdf-alone": b"%PDF-1.7",
        "pdf-encrypted-nonsense": _pdf(root, pages, page, trailer=b"<</Root 1 0 R/Encrypt<</Filter/Standard/V 99>>>>"),
        "pdf-object-stream-of-itself": _pdf(
            root, b"<</Type/ObjStm/N 999999/First 9/Extends 2 0 R/Length 0>>stream\n\nendstream "
        ),
        "pdf-javascript": _pdf(
            b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(for(;;){})>>>>", pages, page, draw
        ),
    }
    for box in (
        b"0 0 0 0",
        b"0 0 1e9 1e9",
        b"0 0 14400 14400",
        b"0 0 -5 -5",
        b"0 0 65535 1",
        b"0 0 .01 .01",
        b"x",
        b"0 0 1e38 1",
        b"5",
    ):
        found[f"pdf-box-{box.decode().replace(' ', '_')}"] = _pdf(root, pages, page.replace(b"0 0 200 100", box), draw)
    for unit in (b"0", b"-1", b"1e9"):
        found[f"pdf-unit-{unit.decode()}"] = _pdf(
            root, pages, page.replace(b"/Contents", b"/UserUnit %s/Contents" % unit), draw
        )
    return found


def _plain() -> dict[str, bytes]:
    """Formats of few fields: each with dimensions that its data cannot fill."""
    found: dict[str, bytes] = {}
    for width in LENGTHS:
        for height in (0, 1, 65_535, 0x7FFFFFFF):
            name = f"{width}x{height}"
            found[f"ppm-{name}"] = b"P6 %d %d 255\n" % (width, height) + bytes(90)
            found[f"pbm-text-{name}"] = b"P1 %d %d\n" % (width, height) + b"1 0 " * 90
            found[f"pfm-{name}"] = b"PF %d %d -1.0\n" % (width, height) + bytes(90)
            found[f"qoi-{name}"] = (
                b"qoif" + struct.pack(">IIBB", width, height, 4, 0) + b"\xfd" * 900 + bytes(7) + b"\1"
            )
            form = struct.pack("<IIIHHIIIIII", 40, width, height, 1, 8, 1, 0, 0, 0, 0, 0)
            found[f"bmp-rle-{name}"] = made.bitmap(form, b"\xff\1" * 400 + b"\0\1", bytes(1024))
            if width < 65_536 and height < 65_536:
                head = struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, width, height, 24, 0x20)
                found[f"tga-rle-{name}"] = head + b"\xff\1\2\3" * 400
                corner = struct.pack("<BBBBHHHH", 10, 5, 1, 8, 0, 0, (width - 1) & 0xFFFF, (height - 1) & 0xFFFF)
                found[f"pcx-{name}"] = (
                    corner.ljust(65, b"\0") + b"\1" + struct.pack("<H", width) + bytes(60) + b"\xff\1" * 400
                )
    whole = saved(np.zeros((16, 16, 3), np.uint8), "PNG")
    bomb = _png(60_000, 60_000, zlib.compress(bytes(1_000_000), 9))
    found |= {
        "ico-bomb": made.icon((16, 32, bomb)),
        "ico-many": made.icon(*[(16, 32, whole)] * 255),
        "ico-all-the-same": struct.pack("<HHH", 0, 1, 65_535)
        + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(whole), 6 + 16 * 255) * 255
        + whole,
        "ico-in-its-directory": struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, 40, 22) + bytes(40),
        "ppm-comments": b"P6 " + b"#x\n" * 100_000 + b"2 2 255\n" + bytes(12),
        "ppm-long-number": b"P6 " + b"1" * 100_000 + b" 2 255\n" + bytes(12),
        "ppm-depth-0": b"P6 2 2 0\n" + bytes(12),
        "ppm-depth-huge": b"P6 2 2 99999999\n" + bytes(12),
        "ppm-text-letters": b"P3 2 2 255 a b c d",
        "ppm-text-long": b"P3 2 2 255 " + b"9" * 200_000,
        "ppm-text-negative": b"P3 2 2 255 -1 -1 -1",
        "pfm-scale-0": b"PF 2 2 0\n" + bytes(48),
        "pfm-scale-inf": b"PF 2 2 inf\n" + bytes(48),
        "pfm-nan": b"PF 2 2 -1\n" + struct.pack("<12f", *[float("nan"), float("inf"), -float("inf")] * 4),
        "bmp-rle-jumps": made.bitmap(made.bitmap_info(8, 60_000, 800, 1), b"\0\2\xff\xff" * 100_000, bytes(1024)),
        "bmp-rle-no-moves": made.bitmap(made.bitmap_info(8, 93, 64, 1), b"\0\2\0\0" * 300_000, bytes(1024)),
        "bmp-rle-empty-lines": made.bitmap(made.bitmap_info(8, 1, 0x00FFFFFF, 1), b"\0\0" * 300_000, bytes(1024)),
        "bmp-top": made.bitmap(struct.pack("<IiiHHIIiiII", 40, 5, -(1 << 31), 1, 24, 0, 0, 0, 0, 0, 0), bytes(99)),
        "bmp-palette": made.bitmap(made.bitmap_info(8, 5, 5, used=0xFFFFFFFF), bytes(99)),
        "bmp-profile": made.bitmap(
            made.bitmap_info(24, 5, 5, length=124, more=bytes(16) + b"DEBM" + b"\xff" * 64), bytes(99)
        ),
        "raf-of-starts": b"FUJIFILMCCD-RAW 0201".ljust(160, b"\0") + b"\xff\xd8\xff\xe0" * 100_000,
        "raf-alone": b"FUJIFILMCCD-RAW",
        "x3f-alone": b"FOVb" + bytes(500),
        "crw-alone": b"II\x1a\0\0\0HEAPCCDR" + bytes(500),
        "mrw-alone": b"\0MRM" + b"\xff" * 500,
        "mrw-zero": b"\0MRM" + bytes(500),
        "x3f-ones": b"FOVb" + b"\xff" * 500,
        "crw-ones": b"II\x1a\0\0\0HEAPCCDR" + b"\xff" * 500,
    }
    return found


def _foreign() -> dict[str, bytes]:
    """What no format is read of, or what looks like two at once."""
    png, jpeg, gif = (saved(RGB, name) for name in ("PNG", "JPEG", "GIF"))
    return {
        "pam": b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + bytes(12),
        "psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 300, 300, 8, 3) + bytes(200),
        "psd-huge": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 56, 30_000, 30_000, 8, 3) + b"\xff" * 200,
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file",
        "exr": b"v/1\x01" + bytes(500),
        "hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n" + bytes(200),
        "dds": b"DDS " + bytes(124),
        "icns": b"icns" + b"\xff" * 100,
        "fits": b"SIMPLE  =                    T".ljust(2880),
        "script": b"#!/bin/sh\ntouch owned\n",
        "html": b"<script>alert(1)</script>",
        "pickle": b"cos\nsystem\n(S'touch owned'\ntR.",
        "zip": b"PK\3\4" + bytes(300),
        "gzip-of-nothing": b"\x1f\x8b" + bytes(300),
        "nothing": b"",
        "one-byte": b"\0",
        "zeros": bytes(4_096),
        "ones": b"\xff" * 4_096,
        "png-then-jpg": png + jpeg,
        "jpg-then-png": jpeg + png,
        "gif-then-zip": gif + b"PK\5\6" + bytes(18),
        "jpg-named-png-inside": jpeg[:20] + png,
        "png-head-of-jpg": png[:8] + jpeg,
        "pdf-in-png": png[:33] + chunk(b"tEXt", b"%PDF-1.4 1 0 obj") + png[33:],
        "text-bm": b"BM is how this ordinary sentence begins.",
        "text-p1": b"P1 is the name of a parking lot",
    }
