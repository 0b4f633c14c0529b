"""Pictures of numbers that Pillow has no mode for: colour TIFF and PFM of floats, and PAM."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from imgtool.runtime.worker.containers.tiff_numbers import TiffOfNumbers
from imgtool.runtime.worker.decode import DecodedPage, DecodeError, Decoder

RAMP = np.linspace(0, 1, 12 * 10).reshape(10, 12)
COLOURS: NDArray[np.float32] = np.dstack([RAMP, RAMP[::-1], RAMP / 2]).astype(np.float32)
BYTES = np.rint(COLOURS * 255).astype(np.uint8)


def tiff(values: NDArray[Any], *, kind: int = 3, planar: bool = False, pages: int = 1, tags: Any = ()) -> bytes:
    """Little-endian, uncompressed; ``kind`` is the sample format."""
    height, width, samples = values.shape
    data = (values.transpose(2, 0, 1) if planar else values).tobytes()
    out, link = bytearray(b"II*\0\0\0\0\0"), 4
    for _ in range(pages):
        place = len(out)
        out += data
        bits, kinds = len(out), len(out) + 2 * samples
        out += struct.pack(f"<{samples}H", *[8 * values.itemsize] * samples) + struct.pack(
            f"<{samples}H", *[kind] * samples
        )
        entries = [
            *((256, 4, 1, width), (257, 4, 1, height), (258, 3, samples, bits), (259, 3, 1, 1), (262, 3, 1, 2)),
            *((273, 4, 1, place), (277, 3, 1, samples), (278, 4, 1, height), (279, 4, 1, len(data))),
            *((284, 3, 1, 1 + planar), (339, 3, samples, kinds)),
            *tags,
        ]
        struct.pack_into("<I", out, link, len(out))
        out += struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *each) for each in sorted(entries))
        link = len(out)
        out += bytes(4)
    return bytes(out)


def pfm(values: NDArray[np.float32], order: str = "<") -> bytes:
    head = f"PF\n{values.shape[1]} {values.shape[0]}\n{-1.0 if order == '<' else 1.0}\n"
    return bytes(head.encode() + values[::-1].astype(f"{order}f4").tobytes())


def pam(values: NDArray[Any], most: int, kind: str = "RGB", comment: str = "") -> bytes:
    height, width, depth = values.shape
    head = f"P7\n{comment}WIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL {most}\nTUPLTYPE {kind}\nENDHDR\n"
    return bytes(head.encode() + values.tobytes())


def decoded(content: bytes, page: int = 0) -> DecodedPage:
    return Decoder(1_000_000).decode_bytes(content, page)


GREY = np.repeat(BYTES[..., :1], 3, axis=2)
CASES: dict[str, tuple[str, bytes, Any, int]] = {
    "floats": ("TIFF", tiff(COLOURS), BYTES, 1),
    "doubles, other range": ("TIFF", tiff(COLOURS.astype(np.float64) * 40 - 7), BYTES, 1),
    "unsigned 32 bits": ("TIFF", tiff((COLOURS.astype(np.float64) * (2**32 - 1)).astype(np.uint32), kind=1), BYTES, 1),
    "signed 16 bits": ("TIFF", tiff((COLOURS * 3000 - 1000).astype(np.int16), kind=2), BYTES, 1),
    "on its side": ("TIFF", tiff(COLOURS, tags=[(274, 3, 1, 6)]), np.rot90(BYTES, -1), 1),
    "opaque": ("TIFF", tiff(np.dstack([COLOURS, np.ones_like(RAMP, np.float32)]), tags=[(338, 3, 1, 2)]), BYTES, 1),
    "PFM": ("PFM", pfm(COLOURS), BYTES, 1),
    "PFM, big-endian": ("PFM", pfm(COLOURS * 9 + 1, ">"), BYTES, 1),
    "PAM": ("PAM", pam(BYTES, 255), BYTES, 0),
    "PAM of 16 bits": ("PAM", pam(BYTES.astype(">u2") * 257, 65535, comment="# a comment\n"), BYTES, 0),
    "PAM of 5 bits": ("PAM", pam(BYTES // 8, 31), BYTES // 8 * (255 / 31), 1),
    "PAM in grey": ("PAM", pam(BYTES[..., :1], 255, "GRAYSCALE"), GREY, 0),
    "PAM in black and white": ("PAM", pam(BYTES[..., :1] // 128, 1, "BLACKANDWHITE"), GREY // 128 * 255, 0),
    "PAM, transparent": (
        "PAM",
        pam(np.dstack([BYTES // 4, np.zeros_like(BYTES[..., 0])]), 255, "RGB_ALPHA"),
        np.full_like(BYTES, 255),
        0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_they_are_shown(name: str) -> None:
    kind, content, expected, tolerance = CASES[name]
    page = decoded(content)
    assert page.format == kind
    assert page.pixels.shape == expected.shape
    assert np.abs(page.pixels.astype(float) - expected).max() <= tolerance


def test_what_pillow_has_a_mode_for_is_left_to_it() -> None:
    assert TiffOfNumbers.opened(BytesIO(tiff(BYTES, kind=1))) is None
    assert TiffOfNumbers.opened(BytesIO(tiff(COLOURS))) is not None


def test_every_page_of_a_tiff_is_read() -> None:
    content = tiff(COLOURS, pages=3)
    assert decoded(content).pages == 3
    assert np.array_equal(decoded(content, 2).pixels, decoded(content).pixels)


def test_what_is_no_number_is_black_and_far_values_do_not_count() -> None:
    values = COLOURS.copy()
    values[0, 0], values[5, 5] = np.nan, -3.4e38
    pixels = decoded(tiff(values)).pixels
    assert not pixels[0, 0].any() and not pixels[5, 5].any()
    assert np.abs(pixels[1:5].astype(int) - BYTES[1:5]).max() <= 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (tiff(COLOURS.astype(np.float16)), "3 channels of 16-bit floating-point numbers"),
        (tiff(COLOURS, planar=True), "stored one after the other"),
        (tiff(np.dstack([COLOURS, COLOURS[..., :2]])), "5 channels of 32-bit floating-point numbers"),
        (pam(np.dstack([BYTES, BYTES]), 255, "SPECTRUM"), "6 channels of the kind SPECTRUM"),
    ],
)
def test_what_is_not_read_is_named(content: bytes, said: str) -> None:
    with pytest.raises(DecodeError, match=said) as caught:
        decoded(content)
    assert caught.value.problem.code == "unsupported"
    assert "gdal_translate" in caught.value.problem.remedy or "pamchannel" in caught.value.problem.remedy


@pytest.mark.parametrize("content", [pfm(COLOURS), pam(BYTES, 255)])
def test_a_file_that_ends_early_is_incomplete(content: bytes) -> None:
    with pytest.raises(DecodeError, match="incomplete"):
        decoded(content[:-20])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"PF\nno header\n", "damaged"),
        (b"P7\nWIDTH 2\nENDHDR\n", "damaged"),
        (b"P7\nWIDTH 90000\nHEIGHT 90000\nDEPTH 3\nMAXVAL 255\nENDHDR\n", "too_many_pixels"),
        (b"PF\n90000 90000\n-1\n", "too_many_pixels"),
        (b"PF\n0 5\n-1\n", "damaged"),
    ],
)
def test_headers_are_checked_first(content: bytes, code: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decoded(content)
    assert caught.value.problem.code == code
