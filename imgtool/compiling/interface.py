"""What an exporter is: the code that makes graphs of one kind of model's weights and holds them to the original."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgtool.artefacts.manifest import Parity

Ask = Callable[[], Sequence[str]]
"""Answers a fixed set of made-up pictures, in text."""

Answering = Callable[[Path, str, int], Ask]
"""Opens the compiled model in a folder, with a precision and a number of threads."""


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
class Exporter:
    """``export(source, into, remedy, **arguments)`` writes the graphs of the weights in the folder ``source``.

    ``remedy`` is what to do where those are damaged.

    ``check_parity(source, artefact, threads)`` compares them, optimised and run as an analyzer runs them, with the
    library they came from. ``answering`` is what a lossy twin is measured by.
    """

    export: Callable[..., Export]
    check_parity: Callable[[Path, Path, int], Parity]
    answering: Answering
