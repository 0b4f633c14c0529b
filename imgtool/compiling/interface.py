"""What an exporter is: the code that makes graphs of one kind of model's weights and holds them to the original."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgtool.artefacts.manifest import Parity
    from imgtool.types import TextLine


@dataclass(frozen=True)
class Program:
    """A compiled model, opened. Both take a picture, (H, W, 3) uint8 RGB.

    ``answer`` gives its caption, or its lines of text. ``numbers`` is what the network that a lossy twin is judged by
    gives before it is interpreted.
    """

    answer: Callable[[NDArray[np.uint8]], str | Sequence[TextLine]]
    numbers: Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]


Feeds = Callable[[str], Iterable[Mapping[str, "NDArray[Any]"]]]
"""By the name of a graph, what goes into it for the pictures that ranges are measured on; nothing if it has none."""


@dataclass(frozen=True)
class Export:
    """Graphs written as ``<name>.onnx`` into one folder.

    ``settings`` holds JSON values only: all that the analyzer needs beside the graphs (sizes, means, token ids,
    characters). ``exporter`` names the library and its version.
    """

    graphs: tuple[str, ...]
    settings: dict[str, Any]
    exporter: str
    opset: int


@dataclass(frozen=True)
class UsualSizes:
    """What a graph of convolutions is measured with: the shape of its ``inputs``, by name, for a usual picture, and the
    number of which heights and widths are always multiples."""

    inputs: Mapping[str, tuple[int, ...]]
    multiple: int


@dataclass(frozen=True)
class Exporter:
    """``export(source, into, remedy, **arguments)`` writes the graphs of the weights in the folder ``source``.

    ``remedy`` is what to do where those are damaged.

    ``check_parity(source, artefact, threads)`` compares them, optimised and run as an analyzer runs them, with the
    library they came from. ``program(folder, precision, threads)`` opens a compiled model, and ``feeds(pictures)``
    prepares pictures for its graphs: by these a lossy twin is made, measured and judged. ``convolutions`` are the
    graphs that may gain from Winograd's method.
    """

    export: Callable[..., Export]
    check_parity: Callable[[Path, Path, int], Parity]
    program: Callable[[Path, str, int], Program]
    feeds: Callable[[Sequence[NDArray[np.uint8]]], Feeds]
    convolutions: Mapping[str, UsualSizes] = field(default_factory=dict)
