"""Malformed files by the thousand, deterministic by a seed: what is wrong with each stands in its name."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable, Iterator

from PIL import Image

from tests.hostile.bombs import bombs
from tests.hostile.structures import Field, structure, text_numbers
from tests.hostile.whole_files import whole_files
from tests.picture_files import P3, RGB, chunk, grey_profile, rgb_profile, saved

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_DIMENSIONS = (0, 1, 2, 65_535, 65_500, 40_000, 0x7FFFFFFF, 0xFFFFFFFF)

Maker = Callable[[bytes, random.Random, bytes], bytes]
"""Makes a malformed file of a whole one; the third is another whole file."""


def malformed_files(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """``count`` files, each with a name of its own: the bombs first, then every kind of damage to every kind of file in
    turn."""
    whole = whole_files()
    names, damages = sorted(whole), sorted(_DAMAGES)
    seen, made = set(whole.values()), 0
    for name, content in bombs().items():
        if made < count:
            yield f"{made:05}-bomb-{name}", content
            seen.add(content)
            made += 1
    for number in itertools.count():
        if made >= count:
            return
        rng = random.Random(f"{seed} {number}")
        name, damage = names[number % len(names)], damages[number // len(names) % len(damages)]
        content = _DAMAGES[damage](whole[name], rng, whole[rng.choice(names)])
        if content not in seen:
            yield f"{made:05}-{damage}-{name}", content
            seen.add(content)
            made += 1


def _cut(content: bytes, rng: random.Random, _: bytes) -> bytes:
    """Ends where a part of the file begins or ends, or next to that."""
    at = rng.choice(structure(content).cuts) + rng.choice((0, 0, 0, 1, -1))
    return content[: max(1, at)]


def _put(content: bytes, field: Field, value: int) -> bytes:
    bits = 8 * struct.calcsize(field.form)
    value &= (1 << bits) - 1
    if field.form[1].islower() and value >> (bits - 1):
        value -= 1 << bits
    return content[: field.at] + struct.pack(field.form, value) + content[field.at + bits // 8 :]


def _lie_of_size(content: bytes, rng: random.Random, other: bytes) -> bytes:
    fields = structure(content).sizes
    if not fields:
        return _lie_in_digits(content, rng, other)
    for _ in range(rng.choice((1, 1, 2))):
        field = rng.choice(fields)
        (now,) = struct.unpack_from(field.form, content, field.at)
        content = _put(content, field, rng.choice((*EDGES, now + 1, now - 1, now * 2, now // 2, len(content))))
    return content


def _lie_of_dimensions(content: bytes, rng: random.Random, other: bytes) -> bytes:
    fields = structure(content).dimensions
    if not fields:
        return _lie_in_digits(content, rng, other)
    for field in rng.sample(fields, rng.choice((1, 1, min(2, len(fields))))):
        content = _put(content, field, rng.choice(_DIMENSIONS))
    return content


def _lie_in_digits(content: bytes, rng: random.Random, other: bytes) -> bytes:
    places = text_numbers(content)
    if not places:
        return _turned_bits(content, rng, other)
    start, end = rng.choice(places)
    return content[:start] + str(rng.choice((*EDGES, -1, 10**30))).encode() + content[end:]


def _turned_bits(content: bytes, rng: random.Random, _: bytes) -> bytes:
    found = bytearray(content)
    reach = rng.choice((64, 512, len(found), len(found)))
    for _ in range(rng.choice((1, 1, 4, 32))):
        at = rng.randrange(max(1, min(reach, len(found))))
        found[at] ^= 1 << rng.randrange(8)
    return bytes(found)


def _mixed(content: bytes, rng: random.Random, other: bytes) -> bytes:
    """Bits turned, numbers that lie, cut short, pieces lost, doubled, zeroed or of another file; several at once."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        # Most of what is read first stands at the beginning, and in TIFF and PDF at the end.
        reach = rng.choice((64, 64, 512, len(found), len(found)))
        at = (
            rng.randrange(max(1, min(reach, len(found))))
            if rng.random() < 0.8
            else max(0, len(found) - 1 - rng.randrange(512))
        )
        size = rng.choice((1, 2, 4, 16, 200, 2000))
        how = rng.randrange(7)
        if how == 0:
            found[at : at + 1] = bytes((rng.randrange(256),))
        elif how == 1:
            value, form = rng.choice(EDGES), rng.choice(("<H", ">H", "<I", ">I"))
            packed = struct.pack(form, value & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
            found[at : at + len(packed)] = packed
        elif how == 2:
            del found[max(1, at) :]
        elif how == 3:
            del found[at : at + size]
        elif how == 4:
            found[at:at] = found[at : at + size]
        elif how == 5:
            found[at : at + size] = bytes(min(size, len(found) - at))
        else:
            start = rng.randrange(max(1, len(other)))
            found[at : at + size] = other[start : start + size]
    return bytes(found)


def _bad_profile(content: bytes, rng: random.Random, _: bytes) -> bytes:
    """A colour profile that is none, or lies, in a picture of one of the formats that carry one."""
    profile = bytearray(rng.choice((rgb_profile(P3, 2.2), grey_profile(1.8))))
    how = rng.randrange(8)
    if how == 0:
        profile = profile[: rng.randrange(len(profile))]
    elif how == 1:
        profile = bytearray(rng.randbytes(rng.choice((1, 127, 128, 132, 3_000))))
    elif how == 2:
        profile[16:20] = rng.choice((b"CMYK", b"GRAY", b"Lab ", b"XYZ ", b"6CLR", b"nope"))
    elif how == 3:
        profile[12:16] = rng.choice((b"link", b"abst", b"nmcl", b"prtr", b"\0\0\0\0"))
    elif how == 4:
        struct.pack_into(">I", profile, rng.choice((0, 128)), rng.choice(EDGES))
    else:
        for _ in range(rng.choice((1, 4, 20))):
            at = 128 + 4 * rng.randrange((len(profile) - 132) // 4)
            struct.pack_into(">I", profile, at, rng.choice((*EDGES, rng.getrandbits(32))))
    name = rng.choice(("PNG", "JPEG", "WEBP", "TIFF", "AVIF"))
    picture = Image.fromarray(RGB[..., 0] if rng.random() < 0.2 and name != "WEBP" else RGB)
    if how == 5 and name == "PNG":
        # As it stands in the file, not packed as it should be.
        whole = saved(RGB, "PNG")
        return whole[:33] + chunk(b"iCCP", b"x\0\0" + bytes(profile)) + whole[33:]
    return saved(picture, name, icc_profile=bytes(profile))


_DAMAGES: dict[str, Maker] = {
    "bits": _turned_bits,
    "cut": _cut,
    "dimensions": _lie_of_dimensions,
    "mixed": _mixed,
    "profile": _bad_profile,
    "size": _lie_of_size,
}
