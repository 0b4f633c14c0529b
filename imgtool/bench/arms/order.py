"""In which order samples are taken, so that a machine that slows down or warms up does so for all arms alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def interleaved(cells: Sequence[T], runs: int, warm_ups: int) -> Iterator[tuple[T, int]]:
    """Each of ``cells`` with its run: warm-up runs first, numbered -1, then rounds in alternating direction.

    Two arms run as A B, B A, A B: over each pair of rounds both stand, on average, at the same place, so that a steady
    drift of the machine falls on both alike (counterbalancing, "ABBA").
    """
    for _ in range(warm_ups):
        for cell in cells:
            yield cell, -1
    for run in range(runs):
        for cell in cells if run % 2 == 0 else reversed(cells):
            yield cell, run
