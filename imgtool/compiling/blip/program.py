"""A compiled BLIP as lossy twins are measured and judged by it: a caption, and what the vision network sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.compiling.interface import Feeds, Program
from imgtool.inference.blip.parameters import Decoding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DECODING = Decoding(1, 16, 0, "")
"""Greedy, up to 16 tokens."""


def open_program(folder: Path, precision: str, threads: int) -> Program:
    """The compiled model in ``folder``.

    Raises:
        ImgtoolError: it is damaged.
    """
    from imgtool.inference.blip.graphs import BlipGraphs

    graphs = BlipGraphs(folder, threads, precision)
    return Program(
        answer=lambda pixels: graphs.caption([pixels], _DECODING)[0],
        numbers=lambda pixels: (graphs.features([pixels]),),
    )


def feeds(pictures: Sequence[NDArray[np.uint8]]) -> Feeds:
    """Nothing: ranges measured beforehand suit matrices badly (features then differ by more than half)."""

    def none(graph: str) -> Iterable[Mapping[str, NDArray[Any]]]:
        return ()

    return none
