"""An ONNX graph in memory in the plain form that rewriting it needs: each weight an initialiser of its own name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST_OUTSIDE = 1024
"""Bytes: smaller tensors stay in the graph, where constant folding finds them."""


@dataclass(frozen=True)
class Convolution:
    """A ``Conv`` node and the sizes that matter: channels in and out, and of its output at some size of image.

    ``kind`` are kernel, strides, dilations, pads and groups, as the node says or means them.
    """

    name: str
    channels: int
    filters: int
    height: int
    width: int
    kind: tuple[tuple[int, ...], ...]

    @property
    def multiplications(self) -> int:
        """Of the direct method, for one image."""
        kernel, *_, group = self.kind
        return self.filters * self.channels // group[0] * math.prod(kernel) * self.height * self.width


class FlatGraph:
    """A model with its weights, without ``Constant`` nodes and without ``Identity`` of a weight.

    Exporters write these where two layers share a weight; what looks for a layer's bias does not look through them.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            OSError: a file of it cannot be read.
        """
        import onnx

        self.model = onnx.load(str(path))
        self.weights: dict[str, Any] = {each.name: each for each in self.model.graph.initializer}
        nodes = []
        for node in self.model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._add(node.output[0], node.attribute[0].t)
            elif node.op_type == "Identity" and node.input[0] in self.weights:
                self._add(node.output[0], self.weights[node.input[0]])
            else:
                nodes.append(node)
        self.replace_nodes(nodes)

    def require_opset(self, version: int) -> None:
        """Convert the operators to those of ONNX's ``version``, where they are of an earlier one.

        Raises:
            Exception: what onnx raises on an operator that it cannot convert.
        """
        import onnx

        if next(each.version for each in self.model.opset_import if each.domain in ("", "ai.onnx")) < version:
            self.model = onnx.version_converter.convert_version(self._whole(), version)
            self.weights = {each.name: each for each in self.model.graph.initializer}

    @property
    def nodes(self) -> list[Any]:
        """All nodes, in their order."""
        return list(self.model.graph.node)

    def replace_nodes(self, nodes: Sequence[Any]) -> None:
        """Make ``nodes`` those of the graph."""
        copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del self.model.graph.node[:]
        self.model.graph.node.extend(copies)

    def array(self, name: str) -> NDArray[Any]:
        """The weight ``name``."""
        from onnx import numpy_helper

        found: NDArray[Any] = numpy_helper.to_array(self.weights[name])
        return found

    def add_weight(self, name: str, array: NDArray[Any]) -> str:
        """Add a weight, unless that name is there; returns the name."""
        import numpy as np
        from onnx import numpy_helper

        if name not in self.weights:
            self._add(name, numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def convolutions(self, sizes: Mapping[str, Sequence[int]]) -> list[Convolution]:
        """Every two-dimensional convolution, where the inputs of the graph have these ``sizes``."""
        shapes = self.shapes(sizes)
        found = []
        for node in self.nodes:
            if node.op_type == "Conv" and node.input[1] in self.weights:
                filters, channels, *kernel = self.weights[node.input[1]].dims
                if len(kernel) == 2 and len(shapes.get(node.output[0], ())) == 4:
                    kind = _kind(node, kernel)
                    height, width = shapes[node.output[0]][2:]
                    found.append(Convolution(node.name, channels * kind[-1][0], filters, height, width, kind))
        return found

    def shapes(self, sizes: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
        """The shape of every value, where the inputs have these ``sizes``."""
        import onnx

        bare = onnx.ModelProto()
        bare.CopyFrom(self.model)
        for given in bare.graph.input:
            for dim, size in zip(given.type.tensor_type.shape.dim, sizes[given.name], strict=True):
                dim.dim_value = size
        for given in bare.graph.output:
            given.type.tensor_type.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
        return {
            each.name: tuple(dim.dim_value for dim in each.type.tensor_type.shape.dim)
            for each in (*inferred.value_info, *inferred.output)
        }

    def save(self, path: Path) -> None:
        """Write the graph to ``path``, without weights that nobody reads, and the others to ``<path>.data``.

        Raises:
            OSError: the folder cannot be written.
        """
        import onnx

        data = path.with_name(f"{path.name}.data")
        data.unlink(missing_ok=True)  # onnx would add to it, or refuse
        model = self._whole()
        onnx.save(model, str(path), save_as_external_data=True, location=data.name, size_threshold=SMALLEST_OUTSIDE)

    def _whole(self) -> Any:
        """The model with the weights that some node reads."""
        read = {name for node in self.nodes for name in node.input}
        model = type(self.model)()
        model.CopyFrom(self.model)
        del model.graph.initializer[:]
        model.graph.initializer.extend(each for name, each in self.weights.items() if name in read)
        return model

    def _add(self, name: str, tensor: Any) -> None:
        copy = type(tensor).FromString(tensor.SerializeToString())
        copy.name = name
        self.weights[name] = copy


def _kind(node: Any, kernel: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    from onnx import helper

    given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    strides, dilations = given.get("strides", [1, 1]), given.get("dilations", [1, 1])
    pads = given.get("pads", [0, 0, 0, 0]) if given.get("auto_pad", b"NOTSET") == b"NOTSET" else [-1]
    return tuple(map(tuple, (kernel, strides, dilations, pads, [given.get("group", 1)])))
