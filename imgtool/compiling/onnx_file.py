"""Writes a torch module as an ONNX file with its weights in a separate file, which can be memory-mapped."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

OPSET = 17
_TRACED = {"dynamo": False}
"""Selects torch's tracing exporter, which needs no further library; older releases have only that one."""
_SMALLEST_OUTSIDE = 1024
"""Bytes: smaller tensors stay in the graph, where constant folding finds them."""


def write_graph(module: Any, example: Any, path: Path, axes: Mapping[str, Mapping[int, str]]) -> None:
    """Write ``module``, traced with ``example``, to ``path`` and its weights to ``<path>.data``.

    ``axes`` names the input first, then the outputs, each with its axes of variable length.

    Raises:
        OSError: the file cannot be written.
    """
    import onnx
    import torch

    image, *outputs = axes
    with warnings.catch_warnings(), torch.no_grad():
        # The tracer warns about branches on shapes, which are fixed here, and torch about this exporter's age.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (example,),
            str(path),
            **_TRACED if "dynamo" in signature(torch.onnx.export).parameters else {},
            opset_version=OPSET,
            input_names=[image],
            output_names=outputs,
            dynamic_axes={name: dict(free) for name, free in axes.items()},
        )
    model = onnx.load(str(path))
    onnx.save(
        model, str(path), save_as_external_data=True, location=f"{path.name}.data", size_threshold=_SMALLEST_OUTSIDE
    )
    onnx.checker.check_model(str(path))
