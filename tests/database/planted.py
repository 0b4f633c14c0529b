"""A text engine for the tests: reads what its picture's colour stands for."""

from __future__ import annotations

from collections.abc import Sequence

from imgtool.analyzers.interface import Answer
from imgtool.inference.picture import Picture
from imgtool.types import Problem, Task, TextLine
from tests.planted import Hazard, _spec

WORDS = ("harbour", "one way", "한국어 송장", "東京タワー", "Crème brûlée")


class Reader(Hazard):
    """The first channel of the picture, modulo their number, chooses among :data:`WORDS`."""

    spec = _spec("reader", Task.TEXT)

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        return [self._read(picture) for picture in pictures]

    def _read(self, picture: Picture) -> list[TextLine]:
        red = int(picture.pixels[0, 0][0])
        box = ((0.0, 0.0), (8.0, 0.0), (8.0, 6.0), (0.0, 6.0))
        return [TextLine(f"{WORDS[red % len(WORDS)]} {red}", 0.9, box)]
