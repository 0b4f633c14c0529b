"""The order in which samples are taken, so that a drift of the machine affects all arms alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def interleaved(cells: Sequence[T], runs: int, warm_ups: int) -> Iterator[tuple[T, int]]:
    """Each of ``cells`` with its run: warm-up runs first, numbered -1, then rounds in alternating direction.

    Two arms run as A B, B A, A B: over each pair of rounds both have the same average position, so that a steady drift
    of the machine affects both alike (counterbalancing, "ABBA").
    """
    for _ in range(warm_ups):
        for cell in cells:
            yield cell, -1
    for run in range(runs):
        for cell in cells if run % 2 == 0 else reversed(cells):
            yield cell, run
