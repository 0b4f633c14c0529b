"""What a file that is no image seems to be, by its first bytes."""

from __future__ import annotations

from imgtool.image_formats import HEAD_BYTES

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
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"%!PS", "a PostScript document or drawing (EPS)"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript drawing (EPS)"),
    (b"DDS ", "a texture (DDS)"),
    (b"icns", "an icon of macOS (ICNS)"),
    (b"gimp xcf", "a GIMP image (XCF)"),
    (b"v/1\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance HDR image"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office document or a thumbnail database"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x7fELF", "a program (ELF)"),
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file itself"),
)

_CONTAINERS = {b"AVI ": "a video (AVI)", b"WAVE": "an audio file (WAV)"}
_UNKNOWN = "an unknown kind of data"


def looks_like(head: bytes) -> str:
    """What a file that is no image seems to be, as words that follow "it looks like": ``a PDF document``."""
    for signature, words in _OTHER_CONTENT:
        if head.startswith(signature):
            return words
    if head[:4] == b"RIFF":
        return _CONTAINERS.get(head[8:12], _UNKNOWN)
    if head[4:8] in (b"ftyp", b"moov", b"mdat"):
        return "a video (MP4 or QuickTime)"
    if not head.strip(b"\x00"):
        return "nothing but zero bytes, as a broken download or recovery leaves" if head else "an empty file"
    return _looks_like_text(head)


def _looks_like_text(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head[: len(head) & ~1].decode("utf-16", errors="replace")
    else:
        try:
            text = head.decode("utf-8")
        except UnicodeDecodeError as error:
            # The last character may be cut in two by the end of the head.
            if len(head) < HEAD_BYTES or error.start < len(head) - 3:
                return _UNKNOWN
            text = head[: error.start].decode("utf-8")
    if not all(letter.isprintable() or letter in "\t\r\n\f\ufeff" for letter in text):
        return _UNKNOWN
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith(("<!doctype html", "<html")):
        return "a web page (HTML)"
    is_svg = start.startswith("<svg") or (start.startswith("<?xml") and "<svg" in start)
    return "an SVG drawing, which is not supported" if is_svg else "a text file"
