"""Drawn pages of words, and the score maps that a detector which found exactly those words would give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tests.score_maps import Maps, blank_maps, draw_word

FONT = Path(__file__).resolve().parent.parent / "examples" / "fonts" / "gothic.ttf"
ALPHABET = "가나다라마바사아자차카타파하한글문서abcdefghABCDEFGH0123456789.,-"


@dataclass(frozen=True)
class Word:
    """Where a word begins (the middle of its first letter), in pixels, and how it runs."""

    text: str
    start: tuple[float, float]
    angle: float
    size: int


@dataclass(frozen=True)
class TextPage:
    """A page of words, (H, W, 3) uint8 RGB."""

    pixels: NDArray[np.uint8]
    words: Sequence[Word]

    def score_maps(self, height: int, width: int) -> Maps:
        """What a detector would say of it, at half its size: (``height``, ``width``) each."""
        maps = blank_maps(height, width)
        for word in self.words:
            start = word.start[0] / 2, word.start[1] / 2
            draw_word(maps, start, word.angle, len(word.text), word.size / 2, peak=0.95)
        return maps


def text_page(seed: int) -> TextPage:
    """Three or four words on light paper: most of them level, some aslant, some pale."""
    rng = np.random.default_rng(seed)
    width, height = int(rng.integers(150, 300)), int(rng.integers(90, 180))
    paper = Image.new("RGB", (width, height), tuple(int(v) for v in rng.integers(200, 255, 3)))
    words = [_word(rng, width, height) for _ in range(int(rng.integers(1, 4)))]
    for word in words:
        paper.paste(*_ink(word, rng, (width, height)))
    return TextPage(np.asarray(paper), words)


def _word(rng: np.random.Generator, width: int, height: int) -> Word:
    text = "".join(rng.choice(list(ALPHABET), int(rng.integers(2, 6))))
    angle = rng.uniform(-0.02, 0.02) if rng.random() < 0.7 else rng.uniform(-0.6, 0.6)
    start = rng.uniform(15, width * 0.5), rng.uniform(20, height - 20)
    return Word(text, start, float(angle), int(rng.integers(16, 30)))


def _ink(word: Word, rng: np.random.Generator, size: tuple[int, int]) -> tuple[tuple[int, ...], None, Image.Image]:
    """The ink's colour and where it goes."""
    font = ImageFont.truetype(str(FONT), word.size)
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for number, letter in enumerate(word.text):
        draw.text((word.start[0] + number * word.size, word.start[1]), letter, 255, font, anchor="mm")
    turned = mask.rotate(-math.degrees(word.angle), Image.Resampling.BICUBIC, center=word.start)
    return tuple(int(v) for v in rng.integers(0, 170, 3)), None, turned
