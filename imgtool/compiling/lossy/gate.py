"""Whether a lossy twin may be used: its answers beside the exact ones, on pictures that it was not adjusted on.

What a network gives, before it is interpreted, may differ by some share of its own deviation; lines, boxes and captions
may change in some share of cases. A quantiser that silently gives empty maps, a layer with a wrong scale or the weights
of another model pass no such look. Answers of random weights mean nothing, whichever they are: the gate then says so,
and looks at numbers alone. Compiling processes only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.artefacts.manifest import Parity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgtool.types import Box, TextLine

LIMITS = {
    "numbers_rms_share": 0.10,
    "boxes_changed_share": 0.03,
    "lines_changed_share": 0.03,
    "captions_changed_share": 0.10,
}
"""The most that may differ. The first is the root mean square of the difference by the deviation of the exact numbers:
honest ways give 0.006 (bfloat16) to 0.05 (eight bits), a broken one 0.5 and more."""

FEWEST_ANSWERS = 8
"""Lines or captions. With fewer a share says nothing."""

_OVERLAP = 0.5
"""Intersection by union from which two boxes are the same one."""


@dataclass(frozen=True)
class Reading:
    """What one program makes of one picture: the network's own numbers, and its answer, lines or a caption."""

    numbers: tuple[NDArray[np.float32], ...]
    lines: tuple[TextLine, ...] = ()
    caption: str | None = None


def judge(exact: Sequence[Reading], fast: Sequence[Reading], *, is_synthetic: bool, origin: str) -> Parity:
    """Hold ``fast`` to ``exact``, reading by reading; ``origin`` says which pictures they were.

    ``is_synthetic`` says that the weights are random: only the numbers are looked at.
    """
    figures = {"numbers_rms_share": _numbers_share(exact, fast)}
    answers = sum(len(one.lines) + (one.caption is not None) for one in exact)
    if is_synthetic:
        pass
    elif any(one.caption is not None for one in exact):
        figures["captions_changed_share"] = _mean([one.caption != two.caption for one, two in _pairs(exact, fast)])
    else:
        figures["boxes_changed_share"] = _changed(exact, fast, _is_same_place)
        figures["lines_changed_share"] = _changed(exact, fast, _is_same_line)
    # A figure that is no number is over every limit.
    over = [name for name, value in figures.items() if not value <= LIMITS[name]]
    told = [f"{_in_words(name)} {figures[name]:.2g}, at most {LIMITS[name]:.2g}" for name in over]
    if is_synthetic:
        told.append("the weights are random, so its answers are no evidence")
    elif answers < FEWEST_ANSWERS:
        over.append("answers")
        told.append(f"only {answers} answers to compare, of {FEWEST_ANSWERS} at least")
    return Parity(passed=not over, figures=figures, detail="; ".join([f"judged on {origin}", *told]))


def _pairs(exact: Sequence[Reading], fast: Sequence[Reading]) -> list[tuple[Reading, Reading]]:
    return list(zip(exact, fast, strict=True))


def _numbers_share(exact: Sequence[Reading], fast: Sequence[Reading]) -> float:
    """The root mean square of the difference of numbers, by the deviation of the exact ones; they are not kept. Each
    output of a network counts for itself, and the worst of them for all: their scales differ."""
    import numpy as np

    sums: dict[int, NDArray[np.float64]] = {}
    for one, two in _pairs(exact, fast):
        for output, (expected, found) in enumerate(zip(one.numbers, two.numbers, strict=True)):
            if expected.shape != found.shape:
                return math.inf
            added = (
                expected.size,
                np.square(expected - found, dtype=np.float64).sum(),
                expected.sum(dtype=np.float64),
                np.square(expected, dtype=np.float64).sum(),
            )
            sums[output] = sums.get(output, 0.0) + np.array(added)
    return max((_share_of_deviation(*each) for each in sums.values()), default=math.inf)


def _share_of_deviation(count: float, difference: float, total: float, squares: float) -> float:
    deviation = squares / count - (total / count) ** 2 if count else math.nan
    # Comparisons with what is no number are false.
    if deviation > 0 and difference >= 0:
        return math.sqrt(difference / count / deviation)
    return 0.0 if deviation <= 0 and difference == 0 else math.inf


def _changed(exact: Sequence[Reading], fast: Sequence[Reading], is_same: Any) -> float:
    """The share of lines, of either side, that have no counterpart on the other one."""
    alone = everything = 0
    for one, two in _pairs(exact, fast):
        left = list(two.lines)
        for line in one.lines:
            match = next((index for index, other in enumerate(left) if is_same(line, other)), None)
            if match is None:
                alone += 1
            else:
                left.pop(match)
        alone += len(left)
        everything += len(one.lines) + len(left)
    return alone / everything if everything else 0.0


def _is_same_line(one: TextLine, other: TextLine) -> bool:
    return one.text == other.text and _is_same_place(one, other)


def _is_same_place(one: TextLine, other: TextLine) -> bool:
    a, b = _upright(one.box), _upright(other.box)
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = _area(a) + _area(b) - shared
    return shared >= _OVERLAP * union if union else a == b


def _upright(box: Box) -> tuple[float, float, float, float]:
    columns, rows = zip(*box, strict=True)
    return min(columns), min(rows), max(columns), max(rows)


def _area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


def _in_words(name: str) -> str:
    return name.removesuffix("_share").replace("_", " ")
