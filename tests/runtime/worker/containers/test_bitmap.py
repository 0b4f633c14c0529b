"""Bitmaps, icons and cursors of every kind, as browsers show them."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imgtool.runtime.worker.containers.bitmap import Bitmap, icon
from imgtool.runtime.worker.decode import DecodeError, Decoder
from tests import picture_files as files
from tests.picture_files import (
    ALPHA,
    DARK,
    GREY,
    HEIGHT,
    RGB,
    WIDTH,
    bitmap,
    bitmap_info,
    bitmap_rows,
    masks,
    palette_bytes,
)


def decoded(content: bytes) -> NDArray[np.int_]:
    return Decoder(10**7).decode_bytes(content).pixels.astype(int)


def on_white(colours: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.float64]:
    return colours * (alpha[..., None] / 255) + 255 * (1 - alpha[..., None] / 255)


@pytest.mark.parametrize("length", [12, 16, 40, 64, 108, 124])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indices_of_any_width_below_any_header(bits: int, length: int) -> None:
    indices = np.rint(GREY * ((2**bits - 1) / 255)).astype(np.uint8)
    colours = files.palette(2**bits)
    header = bitmap_info(bits, WIDTH, HEIGHT, length=length)
    content = bitmap(header, bitmap_rows(indices, bits), palette_bytes(colours, 3 if length == 12 else 4))
    assert np.array_equal(decoded(content), colours[indices])


def test_from_the_top_down_and_indices_without_a_colour() -> None:
    colours = files.palette(256)
    data = bitmap_rows(GREY[::-1], 8)
    assert np.array_equal(decoded(bitmap(bitmap_info(8, WIDTH, -HEIGHT), data, palette_bytes(colours))), colours[GREY])
    few = bitmap(bitmap_info(8, WIDTH, HEIGHT, used=100), bitmap_rows(GREY, 8), palette_bytes(colours[:100]))
    assert np.array_equal(decoded(few), np.where(GREY[..., None] < 100, colours[GREY], 0))


FIELDS = [
    (16, (0x7C00, 0x3E0, 0x1F)),
    (16, (0xF800, 0x7E0, 0x1F)),
    (16, (0x1F, 0x7E0, 0xF800)),
    (16, (0xF00, 0xF0, 0xF)),
    (16, (0xE000, 0x1C00, 0x300)),
    (32, (0xFF0000, 0xFF00, 0xFF)),
    (32, (0xFF000000, 0xFF0000, 0xFF00)),
    (32, (0x3FF00000, 0xFFC00, 0x3FF)),
    (32, (0x3FC00000, 0x1FE000, 0xFF)),
]


@pytest.mark.parametrize("length", [40, 52, 56, 108])
@pytest.mark.parametrize(("bits", "places"), FIELDS)
def test_bit_fields_of_any_width(bits: int, places: tuple[int, ...], length: int) -> None:
    values = files.fields(RGB, *places, kind=f"<u{bits // 8}")
    header = bitmap_info(bits, WIDTH, HEIGHT, 3, length=length, more=masks(*places))
    steps = [255 / (mask >> ((mask & -mask).bit_length() - 1)) for mask in places]
    assert (np.abs(decoded(bitmap(header, bitmap_rows(values, bits))) - RGB) <= np.array(steps) / 2 + 1).all()


@pytest.mark.parametrize(
    ("bits", "places"),
    [(32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)), (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
     (16, (0xF00, 0xF0, 0xF, 0xF000))],
)  # fmt: skip
def test_alpha_counts_where_it_has_a_field(bits: int, places: tuple[int, ...]) -> None:
    values = bitmap_rows(files.fields(np.dstack((DARK, ALPHA)), *places, kind=f"<u{bits // 8}"), bits)
    for length, compression in ((56, 3), (108, 3), (124, 3), (40, 6)):
        header = bitmap_info(bits, WIDTH, HEIGHT, compression, length=length, more=masks(*places))
        assert np.abs(decoded(bitmap(header, values)) - on_white(DARK, ALPHA)).max() <= 2 * 255 / 2 ** (bits // 4)


def test_a_fourth_byte_without_a_field_is_nothing() -> None:
    for alpha in (ALPHA, np.zeros_like(ALPHA)):
        data = bitmap_rows(np.dstack((RGB[..., ::-1], alpha)), 32)
        for header in (
            bitmap_info(32, WIDTH, HEIGHT),
            bitmap_info(32, WIDTH, HEIGHT, length=108),
            bitmap_info(32, WIDTH, HEIGHT, 3, more=masks(0xFF0000, 0xFF00, 0xFF)),
        ):
            assert np.array_equal(decoded(bitmap(header, data)), RGB)


def runs(indices: NDArray[np.uint8], bits: int, end: bytes = b"\0\1") -> bytes:
    """Run lengths: pairs of equal neighbours as runs, all else as it is, in pieces of 20."""
    found = b""
    for row in indices[::-1]:
        for start in range(0, len(row), 20):
            piece = row[start : start + 20]
            if len(set(piece)) == 1 or len(piece) < 3:
                for value in piece:
                    found += bytes((1, value if bits == 8 else value << 4))
                continue
            packed = np.packbits(np.unpackbits(piece[:, None], axis=1)[:, 8 - bits :].ravel()).tobytes()
            found += bytes((0, len(piece))) + packed + b"\0" * (len(packed) % 2)
        found += b"\0\0"
    return found + end


@pytest.mark.parametrize("bits", [4, 8])
def test_run_lengths(bits: int) -> None:
    indices = np.rint(GREY * ((2**bits - 1) / 255)).astype(np.uint8)
    indices[10:20] = 3
    colours, header = files.palette(2**bits), bitmap_info(bits, WIDTH, HEIGHT, 1 if bits == 8 else 2)
    for end in (b"\0\1", b""):
        content = bitmap(header, runs(indices, bits, end), palette_bytes(colours))
        assert np.array_equal(decoded(content), colours[indices])
    gaps = b"".join(bytes((20, 0x33, 0, 2, 30, 0, 20, 0x55, 0, 0)) for _ in range(HEIGHT - 3)) + b"\0\2\0\2\2\0\0\1"
    shown = decoded(bitmap(header, gaps, palette_bytes(colours)))
    assert shown[-1, 0].tolist() == colours[3 if bits == 4 else 0x33].tolist()
    assert shown[-1, 69].tolist() == colours[5 if bits == 4 else 0x55].tolist()
    assert not shown[:, 25:45].any() and not shown[1:3].any()
    assert shown[0, 0].tolist() == colours[0].tolist() and not shown[0, 2:].any()


def test_a_profile_inside_is_obeyed() -> None:
    profile, data = files.rgb_profile(files.P3, 2.2), bitmap_rows(RGB[..., ::-1], 24)
    more = masks(0, 0, 0, 0) + b"DEBM" + bytes(48) + masks(4, 124 + len(data), len(profile), 0)
    content = bitmap(bitmap_info(24, WIDTH, HEIGHT, length=124, more=more), data + profile)
    assert np.abs(decoded(content) - decoded(files.saved(RGB, "PNG", icc_profile=profile))).max() <= 1


@pytest.mark.parametrize("kind", [1, 2])
def test_of_an_icon_the_largest_picture_with_the_most_colours(kind: int) -> None:
    colours = np.ascontiguousarray(RGB[:48, :48])
    mask = np.zeros((48, 48), np.uint8)
    mask[:, :10] = 1
    masked = np.where(mask[..., None] == 1, 255, colours)
    eight = files.icon_bitmap(GREY[:48, :48], 8, mask, palette_bytes(files.palette(256)))
    small = files.icon_bitmap(colours[:16, :16, ::-1], 24, mask[:16, :16])
    full = files.icon_bitmap(colours[..., ::-1], 24, mask)
    found = decoded(files.icon((16, 24, small), (48, 8, eight), (48, 24, full), kind=kind))
    assert np.array_equal(found, masked)
    assert np.array_equal(
        decoded(files.icon((48, 8, eight), kind=kind)),
        np.where(mask[..., None] == 1, 255, files.palette(256)[GREY[:48, :48]]),
    )
    no_alpha = files.icon_bitmap(np.dstack((colours[..., ::-1], 0 * mask)), 32, mask)
    assert np.array_equal(decoded(files.icon((48, 32, no_alpha), kind=kind)), masked)
    alpha = np.ascontiguousarray(ALPHA[:48, :48])
    with_alpha = files.icon_bitmap(np.dstack((DARK[:48, :48, ::-1], alpha)), 32, mask)
    assert np.abs(decoded(files.icon((48, 32, with_alpha), kind=kind)) - on_white(DARK[:48, :48], alpha)).max() <= 1
    as_png = files.icon((48, 32, files.saved(colours, "PNG")), (16, 24, small), kind=kind)
    assert np.array_equal(decoded(as_png), colours)


@pytest.mark.parametrize("bits", [1, 8, 16, 24])
def test_what_is_cut_short_is_said_to_be_incomplete(bits: int) -> None:
    pixels = {1: GREY // 128, 8: GREY, 16: GREY.astype("<u2"), 24: RGB}[bits]
    colours = palette_bytes(files.palette(2**bits)) if bits <= 8 else b""
    content = bitmap(bitmap_info(bits, WIDTH, HEIGHT), bitmap_rows(pixels, bits), colours)
    for length in (len(content) // 2, 40):
        with pytest.raises(DecodeError) as caught:
            decoded(content[:length])
        assert caught.value.problem.code == "truncated"
    compressed = bitmap(bitmap_info(8, WIDTH, HEIGHT, 1), runs(GREY, 8), palette_bytes(files.palette(256)))
    with pytest.raises(DecodeError, match="incomplete"):
        decoded(compressed[:3000])


def test_what_is_not_read_is_unsupported_and_lies_are_no_crash() -> None:
    for header in (bitmap_info(64, 9, 9), bitmap_info(0, 9, 9, 4), bitmap_info(24, 9, 9, 4, length=64)):
        with pytest.raises(DecodeError) as caught:
            decoded(bitmap(header, bytes(999)))
        assert caught.value.problem.code == "unsupported"
    with pytest.raises(DecodeError) as caught:
        decoded(bitmap(bitmap_info(16, 99_999, 99_999), b""))
    assert caught.value.problem.code == "too_many_pixels"
    rng = np.random.default_rng(1)
    whole = bitmap(bitmap_info(4, WIDTH, HEIGHT, 2), runs(GREY // 16, 4), palette_bytes(files.palette(16)))
    small = files.icon((16, 24, files.icon_bitmap(RGB[:16, :16], 24, GREY[:16, :16] // 128)))
    for content in (whole, small):
        for _ in range(300):
            broken = bytearray(content)
            for place in rng.integers(0, min(len(content), 200), 4):
                broken[place] = rng.integers(0, 256)
            try:
                assert decoded(bytes(broken)).ndim == 3
            except DecodeError as error:
                assert error.problem.code and error.problem.remedy


def test_the_two_parts_by_themselves() -> None:
    plain = bitmap(bitmap_info(24, WIDTH, HEIGHT), bitmap_rows(RGB[..., ::-1], 24))
    assert Bitmap(plain).is_plain and Bitmap(plain).size == (WIDTH, HEIGHT)
    assert np.array_equal(np.asarray(Bitmap(plain).image()), RGB)
    with Image.open(io.BytesIO(plain)) as image:
        assert np.array_equal(np.asarray(image), RGB)
    with pytest.raises(DecodeError):
        icon(struct.pack("<HHH", 0, 1, 3))


def test_a_damaged_picture_of_an_icon_does_not_cost_the_others() -> None:
    whole = files.icon_bitmap(files.RGB[:32, :32], 24, files.GREY[:32, :32] // 128)
    damaged = b"\x89PNG\r\n\x1a\n" + bytes(40)
    found = Decoder(10**8).decode_bytes(files.icon((48, 32, damaged), (32, 24, whole)))
    assert (found.width, found.height) == (32, 32)
    with pytest.raises(DecodeError, match="a picture in the icon is damaged"):
        Decoder(10**8).decode_bytes(files.icon((48, 32, damaged)))


@pytest.mark.parametrize("bits", [16, 32])
def test_bits_that_a_pixel_does_not_have_are_none_of_a_channel(bits: int) -> None:
    header = files.bitmap_info(bits, 4, 2, 3, more=files.masks(0xFFFFF800, 0x7E0, 0x1F), length=56)
    found = Decoder(10**8).decode_bytes(files.bitmap(header, b"\0\xf8\0\0" * (2 * bits // 8)))
    assert found.pixels.shape == (2, 4, 3)
