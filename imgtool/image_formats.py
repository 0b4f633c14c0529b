"""The format of an image by its first bytes: names lie, signatures rarely do.

The one table of formats: the engine chooses files by it, and the worker chooses the decoder. Signatures are those of
the formats' own specifications: ISO 10918-1 (JPEG), the PNG and WebP container specifications, GIF87a and GIF89a, the
Windows bitmap headers, TIFF 6.0 and BigTIFF, ISO/IEC 23008-12 (HEIF, AVIF).
"""

from __future__ import annotations

import os
from collections.abc import Callable

HEAD_BYTES = 512
"""How much of a file is looked at."""

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif"),
        *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".jph", ".jxl", ".qoi", ".ico", ".cur", ".pcx", ".tga"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".pam"),
        *(".arw", ".cr2", ".cr3", ".dng", ".iiq", ".nef", ".orf", ".pef", ".raf", ".rw2"),
    }
)
"""The usual extensions, lower case, of what ``sniff`` knows. They never decide what a file is, only whether a file in a
folder that turns out to be no image is reported."""

BITMAP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""The sizes that the second header of a BMP can have. ``BM`` alone also begins ordinary words."""

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
    b"FUJIFILMCCD-RAW": "RAF",
    b"IIRO": "ORF",
    b"IIRS": "ORF",
    b"MMOR": "ORF",
    b"IIU\x00": "RW2",
    b"FOVb": "X3F",
    b"II\x1a\x00\x00\x00HEAPCCDR": "CRW",
    b"\x00MRM": "MRW",
    b"%PDF-": "PDF",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\x00\x00\x00\x0cJXL \r\n\x87\n": "JXL",
    b"\xff\x0a": "JXL",
    b"qoif": "QOI",
    b"P7\n": "PAM",
    b"PF\n": "PFM",
    b"PF\r\n": "PFM",
}

CAMERA_RAW = frozenset({"RAF", "ORF", "RW2", "CR3", "X3F", "CRW", "MRW"})
"""Camera RAW formats with a signature of their own. Most others are TIFF by their first bytes."""

PLAIN_FORMATS = {
    "JPEG2000": "Jpeg2KImagePlugin",
    "PPM": "PpmImagePlugin",
    "QOI": "QoiImagePlugin",
    "ICO": "IcoImagePlugin",
    "CUR": "CurImagePlugin",
    "PCX": "PcxImagePlugin",
    "TGA": "TgaImagePlugin",
}
"""Formats that are rarely met and that Pillow reads, with its module for each."""

TIFF_PARTS = {
    **dict.fromkeys((33003, 33004, 33005, 34712), "JPEG2000"),
    **dict.fromkeys((34933, 34934), "PNG"),
    **dict.fromkeys((50002, 52546), "JXL"),
    50001: "WEBP",
}
"""Compressions of TIFF (tag 259) that make a picture in another format of each strip or tile, and that format. Numbers
of Aperio, of libtiff and of the DNG specification 1.7."""


def _is_targa(head: bytes) -> bool:
    """Truevision's TGA 2.0 has no signature at its beginning, but fields that must agree with each other."""
    if len(head) < 18:
        return False
    has_map, kind, map_bits, bits, descriptor = head[1], head[2], head[7], head[16], head[17]
    if kind in (1, 9):
        is_right = has_map == 1 and map_bits in (15, 16, 24, 32) and bits == 8 and any(head[5:7])
    elif kind in (2, 10):
        is_right = has_map == 0 and not any(head[3:8]) and bits in (16, 24, 32)
    else:
        is_right = kind in (3, 11) and has_map == 0 and not any(head[3:8]) and bits in (1, 8, 16)
    return is_right and descriptor & 0xC0 == 0 and descriptor & 15 <= 8 and any(head[12:14]) and any(head[14:16])


def _is_icon(head: bytes, kind: int) -> bool:
    """A directory of pictures (as of Windows 3.0), the first of which lies behind the directory."""
    count, place = int.from_bytes(head[4:6], "little"), int.from_bytes(head[18:22], "little")
    is_kind = head[:4] == bytes((0, 0, kind, 0)) and head[9:10] == b"\0"
    return is_kind and 0 < count < 256 and place >= 6 + 16 * count


_SHAPES: dict[str, Callable[[bytes], bool]] = {
    # Netpbm: a number and white space, then the width or a comment. Pf is PFM, of floats.
    "PPM": lambda head: (
        head[:1] == b"P"
        and head[1:2] in (b"1", b"2", b"3", b"4", b"5", b"6", b"f")
        and head[2:3].isspace()
        and head[2:].lstrip()[:1] in tuple(b"#0123456789"[at : at + 1] for at in range(11))
    ),
    "ICO": lambda head: _is_icon(head, 1),
    "CUR": lambda head: _is_icon(head, 2),
    "PCX": lambda head: (
        head[:1] == b"\n"
        and head[1:2] in (b"\0", b"\2", b"\3", b"\4", b"\5")
        and head[2:3] == b"\1"
        and head[3:4] in (b"\1", b"\2", b"\4", b"\x08")
    ),
    "TGA": _is_targa,
}
"""Formats whose first bytes are few: the ones after them count, too."""

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_RAW_BRANDS = frozenset({b"crx "})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_CONTAINER_BRANDS = frozenset({b"mif1", b"msf1", b"mif2", b"miaf"})
"""Brands that name the container but not the codec inside."""


def sniff(head: bytes) -> str | None:
    """The format of a file that begins with ``head`` (its first 512 bytes, or all of a shorter one).

    One of ``JPEG``, ``PNG``, ``WEBP``, ``GIF``, ``BMP``, ``TIFF``, ``AVIF``, ``HEIF``, ``JXL``, ``PDF``, ``PAM``,
    ``PFM`` and those of :data:`PLAIN_FORMATS` and :data:`CAMERA_RAW`; ``None`` for anything else.
    """
    known = next((name for signature, name in _SIGNATURES.items() if head.startswith(signature)), None)
    known = known or next((name for name, is_one in _SHAPES.items() if is_one(head)), None)
    if known is not None:
        return known
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BITMAP_HEADER_SIZES:
        return "BMP"
    if head[4:8] != b"ftyp":
        return None
    # AVIF, HEIF and MP4 share one container: the major brand decides, or the compatible ones where it is neutral.
    brands = {head[8:12]}
    if brands <= _CONTAINER_BRANDS:
        end = int.from_bytes(head[:4], "big") or len(head)
        brands |= {head[start : start + 4] for start in range(16, min(end, len(head)), 4)}
    if brands & (_AVIF_BRANDS | _RAW_BRANDS):
        return "AVIF" if brands & _AVIF_BRANDS else "CR3"
    return "HEIF" if brands & (_HEIF_BRANDS | _CONTAINER_BRANDS) else None


def read_head(path: str) -> bytes:
    """The first 512 bytes of ``path``, fewer where it is shorter.

    Raises:
        OSError: the file cannot be opened or read.
    """
    # Not blocking: between the caller's stat and this open the file may have become a pipe without a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        return os.read(descriptor, HEAD_BYTES)
    finally:
        os.close(descriptor)


def sniff_file(path: str) -> str | None:
    """The format of the file at ``path``, as :func:`sniff` names it.

    Raises:
        OSError: the file cannot be opened or read.
    """
    return sniff(read_head(path))
