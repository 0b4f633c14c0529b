"""Writes an ONNX graph node by node, and its weights to a separate file.

Compared with a traced network, one written by hand stores each weight once and in the layout that the runtime reads
fastest, does not depend on the version of torch, and is written in seconds. Compiling processes only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPSET = 20
"""The first with ``Gelu``."""

_IR_VERSION = 9
_ALIGNMENT = 4096
"""Weights begin at page boundaries, so that they can be memory-mapped."""

_INLINE_BYTES = 1024
"""Smaller tensors stand in the graph itself, where shape inference can read them."""

Shape = Sequence[int | str]


class GraphWriter:
    """One graph, written to ``<folder>/<name>.onnx`` and ``<name>.onnx.data``. A context manager."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._integers: dict[tuple[int, ...], str] = {}
        self._data = (folder / f"{name}.onnx.data").open("wb")

    def __enter__(self) -> GraphWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()

    def input(self, name: str, shape: Shape, *, integer: bool = False) -> str:
        """Declare an input: float32, or int64 if ``integer``. Strings in ``shape`` name variable lengths."""
        self._inputs.append(_declared(name, shape, integer))
        return name

    def output(self, name: str, shape: Shape) -> str:
        """Declare a float32 output: the value ``name`` of some node."""
        self._outputs.append(_declared(name, shape, integer=False))
        return name

    def node(self, kind: str, *inputs: str, into: str = "", **attributes: Any) -> str:
        """Add an operator with one output, called ``into`` if given; returns the output's name."""
        return self.nodes(kind, *inputs, outputs=(into,) if into else 1, **attributes)[0]

    def nodes(self, kind: str, *inputs: str, outputs: int | Sequence[str], **attributes: Any) -> list[str]:
        """Add an operator with several outputs; returns their names."""
        from onnx import helper

        stem = f"{kind}_{len(self._nodes)}"
        names = [f"{stem}_{index}" for index in range(outputs)] if isinstance(outputs, int) else list(outputs)
        self._nodes.append(helper.make_node(kind, list(inputs), names, name=stem, **attributes))
        return names

    def same_outside(self, graph: Any) -> None:
        """Declare the same inputs and outputs as another graph."""
        self._inputs.extend(graph.input)
        self._outputs.extend(graph.output)

    def same_node(self, node: Any, inputs: Sequence[str]) -> None:
        """Add a copy of another graph's operator, with the same outputs but reading ``inputs``."""
        from onnx import NodeProto

        copied = NodeProto()
        copied.CopyFrom(node)
        copied.input[:] = inputs
        # Its number may be that of another one here.
        copied.name = ""
        self._nodes.append(copied)

    def integers(self, *values: int) -> str:
        """A constant int64 vector; the same one for the same values."""
        import numpy as np

        if values not in self._integers:
            self._integers[values] = self.weight(np.array(values, dtype=np.int64))
        return self._integers[values]

    def weight(self, array: NDArray[Any]) -> str:
        """A constant. Large ones are written to the data file at once, so that they do not collect in memory."""
        import numpy as np
        from onnx import TensorProto, helper, numpy_helper

        name = f"weight_{len(self._initializers)}"
        array = np.ascontiguousarray(array)
        if array.nbytes <= _INLINE_BYTES:
            self._initializers.append(numpy_helper.from_array(array, name))
            return name
        offset = -(-self._data.tell() // _ALIGNMENT) * _ALIGNMENT
        self._data.seek(offset)
        array.tofile(self._data)
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = TensorProto(name=name, dims=array.shape, data_type=kind, data_location=TensorProto.EXTERNAL)
        place = {"location": f"{self._name}.onnx.data", "offset": offset, "length": array.nbytes}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        self._initializers.append(tensor)
        return name

    def finish(self) -> None:
        """Write the graph.

        Raises:
            onnx.checker.ValidationError: the graph is invalid, which is a mistake in this project.
        """
        import onnx

        self._data.close()
        graph = onnx.helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._initializers)
        # onnxruntime's own operators have one version; naming it is harmless if none is used.
        opsets = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("com.microsoft", 1)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="imgtool")
        path = self._folder / f"{self._name}.onnx"
        path.write_bytes(model.SerializeToString())
        # With an operator that onnx does not know, shapes cannot be inferred.
        onnx.checker.check_model(str(path), full_check=not any(node.domain for node in self._nodes))


def _declared(name: str, shape: Shape, integer: bool) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.INT64 if integer else TensorProto.FLOAT, list(shape))
