"""Files that are nearly whole are shown, and it is said; others are refused unless they are to be accepted."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from imgtool.runtime.worker.containers.mend import mend
from imgtool.runtime.worker.decode import DecodedPage, DecodeError, Decoder

PICTURE = Image.merge("RGB", [Image.radial_gradient("L").resize((320, 240)).rotate(turn) for turn in (0, 90, 180)])


def encoded(kind: str, **options: object) -> bytes:
    held = io.BytesIO()
    PICTURE.save(held, kind, **options)
    return held.getvalue()


def decode(content: bytes, accept: bool = False) -> DecodedPage:
    return Decoder(10**7, accept_truncated=accept).decode_bytes(content)


def chunk(kind: bytes, body: bytes, wrong: int = 0) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ wrong)


def near(page: DecodedPage, rows: int = 200) -> bool:
    return bool(np.abs(page.pixels[:rows].astype(int) - np.asarray(PICTURE)[:rows]).mean() < 4)


JPEG = encoded("JPEG", quality=95)
PNG = encoded("PNG")
LAST = PNG.rindex(b"IDAT") - 4
LENGTH = int.from_bytes(PNG[LAST : LAST + 4], "big")


@pytest.mark.parametrize(
    "content",
    [
        JPEG[:-2],
        JPEG[:-1],
        JPEG[:-20],
        encoded("JPEG", quality=95, progressive=True)[:-2],
        PNG[:33] + chunk(b"tEXt", b"Comment\0hello", wrong=1) + PNG[33:],
        PNG[:-12],
        PNG[:-16],
        PNG[:-4] + b"\0\0\0\0",
        encoded("PNG", save_all=True, append_images=[PICTURE.rotate(90)]).replace(b"fcTL", b"fcTl", 1),
        encoded("WEBP", quality=95)[:-2],
        encoded("WEBP", quality=95)[:-40],
        encoded("BMP")[:-2],
        encoded("BMP")[:-3000],
        PNG[: LAST + 8 + LENGTH] + b"\0\0\0\0" + PNG[LAST + 12 + LENGTH :],
    ],
)
def test_nearly_whole(content: bytes) -> None:
    page = decode(content)
    assert near(page)
    assert (page.format in ("JPEG", "PNG", "WEBP", "BMP"), page.file_size) == (True, len(content))
    if page.format in ("WEBP", "BMP"):
        assert "incomplete" in str(page.notice) and "is missing" in str(page.notice)


def test_it_is_said() -> None:
    assert (decode(JPEG).notice, decode(PNG).notice) == (None, None)
    assert "incomplete" in str(decode(JPEG[:-2]).notice) and "whole" in str(decode(JPEG[:-2]).notice)
    assert "damaged" in str(decode(PNG[:33] + chunk(b"tEXt", b"a\0b", wrong=1) + PNG[33:]).notice)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_half_a_file_is_refused_unless_it_is_to_be_accepted(kind: str) -> None:
    whole = encoded(kind)
    half = whole[: int(len(whole) * 0.6)]
    with pytest.raises(DecodeError) as caught:
        decode(half)
    assert caught.value.problem.code == "truncated"
    page = decode(half, accept=True)
    assert page.notice and "incomplete" in page.notice
    assert page.pixels.shape == (240, 320, 3)


def test_how_much_is_missing_is_counted() -> None:
    mended = mend(PNG[: len(PNG) // 2], "PNG", 10**7, 1.0)
    assert mended is not None and 0.2 < mended.missing < 0.8
    assert mend(PNG[: len(PNG) // 2], "PNG", 10**7, 0.02) is None
    assert mend(PNG, "GIF", 10**7, 1.0) is None


def test_accepting_opens_no_bomb() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    with pytest.raises(DecodeError):
        decode(PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", b"x\x9c"), accept=True)
