"""Opening a graph of a compiled model. The only place where the compiled analyzers touch onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray


class Graph(Protocol):
    """A network that is ready to run."""

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Every output by name."""


class OrtGraph:
    """A graph in an onnxruntime session on the CPU. ``run`` may be called from several threads."""

    def __init__(self, path: Path, threads: int | None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Shapes vary from image to image: the arena would keep the largest of everything it ever held.
        options.enable_cpu_mem_arena = False
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Every output by name."""
        return dict(zip(self._outputs, self._session.run(None, dict(feeds)), strict=True))


def open_graph(folder: Path, name: str, *, threads: int | None = None, precision: str = "exact") -> Graph:
    """The graph ``name`` of the compiled model in ``folder``."""
    del precision
    return OrtGraph(folder / f"{name}.onnx", threads)
