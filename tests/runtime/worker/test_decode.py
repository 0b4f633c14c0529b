"""Files to pixels: every format and mode as a person would see it, every broken file its own problem."""

from __future__ import annotations

import io
import os
import random
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from imgtool.distribution import install_command
from imgtool.runtime.worker.containers.tiff_directories import count_directories
from imgtool.runtime.worker.decode import DecodedPage, DecodeError, Decoder
from imgtool.runtime.worker.decode_errors import explain
from imgtool.runtime.worker.pixels import DARK_GREY, WHITE

ANY_SIZE = 300_000_000


def decode(path: Path, page: int = 0, max_pixels: int = ANY_SIZE) -> DecodedPage:
    decoder = Decoder(max_pixels)
    try:
        return decoder.decode(os.fsencode(path), page)
    finally:
        decoder.close()


def problem_code(path: Path, page: int = 0, max_pixels: int = ANY_SIZE) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(path, page, max_pixels)
    problem = caught.value.problem
    assert problem.message and problem.remedy
    return problem.code


def scene(width: int = 61, height: int = 43) -> Image.Image:
    """An image without any symmetry, noisy enough that its files have some hundred bytes."""
    noise = np.random.default_rng(7).integers(0, 60, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 2, height // 3), fill=(250, 20, 10))
    draw.ellipse((width // 2, height // 2, width, height), fill=(10, 40, 240))
    return image


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


LOSSLESS = [
    ("a.png", {}),
    ("a.bmp", {}),
    ("a.tif", {}),
    ("lzw.tif", {"compression": "tiff_lzw"}),
    ("deflate.tif", {"compression": "tiff_adobe_deflate"}),
    ("a.webp", {"lossless": True}),
]


@pytest.mark.parametrize(("name", "options"), LOSSLESS)
def test_lossless_formats_give_the_very_pixels(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    decoded = decode(saved(scene(), tmp_path / name, **options))
    assert np.array_equal(decoded.pixels, np.asarray(scene()))
    assert decoded.pixels.flags.c_contiguous and decoded.pixels.dtype == np.uint8
    assert (decoded.width, decoded.height, decoded.page, decoded.pages) == (61, 43, 0, 1)
    assert decoded.file_size == (tmp_path / name).stat().st_size


@pytest.mark.parametrize(
    ("name", "format"), [("a.jpg", "JPEG"), ("a.webp", "WEBP"), ("a.avif", "AVIF"), ("a.gif", "GIF")]
)
def test_lossy_formats_come_near_whatever_the_file_is_called(tmp_path: Path, name: str, format: str) -> None:
    smooth = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    path = saved(smooth, tmp_path / name).rename(tmp_path / "misnamed.txt")
    decoded = decode(path)
    assert decoded.format == format
    assert np.abs(decoded.pixels.astype(int) - np.asarray(smooth)).mean() < 4


def test_heic_is_read_where_the_extra_is_installed(tmp_path: Path) -> None:
    import pillow_heif

    smooth = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    pillow_heif.from_pillow(smooth).save(tmp_path / "a.heic", quality=90)
    decoded = decode(tmp_path / "a.heic")
    assert decoded.format == "HEIF"
    assert np.abs(decoded.pixels.astype(int) - np.asarray(smooth)).mean() < 4


def test_heic_without_the_extra_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.heic").write_bytes(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(100))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DecodeError) as caught:
        decode(tmp_path / "a.heic")
    assert caught.value.problem.code == "unsupported"
    assert install_command("heif") in caught.value.problem.remedy


def test_mpo_is_one_jpeg_page(tmp_path: Path) -> None:
    saved(scene(), tmp_path / "a.mpo", save_all=True, append_images=[scene().rotate(180)], quality=95)
    decoded = decode(tmp_path / "a.mpo")
    saved(scene(), tmp_path / "plain.jpg", quality=95)
    assert (decoded.format, decoded.pages) == ("JPEG", 1)
    assert np.array_equal(decoded.pixels, decode(tmp_path / "plain.jpg").pixels)


# Orientation


def exif_with(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# What ISO/CIPA DC-008 says each value means, as operations on rows and columns.
AS_STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    orientation=st.sampled_from(sorted(AS_STORED)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    extension=st.sampled_from(["png", "tif", "webp"]),
)
def test_all_orientations_give_the_upright_picture(
    tmp_path: Path, orientation: int, size: tuple[int, int], extension: str
) -> None:
    upright = np.asarray(scene(*size))
    stored = Image.fromarray(np.ascontiguousarray(AS_STORED[orientation](upright)))
    options = {"lossless": True} if extension == "webp" else {}
    path = saved(stored, tmp_path / f"a.{extension}", exif=exif_with(orientation), **options)
    decoded = decode(path)
    assert np.array_equal(decoded.pixels, upright)
    assert (decoded.width, decoded.height) == size


@pytest.mark.parametrize("orientation", sorted(AS_STORED))
def test_orientation_of_an_image_of_several_bands(tmp_path: Path, orientation: int) -> None:
    upright = np.asarray(scene(1500, 1300))
    stored = Image.fromarray(np.ascontiguousarray(AS_STORED[orientation](upright)))
    path = saved(stored, tmp_path / "a.png", exif=exif_with(orientation), compress_level=0)
    assert np.array_equal(decode(path).pixels, upright)


@pytest.mark.parametrize("block", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0" + bytes(range(64))])
def test_a_broken_exif_block_costs_nothing(tmp_path: Path, block: bytes) -> None:
    path = saved(scene(), tmp_path / "a.jpg", exif=block, quality=95)
    plain = saved(scene(), tmp_path / "plain.jpg", quality=95)
    assert np.array_equal(decode(path).pixels, decode(plain).pixels)


def test_an_orientation_out_of_range_is_none(tmp_path: Path) -> None:
    path = saved(scene(), tmp_path / "a.png", exif=exif_with(99))
    assert np.array_equal(decode(path).pixels, np.asarray(scene()))


# Modes


def grey16(values: list[list[int]]) -> Image.Image:
    return Image.fromarray(np.array(values, dtype=np.uint16))


def first_row(path: Path) -> list[tuple[int, int, int]]:
    return [tuple(int(v) for v in pixel) for pixel in decode(path).pixels[0]]


def test_sixteen_bit_png_spans_the_full_range(tmp_path: Path) -> None:
    path = saved(grey16([[0, 257, 128 * 257, 65535]]), tmp_path / "a.png")
    assert first_row(path) == [(0,) * 3, (1,) * 3, (128,) * 3, (255,) * 3]
    dark = saved(grey16([[0, 4095]]), tmp_path / "dark.png")
    assert first_row(dark) == [(0,) * 3, (16,) * 3]


def test_a_tiff_of_twelve_bits_is_not_black(tmp_path: Path) -> None:
    twelve = saved(grey16([[0, 4095]]), tmp_path / "twelve.tif")
    assert first_row(twelve) == [(0,) * 3, (255,) * 3]
    sixteen = saved(grey16([[0, 4096, 65535]]), tmp_path / "sixteen.tif")
    assert first_row(sixteen) == [(0,) * 3, (16,) * 3, (255,) * 3]


def test_white_is_zero_is_inverted_at_sixteen_bits(tmp_path: Path) -> None:
    tags = ImageFileDirectory_v2()
    tags[262] = 0
    path = saved(grey16([[0, 65535]]), tmp_path / "a.tif", tiffinfo=tags)
    with Image.open(path) as image:
        assert image.tag_v2[262] == 0
    assert first_row(path) == [(255,) * 3, (0,) * 3]


def test_big_endian_sixteen_bit_tiff(tmp_path: Path) -> None:
    data = np.array([[0, 0x8080, 65535]], dtype=">u2").tobytes()
    image = Image.frombytes("I;16B", (3, 1), data)
    assert first_row(saved(image, tmp_path / "a.tif")) == [(0,) * 3, (128,) * 3, (255,) * 3]


def test_floats_and_wide_integers_are_stretched(tmp_path: Path) -> None:
    floats = Image.fromarray(np.array([[-1.0, 0.0, 1.0, np.nan, np.inf, -np.inf]], dtype=np.float32))
    assert [p[0] for p in first_row(saved(floats, tmp_path / "f.tif"))] == [0, 128, 255, 0, 255, 0]
    integers = Image.fromarray(np.array([[-100_000, 0, 100_000]], dtype=np.int32))
    assert [p[0] for p in first_row(saved(integers, tmp_path / "i.tif"))] == [0, 128, 255]
    huge = Image.fromarray(np.array([[-3e38, 3e38]], dtype=np.float32))
    assert [p[0] for p in first_row(saved(huge, tmp_path / "h.tif"))] == [0, 255]


@pytest.mark.parametrize("value", [0.0, 0.5, float("nan")])
def test_floats_without_a_range_are_mid_grey(tmp_path: Path, value: float) -> None:
    flat = Image.fromarray(np.full((2, 2), value, dtype=np.float32))
    assert first_row(saved(flat, tmp_path / "f.tif")) == [(128,) * 3] * 2


def test_one_bit_and_palette(tmp_path: Path) -> None:
    bits = Image.new("1", (2, 1))
    bits.putpixel((1, 0), 1)
    for name in ("a.png", "a.bmp", "a.tif"):
        assert first_row(saved(bits, tmp_path / name)) == [(0,) * 3, (255,) * 3]
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 10, 20, 30, 40, 210])
    palette.putpixel((1, 0), 1)
    for name in ("p.png", "p.gif", "p.bmp"):
        assert first_row(saved(palette, tmp_path / name)) == [(200, 10, 20), (30, 40, 210)]


def lettering(mode: str, light: int) -> Image.Image:
    """Opaque at the left, transparent at the right, of one brightness."""
    image = Image.new("LA", (4, 2), (light, 255))
    image.paste((light, 0), (2, 0, 4, 2))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_dark_content_lies_on_white_and_light_content_on_grey(tmp_path: Path, mode: str, name: str) -> None:
    options = {"lossless": True, "exact": True} if name.endswith("webp") else {}
    dark = first_row(saved(lettering(mode, 30), tmp_path / f"dark{name}", **options))
    light = first_row(saved(lettering(mode, 250), tmp_path / f"light{name}", **options))
    assert dark == [(30,) * 3] * 2 + [(WHITE,) * 3] * 2
    assert light == [(250,) * 3] * 2 + [(DARK_GREY,) * 3] * 2


def test_transparent_palettes_and_colour_keys(tmp_path: Path) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 10, 10, 200, 0, 0])
    palette.putpixel((1, 0), 1)
    for name in ("a.png", "a.gif"):
        path = saved(palette, tmp_path / name, transparency=1)
        assert first_row(path) == [(10, 10, 10), (WHITE,) * 3]
    per_entry = saved(palette, tmp_path / "b.png", transparency=bytes([255, 0]))
    assert first_row(per_entry) == [(10, 10, 10), (WHITE,) * 3]
    keyed = Image.new("RGB", (2, 1), (10, 20, 30))
    keyed.putpixel((1, 0), (1, 2, 3))
    assert first_row(saved(keyed, tmp_path / "c.png", transparency=(1, 2, 3))) == [(10, 20, 30), (WHITE,) * 3]


def test_nothing_but_transparency_is_white(tmp_path: Path) -> None:
    assert first_row(saved(Image.new("RGBA", (2, 2)), tmp_path / "a.png")) == [(WHITE,) * 3] * 2


def test_half_transparent_pixels_are_blended(tmp_path: Path) -> None:
    path = saved(Image.new("RGBA", (1, 1), (0, 0, 0, 128)), tmp_path / "a.png")
    assert abs(first_row(path)[0][0] - 127) <= 1


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_and_a_broken_profile(tmp_path: Path, name: str) -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for profile in (b"", b"no profile at all", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        path = saved(red, tmp_path / name, **({"icc_profile": profile} if profile else {}))
        r, g, b = first_row(path)[0]
        assert r > 240 and g < 15 and b < 15


@pytest.mark.parametrize("mode", ["LAB", "YCbCr"])
def test_other_colour_spaces(tmp_path: Path, mode: str) -> None:
    source = Image.new("RGB", (8, 8), (200, 60, 40))
    if mode == "LAB":
        transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        converted = ImageCms.applyTransform(source, transform)
    else:
        converted = source.convert(mode)
    pixel = first_row(saved(converted, tmp_path / "a.tif"))[0]
    assert np.abs(np.subtract(pixel, (200, 60, 40))).max() <= 4


# Pages

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (90, 30, 60)]


def several_pages(path: Path) -> Path:
    first, *others = [Image.new("RGB", (20, 10), colour) for colour in COLOURS]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    return saved(first, path, save_all=True, append_images=others, **options)


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.png", "a.webp"])
def test_pages_in_any_order(tmp_path: Path, name: str) -> None:
    path = several_pages(tmp_path / name)
    orders = [list(range(6)), [5, 0, 3, 3, 1, 4, 2, 0], [2, 5]]
    for order in orders:
        decoder = Decoder(ANY_SIZE)
        for page in order:
            decoded = decoder.decode(path.as_posix(), page)
            assert (decoded.page, decoded.pages) == (page, 6)
            assert tuple(decoded.pixels[5, 5]) == COLOURS[page]
        decoder.close()


def test_frames_are_composed_as_shown(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (30, 10), "white") for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.paste((200, 0, 0), (0, 0, 10 * (number + 1), 10))
    saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    for page, frame in enumerate(frames):
        assert np.array_equal(decode(tmp_path / "a.gif", page).pixels, np.asarray(frame))


def test_tiff_pages_of_different_size_mode_and_orientation(tmp_path: Path) -> None:
    pages = [scene(30, 20), scene(12, 40).convert("L"), scene(25, 15)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], exif=exif_with(6))
    decoder = Decoder(ANY_SIZE)
    for number in (0, 1, 2, 1):
        expected = np.rot90(np.asarray(pages[number].convert("RGB")), -1)
        assert np.array_equal(decoder.decode(str(tmp_path / "a.tif"), number).pixels, expected)
    decoder.close()


def test_smaller_copies_and_masks_are_no_pages(tmp_path: Path) -> None:
    pages = [Image.new("L", (40 - n, 30), 40 * n) for n in range(4)]
    for page, kind in zip(pages, (0, 1, 2, 4), strict=True):
        page.encoderinfo = {"tiffinfo": {254: kind}}  # type: ignore[attr-defined]
    path = saved(pages[0], tmp_path / "a.tif", save_all=True, append_images=pages[1:], tiffinfo={254: 0})
    assert [(decode(path, n).width, decode(path, n).pages) for n in range(2)] == [(40, 2), (38, 2)]
    assert problem_code(path, 2) == "no_such_page"


def test_a_smaller_copy_by_the_older_tag_is_no_page(tmp_path: Path) -> None:
    pages = [Image.new("L", (16, 12), 40), Image.new("L", (64, 48), 80)]
    for page, kind in zip(pages, (2, 1), strict=True):
        page.encoderinfo = {"tiffinfo": {255: kind}}  # type: ignore[attr-defined]
    path = saved(pages[0], tmp_path / "a.tif", save_all=True, append_images=pages[1:], tiffinfo={255: 2})
    assert (decode(path, 0).width, decode(path, 0).pages) == (64, 1)


@pytest.mark.parametrize("page", [6, 7, -1])
def test_a_page_that_is_not_there(tmp_path: Path, page: int) -> None:
    assert problem_code(several_pages(tmp_path / "a.tif"), page) == "no_such_page"


def test_another_file_of_the_same_name_is_not_mistaken_for_the_one_kept_open(tmp_path: Path) -> None:
    path = several_pages(tmp_path / "a.gif")
    decoder = Decoder(ANY_SIZE)
    assert tuple(decoder.decode(str(path), 0).pixels[0, 0]) == COLOURS[0]
    other = saved(Image.new("RGB", (4, 4), (9, 9, 9)), tmp_path / "b.png")
    other.replace(path)
    assert tuple(decoder.decode(str(path), 0).pixels[0, 0]) == (9, 9, 9)
    decoder.close()


def test_pages_cost_one_step_each(tmp_path: Path) -> None:
    frames = [Image.new("L", (64, 64), n) for n in range(200)]
    saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    decoder = Decoder(ANY_SIZE)
    began = time.process_time()
    for page in range(200):
        assert decoder.decode(str(tmp_path / "a.gif"), page).pages == 200
    in_order = time.process_time() - began
    began = time.process_time()
    for page in range(0, 200, 20):
        decode(tmp_path / "a.gif", page)
    ten_reopened = time.process_time() - began
    # Reopening at each page would take about twenty times the ten sampled ones.
    assert in_order < 10 * ten_reopened


# Bad files


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    assert problem_code(tmp_path / "none.png") == "not_found"


def test_a_file_without_permission(tmp_path: Path) -> None:
    path = saved(scene(), tmp_path / "a.png")
    path.chmod(0)
    root = os.geteuid() == 0
    if root:  # may read everything
        os.seteuid(65534)
    try:
        assert problem_code(path) == "permission_denied"
    finally:
        if root:
            os.seteuid(0)


def test_things_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert problem_code(tmp_path / "empty.jpg") == "empty_file"
    (tmp_path / "text.jpg").write_text("this is a shopping list\n")
    assert problem_code(tmp_path / "text.jpg") == "not_an_image"
    (tmp_path / "film.mp4").write_bytes(struct.pack(">I", 20) + b"ftypisom\0\0\0\0isom" + bytes(80))
    assert problem_code(tmp_path / "film.mp4") == "not_an_image"
    assert problem_code(tmp_path) == "not_an_image"
    os.mkfifo(tmp_path / "pipe.png")
    assert problem_code(tmp_path / "pipe.png") == "not_an_image"
    assert problem_code(tmp_path / "text.jpg" / "below") == "unreadable"


def test_a_file_that_is_not_the_one_that_was_hashed(tmp_path: Path) -> None:
    path = saved(scene(), tmp_path / "a.png")
    state = path.stat()
    decoder = Decoder(ANY_SIZE)
    assert decoder.decode(str(path), 0, (state.st_size, state.st_mtime_ns)).width == 61
    for expect in ((state.st_size + 1, state.st_mtime_ns), (state.st_size, state.st_mtime_ns - 1)):
        with pytest.raises(DecodeError) as caught:
            decoder.decode(str(path), 0, expect)
        assert caught.value.problem.code == "changed_while_reading"


@pytest.mark.parametrize("name", ["a.jpg", "progressive.jpg", "a.png", "a.webp", "a.gif", "a.bmp"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_truncated_file_is_called_incomplete(tmp_path: Path, name: str, share: float) -> None:
    options = {"progressive": True} if name.startswith("progressive") else {}
    path = saved(scene(200, 150), tmp_path / name, **options)
    os.truncate(path, int(path.stat().st_size * share))
    assert problem_code(path) == "truncated"


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(bytes(1000))), png_chunk(b"IEND", b""))
    )


def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(huge_png(50_000, 50_000))
    began = time.perf_counter()
    with pytest.raises(DecodeError) as caught:
        decode(tmp_path / "bomb.png")
    assert time.perf_counter() - began < 0.1
    problem = caught.value.problem
    assert problem.code == "too_many_pixels"
    assert "50000 × 50000" in problem.message and "2,500 megapixels" in problem.message
    assert "--max-pixels 2500M" in problem.remedy


def test_the_limit_is_exact_and_replaces_that_of_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    path = saved(scene(), tmp_path / "a.png")
    assert decode(path, max_pixels=61 * 43).width == 61
    assert problem_code(path, max_pixels=61 * 43 - 1) == "too_many_pixels"


def test_a_gif_whose_canvas_grows_beyond_the_limit(tmp_path: Path) -> None:
    frames = [Image.new("L", (20, 10), value) for value in (0, 255)]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])
    raw = bytearray(data.getvalue())
    descriptor = raw.rindex(b"\x2c\0\0\0\0" + struct.pack("<HH", 20, 10))
    raw[descriptor + 1 : descriptor + 9] = struct.pack("<HHHH", 0, 0, 60_000, 60_000)
    (tmp_path / "a.gif").write_bytes(raw)
    assert problem_code(tmp_path / "a.gif", page=1, max_pixels=1_000_000) == "too_many_pixels"


@pytest.mark.parametrize("name", ["a.tif", "big.tif", "a.pdf", "a.gif", "a.png", "a.webp"])
def test_more_pages_than_the_limit_are_refused(tmp_path: Path, name: str) -> None:
    frames = [scene().rotate(90 * turn) for turn in range(4)]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    path = tmp_path / name
    frames[0].save(path, **options, **({"big_tiff": True} if name == "big.tif" else {}))
    is_document = path.suffix in (".tif", ".pdf")

    def pages(limit: int) -> int:
        limits = {"max_pages": limit, "max_frames": None} if is_document else {"max_pages": 1, "max_frames": limit}
        decoder = Decoder(ANY_SIZE, **limits)
        try:
            return decoder.decode(path).pages
        finally:
            decoder.close()

    assert pages(4) == 4
    with pytest.raises(DecodeError) as caught:
        pages(3)
    problem = caught.value.problem
    assert problem.code == "too_many_pages" and caught.value.pages == 1
    assert f"4 {'pages' if is_document else 'frames'}, more than the limit of 3" in problem.message
    assert "--max-pages 4;" in problem.remedy


@pytest.mark.parametrize(("compression", "bits"), [(1, 8), (1, 32), (7, 8)], ids=["pillow", "numbers", "parts"])
def test_the_first_of_very_many_pages_is_read_without_the_others(tmp_path: Path, compression: int, bits: int) -> None:
    """Pillow needs half an hour to list 200,000 pages."""
    picture = io.BytesIO()
    Image.new("L", (4, 4), 200).save(picture, "JPEG")
    samples, colours = (3, 2) if bits == 32 else (1, 1)
    data = picture.getvalue() if compression == 7 else b"\x01\x02\x03\x04" * (bits // 2 * samples)
    tags = [(256, 4), (257, 4), (258, bits), (259, compression), (262, colours), (273, 8), (277, samples), (278, 4)]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in [*tags, (279, len(data))])
    size, count = 6 + len(body), 200_000
    first = 8 + len(data)
    pages = [struct.pack("<H", len(tags) + 1) + body + struct.pack("<I", first + size * n) for n in range(1, count)]
    pages.append(struct.pack("<H", len(tags) + 1) + body + struct.pack("<I", 0))
    path = tmp_path / "many.tif"
    path.write_bytes(struct.pack("<2sHI", b"II", 42, first) + data + b"".join(pages))
    decoder = Decoder(1_000_000)
    began = time.process_time()
    try:
        found = decoder.decode(path)
    finally:
        decoder.close()
    assert (found.pages, found.width, found.height) == (count, 4, 4)
    assert time.process_time() - began < 10


def test_directories_of_tiff_are_counted_as_far_as_they_go() -> None:
    page = struct.pack("<HHHII", 1, 256, 4, 1, 8)
    chain = b"".join(page + struct.pack("<I", 8 + 18 * number) for number in range(1, 65_536))
    began = time.process_time()
    assert count_directories(io.BytesIO(b"II*\0\x08\0\0\0" + chain)) == 65_535
    assert time.process_time() - began < 5
    for after, count in ((0, 1), (8, 1), (9, 2), (1 << 31, 1)):  # the end, a circle, nonsense, out of the file
        assert count_directories(io.BytesIO(b"II*\0\x08\0\0\0" + page + struct.pack("<I", after))) == count
    far = struct.pack("<HHHQQ", 43, 8, 0, 16, (1 << 64) - 1)
    assert count_directories(io.BytesIO(b"II" + far)) == 1
    assert count_directories(io.BytesIO(b"II*\0")) == 0


@pytest.mark.parametrize(("megabytes", "code"), [(5, None), (30, "metadata_too_large")])
@pytest.mark.parametrize("kind", ["text", "profile"])
def test_text_and_profiles_that_unpack_to_megabytes(
    tmp_path: Path, kind: str, megabytes: int, code: str | None
) -> None:
    """Profiles of printers take some megabytes; what takes more than that is there to fill the memory."""
    info, content = PngInfo(), megabytes * 1_000_000
    if kind == "text":
        info.add_text("comment", "a" * content, zip=True)
        path = saved(scene(), tmp_path / "a.png", pnginfo=info)
    else:
        path = saved(scene(), tmp_path / "a.png", icc_profile=bytes(content))
    if code is not None:
        assert problem_code(path) == code
    else:
        assert np.array_equal(decode(path).pixels, np.asarray(scene().convert("RGB")))


SIGNATURES = {
    "a.jpg": b"\xff\xd8\xff\xe0",
    "a.png": b"\x89PNG\r\n\x1a\n",
    "a.gif": b"GIF89a\x10\0\x10\0\0\0\0",
    "a.bmp": b"BM",
    "a.webp": b"RIFF\xff\xff\0\0WEBP",
}


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_anything_behind_a_signature_is_damaged_and_not_cut_off(tmp_path: Path, name: str) -> None:
    codes = []
    for seed in range(20):
        (tmp_path / name).write_bytes(SIGNATURES[name] + random.Random(seed).randbytes(3000))
        codes.append(problem_code(tmp_path / name))
    # Now and then chance begins as the format prescribes.
    assert codes.count("truncated") <= 2, codes
    assert {"damaged", "not_an_image"} & set(codes)


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_no_picture_cut_anywhere_is_called_damaged(tmp_path: Path, name: str) -> None:
    raw = saved(scene(60, 40), tmp_path / name).read_bytes()
    for length in (*range(30, 200, 13), *range(200, len(raw) * 9 // 10, max(1, len(raw) // 40))):
        (tmp_path / name).write_bytes(raw[:length])
        with pytest.raises(DecodeError) as caught:
            decode(tmp_path / name)
        assert caught.value.problem.code == "truncated", (length, caught.value)


def test_a_damaged_file_and_one_of_an_unknown_kind(tmp_path: Path) -> None:
    raw = bytearray(saved(scene(), tmp_path / "a.png").read_bytes())
    raw[60] ^= 0xFF
    (tmp_path / "a.png").write_bytes(raw)
    assert problem_code(tmp_path / "a.png") == "damaged"
    bitmap = bytearray(saved(scene(), tmp_path / "a.bmp").read_bytes())
    bitmap[30:34] = struct.pack("<I", 99)
    (tmp_path / "a.bmp").write_bytes(bitmap)
    assert problem_code(tmp_path / "a.bmp") == "unsupported"


def fuzz_seeds() -> dict[str, bytes]:
    seeds = {}
    image = scene(24, 18)
    others = {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)]}
    for label, format, options in [
        ("jpeg", "JPEG", {"exif": exif_with(6)}),
        ("progressive", "JPEG", {"progressive": True}),
        ("cmyk", "JPEG", {}),
        ("png", "PNG", {"exif": exif_with(5)}),
        ("apng", "PNG", others),
        ("webp", "WEBP", others),
        ("gif", "GIF", others),
        ("bmp", "BMP", {}),
        ("tiff", "TIFF", others),
        ("lzw", "TIFF", {"compression": "tiff_lzw"}),
        ("avif", "AVIF", {}),
    ]:
        data = io.BytesIO()
        (image.convert("CMYK") if label == "cmyk" else image).save(data, format, **options)
        seeds[label] = data.getvalue()
    return seeds


SEEDS = fuzz_seeds()


@settings(max_examples=220, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label=st.sampled_from(sorted(SEEDS)), seed=st.integers(0, 2**32 - 1), page=st.integers(0, 2), cut=st.booleans())
def test_no_file_brings_anything_but_pixels_or_a_problem(
    tmp_path: Path, label: str, seed: int, page: int, cut: bool
) -> None:
    chance = random.Random(seed)
    raw = bytearray(SEEDS[label])
    for _ in range(chance.choice((1, 2, 5, 30))):
        # Headers are where the interesting numbers are.
        reach = chance.choice((40, 400, len(raw)))
        raw[chance.randrange(min(reach, len(raw)))] = chance.choice((0, 255, 127, chance.randrange(256)))
    if cut:
        del raw[chance.randrange(len(raw)) :]
    (tmp_path / "fuzzed").write_bytes(raw)
    try:
        decoded = decode(tmp_path / "fuzzed", page, max_pixels=4_000_000)
    except DecodeError as error:
        assert error.problem.code and error.problem.message and error.problem.remedy
    else:
        assert decoded.pixels.shape == (decoded.height, decoded.width, 3)


def test_a_rare_compression_is_not_supported_and_not_damage(tmp_path: Path) -> None:
    path = saved(scene(), tmp_path / "a.tif")
    content = path.read_bytes()
    stated = struct.pack("<HHIHH", 259, 3, 1, 1, 0)
    assert stated in content
    for number, code in ((34887, "unsupported"), (34661, "unsupported"), (50000, "damaged"), (50001, "damaged")):
        path.write_bytes(content.replace(stated, struct.pack("<HHIHH", 259, 3, 1, number, 0)))
        assert problem_code(path) == code, number


def test_what_libavif_does_not_implement_is_not_damage() -> None:
    for said in ("Not implemented", "No codec available"):
        assert explain(RuntimeError(said), io.BytesIO(b"\0" * 99), "AVIF").problem.code == "unsupported"


def test_a_place_that_no_file_has_is_the_files_fault_and_not_the_disks(tmp_path: Path) -> None:
    path = saved(scene(), tmp_path / "a.tif", big_tiff=True)
    content = path.read_bytes()
    path.write_bytes(content[:8] + b"\xff" * 8 + content[16:])
    assert problem_code(path) in ("damaged", "truncated")


def test_what_a_library_says_of_itself_is_left_out() -> None:
    for error, kind in (
        (UnidentifiedImageError("cannot identify image file <_io.BytesIO object at 0x7f>"), "TIFF"),
        (RuntimeError("Generic Error. Please build `libjxl` from source to see any internal error messages."), "JXL"),
    ):
        said = explain(error, io.BytesIO(b"\0" * 99), kind).problem.message
        assert "0x" not in said and "internal" not in said


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC7, 0xCB, 0xF7])
def test_a_jpeg_that_is_coded_otherwise_is_not_damaged(tmp_path: Path, marker: int) -> None:
    path = saved(scene(), tmp_path / "a.jpg", quality=90)
    content = path.read_bytes()
    at = content.index(b"\xff\xc0\0\x11\x08")
    path.write_bytes(content[: at + 1] + bytes((marker,)) + content[at + 2 :])
    assert problem_code(path) == "unsupported"
    for place, value in ((at + 4, 12), (at + 9, 2)):  # bits, components
        path.write_bytes(content[:place] + bytes((value,)) + content[place + 1 :])
        assert problem_code(path) == "unsupported"


def test_the_search_for_a_frame_that_shows_something_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    blank, picture = Image.new("L", (90, 60)), Image.linear_gradient("L").resize((90, 60))
    held = io.BytesIO()
    # Blank frames that differ a little: the same again would be left out.
    frames = [blank.point(lambda _, level=level: level) for level in range(1, 20)]
    blank.save(held, "GIF", save_all=True, append_images=[*frames, picture])
    assert Decoder(10**9).decode_bytes(held.getvalue()).shown == 20
    monkeypatch.setattr("imgtool.runtime.worker.decode._MOST_SEARCHED_PIXELS", 10 * 90 * 60)
    found = Decoder(10**9).decode_bytes(held.getvalue())
    assert (found.pages, found.shown) == (21, 0)
