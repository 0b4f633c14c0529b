"""Whether the beginning of a file reads as its format prescribes: what ends too early was cut off, anything else is
damaged, and the remedies differ."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO, Literal

from imgtool.image_formats import BITMAP_HEADER_SIZES

_BLOCKS = 1_000
"""How many blocks are looked at: the decoder finds damage further on."""

_TAIL_BYTES = 64
_LAST_BYTES = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b"\x3b", "QOI": b"\0\0\0\0\0\0\0\1"}

_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value of each type."""

_WEBP_CHUNKS = frozenset({b"VP8 ", b"VP8L", b"VP8X"})


def is_sound_so_far(file: BinaryIO, kind: str) -> bool:
    """Whether ``file`` of the format ``kind`` (Pillow's name) is built as it should be, as far as it goes.

    Formats that are not looked into are taken for sound.
    """
    check = _CHECKS.get(kind)
    if check is None:
        return True
    try:
        file.seek(0)
        return check(file)
    except EOFError:
        return True
    except (OSError, ValueError):
        return False


def ends_before_its_end(file: BinaryIO, kind: str) -> bool:
    """Whether ``file`` of the format ``kind`` is shorter than it says itself, or lacks the end that its format has."""
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(_TAIL_BYTES)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read(_TAIL_BYTES)
        if kind in _LAST_BYTES:
            return _LAST_BYTES[kind] not in tail
        if kind == "TIFF":
            return _tiff_ends_early(file, head, size)
        if head[4:8] in (b"ftyp", b"jP  ", b"JXL "):
            return _boxes_end_early(file, size)
    except (EOFError, OSError, ValueError):
        return False
    if kind == "JPEG2000":
        return b"\xff\xd9" not in tail
    declared = {"WEBP": int.from_bytes(head[4:8], "little") + 8, "BMP": int.from_bytes(head[2:6], "little")}
    return declared.get(kind, 0) > size


def _boxes_end_early(file: BinaryIO, size: int) -> bool:
    """Whether a box of the outermost level does not end in the file (ISO/IEC 14496-12, 4.2)."""
    at = 0
    for _ in range(_BLOCKS):
        if at + 8 > size:
            return at != size
        file.seek(at)
        head = _take(file, 8)
        length = int.from_bytes(head[:4], "big")
        if length == 0:  # up to the end, wherever that is
            return False
        at += int.from_bytes(_take(file, 8), "big") if length == 1 else length
    return False


def _tiff_ends_early(file: BinaryIO, head: bytes, size: int) -> bool:
    """Whether the first directory of a TIFF, or a value of it, does not lie in the file (TIFF 6.0, section 2)."""
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    is_big = head[2:4] in (b"+\0", b"\0+")
    offset = int.from_bytes(head[8:16] if is_big else head[4:8], order)
    wide, each, link = (8, 20, 8) if is_big else (2, 12, 4)
    if offset + wide > size:
        return True
    file.seek(offset)
    count = int.from_bytes(_take(file, wide), order)
    if offset + wide + each * count + link > size:
        return True
    for entry in (_take(file, each) for _ in range(count)):
        values = int.from_bytes(entry[4 : 4 + link], order) * _TIFF_SIZES.get(int.from_bytes(entry[2:4], order), 0)
        if values > link and int.from_bytes(entry[4 + link :], order) + values > size:
            return True
    return False


def _take(file: BinaryIO, count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise EOFError
    return content


def _png(file: BinaryIO) -> bool:
    """Chunks of a length, four letters, that many bytes and a sum; the first is the header (PNG 3rd edition, 5.3)."""
    _take(file, 8)
    for number in range(_BLOCKS):
        head = _take(file, 8)
        kind, length = head[4:], int.from_bytes(head[:4], "big")
        if not (kind.isalpha() and kind.isascii()) or (number == 0 and (kind, length) != (b"IHDR", 13)):
            return False
        file.seek(length + 4, 1)
    return True


def jpeg_frame(file: BinaryIO) -> int:
    """The marker of the frame of a JPEG file, which says how it is coded; 0 where none is found."""
    try:
        file.seek(2)
        for _ in range(_BLOCKS):
            mark, marker = _take(file, 2)
            if mark != 0xFF or marker == 0xDA:
                return 0
            if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
                return marker
            file.seek(int.from_bytes(_take(file, 2), "big") - 2, 1)
    except (EOFError, OSError, ValueError):
        pass
    return 0


def _jpeg(file: BinaryIO) -> bool:
    """Segments of FF, a marker and a length, until the scan begins (ITU-T T.81, B.1)."""
    _take(file, 2)
    for _ in range(_BLOCKS):
        if _take(file, 1) != b"\xff":
            return False
        marker = _take(file, 1)[0]
        while marker == 0xFF:
            marker = _take(file, 1)[0]
        if marker == 0xDA:
            return True
        length = int.from_bytes(_take(file, 2), "big")
        if marker < 0xC0 or 0xD0 <= marker <= 0xD9 or length < 2:
            return False
        # Segments of applications say whose they are, in letters.
        if 0xE0 <= marker <= 0xEF and length >= 6:
            if not all(32 <= byte < 127 for byte in _take(file, 4)):
                return False
            length -= 4
        file.seek(length - 2, 1)
    return True


def _gif(file: BinaryIO) -> bool:
    """Extensions and pictures, each with sub-blocks, until the trailer (GIF89a, 11 to 27)."""
    flags = _take(file, 13)[10]
    _take(file, _colours(flags))
    for _ in range(_BLOCKS):
        introducer = _take(file, 1)
        if introducer == b"\x3b":
            return True
        if introducer == b"\x21":
            _take(file, 1)
        elif introducer == b"\x2c":
            _take(file, _colours(_take(file, 9)[8]) + 1)
        else:
            return False
        while (size := _take(file, 1)[0]) > 0:
            _take(file, size)
    return True


def _colours(flags: int) -> int:
    """Bytes of the table of colours that the flags announce."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


_CHECKS: dict[str, Callable[[BinaryIO], bool]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "GIF": _gif,
    "BMP": lambda file: int.from_bytes(_take(file, 18)[14:], "little") in BITMAP_HEADER_SIZES,
    "WEBP": lambda file: _take(file, 16)[12:] in _WEBP_CHUNKS,
}
