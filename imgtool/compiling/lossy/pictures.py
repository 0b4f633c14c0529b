"""Pictures on which a lossy twin is adjusted, and others on which it is judged: never the same.

Some are drawn here: plain pages, tables in small print, charts, signs before clutter, pages photographed aslant and by
night. Plain pages alone would not do: RapidOCR's detector in eight bits reads every one of them right, and gets a
third of the labels of a chart wrong. A user who names a folder has the twin judged on pictures of that kind too.
Compiling processes only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_OF_A_KIND = 3
"""Drawn pictures of each kind, for each purpose."""

_MOST_OF_A_FOLDER = 48
"""Files that are taken of a user's folder, evenly spread."""

_LONGEST = 1280
"""Pixels: larger pictures of a user are reduced to it."""

_WORDS = (
    ("Invoice", "Total", "Harbour", "2026", "Quantity", "12.50", "Lemon", "Street", "open", "07:45", "No. 4711", "Tea"),
    (
        "Notice",
        "Amount",
        "Window",
        "1987",
        "Weight",
        "3,200",
        "Apple",
        "Bridge",
        "closed",
        "18:30",
        "Ref. 0815",
        "Milk",
    ),
)
"""For either purpose its own."""


@dataclass(frozen=True)
class Pictures:
    """(H, W, 3) RGB: ``calibration`` to measure ranges on, ``test`` to judge by. ``origin`` says what these are."""

    calibration: tuple[NDArray[np.uint8], ...]
    test: tuple[NDArray[np.uint8], ...]
    origin: str


def pictures(folder: Path | None = None) -> Pictures:
    """Drawn pictures, and half of those in ``folder`` for each purpose.

    Raises:
        OSError: the folder cannot be read. A file in it that is no picture is passed over.
    """
    calibration, test = _drawn(0), _drawn(1)
    if folder is None:
        return Pictures(calibration, test, f"{len(test)} drawn pictures")
    own = list(_own(folder))
    origin = f"{len(test)} drawn pictures and {len(own[1::2])} of {folder}"
    return Pictures((*calibration, *own[::2]), (*test, *own[1::2]), origin)


def _own(folder: Path) -> Iterator[NDArray[np.uint8]]:
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    step = max(1, len(paths) // _MOST_OF_A_FOLDER)
    for path in paths[::step][:_MOST_OF_A_FOLDER]:
        if (found := _opened(path)) is not None:
            yield found


def _opened(path: Path) -> NDArray[np.uint8] | None:
    import numpy as np
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    upright.thumbnail((_LONGEST, _LONGEST))
    return np.asarray(upright)


@cache
def _drawn(purpose: int) -> tuple[NDArray[np.uint8], ...]:
    import numpy as np

    found = []
    for kind, draw in enumerate((_page, _table, _chart, _sign, _photograph, _night)):
        for number in range(_OF_A_KIND):
            rng = np.random.default_rng((purpose, kind, number))
            size = int(rng.integers(560, 900)), int(rng.integers(420, 720))
            found.append(draw(_Canvas(rng, size, _WORDS[purpose])))
    return tuple(found)


class _Canvas:
    """A picture being drawn, with the chance and the words that it takes."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], words: tuple[str, ...]) -> None:
        from PIL import Image, ImageDraw

        self.rng, self._words = rng, words
        self.width, self.height = size
        self.paper, self.ink = self.colour(185, 256), self.colour(0, 100)
        self.image = Image.new("RGB", size, self.paper)
        self.draw = ImageDraw.Draw(self.image)

    def colour(self, low: int, high: int) -> tuple[int, ...]:
        return tuple(int(level) for level in self.rng.integers(low, high, 3))

    def words(self, most: int) -> str:
        return " ".join(self.rng.choice(self._words, int(self.rng.integers(1, most + 1))))

    def write(self, x: float, y: float, text: str, size: int, colour: Any = None) -> None:
        from PIL import ImageFont

        self.draw.text((x, y), text, fill=colour or self.ink, font=ImageFont.load_default(size=size))

    def shapes(self, count: int) -> None:
        """Ellipses and boxes of any colour."""
        for _ in range(count):
            x, y = self.rng.uniform(-50, self.width), self.rng.uniform(-50, self.height)
            box = (x, y, x + self.rng.uniform(20, 260), y + self.rng.uniform(20, 200))
            (self.draw.ellipse if self.rng.random() < 0.5 else self.draw.rectangle)(box, fill=self.colour(0, 256))

    def pixels(self, noise: float = 3.0, dimmest: float = 1.0, contrast: float = 1.0) -> NDArray[np.uint8]:
        """What was drawn, with noise, darker to one side, and of less contrast."""
        import numpy as np

        found = np.asarray(self.image, np.float32)
        found = (found - found.mean()) * contrast + found.mean()
        found = found * np.linspace(1, dimmest, self.width)[None, :, None]
        found = found + self.rng.normal(0, noise, found.shape)
        levels: NDArray[np.uint8] = found.clip(0, 255).astype(np.uint8)
        return levels


def _page(canvas: _Canvas) -> NDArray[np.uint8]:
    """Lines of words, a little aslant."""
    from PIL import Image

    top, size = 40.0, int(canvas.rng.integers(18, 44))
    while top < canvas.height - 50:
        canvas.write(canvas.rng.uniform(15, 80), top, canvas.words(4), size)
        top += size * canvas.rng.uniform(1.3, 2.2)
    angle = float(canvas.rng.uniform(-3, 3))
    canvas.image = canvas.image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=canvas.paper)
    return canvas.pixels(dimmest=0.8)


def _table(canvas: _Canvas) -> NDArray[np.uint8]:
    """Small print between rules, some rows tinted."""
    size, step = int(canvas.rng.integers(11, 16)), int(canvas.rng.integers(24, 34))
    columns = [20 + column * (canvas.width - 40) // 4 for column in range(5)]
    for row, top in enumerate(range(30, canvas.height - step, step)):
        if row % 3 == 1:
            canvas.draw.rectangle((20, top, canvas.width - 20, top + step), fill=canvas.colour(150, 240))
        canvas.draw.line((20, top, canvas.width - 20, top), fill=canvas.colour(80, 200), width=1)
        for left in columns[:-1]:
            canvas.write(left + 6, top + 6, canvas.words(1), size)
    for left in columns:
        canvas.draw.line((left, 30, left, canvas.height - step), fill=canvas.ink, width=1)
    return canvas.pixels(noise=1.0)


def _chart(canvas: _Canvas) -> NDArray[np.uint8]:
    """Axes, lines that cross their labels, and numbers in small print."""
    import numpy as np

    left, bottom = 60, canvas.height - 50
    for top in range(40, bottom, int(canvas.rng.integers(28, 60))):
        canvas.draw.line((left, top, canvas.width - 20, top), fill=(200, 200, 205), width=1)
        canvas.write(14, top - 7, str(int(canvas.rng.integers(0, 2000))), 12)
    places = np.linspace(left, canvas.width - 30, 12)
    for _ in range(3):
        heights = canvas.rng.uniform(50, bottom, 12)
        colour = canvas.colour(0, 220)
        canvas.draw.line(list(zip(places, heights, strict=True)), fill=colour, width=int(canvas.rng.integers(1, 5)))
        for x, y in list(zip(places, heights, strict=True))[1::3]:
            canvas.write(x - 12, y - 16, canvas.words(1), int(canvas.rng.integers(10, 16)), colour)
    for x in places[::2]:
        canvas.write(x - 10, bottom + 8, str(int(canvas.rng.integers(1, 99))), 12)
    canvas.write(canvas.width // 4, 8, canvas.words(3), 22)
    return canvas.pixels(noise=0.5)


def _sign(canvas: _Canvas) -> NDArray[np.uint8]:
    """Large letters on a board, before clutter that has text on it as well."""
    canvas.shapes(40)
    width, height = int(canvas.width * 0.7), int(canvas.height * 0.45)
    x, y = (int(canvas.rng.integers(5, rest)) for rest in (canvas.width - width, canvas.height - height))
    board, letters = canvas.colour(0, 90), canvas.colour(170, 256)
    canvas.draw.rounded_rectangle((x, y, x + width, y + height), 18, fill=board, outline=letters, width=4)
    canvas.write(x + 20, y + 15, canvas.words(1), height // 3, letters)
    canvas.write(x + 22, y + height * 0.62, canvas.words(3), max(14, height // 9), letters)
    for _ in range(4):
        place = canvas.rng.uniform(0, canvas.width * 0.8), canvas.rng.uniform(0, canvas.height * 0.9)
        canvas.write(*place, canvas.words(2), int(canvas.rng.integers(14, 26)), canvas.colour(0, 256))
    return canvas.pixels(noise=6.0, dimmest=0.7)


def _photograph(canvas: _Canvas) -> NDArray[np.uint8]:
    """A page on a table, seen from the side and out of focus."""
    from PIL import Image, ImageDraw, ImageFilter

    top, size = 24.0, int(canvas.rng.integers(15, 26))
    while top < canvas.height - 40:
        canvas.write(canvas.rng.uniform(20, 120), top, canvas.words(5), size)
        top += size * canvas.rng.uniform(1.4, 2.0)
    page, table = canvas.image, Image.new("RGB", canvas.image.size, canvas.colour(30, 140))
    (w, h), shift = canvas.image.size, canvas.rng.uniform(0.04, 0.16, 4)
    # Which point of the page each corner of the picture shows: outside of it there is the table.
    corners = (
        -w * shift[0],
        -h * shift[1],
        -w * shift[2],
        h * (1 + shift[1]),
        w * 1.1,
        h * 1.1,
        w * 1.12,
        -h * shift[3],
    )
    seen = page.transform(page.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    mask = Image.new("L", page.size, 255).transform(page.size, Image.Transform.QUAD, corners)
    table.paste(seen, (0, 0), mask)
    canvas.image = table.filter(ImageFilter.GaussianBlur(float(canvas.rng.uniform(0.4, 1.3))))
    canvas.draw = ImageDraw.Draw(canvas.image)
    return canvas.pixels(noise=5.0, dimmest=0.6)


def _night(canvas: _Canvas) -> NDArray[np.uint8]:
    """Little light: dim, grainy, of low contrast."""
    canvas.draw.rectangle((0, 0, canvas.width, canvas.height), fill=canvas.colour(10, 60))
    canvas.shapes(6)
    top = 20.0
    while top < canvas.height - 40:
        size = int(canvas.rng.integers(16, 40))
        canvas.write(canvas.rng.uniform(10, canvas.width / 3), top, canvas.words(3), size, canvas.colour(110, 220))
        top += size * canvas.rng.uniform(1.4, 2.4)
    return canvas.pixels(noise=11.0, dimmest=0.5, contrast=float(canvas.rng.uniform(0.25, 0.5)))
