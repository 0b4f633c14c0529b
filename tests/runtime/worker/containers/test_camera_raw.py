"""Camera RAW is answered from the photo that the camera developed, and not from its thumbnail."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgtool.distribution import install_command
from imgtool.runtime.worker.containers.camera_raw import largest_jpeg
from imgtool.runtime.worker.decode import DecodeError, Decoder
from tests.picture_files import dng

SIZE = (960, 640)


def photo() -> Image.Image:
    smooth = Image.linear_gradient("L").resize(SIZE)
    return Image.merge("RGB", (smooth, smooth.rotate(180), smooth.rotate(90).resize(SIZE)))


def jpeg(image: Image.Image, **options: object) -> bytes:
    held = io.BytesIO()
    image.save(held, "JPEG", quality=95, **options)
    return held.getvalue()


def directory(tags: dict[int, int | bytes], at: int) -> bytes:
    """A TIFF directory to stand at ``at``: numbers as LONG, bytes as ASCII behind it."""
    entries, behind = b"", b""
    after = at + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        if isinstance(value, bytes):
            entries += struct.pack("<HHII", tag, 2, len(value), after + len(behind))
            behind += value
        else:
            entries += struct.pack("<HHII", tag, 4, 1, value)
    return struct.pack("<H", len(tags)) + entries + bytes(4) + behind


def tiff_like(make: bytes, preview: bytes, extra: dict[int, int | bytes], magic: bytes = b"II*\0") -> bytes:
    """A thumbnail of 8 x 8 in the first directory, the sensor's data described in the one below it."""
    shape: dict[int, int | bytes] = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1, 278: 8, 273: 8, 279: 64}
    below = 4096
    head = magic + struct.pack("<I", 128)
    first = directory({**shape, 254: 1, 271: make + b"\0", 330: below, **extra}, 128)
    sensor = directory({**shape, 254: 0, 256: SIZE[0], 257: SIZE[1], 262: 32803}, below)
    return (head.ljust(128, b"\x40") + first).ljust(below, b"\0") + sensor.ljust(512, b"\0") + preview


def raf(preview: bytes) -> bytes:
    return b"FUJIFILMCCD-RAW 0201".ljust(160, b"\0") + preview + bytes(500)


def cr3(preview: bytes, turn: int) -> bytes:
    block = b"II*\0" + struct.pack("<I", 8) + directory({274: turn}, 8)
    return b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + b"\0\0\1\0CMT1" + block + b"\0\0\1\0PRVW" + bytes(8) + preview


FILES = {
    "NEF": lambda p: tiff_like(b"NIKON CORPORATION", p, {}),
    "ARW": lambda p: tiff_like(b"SONY", p, {}),
    "PEF": lambda p: tiff_like(b"RICOH IMAGING", p, {}),
    "DNG": lambda p: tiff_like(b"Somebody", p, {50706: 0x401}),
    "RAW": lambda p: tiff_like(b"Somebody else", p, {}),
    "ORF": lambda p: tiff_like(b"OLYMPUS", p, {}, magic=b"IIRO"),
    "RW2": lambda p: tiff_like(b"Panasonic", p, {}, magic=b"IIU\0"),
    "CR2": lambda p: tiff_like(b"Canon", p, {})[:8] + b"CR\2\0" + tiff_like(b"Canon", p, {})[12:],
    "RAF": raf,
    "CR3": lambda p: cr3(p, 1),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_largest_jpeg_is_the_photo(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photo"
    path.write_bytes(FILES[kind](jpeg(photo().resize((160, 120))) + bytes(99) + jpeg(photo()) + bytes(99)))
    decoded = Decoder(10**9).decode(str(path))
    assert (decoded.format, decoded.width, decoded.height) == (kind, *SIZE)
    assert np.abs(decoded.pixels.astype(int) - np.asarray(photo())).mean() < 3


def test_the_orientation_is_the_jpegs_own_or_that_of_the_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 8
    upright = np.asarray(photo())
    for number, (content, turns) in enumerate(
        (
            (tiff_like(b"NIKON", jpeg(photo()), {274: 6}), -1),
            (tiff_like(b"NIKON", jpeg(photo(), exif=exif), {274: 6}), 1),
            (cr3(jpeg(photo()), 6), -1),
        )
    ):
        (tmp_path / str(number)).write_bytes(content)
        decoded = Decoder(10**9).decode(str(tmp_path / str(number)))
        assert np.abs(decoded.pixels.astype(int) - np.rot90(upright, turns)).mean() < 3, number


def test_without_a_useful_jpeg_the_sensor_is_developed_or_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.nef"
    # A lossless JPEG is sensor data: SOF3.
    lossless = jpeg(photo()).replace(b"\xff\xc0\0\x11\x08", b"\xff\xc3\0\x11\x08")
    path.write_bytes(tiff_like(b"NIKON", lossless + jpeg(photo().resize((160, 120))), {}))
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(DecodeError, match="camera RAW") as caught:
        Decoder(10**9).decode(str(path))
    assert caught.value.problem.code == "unsupported"
    assert caught.value.problem.remedy == install_command("raw")


def test_thumbnails_and_chance_are_no_photos() -> None:
    assert largest_jpeg(jpeg(photo().resize((160, 120)))) is None
    assert largest_jpeg(b"\xff\xd8\xff\xe0" * 5000) is None
    assert largest_jpeg(b"abc" + jpeg(photo())) == jpeg(photo())
    # One that is cut off does not cost the one before it.
    both = jpeg(photo()) + b"\xff\xd8\xff\xc0\0\x11\x08\x08"
    assert largest_jpeg(both) == both


def test_an_ordinary_tiff_of_a_camera_is_a_tiff(tmp_path: Path) -> None:
    photo().save(tmp_path / "a.tif", tiffinfo={271: "NIKON CORPORATION"})
    assert Decoder(10**9).decode(str(tmp_path / "a.tif")).format == "TIFF"


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
def test_a_file_without_any_jpeg_is_developed(turn: int) -> None:
    sheet = np.zeros((240, 360, 3), np.uint8)
    for number, colour in enumerate(((230, 40, 40), (40, 230, 40), (40, 40, 230), (200, 200, 200))):
        sheet[:, number * 90 : number * 90 + 90] = colour
    decoded = Decoder(10**9).decode_bytes(dng(sheet, turn))
    assert decoded.format == "DNG"
    upright = np.rot90(decoded.pixels, {1: 0, 3: 2, 6: 1, 8: 3}[turn]).astype(int)
    assert np.abs(np.array(upright.shape) - sheet.shape).max() <= 8
    patches = upright[100:140, [45, 135, 225, 315]].mean(0)
    assert patches[:3].argmax(axis=1).tolist() == [0, 1, 2]
    assert (patches[np.arange(3), np.arange(3)] > patches[:3].sum(1) * 0.5).all()
    assert np.ptp(patches[3]) < 12 and patches[3].mean() > 150


def test_what_cannot_be_developed_is_unsupported() -> None:
    content = bytearray(dng(np.full((64, 64, 3), 90, np.uint8)))
    at = content.index(struct.pack("<HHIHH", 259, 3, 1, 1, 0))
    content[at : at + 12] = struct.pack("<HHIHH", 259, 3, 1, 9999, 0)
    with pytest.raises(DecodeError) as caught:
        Decoder(10**9).decode_bytes(bytes(content))
    assert caught.value.problem.code == "unsupported"
