"""The interface of an exporter: it makes graphs of a kind of model and compares them with the original."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgtool.artefacts.manifest import Parity

Ask = Callable[[], Sequence[str]]
"""Answers for a fixed set of made-up pictures, as text."""

Answering = Callable[[Path, str, int], Ask]
"""Opens the compiled model in a folder, with a precision and a number of threads."""


@dataclass(frozen=True)
class Export:
    """Graphs written as ``<name>.onnx`` into one folder.

    ``settings`` are JSON values that the analyzer needs with the graphs (sizes, means, token ids, characters).
    ``exporter`` names the library and its version.
    """

    graphs: tuple[str, ...]
    settings: dict[str, Any]
    exporter: str
    opset: int


@dataclass(frozen=True)
class Exporter:
    """``export(source, into, remedy, **arguments)`` writes the graphs of the weights in the folder ``source``;
    ``remedy`` is what to do if those are damaged.

    ``check_parity(source, artefact, threads)`` compares the optimised graphs, run as an analyzer runs them, with the
    original library. ``answering`` is used to measure a lossy twin.
    """

    export: Callable[..., Export]
    check_parity: Callable[[Path, Path, int], Parity]
    answering: Answering
