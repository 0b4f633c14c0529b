"""The format of a file by its first bytes: names lie, signatures rarely do.

Signatures are those of the formats' own specifications: ISO 10918-1 (JPEG), the PNG and WebP container
specifications, GIF87a and GIF89a, the Windows bitmap headers, TIFF 6.0 and BigTIFF, ISO/IEC 23008-12 (HEIF, AVIF).
"""

from __future__ import annotations

import os

HEAD_BYTES = 64
"""How much of a file is looked at."""

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif"),
    }
)
"""The usual extensions, lower case, of what ``sniff`` knows. They never decide what a file is, only whether a file
in a folder that turns out to be no image is worth a word."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)

# "BM" also begins ordinary words; the size of the second header has only these values.
_BITMAP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_STRUCTURAL_BRANDS = frozenset({b"mif1", b"msf1", b"mif2", b"miaf"})
"""Brands that tell the container but not the codec inside."""


def sniff(head: bytes) -> str | None:
    """The format of a file that begins with ``head`` (its first 64 bytes, or all of a shorter one).

    One of ``JPEG``, ``PNG``, ``WEBP``, ``GIF``, ``BMP``, ``TIFF``, ``AVIF``, ``HEIF``; ``None`` for anything else.
    """
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BITMAP_HEADER_SIZES:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    return None


def _sniff_brands(head: bytes) -> str | None:
    """AVIF, HEIF and MP4 share one container: the major brand decides, or the compatible ones where it is neutral."""
    major = head[8:12]
    if major in _AVIF_BRANDS:
        return "AVIF"
    if major in _HEIF_BRANDS:
        return "HEIF"
    if major not in _STRUCTURAL_BRANDS:
        return None
    end = int.from_bytes(head[:4], "big") or len(head)
    compatible = {head[start : start + 4] for start in range(16, min(end, len(head)), 4)}
    return "AVIF" if compatible & _AVIF_BRANDS else "HEIF"


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


_OTHER_CONTENT = (
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a zip archive or an office document"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"FLV\x01", "a video (Flash)"),
    (b"\x00\x00\x01\xba", "a video (MPEG)"),
    (b"\x00\x00\x01\xb3", "a video (MPEG)"),
    (b"OggS", "an Ogg audio or video file"),
    (b"ID3", "an audio file (MP3)"),
    (b"fLaC", "an audio file (FLAC)"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "a JPEG 2000 image, which is not supported"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image, which is not supported"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL image, which is not supported"),
    (b"\xff\x0a", "a JPEG XL image, which is not supported"),
    (b"\x00\x00\x01\x00", "an icon (ICO)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office document or a thumbnail database"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x7fELF", "a program (ELF)"),
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file itself"),
)

_CONTAINERS = {b"AVI ": "a video (AVI)", b"WAVE": "an audio file (WAV)"}


def looks_like(head: bytes) -> str:
    """What a file that is no image seems to be, as words that follow "it looks like": ``a PDF document``."""
    for signature, words in _OTHER_CONTENT:
        if head.startswith(signature):
            return words
    if head[:4] == b"RIFF":
        return _CONTAINERS.get(head[8:12], "an unknown kind of data")
    if head[4:8] in (b"ftyp", b"moov", b"mdat"):
        return "a video (MP4 or QuickTime)"
    if head and not head.strip(b"\x00"):
        return "nothing but zero bytes, as a broken download or recovery leaves"
    return _looks_like_text(head)


def _looks_like_text(head: bytes) -> str:
    if not head:
        return "an empty file"
    text = _as_text(head)
    if text is None:
        return "an unknown kind of data"
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith(("<!doctype html", "<html")):
        return "a web page (HTML)"
    if start.startswith("<svg") or (start.startswith("<?xml") and "<svg" in start):
        return "an SVG drawing, which is not supported"
    return "a text file"


def _as_text(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) & ~1].decode("utf-16", errors="replace")
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The last character may be cut in two by the end of the head.
        if len(head) < HEAD_BYTES or error.start < len(head) - 3:
            return None
        text = head[: error.start].decode("utf-8")
    return text if all(letter.isprintable() or letter in "\t\r\n\f\ufeff" for letter in text) else None
