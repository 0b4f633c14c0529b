"""A convolutional graph in eight bits, with the ranges of its values measured beforehand on pictures.

onnxruntime's own static quantisation: weights with a scale for each filter, activations with a scale and an offset for
each value of the graph, written as pairs of ``QuantizeLinear`` and ``DequantizeLinear`` around the operators, which
both onnxruntime and OpenVINO compute in integers. Layers of few filters stay in single precision: they take a few per
cent of the time, and most of the error comes from them (those that give the answer). Compiling processes only.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.compiling.flat_graph import FlatGraph

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST_FILTERS = 33
"""Score maps of a CRAFT of random weights differ by 9.9 % of their deviation with all layers in eight bits, by 6.2 %
without those of up to 16 filters, and by 4.5 % without those of up to 32, which takes a tenth longer."""

_OPSET = 13
"""The first that has a scale for each filter."""

_KINDS = ["Conv", "Relu", "MaxPool", "Concat", "Resize"]


def quantise_static(
    path: Path, into: Path, feeds: Iterable[Mapping[str, NDArray[np.float32]]], *, seven_bits: bool = False
) -> None:
    """Write the graph ``path`` to ``into``, and its weights beside it, with the ranges that ``feeds`` give.

    ``seven_bits`` for the weights where the processor adds pairs of products in sixteen bits (AVX2 without VNNI): with
    eight these would saturate.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: there are no feeds.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds = iter(feeds)

        def get_next(self) -> dict[str, Any] | None:
            found = next(self._feeds, None)
            return None if found is None else dict(found)

    graph = FlatGraph(path)
    graph.require_opset(_OPSET)
    kept = [node.name for node in graph.nodes if node.op_type == "Conv" and _has_few(graph, node)]
    # It advises on the standard logger to prepare the graph, which was done.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory(dir=into.parent) as name:
            flat = Path(name) / "flat.onnx"
            graph.save(flat)
            quantize_static(
                str(flat),
                str(into),
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=_KINDS,
                per_channel=True,
                reduce_range=seven_bits,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=kept,
                use_external_data_format=True,
                calibrate_method=CalibrationMethod.MinMax,
            )
    finally:
        logging.disable(before)


def _has_few(graph: FlatGraph, node: Any) -> bool:
    weight = graph.weights.get(node.input[1])
    return weight is None or weight.dims[0] < FEWEST_FILTERS
