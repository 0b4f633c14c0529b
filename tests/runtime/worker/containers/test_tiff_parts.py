"""TIFF files whose strips or tiles are pictures in other formats."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from imgtool.runtime.worker.containers.tiff_parts import TiffOfParts
from imgtool.runtime.worker.decode import DecodedPage, DecodeError, Decoder

LOSSLESS: dict[int, tuple[str, dict[str, object]]] = {
    50001: ("WEBP", {"lossless": True}),
    34712: ("JPEG2000", {"no_jp2": True}),
    33005: ("JPEG2000", {"no_jp2": True}),
    34933: ("PNG", {}),
    50002: ("JXL", {"lossless": True}),
}


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, compression: int) -> bytes:
    import pillow_jxl  # noqa: F401

    name, options = LOSSLESS[compression]
    held = io.BytesIO()
    image.save(held, name, **options)
    return held.getvalue()


def tiff(
    path: Path,
    *pages: tuple[Image.Image, int],
    tile: int = 0,
    rows: int = 16,
    lie: int = 0,
    tags: tuple[tuple[int, int, int, bytes], ...] = (),
) -> Path:
    """A TIFF of these pictures, each in its compression, in strips of ``rows`` or tiles of ``tile`` pixels a side."""
    content = bytearray(b"II*\0\0\0\0\0")
    link = 4
    for image, compression in pages:
        wide, tall = (tile, tile) if tile else (image.width, rows)
        places = []
        for top in range(0, image.height, tall):
            for left in range(0, image.width, wide):
                bottom = top + tall if tile else min(top + tall, image.height)
                part = encoded(image.crop((left, top, left + wide, bottom)), compression)
                places.append((len(content), len(part)))
                content += part
        lists = []
        for numbers in zip(*places, strict=True):
            lists.append(len(content) if len(numbers) > 1 else numbers[0])
            content += struct.pack(f"<{len(numbers)}I", *numbers)
        shape = (324, 325) if tile else (273, 279)
        entries = [(256, 4, 1, image.width + lie), (257, 4, 1, image.height), (258, 3, 1, 8), (259, 3, 1, compression),
                   (262, 3, 1, 2), (277, 3, 1, 3), (shape[0], 4, len(places), lists[0]),
                   (shape[1], 4, len(places), lists[1])]  # fmt: skip
        entries += [(322, 4, 1, tile), (323, 4, 1, tile)] if tile else [(278, 4, 1, rows)]
        for tag, kind, count, data in tags:
            entries.append((tag, kind, count, int.from_bytes(data, "little") if len(data) <= 4 else len(content)))
            content += data if len(data) > 4 else b""
        struct.pack_into("<I", content, link, len(content))
        content += struct.pack("<H", len(entries))
        content += b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
        link = len(content)
        content += bytes(4)
    path.write_bytes(content)
    return path


def decoded(path: Path, page: int = 0) -> DecodedPage:
    decoder = Decoder(10**7)
    try:
        return decoder.decode(str(path), page)
    finally:
        decoder.close()


def levels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image)


@pytest.mark.parametrize("tile", [0, 32])
@pytest.mark.parametrize("compression", LOSSLESS)
def test_every_part_comes_to_its_place(tmp_path: Path, compression: int, tile: int) -> None:
    image = noise(70, 50)
    found = decoded(tiff(tmp_path / "a.tif", (image, compression), tile=tile))
    assert (found.format, found.width, found.height, found.pages) == ("TIFF", 70, 50, 1)
    assert np.array_equal(found.pixels, levels(image))


def test_pages_and_their_sizes(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", (noise(70, 50), 50001), (noise(20, 90), 34712))
    assert [decoded(path, page).pixels.shape for page in (0, 1)] == [(50, 70, 3), (90, 20, 3)]
    assert decoded(path).pages == 2


def test_orientation_and_profile_count(tmp_path: Path) -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    places = {
        bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12)
    }
    red, blue = (bytes(profile[places[name] + 4 : places[name] + 12]) for name in (b"rXYZ", b"bXYZ"))
    profile[places[b"rXYZ"] + 4 : places[b"rXYZ"] + 12] = blue
    profile[places[b"bXYZ"] + 4 : places[b"bXYZ"] + 12] = red
    tags = ((274, 3, 1, b"\x06\0"), (34675, 7, len(profile), bytes(profile)))
    found = decoded(tiff(tmp_path / "a.tif", (Image.new("RGB", (40, 20), (220, 30, 30)), 50001), tags=tags))
    assert (found.width, found.height) == (20, 40)
    assert np.abs(found.pixels.mean((0, 1)) - (30, 30, 220)).max() < 8


def test_a_part_of_another_size_is_damage(tmp_path: Path) -> None:
    for tile in (0, 64):
        path = tiff(tmp_path / "a.tif", (noise(70, 50), 50001), tile=tile, lie=0 if tile else 1)
        if tile:
            path.write_bytes(
                path.read_bytes().replace(struct.pack("<HHII", 322, 4, 1, 64), struct.pack("<HHII", 322, 4, 1, 80))
            )
        with pytest.raises(DecodeError) as caught:
            decoded(path)
        assert caught.value.problem.code == "damaged"


def test_tiles_far_larger_than_the_picture_are_not_decoded(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", (noise(70, 50), 50001), tile=64)
    for tag in (322, 323):
        was, now = struct.pack("<HHII", tag, 4, 1, 64), struct.pack("<HHII", tag, 4, 1, 1 << 20)
        path.write_bytes(path.read_bytes().replace(was, now))
    with pytest.raises(DecodeError, match="lacks the parts"):
        decoded(path)


def test_other_files_are_left_to_pillow() -> None:
    held = io.BytesIO()
    noise(30, 20).save(held, "TIFF", compression="tiff_lzw")
    for content in (held.getvalue(), held.getvalue()[:9], b"II*\0\x08\0\0\0", b"II*\0", b""):
        assert TiffOfParts.opened(io.BytesIO(content)) is None
