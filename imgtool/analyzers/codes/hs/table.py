"""The six-digit codes of HS 2022, embedded: 5,612 codes in 3 KB, without their descriptions.

``scripts/make_hs_table.py`` writes the file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import accumulate
from pathlib import Path

EDITION = "HS 2022"
FILE = Path(__file__).with_name("hs2022.bin")

_LARGE = 255
"""In the file, this byte is followed by a distance of three bytes."""


class Listing(StrEnum):
    """What the table says about a number: listed, only its heading is listed, not listed, or there is no table."""

    LISTED = "listed"
    HEADING = "heading"
    UNLISTED = "unlisted"
    UNCHECKED = "unchecked"


@dataclass(frozen=True)
class Table:
    """The codes of an edition: ``subheadings`` of six digits, and the ``headings`` (four digits) they belong to."""

    edition: str
    subheadings: frozenset[str]
    headings: frozenset[str]

    def look_up(self, digits: str) -> Listing:
        """What the table says about the first six digits of a number, or about all four if it has no more."""
        if digits in self.headings or digits[:6] in self.subheadings:
            return Listing.LISTED
        return Listing.HEADING if digits[:4] in self.headings else Listing.UNLISTED


@cache
def load() -> Table | None:
    """The embedded table, or ``None`` if its file is missing or damaged: no code is checked then."""
    try:
        codes = unpack(FILE.read_bytes())
    except (OSError, ValueError):
        return None
    return Table(EDITION, codes, frozenset(code[:4] for code in codes))


def pack(codes: Iterable[str]) -> bytes:
    """``codes`` (six digits each) as compressed distances from one to the next, in ascending order."""
    numbers = sorted(int(code) for code in codes)
    distances = (after - before for before, after in zip([0, *numbers], numbers, strict=False))
    return zlib.compress(b"".join(_distance(each) for each in distances), 9)


def _distance(value: int) -> bytes:
    return bytes([value]) if value < _LARGE else bytes([_LARGE, *value.to_bytes(3, "big")])


def unpack(packed: bytes) -> frozenset[str]:
    """The codes that :func:`pack` packed.

    Raises:
        ValueError: the data is damaged.
    """
    try:
        data = zlib.decompress(packed)
    except zlib.error as error:
        raise ValueError(f"the table of HS codes is damaged: {error}") from error
    distances, place = [], 0
    while place < len(data):
        width = 4 if data[place] == _LARGE else 1
        distances.append(int.from_bytes(data[place + width // 4 : place + width], "big"))
        place += width
    return frozenset(f"{number:06}" for number in accumulate(distances))
