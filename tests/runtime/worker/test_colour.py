"""Numbers that are not sRGB in eight bits: few bits in many, floats, profiles, gamma, HDR."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from imgtool.runtime.worker.colour import to_srgb
from imgtool.runtime.worker.decode import Decoder

RAMP = np.tile(np.linspace(0, 255, 64), (16, 1))


def decoded(path: Path) -> NDArray[np.int_]:
    return Decoder(10**9).decode(str(path)).pixels.astype(int)


def is_ramp(pixels: NDArray[np.int_], within: int = 1) -> bool:
    return bool((np.abs(pixels[8:] - RAMP[8:, :, None]) <= within).all())


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_few_bits_in_sixteen(tmp_path: Path, bits: int) -> None:
    Image.fromarray(np.rint(RAMP / 255 * (2**bits - 1)).astype(np.uint16)).save(tmp_path / "a.tif")
    assert is_ramp(decoded(tmp_path / "a.tif"))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_few_bits_of_a_colour_in_sixteen(tmp_path: Path, bits: int) -> None:
    """As OpenCV writes them, in BGR; the second page, too, and whatever its orientation."""
    colours = np.stack([RAMP, 255 - RAMP, RAMP / 2], -1)
    values = np.rint(colours / 255 * (2**bits - 1)).astype(np.uint16)[..., ::-1]
    cv2.imwritemulti(str(tmp_path / "a.tif"), [values[::-1], values])
    decoder = Decoder(10**9)
    for page, expected in enumerate((colours[::-1], colours)):
        found = decoder.decode(str(tmp_path / "a.tif"), page).pixels
        assert np.abs(found - expected).max() <= 1.5


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize(("hole", "tag"), [(-9999, "-9999"), (-9999, None), (-3.4028234663852886e38, "-3.4028235e+38"),
                                           (-3.4e38, None), (1e6, None), (1e20, "1e20"),
                                           (float("nan"), "nan")])  # fmt: skip
def test_where_nothing_was_measured_in_floats(tmp_path: Path, hole: float, tag: str | None, rows: int) -> None:
    surface = (RAMP / 255 * 100).astype(np.float32)
    surface[:rows] = hole
    tags = ImageFileDirectory_v2()
    if tag is not None:
        tags[42113] = tag
    Image.fromarray(surface).save(tmp_path / "a.tif", tiffinfo=tags)
    assert is_ramp(decoded(tmp_path / "a.tif"))


def test_where_nothing_was_measured_in_whole_numbers(tmp_path: Path) -> None:
    tags = ImageFileDirectory_v2()
    for name, kind, hole, most in (("a.tif", np.int32, -32768, 90_000), ("b.tif", np.uint16, 65535, 1023)):
        surface = np.rint(RAMP / 255 * most).astype(kind)
        surface[:4] = hole
        tags[42113] = str(hole)
        Image.fromarray(surface).save(tmp_path / name, tiffinfo=tags)
        assert is_ramp(decoded(tmp_path / name)), name


def test_a_few_wild_values_do_not_take_the_range(tmp_path: Path) -> None:
    surface = np.tile(RAMP / 255 * 100, (10, 10)).astype(np.float32)
    surface[:2, :3] = [[900, -8000, 50_000], [7000, 12, -300]]
    Image.fromarray(surface).save(tmp_path / "a.tif")
    assert np.abs(decoded(tmp_path / "a.tif")[32:48, :64] - RAMP[:, :, None]).max() <= 3


def png(path: Path, header: tuple[int, ...], rows: bytes, *chunks: tuple[bytes, bytes]) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path


@pytest.mark.parametrize(
    ("header", "row", "key", "expected"),
    [
        ((2, 1, 16, 0), struct.pack(">HH", 0, 0x4040), b"\0\0", [[255] * 3, [64] * 3]),
        ((2, 1, 16, 0), struct.pack(">HH", 0, 0xF0F0), b"\0\0", [[64] * 3, [240] * 3]),
        ((2, 1, 4, 0), b"\x5a", b"\0\x05", [[255] * 3, [170] * 3]),
        ((2, 1, 2, 0), b"\x60", b"\0\x01", [[255] * 3, [170] * 3]),
        ((2, 1, 1, 0), b"\x40", b"\0\x01", [[0] * 3, [255] * 3]),
        ((2, 1, 16, 2), struct.pack(">6H", 1, 2, 3, 0x8000, 0x4000, 0), struct.pack(">3H", 1, 2, 3),
         [[255] * 3, [128, 64, 0]]),
    ],
)  # fmt: skip
def test_a_key_for_transparency_at_any_depth(
    tmp_path: Path, header: tuple[int, ...], row: bytes, key: bytes, expected: list[list[int]]
) -> None:
    path = png(tmp_path / "a.png", header, b"\0" + row, (b"tRNS", key))
    assert decoded(path)[0].tolist() == expected


def swapped() -> bytes:
    """sRGB with red and blue exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    places = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = (bytes(profile[places[name] + 4 : places[name] + 12]) for name in (b"rXYZ", b"bXYZ"))
    profile[places[b"rXYZ"] + 4 : places[b"rXYZ"] + 12] = blue
    profile[places[b"bXYZ"] + 4 : places[b"bXYZ"] + 12] = red
    return bytes(profile)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "a.jpg", "a.avif"])
def test_a_profile_is_obeyed(tmp_path: Path, name: str, mode: str) -> None:
    plain = Image.new("RGB", (40, 30), (220, 30, 30))
    if (name, mode) in {("a.jpg", "RGBA"), ("a.jpg", "P"), ("a.webp", "P"), ("a.avif", "P")}:
        pytest.skip("the format has no such images")
    options = {"lossless": True} if name == "a.webp" else {"quality": 95}
    plain.convert(mode).save(tmp_path / name, icc_profile=swapped(), **options)
    assert np.abs(decoded(tmp_path / name).mean((0, 1)) - (30, 30, 220)).max() < 8


def test_the_profile_of_srgb_and_a_broken_one_change_nothing(tmp_path: Path) -> None:
    ramp = Image.fromarray(RAMP.astype(np.uint8)).convert("RGB")
    for profile in (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), b"no profile", swapped()[:300]):
        ramp.save(tmp_path / "a.png", icc_profile=profile)
        assert np.array_equal(decoded(tmp_path / "a.png"), np.asarray(ramp))
        with Image.open(tmp_path / "a.png") as image:
            assert to_srgb(image) is None


def with_gamma(path: Path, level: int, gamma: int, *more: tuple[bytes, bytes], mode: str = "RGB") -> Path:
    info = PngInfo()
    for kind, data in ((b"gAMA", struct.pack(">I", gamma)), *more):
        info.add(kind, data)
    plain = Image.new("RGB", (8, 8), (level,) * 3)
    (plain.quantize(8) if mode == "P" else plain.convert(mode)).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_gamma_is_obeyed_unless_it_is_that_of_srgb_or_srgb_is_said(tmp_path: Path, mode: str) -> None:
    assert decoded(with_gamma(tmp_path / "a.png", 55, 100_000, mode=mode)).mean() == 128
    assert decoded(with_gamma(tmp_path / "b.png", 55, 45_455, mode=mode)).mean() == 55
    assert decoded(with_gamma(tmp_path / "c.png", 55, 100_000, (b"sRGB", b"\0"), mode=mode)).mean() == 55
    assert decoded(with_gamma(tmp_path / "d.png", 55, 0, mode=mode)).mean() == 55


def test_paper_white_of_hdr(tmp_path: Path) -> None:
    """PQ of BT.2020, as AVIF and PNG say it. Chromium shows 187."""
    info = PngInfo()
    info.add(b"cICP", bytes((9, 16, 0, 1)))
    Image.new("RGB", (64, 64), (148,) * 3).save(tmp_path / "a.png", pnginfo=info)
    held = io.BytesIO()
    Image.new("RGB", (64, 64), (148,) * 3).save(held, "AVIF", quality=95)
    at = held.getvalue().index(b"colrnclx") + 8
    for name, primaries, transfer in (("pq.avif", 9, 16), ("p3.avif", 12, 13)):
        (tmp_path / name).write_bytes(
            held.getvalue()[:at] + struct.pack(">HH", primaries, transfer) + held.getvalue()[at + 4 :]
        )
    assert abs(decoded(tmp_path / "a.png").mean() - 187) < 2
    assert abs(decoded(tmp_path / "pq.avif").mean() - 187) < 3
    # Grey is grey in every space.
    assert abs(decoded(tmp_path / "p3.avif").mean() - 148) < 2
