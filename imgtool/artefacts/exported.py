"""What an exporter hands to the compiler: graphs in a folder, what is needed to run them, and how well they agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


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


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How a compiled model compares with the library it came from, in this very compile.

    ``figures`` are by name, with the unit in it: ``vision_max_abs_difference``, ``captions_equal_share``.
    """

    passed: bool
    figures: dict[str, float]
    detail: str = ""
