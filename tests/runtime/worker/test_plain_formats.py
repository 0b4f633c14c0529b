"""Formats that are rarely met: every kind of each comes out as a person would expect to see it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imgtool.image_formats import HEAD_BYTES, sniff
from imgtool.runtime.worker.decode import DecodedPage, Decoder
from tests.picture_files import ALPHA, DARK, GREY, HEIGHT, LIGHT, RGB, WIDTH, palette, saved, targa

Levels = NDArray[np.uint8]


def three(grey: Levels) -> Levels:
    return np.repeat(grey[..., None], 3, -1)


def on_white(colours: Levels) -> NDArray[np.float64]:
    return colours * (ALPHA[..., None] / 255) + 255 * (1 - ALPHA[..., None] / 255)


def netpbm(kind: str, most: str, data: bytes, head: str = "{kind}\n{width} {height}\n{most}\n") -> bytes:
    return head.format(kind=kind, width=WIDTH, height=HEIGHT, most=most).encode() + data


def words(values: NDArray[np.integer]) -> bytes:
    return b" ".join(b"%d" % value for value in values.ravel())


BITS = (GREY > 128).astype(np.uint8)
GREY_1023 = np.rint(LIGHT[..., 0] * 1023).astype(">u2")
RAMP = np.rint(LIGHT[..., 0] * 255).astype(np.uint8)
FIVE = (RGB >> 3).astype("<u2")
RGB_555 = (FIVE[..., 0] << 10) | (FIVE[..., 1] << 5) | FIVE[..., 2]
RGBA = Image.fromarray(np.dstack((DARK, ALPHA)))
GREY_ALPHA = Image.merge("LA", (Image.fromarray(GREY // 2), Image.fromarray(ALPHA)))
INDEXED = Image.fromarray(RGB).quantize(200)
OF_INDEXED = np.asarray(INDEXED.convert("RGB"))
BGR = RGB[..., ::-1]
NONE = np.zeros_like(ALPHA)
OPAQUE = np.full_like(ALPHA, 255)
NO_ALPHA, WITH_ALPHA = 0x20, 0x28

CASES: dict[str, tuple[str, bytes, NDArray[np.generic], float]] = {
    "jp2": ("JPEG2000", saved(RGB, "JPEG2000"), RGB, 0),
    "j2k": ("JPEG2000", saved(RGB, "JPEG2000", no_jp2=True), RGB, 0),
    "jp2 lossy": ("JPEG2000", saved(RGB, "JPEG2000", irreversible=True), RGB, 3),
    "jp2 grey": ("JPEG2000", saved(GREY, "JPEG2000"), three(GREY), 0),
    "jp2 grey 16": ("JPEG2000", saved(GREY.astype(np.uint16) * 257, "JPEG2000"), three(GREY), 1),
    "jp2 alpha": ("JPEG2000", saved(RGBA, "JPEG2000"), on_white(DARK), 1),
    "jp2 grey alpha": ("JPEG2000", saved(GREY_ALPHA, "JPEG2000"), on_white(three(GREY // 2)), 1),
    "P1": ("PPM", netpbm("P1", "", words(1 - BITS)), three(BITS * 255), 0),
    "P2": ("PPM", netpbm("P2", "255", words(GREY)), three(GREY), 0),
    "P3": ("PPM", netpbm("P3", "255", words(RGB)), RGB, 0),
    "P4": ("PPM", netpbm("P4", "", np.packbits(1 - BITS, axis=1).tobytes(), "{kind}\n{width} {height}\n"),
           three(BITS * 255), 0),
    "P5": ("PPM", netpbm("P5", "255", GREY.tobytes()), three(GREY), 0),
    "P5 10 bits": ("PPM", netpbm("P5", "1023", GREY_1023.tobytes()), three(RAMP), 1),
    "P5 12 bits, dark": ("PPM", netpbm("P5", "4095", GREY_1023.tobytes()), three(RAMP) / 4, 1),
    "P5 16 bits": ("PPM", netpbm("P5", "65535", (GREY.astype(">u2") * 257).tobytes()), three(GREY), 1),
    "P6": ("PPM", netpbm("P6", "255", RGB.tobytes()), RGB, 0),
    "P6 comments": ("PPM", netpbm("P6", "255", RGB.tobytes(), "{kind} # a\n# b\n{width}\n{height}\n{most}\n"), RGB, 0),
    "P6 of Windows": ("PPM", netpbm("P6", "255", RGB.tobytes(), "{kind}\r\n{width} {height}\r\n{most}\n"), RGB, 0),
    "P6 100 levels": ("PPM", netpbm("P6", "100", np.rint(LIGHT * 100).astype(np.uint8).tobytes()), RGB, 2),
    "P6 16 bits": ("PPM", netpbm("P6", "65535", (RGB.astype(">u2") * 257).tobytes()), RGB, 1),
    "Pf": ("PPM", netpbm("Pf", "-1.0", LIGHT[::-1, :, 0].astype("<f4").tobytes()), three(RAMP), 1),
    "Pf big-endian": ("PPM", netpbm("Pf", "1.0", LIGHT[::-1, :, 0].astype(">f4").tobytes()), three(RAMP), 1),
    "qoi": ("QOI", saved(RGB, "QOI"), RGB, 0),
    "qoi alpha": ("QOI", saved(RGBA, "QOI"), on_white(DARK), 1),
    "pcx": ("PCX", saved(RGB, "PCX"), RGB, 0),
    "pcx grey": ("PCX", saved(GREY, "PCX"), three(GREY), 0),
    "pcx indexed": ("PCX", saved(INDEXED, "PCX"), OF_INDEXED, 0),
    "pcx 1 bit": ("PCX", saved(Image.fromarray(BITS > 0), "PCX"), three(BITS * 255), 0),
    "tga 24": ("TGA", targa(2, 24, BGR.tobytes()), RGB, 0),
    "tga from below": ("TGA", targa(2, 24, BGR[::-1].tobytes(), flags=0), RGB, 0),
    "tga from the right": ("TGA", targa(2, 24, BGR[:, ::-1].tobytes(), flags=0x30), RGB, 0),
    "tga packed": ("TGA", saved(RGB, "TGA", compression="tga_rle"), RGB, 0),
    "tga 32": ("TGA", targa(2, 32, np.dstack((DARK[..., ::-1], ALPHA)).tobytes(), flags=WITH_ALPHA), on_white(DARK), 1),
    "tga 32 empty": ("TGA", targa(2, 32, np.dstack((BGR, NONE)).tobytes(), flags=NO_ALPHA), RGB, 0),
    "tga 32 full": ("TGA", targa(2, 32, np.dstack((BGR, OPAQUE)).tobytes(), flags=WITH_ALPHA), RGB, 0),
    "tga 16": ("TGA", targa(2, 16, RGB_555.tobytes()), RGB, 8),
    "tga 16 marked": ("TGA", targa(2, 16, (RGB_555 | 0x8000).tobytes(), flags=0x21), RGB, 8),
    "tga grey": ("TGA", targa(3, 8, GREY.tobytes()), three(GREY), 0),
    "tga grey alpha": ("TGA", saved(GREY_ALPHA, "TGA"), on_white(three(GREY // 2)), 1),
    "tga indexed": ("TGA", targa(1, 8, GREY.tobytes(), colours=palette(256)), palette(256)[GREY], 0),
    "tga indexed packed": ("TGA", saved(INDEXED, "TGA", compression="tga_rle"), OF_INDEXED, 0),
    "tga 1 bit": ("TGA", saved(Image.fromarray(BITS > 0), "TGA"), three(BITS * 255), 0),
}  # fmt: skip


def decoded(content: bytes) -> DecodedPage:
    return Decoder(10**7).decode_bytes(content)


@pytest.mark.parametrize("name", CASES)
def test_every_kind_is_read(name: str) -> None:
    format, content, expected, within = CASES[name]
    found = decoded(content)
    assert (found.format, found.pages) == (format, 1)
    assert found.pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(found.pixels - np.asarray(expected, np.float64)).max() <= within


def test_jpeg_xl_where_the_extra_is_installed() -> None:
    import pillow_jxl  # noqa: F401

    assert np.array_equal(decoded(saved(RGB, "JXL", lossless=True)).pixels, RGB)
    assert np.abs(decoded(saved(RGBA, "JXL", lossless=True)).pixels - on_white(DARK)).max() <= 1


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\2\0" + bytes(14),
        b"P6 is a kind of Netpbm",
        b"P7 332\n",
        b"\0\0\1\0\1\0" + bytes(40),
        b"\n\5\1\7" + bytes(40),
        b"P\n",
        b"Pf is a pound",
        b"\0\1\1" + bytes(60),
    ],
)
def test_what_only_begins_alike_is_none_of_them(head: bytes) -> None:
    assert sniff(head) is None


def test_random_bytes_are_next_to_never_taken_for_an_image() -> None:
    rng = np.random.default_rng(11)
    heads = rng.integers(0, 256, (20_000, HEAD_BYTES), dtype=np.uint8)
    heads[:10_000, :16] *= heads[:10_000, 16:32] > 200  # mostly zeros, as files of programs begin
    assert sum(sniff(head.tobytes()) is not None for head in heads) <= 4
