"""An image as models see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imgtool.types import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Picture:
    """A decoded image: ``pixels`` is (H, W, 3) uint8 RGB, upright, alpha already composed.

    ``answers`` holds the values of the tasks in ``AnalyzerSpec.after`` that this image has answers for.
    ``clear`` is the share of the image that was transparent.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: str
    answers: Mapping[Task, Any] = field(default_factory=dict)
    clear: float = 0.0
