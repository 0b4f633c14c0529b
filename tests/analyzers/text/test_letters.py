"""Where letters are seen, and where not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from imgtool.analyzers.text.letters import find_letters
from imgtool.types import Box

SERIF = Path(__file__).parents[3] / "examples" / "fonts" / "serif.ttf"
LINES = ("The quick brown fox jumps", "over the lazy dog near", "the river and the oak")


def page(size: int = 32, ink: str = "black", paper: str = "white") -> Image.Image:
    image = Image.new("RGB", (20 * size, 6 * size), paper)
    for number, line in enumerate(LINES):
        place = (size, size + 1.5 * size * number)
        ImageDraw.Draw(image).text(place, line, ink, font=ImageFont.truetype(str(SERIF), size))
    return image


def seen(image: Image.Image, *read: Box) -> tuple[float, float]:
    return find_letters(np.asarray(image)).likely_letters(read)


def box(left: float, top: float, right: float, bottom: float) -> Box:
    return (left, top), (right, top), (right, bottom), (left, bottom)


@pytest.mark.parametrize("size", [16, 32, 150])
@pytest.mark.parametrize("colours", [("black", "white"), ("#e8e8e8", "#101418"), ("#a0a0a0", "white")])
def test_rows_of_letters_run_across(size: int, colours: tuple[str, str]) -> None:
    across, down = seen(page(size, *colours))
    assert across > 25
    assert down == 0


@pytest.mark.parametrize("degrees", [90, 270])
def test_a_turned_page_has_rows_that_run_down(degrees: int) -> None:
    across, down = seen(page().rotate(degrees, expand=True))
    assert down > 25
    assert across == 0


def test_what_was_read_is_left_out() -> None:
    image = page()
    assert seen(image, box(0, 0, *image.size)) == (0, 0)
    some, _ = seen(image, box(0, 0, image.width, 70))
    assert 0 < some < seen(image)[0]


def test_noise_and_plain_pictures_have_none() -> None:
    noise = np.random.default_rng(1).normal(128, 60, (150, 200, 3)).clip(0, 255).astype(np.uint8)
    blobs = Image.fromarray(noise).resize((800, 600), Image.Resampling.BICUBIC)
    assert max(seen(blobs)) < 10
    assert seen(Image.new("RGB", (300, 200), "white")) == (0, 0)
    assert seen(Image.new("RGB", (1, 1))) == (0, 0)


def test_the_bars_of_a_barcode_are_no_letters() -> None:
    image = Image.new("RGB", (400, 120), "white")
    for number in range(30):
        ImageDraw.Draw(image).rectangle((20 + 12 * number, 20, 24 + 12 * number, 100), "black")
    assert seen(image) == (0, 0)


def test_single_letters_count_on_the_level_of_a_line_that_was_read() -> None:
    image = Image.new("RGB", (600, 80), "white")
    font = ImageFont.truetype(str(SERIF), 32)
    for left, text in ((20, "Sourdough bread"), (500, "45")):
        ImageDraw.Draw(image).text((left, 20), text, "black", font=font)
    assert seen(image, box(15, 20, 300, 60))[0] >= 2
    assert seen(image) == seen(image, box(15, 60, 300, 80))
    assert seen(image, box(15, 20, 300, 60), box(490, 20, 560, 60)) == (0, 0)
