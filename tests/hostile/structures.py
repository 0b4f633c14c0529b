"""Where the parts of a file begin, and where it states sizes and dimensions: the places at which to cut and to lie."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

_BOXES = {b"moov", b"iprp", b"ipco", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"jp2h"}
_PDF_WORDS = re.compile(rb"\d+ \d+ obj|endobj|stream\r?\n|endstream|xref|trailer|startxref|<<|>>|\[|\]")
_PDF_NUMBERS = re.compile(rb"(?<=[ \[])\d+(?=[ \]/>\r\n])")
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257


class Field(NamedTuple):
    """A number in a file: where it stands, and its form for :mod:`struct`."""

    at: int
    form: str


class Structure(NamedTuple):
    """``cuts`` are where parts begin and end, ``sizes`` lengths, counts, places, ``dimensions`` widths and heights."""

    cuts: list[int]
    sizes: list[Field]
    dimensions: list[Field]


def structure(content: bytes) -> Structure:
    """What is known of the structure of a whole file."""
    found = Structure([], [], [])
    next(look for is_its, look in _LOOKS if is_its(content))(content, found)
    # A few bytes of the header of anything, and its very end.
    found.cuts.extend((1, 2, 3, 4, 8, 11, 12, 16, 18, 24, 32, 54, 64, len(content) - 1, len(content) - 2))
    found.cuts[:] = sorted({cut for cut in found.cuts if 0 < cut < len(content)})
    found.sizes[:] = [field for field in found.sizes if field.at + struct.calcsize(field.form) <= len(content)]
    return found


def _png(content: bytes, found: Structure) -> None:
    at = 8
    while at + 12 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        found.cuts.extend((at, at + 4, at + 8, at + 8 + length // 2, at + 8 + length))
        found.sizes.append(Field(at, ">I"))
        if kind in (b"IHDR", b"fcTL"):
            first = at + 8 + (4 if kind == b"fcTL" else 0)
            found.dimensions.extend((Field(first, ">I"), Field(first + 4, ">I")))
        if kind == b"acTL":
            found.sizes.append(Field(at + 8, ">I"))
        at += 12 + length


def _markers(content: bytes, found: Structure) -> None:
    """Segments of JPEG and of a JPEG 2000 codestream, up to the coded data."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        found.cuts.extend((at, at + 2, at + 4, at + 2 + length // 2, at + 2 + length))
        found.sizes.append(Field(at + 2, ">H"))
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            found.dimensions.extend((Field(at + 5, ">H"), Field(at + 7, ">H")))
            found.sizes.extend((Field(at + 4, ">B"), Field(at + 9, ">B"), Field(at + 11, ">B")))
        if marker == 0x51:  # SIZ
            found.dimensions.extend((Field(at + 6, ">I"), Field(at + 10, ">I")))
            found.sizes.extend(Field(at + 14 + 4 * number, ">I") for number in range(6))
        if marker == 0x90:  # SOT
            found.sizes.append(Field(at + 6, ">I"))
        if marker in (0xDA, 0x93):
            break
        at += 2 + length
    found.cuts.extend(at + (len(content) - at) * part // 8 for part in range(1, 8))


def _gif(content: bytes, found: Structure) -> None:
    found.dimensions.extend((Field(6, "<H"), Field(8, "<H")))
    found.sizes.append(Field(10, "<B"))
    at = 13 + (3 << (content[10] & 7) + 1 if content[10] & 0x80 else 0)
    while at < len(content) and content[at] != 0x3B:
        found.cuts.extend((at, at + 1, at + 5))
        if content[at] == 0x2C:
            found.dimensions.extend((Field(at + 5, "<H"), Field(at + 7, "<H")))
            found.sizes.extend((Field(at + 1, "<H"), Field(at + 3, "<H"), Field(at + 9, "<B")))
            local = content[at + 9]
            at += 10 + (3 << (local & 7) + 1 if local & 0x80 else 0)
            found.sizes.append(Field(at, "<B"))  # the size of LZW codes
            at += 1
        else:
            at += 2
        while at < len(content) and content[at]:
            found.cuts.append(at)
            found.sizes.append(Field(at, "<B"))
            at += 1 + content[at]
        at += 1


def _riff(content: bytes, found: Structure) -> None:
    found.sizes.append(Field(4, "<I"))
    at = 12
    while at + 8 <= len(content):
        kind, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        found.cuts.extend((at, at + 4, at + 8, at + 8 + length // 2, at + 8 + length))
        found.sizes.append(Field(at + 4, "<I"))
        if kind == b"VP8 ":
            found.dimensions.extend((Field(at + 14, "<H"), Field(at + 16, "<H")))
        elif kind == b"VP8L":
            found.dimensions.append(Field(at + 9, "<I"))
        elif kind == b"VP8X":
            found.dimensions.extend((Field(at + 12, "<H"), Field(at + 15, "<H")))
        elif kind == b"ANMF":
            found.dimensions.extend((Field(at + 14, "<H"), Field(at + 17, "<H")))
            found.sizes.extend((Field(at + 8, "<I"), Field(at + 28, "<I")))
        at += 8 + length + length % 2


def _boxes(content: bytes, at: int, end: int, found: Structure) -> None:
    while at + 8 <= end:
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if length < 8:
            return
        found.cuts.extend((at, at + 4, at + 8, at + length // 2, at + length))
        found.sizes.append(Field(at, ">I"))
        if kind == b"ispe":
            found.dimensions.extend((Field(at + 12, ">I"), Field(at + 16, ">I")))
        elif kind == b"ihdr":
            found.dimensions.extend((Field(at + 8, ">I"), Field(at + 12, ">I")))
        elif kind in (
            b"iloc",
            b"iinf",
            b"ipma",
            b"iref",
            b"stsz",
            b"stco",
            b"stsc",
            b"stts",
            b"hvcC",
            b"av1C",
            b"pitm",
        ):
            found.sizes.extend(Field(place, ">H") for place in range(at + 12, min(at + length, at + 60) - 1, 2))
        elif kind == b"jp2c":
            inner = Structure([], [], [])
            _markers(content[at + 8 : at + length], inner)
            found.cuts.extend(at + 8 + cut for cut in inner.cuts)
            found.sizes.extend(Field(at + 8 + field.at, field.form) for field in inner.sizes)
            found.dimensions.extend(Field(at + 8 + field.at, field.form) for field in inner.dimensions)
        if kind in _BOXES or kind == b"meta":
            _boxes(content, at + (12 if kind == b"meta" else 8), at + length, found)
        at += length


def _tiff(content: bytes, found: Structure) -> None:
    order = "<" if content[:2] == b"II" else ">"
    is_big = content[2:4] in (b"+\0", b"\0+")
    count_form, each, value_form = (order + "Q", 20, order + "Q") if is_big else (order + "H", 12, order + "I")
    wide = struct.calcsize(value_form)
    link = Field(8 if is_big else 4, value_form)
    for at in _directories(content, link, count_form, each, found):
        (count,) = struct.unpack_from(count_form, content, at)
        found.sizes.append(Field(at, count_form))
        for entry in range(at + struct.calcsize(count_form), len(content) - each + 1, each):
            if count == 0:
                break
            count -= 1
            tag, _ = struct.unpack_from(order + "HH", content, entry)
            place = entry + 4 + wide
            found.cuts.append(entry)
            found.sizes.extend((Field(entry + 2, order + "H"), Field(entry + 4, value_form)))
            (target,) = struct.unpack_from(value_form, content, place)
            if tag in (_TIFF_WIDTH, _TIFF_HEIGHT):
                found.dimensions.append(Field(place, value_form))
            else:
                found.sizes.append(Field(place, value_form))
                found.cuts.extend((target, target + 4))


def _directories(content: bytes, link: Field, form: str, each: int, found: Structure) -> Iterator[int]:
    seen: set[int] = set()
    while link.at + struct.calcsize(link.form) <= len(content):
        found.sizes.append(link)
        (at,) = struct.unpack_from(link.form, content, link.at)
        if not at or at in seen or at + struct.calcsize(form) > len(content):
            return
        seen.add(at)
        found.cuts.extend((at, at + struct.calcsize(form)))
        yield at
        (count,) = struct.unpack_from(form, content, at)
        link = Field(at + struct.calcsize(form) + each * count, link.form)


def _icon(content: bytes, found: Structure) -> None:
    found.sizes.append(Field(4, "<H"))
    for number in range(int.from_bytes(content[4:6], "little")):
        entry = 6 + 16 * number
        found.cuts.append(entry)
        found.dimensions.extend((Field(entry, "<B"), Field(entry + 1, "<B")))
        found.sizes.extend((Field(entry + 8, "<I"), Field(entry + 12, "<I")))
        (place,) = struct.unpack_from("<I", content, entry + 12)
        found.cuts.extend((place, place + 4, place + 40))
        if not content.startswith(b"\x89PNG", place):
            found.dimensions.extend((Field(place + 4, "<i"), Field(place + 8, "<i")))


def _pdf(content: bytes, found: Structure) -> None:
    found.cuts.extend(match.start() for match in _PDF_WORDS.finditer(content))


def _bitmap(_: bytes, found: Structure) -> None:
    found.sizes.extend((Field(2, "<I"), Field(10, "<I"), Field(14, "<I"), Field(30, "<I"), Field(46, "<I")))
    found.dimensions.extend((Field(18, "<i"), Field(22, "<i")))


def _pcx(_: bytes, found: Structure) -> None:
    found.dimensions.extend(Field(at, "<H") for at in (4, 6, 8, 10))
    found.sizes.extend((Field(3, "<B"), Field(65, "<B"), Field(66, "<H")))


def _targa(_: bytes, found: Structure) -> None:
    found.dimensions.extend((Field(12, "<H"), Field(14, "<H")))
    found.sizes.extend((Field(0, "<B"), Field(3, "<H"), Field(5, "<H"), Field(7, "<B"), Field(16, "<B")))


_LOOKS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes, Structure], None]], ...] = (
    (lambda content: content.startswith(b"\x89PNG"), _png),
    (lambda content: content.startswith((b"\xff\xd8", b"\xff\x4f\xff\x51")), _markers),
    (lambda content: content.startswith(b"GIF8"), _gif),
    (lambda content: content.startswith(b"RIFF"), _riff),
    (
        lambda content: content[4:8] in (b"ftyp", b"jP  ", b"JXL "),
        lambda content, found: _boxes(content, 0, len(content), found),
    ),
    (lambda content: content.startswith((b"II", b"MM")), _tiff),
    (lambda content: content.startswith(b"%PDF"), _pdf),
    (lambda content: content.startswith(b"BM"), _bitmap),
    (
        lambda content: content.startswith(b"qoif"),
        lambda _, found: found.dimensions.extend((Field(4, ">I"), Field(8, ">I"))),
    ),
    (lambda content: content[:4] in (b"\0\0\1\0", b"\0\0\2\0"), _icon),
    (lambda content: content.startswith(b"\n\5\1"), _pcx),
    (lambda content: content[1:3] in (b"\0\2", b"\0\n", b"\1\1", b"\1\t"), _targa),
    (lambda _: True, lambda *_: None),
)


def text_numbers(content: bytes) -> list[tuple[int, int]]:
    """Where numbers are written in digits: in the head of a Netpbm file, all over a PDF."""
    if content.startswith(b"%PDF"):
        return [match.span() for match in _PDF_NUMBERS.finditer(content)]
    if content[:1] == b"P" and content[1:2].isalnum():
        return [match.span() for match in re.finditer(rb"(?<=\s)\d+", content[:24])][:3]
    return []
