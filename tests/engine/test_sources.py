"""What people give as an image, and the pixels that a worker gets of it."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imgtool.engine.raw_image import from_array
from imgtool.engine.sources import read_source
from imgtool.errors import SourceProblem
from imgtool.runtime.worker.decode import Decoder
from tests import pictures


def pixels(source: Any) -> np.ndarray[Any, Any]:
    """What a worker sees of it."""
    found = read_source(source)
    assert found.content is not None
    assert found.problem is None
    return Decoder(10**9).decode_bytes(found.content).pixels


def noise(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("path", ["a/b.png", Path("a/b.png"), os.fsencode("a/b.png").decode()])
def test_a_path_stays_a_path(path: Any) -> None:
    assert read_source(path) == ("a/b.png", None, None)


def test_bytes_and_files_are_taken_as_they_are(tmp_path: Path) -> None:
    image = pictures.flat(tmp_path / "a.png", (9, 8, 7))
    content = image.read_bytes()
    for source in (content, bytearray(content), memoryview(content), io.BytesIO(content)):
        assert read_source(source).content == content
    with image.open("rb") as file:
        assert read_source(file) == (str(image), content, None)
    assert read_source(content).name == "<bytes>"
    assert read_source(content, "receipt.png").name == "receipt.png"


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "empty_file"), (b"an ordinary text", "not_an_image"), (b"%!PS-Adobe", "not_an_image")]
)
def test_bytes_that_are_no_image_are_a_problem_and_no_exception(content: bytes, code: str) -> None:
    problem = read_source(content).problem
    assert problem is not None
    assert problem.code == code


class Upload:
    """As FastAPI's: reading it is asynchronous, the file below it is an ordinary one."""

    filename = "upload.png"

    def __init__(self, content: bytes) -> None:
        self.file = io.BytesIO(content)

    async def read(self, size: int = -1) -> bytes:
        return self.file.read(size)


def test_an_upload_of_a_web_framework_is_read(tmp_path: Path) -> None:
    content = pictures.flat(tmp_path / "a.png").read_bytes()
    assert read_source(Upload(content)) == ("upload.png", content, None)


class Failing:
    def read(self, size: int = -1) -> bytes:
        raise OSError("planted")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (17, "a int is no image"),
        (None, "a NoneType is no image"),
        (io.StringIO("text"), "gives text, not bytes"),
        (Failing(), "cannot be read: OSError: planted"),
        (np.zeros((4, 4, 2), np.uint8), "shape (4, 4, 2)"),
        (np.zeros((0, 4, 3), np.uint8), "shape (0, 4, 3)"),
        (np.zeros(4, np.uint8), "shape (4,)"),
        (np.zeros((4, 4), np.int32), "int32"),
        (np.zeros((4, 4), np.complex64), "complex64"),
        (Image.new("RGB", (0, 3)), "no pixels"),
    ],
)
def test_what_is_no_image_is_refused_with_what_to_give(source: Any, words: str) -> None:
    with pytest.raises(SourceProblem) as caught:
        read_source(source)
    assert words in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4), (1, 1), (40, 3)])
def test_arrays_arrive_pixel_by_pixel(shape: tuple[int, ...]) -> None:
    array = noise(*shape)
    if shape[-1:] == (4,) and len(shape) == 3:
        array[:, :, 3] = 255
    expected = array.reshape(shape[0], shape[1], -1)[:, :, :3]
    assert np.array_equal(pixels(array), np.broadcast_to(expected, (*shape[:2], 3)))


def test_arrays_of_other_types_and_orders() -> None:
    array = noise(6, 4, 3)
    assert np.array_equal(pixels(np.asfortranarray(array)), array)
    assert np.array_equal(pixels(array[::2, ::-1]), array[::2, ::-1])
    assert np.array_equal(pixels(array.astype(np.float32) / 255), array)
    assert np.array_equal(pixels(np.array([[0.0, 1.0, np.nan, 7.0, -1.0]]))[0, :, 0], [0, 255, 0, 255, 0])
    assert np.array_equal(pixels(np.array([[True, False]]))[0, :, 0], [255, 0])


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 3, 4]))
def test_any_size_is_a_tiff_that_pillow_reads(height: int, width: int, bands: int) -> None:
    with Image.open(io.BytesIO(from_array(np.full((height, width, bands), 77, np.uint8)))) as image:
        assert image.size == (width, height)
        assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[bands]
        assert image.getpixel((0, 0)) in (77, (77,) * bands)


def test_the_same_pixels_are_the_same_bytes_whatever_they_came_in() -> None:
    array = noise(6, 4, 3)
    assert read_source(array).content == read_source(Image.fromarray(array)).content
    assert read_source(array).content == read_source(array.copy(order="F")).content


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "F"])
def test_images_of_every_mode_arrive(mode: str) -> None:
    base = Image.fromarray(np.arange(0, 256, dtype=np.uint8).reshape(16, 16))
    image = base.convert("RGB").convert(mode) if mode in ("HSV", "LAB", "CMYK", "YCbCr", "P") else base.convert(mode)
    seen = pixels(image)
    assert seen.shape == (16, 16, 3)
    if mode in ("L", "RGB"):
        assert np.array_equal(seen[:, :, 0], np.asarray(base))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA", "La", "RGBa"])
def test_transparency_arrives(mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (200, 10, 10, 0))
    image.putpixel((0, 0), (0, 0, 0, 255))
    made = image.convert("LA") if mode in ("LA", "La") else image
    if mode in ("La", "RGBa", "PA"):
        made = made.convert(mode) if mode != "PA" else image.convert("P").convert("PA")
    assert tuple(pixels(made)[3, 3]) == (255, 255, 255), "what is transparent is seen on white"


def test_the_orientation_of_an_image_is_heeded() -> None:
    image = Image.new("RGB", (6, 3), (1, 2, 3))
    image.getexif()[0x0112] = 6
    assert pixels(image).shape == (6, 3, 3)


def test_an_image_that_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    path = pictures.flat(tmp_path / "a.png", (1, 2, 3), (300, 300))
    path.write_bytes(path.read_bytes()[:200])
    with Image.open(path) as image, pytest.raises(SourceProblem, match="cannot be loaded"):
        read_source(image)
