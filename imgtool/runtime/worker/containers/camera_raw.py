"""Camera RAW: what the sensor saw, and with it the photo as the camera developed it, a JPEG somewhere in the file.

Every maker keeps that JPEG in a place of its own. It is found by what it is: the largest whole JPEG in the file. Where
there is none of a useful size, LibRaw develops the sensor's data (extra ``raw``).
"""

from __future__ import annotations

import io
import re
from contextlib import suppress
from typing import BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from imgtool.distribution import install_command
from imgtool.image_formats import CAMERA_RAW
from imgtool.runtime.worker.decode_errors import DecodeError

_SUBFILE, _PHOTOMETRIC, _MAKE, _SUB_IFDS, _DNG_VERSION, _ORIENTATION = 254, 262, 271, 330, 50706, 274
_SENSOR = (32803, 34892)
"""PhotometricInterpretation of a colour filter array and of linear sensor data (DNG specification 1.7)."""
_MAKERS = {
    "NIKON": "NEF",
    "SONY": "ARW",
    "CANON": "CR2",
    "PENTAX": "PEF",
    "RICOH": "PEF",
    "SAMSUNG": "SRW",
    "HASSELBLAD": "3FR",
    "PHASE": "IIQ",
    "LEAF": "IIQ",
    "MAMIYA": "IIQ",
    "EPSON": "ERF",
    "KODAK": "DCR",
}
_MOST_DIRECTORIES = 16
_USEFUL_PIXELS = 640 * 480
"""A smaller picture is a thumbnail: text in it cannot be read."""

_MOST_SEGMENTS = 64
_JPEG_STARTS = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]")
_TURNS = {3: 3, 5: 8, 6: 6}
"""LibRaw's ``flip`` as EXIF orientation."""


def camera_raw(file: BinaryIO, name: str) -> str | None:
    """Which camera RAW format ``file`` of the format ``name`` (that of its first bytes) is, if it is any: ``NEF``,
    ``DNG``, ...; ``RAW`` where the maker is unknown."""
    if name in CAMERA_RAW:
        return name
    if name != "TIFF":
        return None
    file.seek(0)
    head = file.read(16)
    if head[2:4] not in (b"*\0", b"\0*"):  # BigTIFF
        return None
    if head[8:10] == b"CR":
        return "CR2"
    found = None
    with suppress(Exception):  # what is wrong with a directory is said when the image is opened
        first, *others = _directories(file, head[:8])
        if _DNG_VERSION in first:
            found = "DNG"
        elif head[8:12] in (b"IIII", b"MMMM"):
            found = "IIQ"
        elif any(each.get(_PHOTOMETRIC) in _SENSOR for each in (first, *others)):
            make = str(first.get(_MAKE, "")).upper()
            found = next((kind for maker, kind in _MAKERS.items() if maker in make), "RAW")
    return found


def _directories(file: BinaryIO, head: bytes) -> list[ImageFileDirectory_v2]:
    """The first directories of a TIFF file and those below them."""
    found: list[ImageFileDirectory_v2] = []
    order = "little" if head[:2] == b"II" else "big"
    waiting = [int.from_bytes(head[4:8], order)]  # type: ignore[arg-type]
    seen: set[int] = set()
    while waiting and len(found) < _MOST_DIRECTORIES:
        offset = waiting.pop(0)
        if offset in seen or not offset:
            continue
        seen.add(offset)
        directory = ImageFileDirectory_v2(head)
        file.seek(offset)
        directory.load(file)
        found.append(directory)
        below = directory.get(_SUB_IFDS, ())
        waiting += [*(below if isinstance(below, tuple) else (below,)), directory.next]
    return found


def developed(file: BinaryIO, kind: str) -> tuple[Image.Image, bytes | None, int]:
    """The photo in ``file``: the image, the bytes of its JPEG (``None``: LibRaw developed it), its EXIF orientation.

    Raises:
        DecodeError: it holds no JPEG of a useful size and LibRaw is not installed, or cannot read it either.
    """
    file.seek(0)
    data = file.read()
    jpeg = largest_jpeg(data)
    if jpeg is not None:
        image = Image.open(io.BytesIO(jpeg), formats=["JPEG"])
        return image, jpeg, image.getexif().get(_ORIENTATION) or _orientation(data, kind)
    try:
        import rawpy
    except ImportError as error:
        text = f"this is a camera RAW photo ({kind}) without an embedded JPEG; developing it needs an optional package"
        raise DecodeError("unsupported", text, install_command("raw")) from error
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            turn = _TURNS.get(raw.sizes.flip, 1)
            return Image.fromarray(raw.postprocess(use_camera_wb=True, user_flip=0)), None, turn
    except rawpy.LibRawError as error:
        text = f"this camera RAW photo ({kind}) cannot be developed: {error}"
        raise DecodeError("unsupported", text, "convert it to DNG or JPEG with the camera maker's program") from error


def largest_jpeg(data: bytes) -> bytes | None:
    """The JPEG in ``data`` with the most pixels, from its first byte on; ``None`` where all are thumbnails."""
    most, start = _USEFUL_PIXELS - 1, None
    for match in _JPEG_STARTS.finditer(data):
        pixels = _jpeg_pixels(data, match.start())
        if pixels > most:
            most, start = pixels, match.start()
    return None if start is None else data[start:]


def _jpeg_pixels(data: bytes, start: int) -> int:
    """Width times height of the JPEG at ``start``; 0 where it is none, or a lossless one, which holds a sensor's
    data."""
    place, pixels = start + 2, 0
    for _ in range(_MOST_SEGMENTS):
        if place + 10 > len(data) or data[place] != 0xFF:  # nothing that counts is shorter
            return 0
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xDA:
            return pixels
        if marker in (0xC0, 0xC1, 0xC2) and data[place + 4] == 8 and data[place + 9] in (1, 3):
            height, width = data[place + 5 : place + 7], data[place + 7 : place + 9]
            pixels = int.from_bytes(height, "big") * int.from_bytes(width, "big")
        elif not (marker in (0xC4, 0xDB, 0xDD, 0xFE) or 0xE0 <= marker <= 0xEF) or length < 2:
            return 0
        place += 2 + length
    return 0


def _orientation(data: bytes, kind: str) -> int:
    """The orientation that the file itself states: in its first directory, in CR3 that of a box."""
    start = data.find(b"CMT1") + 4 if kind == "CR3" else 0
    order = data[start : start + 2]
    if order not in (b"II", b"MM"):
        return 1
    exif = Image.Exif()
    with suppress(Exception):  # a broken block must not cost the photo
        exif.load(b"Exif\0\0" + order + (b"*\0" if order == b"II" else b"\0*") + data[start + 4 :])
        return int(exif.get(_ORIENTATION, 1))
    return 1
