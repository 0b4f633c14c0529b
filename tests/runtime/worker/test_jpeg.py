"""JPEG by simplejpeg: the pixels of Pillow in every kind of file, or none at all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from imgtool.runtime.worker import jpeg
from imgtool.runtime.worker.decode import Decoder
from imgtool.runtime.worker.jpeg import is_same_as_pillow, upright_jpeg
from imgtool.runtime.worker.pixels import upright_rgb
from tests.conftest import ROOT

simplejpeg = pytest.importorskip("simplejpeg")

SUBSAMPLINGS = ("444", "422", "420", "440", "411", "Gray")


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Colours that change slowly, with noise: what subsampling and rounding show on."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize((width, height))
    return (np.asarray(coarse, int) + rng.integers(-9, 10, (height, width, 3))).clip(0, 255).astype(np.uint8)


def by_both(data: bytes) -> tuple[np.ndarray | None, np.ndarray]:
    with Image.open(io.BytesIO(data)) as image:
        ours = upright_jpeg(image, data)
        image.load()
        return ours, upright_rgb(image)


def saved(image: Image.Image, **how: object) -> bytes:
    held = io.BytesIO()
    image.save(held, "JPEG", **how)
    return held.getvalue()


def assert_same(data: bytes) -> None:
    ours, pillows = by_both(data)
    assert ours is not None and ours.flags.c_contiguous and ours.dtype == np.uint8
    assert np.array_equal(ours, pillows)


def test_the_two_agree_on_this_machine() -> None:
    assert is_same_as_pillow()


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("size", [(64, 48), (61, 47), (1, 1), (2, 3), (17, 300)])
@pytest.mark.parametrize("quality", [35, 75, 100])
def test_every_subsampling(subsampling: str, size: tuple[int, int], quality: int) -> None:
    levels = picture(*size)
    if subsampling == "Gray":
        levels = levels[:, :, :1].copy()
    colours = "GRAY" if subsampling == "Gray" else "RGB"
    assert_same(simplejpeg.encode_jpeg(levels, quality, colours, subsampling))


@pytest.mark.parametrize("how", [{"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 3}, {}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_coding(how: dict[str, object], mode: str) -> None:
    for subsampling in (0, 1, 2):
        assert_same(saved(Image.fromarray(picture(203, 151)).convert(mode), subsampling=subsampling, **how))


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_same(saved(Image.fromarray(picture(40, 30)), exif=exif.tobytes()))
    assert_same(saved(Image.fromarray(picture(40, 30)).convert("L"), exif=exif.tobytes()))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_broken_orientation() -> None:
    assert_same(saved(Image.fromarray(picture(40, 30)), exif=b"Exif\0\0MM\0*\0\0\xff\xff"))


def test_colours_that_were_never_transformed() -> None:
    assert_same(saved(Image.fromarray(picture(80, 60)), keep_rgb=True))


def test_a_colour_profile() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert_same(saved(Image.fromarray(picture(80, 60)), icc_profile=profile))


def test_print_colours_are_pillows() -> None:
    ours, _ = by_both(saved(Image.fromarray(picture(80, 60)).convert("CMYK")))
    assert ours is None


def test_the_first_of_several_pictures_in_one_file() -> None:
    held = io.BytesIO()
    Image.fromarray(picture(80, 60)).save(
        held, "MPO", save_all=True, append_images=[Image.fromarray(picture(80, 60, seed=1))]
    )
    assert_same(held.getvalue())


@pytest.mark.parametrize("tail", [b"\0" * 100, b"trailing text", b"\xff\xd9"])
def test_what_follows_the_end_does_not_matter(tail: bytes) -> None:
    data = saved(Image.fromarray(picture(80, 60)))
    ours, pillows = by_both(data + tail)
    assert ours is None or np.array_equal(ours, pillows)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_pillows_to_refuse(share: float) -> None:
    data = saved(Image.fromarray(picture(300, 200)))
    data = data[: int(share * len(data))]
    with Image.open(io.BytesIO(data)) as image:
        assert upright_jpeg(image, data) is None


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255), st.sampled_from([0, 2]), st.booleans())
def test_a_damaged_file_is_the_same_or_pillows(place: int, flip: int, subsampling: int, progressive: bool) -> None:
    data = bytearray(saved(Image.fromarray(picture(97, 61)), subsampling=subsampling, progressive=progressive))
    data[place % len(data)] ^= flip
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            ours = upright_jpeg(image, bytes(data))
    except Exception:  # noqa: BLE001 - what Pillow does not open never gets here
        return
    if ours is not None:
        _, pillows = by_both(bytes(data))
        assert np.array_equal(ours, pillows)


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "images").glob("*.jpg")), ids=lambda path: path.name)
def test_the_examples(path: Path) -> None:
    ours, pillows = by_both(path.read_bytes())
    assert ours is None if "cmyk" in path.name else np.array_equal(ours, pillows)


def test_other_formats_are_pillows() -> None:
    held = io.BytesIO()
    Image.fromarray(picture(30, 20)).save(held, "PNG")
    with Image.open(held) as image:
        assert upright_jpeg(image, held.getvalue()) is None


def test_where_the_libraries_differ_pillow_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    original = simplejpeg.decode_jpeg
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *given, **how: original(*given, **how) ^ 1)
    monkeypatch.setattr(jpeg, "is_same_as_pillow", is_same_as_pillow.__wrapped__)
    data = saved(Image.fromarray(picture(30, 20)))
    assert by_both(data)[0] is None


def test_without_simplejpeg_pillow_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "simplejpeg", None)
    monkeypatch.setattr(jpeg, "is_same_as_pillow", is_same_as_pillow.__wrapped__)
    assert by_both(saved(Image.fromarray(picture(30, 20))))[0] is None


def decoded(path: Path) -> np.ndarray:
    decoder = Decoder(10**8)
    try:
        return decoder.decode(str(path)).pixels
    finally:
        decoder.close()


def test_the_worker_decodes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    path.write_bytes(saved(Image.fromarray(picture(90, 60)), exif=exif.tobytes()))
    _, pillows = by_both(path.read_bytes())
    calls = []
    original = simplejpeg.decode_jpeg
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *given, **how: calls.append(1) or original(*given, **how))
    assert np.array_equal(decoded(path), pillows)
    assert calls


def test_a_file_with_much_behind_the_picture_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "with-film.jpg"
    data = saved(Image.fromarray(picture(90, 60)))
    path.write_bytes(data + bytes(17 << 20))
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *_, **__: pytest.fail("read whole"))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        expected = upright_rgb(image)
    assert np.array_equal(decoded(path), expected)
