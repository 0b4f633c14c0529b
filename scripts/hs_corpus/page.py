"""A page that remembers what was written on it and where, and then ages: skewed, blurred, noisy, compressed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from drawing.canvas import INK, font
from PIL import Image, ImageDraw, ImageFilter

from hs_corpus.numbers import Code

Part = str | Code


@dataclass
class Line:
    """What one call of :meth:`Page.write` wrote; ``box`` is left, top, right, bottom in pixels of the flat page."""

    text: str
    box: tuple[float, float, float, float]
    codes: list[Code] = field(default_factory=list)


class Page:
    """White paper of ``width`` x ``height`` pixels."""

    def __init__(self, width: int, height: int, face: str, size: int) -> None:
        self.image = Image.new("RGB", (width, height), "white")
        self.pen = ImageDraw.Draw(self.image)
        self.face, self.size = face, size
        self.width, self.height = width, height
        self.lines: list[Line] = []

    def write(
        self, x: float, y: float, *parts: Part, size: float = 1.0, face: str | None = None, right: bool = False
    ) -> float:
        """Write a line with its left (or ``right``) end at ``x`` and its top at ``y``; returns where it ends."""
        text = "".join(part if isinstance(part, str) else part.shown for part in parts)
        if not text.strip():
            return x
        used = font(face or self.face, round(self.size * size))
        left, top, r, bottom = self.pen.textbbox((x, y), text, font=used, anchor="ra" if right else "la")
        self.pen.text((x, y), text, font=used, fill=INK, anchor="ra" if right else "la")
        codes = [part for part in parts if isinstance(part, Code)]
        self.lines.append(Line(text, (left, top, r, bottom), codes))
        return float(r)

    def measure(self, text: str, size: float = 1.0) -> float:
        """The width of ``text`` in pixels."""
        return float(self.pen.textlength(text, font=font(self.face, round(self.size * size))))

    def rule(self, x: float, y: float, x2: float, y2: float, width: int = 1) -> None:
        """A straight line."""
        self.pen.line([x, y, x2, y2], fill=INK, width=width)

    def cropped(self, bottom: float) -> None:
        """Cut the page below ``bottom``."""
        self.height = round(bottom)
        self.image = self.image.crop((0, 0, self.width, self.height))
        self.pen = ImageDraw.Draw(self.image)


def aged(image: Image.Image, rng: random.Random) -> bytes:
    """The page as a scanner or a telephone gives it, as JPEG."""
    tint = rng.randint(228, 255)
    grey = np.asarray(image.convert("L"), np.float32) * (tint / 255)
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(0, 7), grey.shape)
    page = Image.fromarray(np.clip(grey + noise, 0, 255).astype(np.uint8))
    if rng.random() < 0.6:
        page = page.rotate(rng.uniform(-0.9, 0.9), Image.Resampling.BICUBIC, fillcolor=tint)
    page = page.filter(ImageFilter.GaussianBlur(rng.choice([0, 0, 0.4, 0.7, 0.9])))
    if rng.random() < 0.25:
        small = rng.uniform(0.8, 0.95)
        page = page.resize((round(page.width * small), round(page.height * small)), Image.Resampling.BILINEAR)
    written = BytesIO()
    page.convert("RGB").save(written, "JPEG", quality=rng.randint(55, 92))
    return written.getvalue()
