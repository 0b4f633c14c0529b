"""What a file that is no image that can be read seems to be, by its first bytes."""

from __future__ import annotations

from imgtool.image_formats import HEAD_BYTES

_IMAGES = (
    (b"8BPS", "PSD", "a Photoshop document (PSD)"),
    (b"%!PS-Adobe-3.0 EPSF", "EPS", "a PostScript drawing (EPS)"),
    (b"\xc5\xd0\xd3\xc6", "EPS", "a PostScript drawing (EPS)"),
    (b"%!PS", "PostScript", "a PostScript document or drawing (EPS)"),
    (b"DDS ", "DDS", "a texture (DDS)"),
    (b"\xabKTX ", "KTX", "a texture (KTX)"),
    (b"PVR\x03", "PVR", "a texture (PVR)"),
    (b"BLP1", "BLP", "a texture (BLP)"),
    (b"BLP2", "BLP", "a texture (BLP)"),
    (b"VTF\x00", "VTF", "a texture (VTF)"),
    (b"icns", "ICNS", "an icon of macOS (ICNS)"),
    (b"gimp xcf", "XCF", "a GIMP image (XCF)"),
    (b"v/1\x01", "EXR", "an OpenEXR image"),
    (b"#?RADIANCE", "HDR", "a Radiance HDR image"),
    (b"#?RGBE", "HDR", "a Radiance HDR image"),
    (b"AT&TFORM", "DjVu", "a DjVu document"),
    (b"II\xbc", "JPEG XR", "a JPEG XR image"),
    (b"BPGF", "BPG", "a BPG image"),
    (b"FLIF", "FLIF", "a FLIF image"),
    (b"\x8aMNG\r\n\x1a\n", "MNG", "an animation (MNG)"),
    (b"\x8bJNG\r\n\x1a\n", "JNG", "a JNG image"),
    (b"\xd7\xcd\xc6\x9a", "WMF", "a Windows drawing (WMF)"),
    (b"\x01\xda\x00", "SGI", "an SGI image"),
    (b"\x01\xda\x01", "SGI", "an SGI image"),
    (b"\x59\xa6\x6a\x95", "Sun raster", "a Sun raster image"),
    (b"/* XPM */", "XPM", "an X pixmap (XPM)"),
    (b"SIMPLE  =", "FITS", "an astronomical image (FITS)"),
    (b"SDPX", "DPX", "a film frame (DPX)"),
    (b"XPDS", "DPX", "a film frame (DPX)"),
    (b"\x80\x2a\x5f\xd7", "Cineon", "a film frame (Cineon)"),
    (b"\x3a\xde\x68\xb1", "DCX", "a fax of several pages (DCX)"),
)
"""Images and drawings: how they begin, their name, and in words."""

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_WEB_PAGE = "a web page (HTML)"
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
    (b"\x93NUMPY", "a NumPy array"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office document or a thumbnail database"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x7fELF", "a program (ELF)"),
    (_LFS_POINTER, "a Git LFS pointer, not the file itself"),
)

_RIFF = {
    b"AVI ": "a video (AVI)",
    b"WAVE": "an audio file (WAV)",
    b"ACON": "an animated cursor (ANI)",
    b"CDR": "a CorelDRAW drawing (CDR)",
}
_OTHER_CODECS = (b"avci", b"avcs", b"jpeg", b"jpgs", b"j2ki", b"j2is", b"vvic", b"vvis", b"evbi", b"evbs")
"""Brands of HEIF (ISO/IEC 23008-12) for images coded by AVC, JPEG, JPEG 2000, VVC and EVC."""
_XML = ("<svg", "<?xml", "<!doctype svg", "<!--")
_UNKNOWN = "an unknown kind of data"


def other_image(head: bytes) -> str | None:
    """The usual name of the type of an image or drawing that is not read: ``PSD``, ``SVG``; ``None`` of anything
    else."""
    return _other_image(head)[0]


def _other_image(head: bytes) -> tuple[str | None, str]:
    start = _text(head) or ""
    found = (
        *((head.startswith(signature), name, words) for signature, name, words in _IMAGES),
        (head[:4] == b"\x01\0\0\0" and head[40:44] == b" EMF", "EMF", "a Windows drawing (EMF)"),
        (head[4:8] == b"ftyp" and head[8:12] in _OTHER_CODECS, "HEIF", "a HEIF image in a codec that is not read"),
        (head[128:132] == b"DICM", "DICOM", "a medical image (DICOM)"),
        (head[4:6] in (b"\x11\xaf", b"\x12\xaf"), "FLI", "an animation (FLI or FLC)"),
        ("<svg" in start and start.startswith(_XML), "SVG", "an SVG drawing, which is not supported"),
        (start.startswith("#define ") and "_width" in start, "XBM", "an X bitmap (XBM)"),
    )
    return next(((name, words) for is_it, name, words in found if is_it), (None, ""))


def looks_like(head: bytes) -> str:
    """What a file that is no image seems to be, as words that follow "it looks like": ``a PDF document``."""
    name, words = _other_image(head)
    if name is not None:
        return words
    for signature, words in _OTHER_CONTENT:
        if head.startswith(signature):
            return words
    if head[:4] == b"RIFF":
        return next((words for kind, words in _RIFF.items() if head[8:].startswith(kind)), _UNKNOWN)
    if head[4:8] in (b"ftyp", b"moov", b"mdat"):
        return "a video (MP4 or QuickTime)"
    if not head.strip(b"\x00"):
        return "nothing but zero bytes, as a broken download or recovery leaves" if head else "an empty file"
    return _text_kind(head)


def stands_for_lost(head: bytes) -> bool:
    """Whether the file is what a failed download or recovery leaves in the place of an image: a server's page, zero
    bytes, a Git LFS pointer."""
    return head.startswith(_LFS_POINTER) or not head.strip(b"\x00") or _text_kind(head) == _WEB_PAGE


def _text_kind(head: bytes) -> str:
    text = _text(head)
    if text is None:
        return _UNKNOWN
    return _WEB_PAGE if text.startswith(("<!doctype html", "<html")) else "a text file"


def _text(head: bytes) -> str | None:
    """The beginning of a text, in lower case and without white space before it; ``None`` where it is none."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head[: len(head) & ~1].decode("utf-16", errors="replace")
    else:
        try:
            text = head.decode("utf-8")
        except UnicodeDecodeError as error:
            # The last character may be cut in two by the end of the head.
            if len(head) < HEAD_BYTES or error.start < len(head) - 3:
                return None
            text = head[: error.start].decode("utf-8")
    if not all(letter.isprintable() or letter in "\t\r\n\f\ufeff" for letter in text):
        return None
    return text.lstrip("\ufeff \t\r\n").lower()
