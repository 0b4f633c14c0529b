"""A graph with its matrices in int8: a quarter of the bytes to stream for every token, at some loss.

Weights are rounded once, with a scale for each output; what is multiplied with them is rounded as it comes, with a
scale for the whole of it (``com.microsoft.DynamicQuantizeMatMul``, onnxruntime's own). A matrix that is also a table
of embeddings stays as it is, since the table is needed exactly and would otherwise be there twice.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.compiling.onnx_writer import GraphWriter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STEPS = 63
"""Seven bits: a processor without VNNI adds pairs of products in 16 bits, and with eight these would saturate."""


def quantise(folder: Path, into: Path, name: str) -> None:
    """Write the graph ``name`` of ``folder`` into ``into``, under the same name, with the same inputs and outputs.

    Raises:
        OSError: a file of it cannot be read or written.
    """
    import onnx

    into.mkdir(parents=True, exist_ok=True)
    model = onnx.load(folder / f"{name}.onnx", load_external_data=False).graph
    with GraphWriter(into, name) as graph:
        _Rewriting(graph, model, folder).run()
        graph.finish()


class _Rewriting:
    """A graph on its way into another. Weights are read one at a time."""

    def __init__(self, graph: GraphWriter, model: Any, folder: Path) -> None:
        self._graph, self._model, self._folder = graph, model, folder
        self._weights = {each.name: each for each in model.initializer}
        self._readers = Counter(name for node in model.node for name in node.input)
        self._moved: dict[str, str] = {"": ""}

    def run(self) -> None:
        """Inputs, outputs, then the nodes in their order."""
        self._graph.same_outside(self._model)
        for node in self._model.node:
            if node.op_type == "Gemm" and self._readers[node.input[1]] == 1:
                self._in_eight_bits(node)
            else:
                self._graph.same_node(node, [self._name(each) for each in node.input])

    def _in_eight_bits(self, node: Any) -> None:
        rows, matrix, bias = node.input
        rounded, scales = _rounded(self._array(matrix))
        given = [self._graph.weight(rounded), self._graph.weight(scales), "", self._name(bias)]
        self._graph.node("DynamicQuantizeMatMul", rows, *given, into=node.output[0], domain="com.microsoft")

    def _name(self, name: str) -> str:
        """What ``name`` is called in the new graph; a weight is written when it is first asked for."""
        if name in self._weights and name not in self._moved:
            self._moved[name] = self._graph.weight(self._array(name))
        return self._moved.get(name, name)

    def _array(self, name: str) -> NDArray[Any]:
        from onnx import numpy_helper

        array: NDArray[Any] = numpy_helper.to_array(self._weights[name], str(self._folder))
        return array


def _rounded(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(out, in) -> (in, out) int8, and the scale of each output."""
    import numpy as np

    scales = np.maximum(np.abs(matrix).max(axis=1) / np.float32(_STEPS), np.finfo(np.float32).tiny)
    return np.rint(matrix / scales[:, None]).astype(np.int8).T, scales.astype(np.float32)
