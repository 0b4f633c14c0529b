"""The format of an image by its first bytes: names lie, signatures rarely do.

The one table of formats: the engine chooses files by it, and the worker chooses the decoder. Signatures are those of
the formats' own specifications: ISO 10918-1 (JPEG), the PNG and WebP container specifications, GIF87a and GIF89a, the
Windows bitmap headers, TIFF 6.0 and BigTIFF, ISO/IEC 23008-12 (HEIF, AVIF).
"""

from __future__ import annotations

import os

HEAD_BYTES = 64
"""How much of a file is looked at."""

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif"),
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
}

CAMERA_RAW = frozenset({"RAF", "ORF", "RW2", "CR3", "X3F", "CRW", "MRW"})
"""Camera RAW formats with a signature of their own. Most others are TIFF by their first bytes."""

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_CONTAINER_BRANDS = frozenset({b"mif1", b"msf1", b"mif2", b"miaf"})
"""Brands that name the container but not the codec inside."""


def sniff(head: bytes) -> str | None:
    """The format of a file that begins with ``head`` (its first 64 bytes, or all of a shorter one).

    One of ``JPEG``, ``PNG``, ``WEBP``, ``GIF``, ``BMP``, ``TIFF``, ``AVIF``, ``HEIF`` and those of :data:`CAMERA_RAW`;
    ``None`` for anything else.
    """
    for signature, name in _SIGNATURES.items():
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BITMAP_HEADER_SIZES:
        return "BMP"
    if head[4:8] != b"ftyp":
        return None
    # AVIF, HEIF and MP4 share one container: the major brand decides, or the compatible ones where it is neutral.
    brands = {head[8:12]}
    if brands == {b"crx "}:
        return "CR3"
    if brands <= _CONTAINER_BRANDS:
        end = int.from_bytes(head[:4], "big") or len(head)
        brands |= {head[start : start + 4] for start in range(16, min(end, len(head)), 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & (_HEIF_BRANDS | _CONTAINER_BRANDS) else None


def read_head(path: str) -> bytes:
    """The first 64 bytes of ``path``, fewer where it is shorter.

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
