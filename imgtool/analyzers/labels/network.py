"""A classifier's ONNX file in onnxruntime: its input and output, and a run on a batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from imgtool.analyzers.labels.settings import Dims, describe
from imgtool.errors import ModelNotUsable

MAX_BATCH = 32
"""Images in one run if the model allows any number: more would only take memory, without a gain on a CPU."""

_INPUT_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
}
_OUTPUT_TYPES = {"tensor(float)", "tensor(float16)", "tensor(double)"}
_EXPORT = "export an image classifier: one image input (N, 3, H, W), one output (N, classes)"


class Network:
    """An open classifier. ``dims`` and ``dtype`` (as numpy names it) are those of its input.

    ``classes`` is ``None`` if the model does not declare their number. ``batch`` is the largest number of images in a
    run.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Open ``path`` on the CPU, with ``threads`` threads or onnxruntime's default.

        Raises:
            ModelNotUsable: it is not an ONNX file, or not an image classifier.
        """
        self._session = _open(path, threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1:
            names = ", ".join(_declared(node) for node in inputs) or "none"
            raise ModelNotUsable(f"the model has {len(inputs)} inputs ({names}), not one image", _EXPORT)
        (self._input,) = inputs
        if self._input.type not in _INPUT_TYPES:
            text = f"the model's input {_declared(self._input)} takes neither floats nor uint8"
            raise ModelNotUsable(text, _EXPORT)
        if len(self._input.shape) != 4:
            text = f"the model's input {_declared(self._input)} is no batch of images with 4 dimensions"
            raise ModelNotUsable(text, _EXPORT)
        usable = [node for node in outputs if node.type in _OUTPUT_TYPES and _may_be_classes(_dims(node.shape))]
        if not usable:
            names = ", ".join(_declared(node) for node in outputs)
            raise ModelNotUsable(f"the model gives {names}, not one number per class (N, classes)", _EXPORT)
        # The first one that is declared as (N, classes), or else the first one without a declared shape.
        self._output = max(usable, key=lambda node: bool(node.shape))
        self.dtype = _INPUT_TYPES[self._input.type]
        self.dims = _dims(self._input.shape)
        self.classes = _dims(self._output.shape)[1] if self._output.shape else None
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.batch = self.dims[0] or MAX_BATCH

    def run(self, batch: NDArray[Any]) -> NDArray[np.float64]:
        """The raw outputs, (N, classes), for 1 to ``self.batch`` prepared images.

        Raises:
            ModelNotUsable: the run fails, or its output has another shape than declared.
        """
        if self.dims[0] is not None:
            padding = np.zeros((self.batch - len(batch), *batch.shape[1:]), dtype=batch.dtype)
            return self._run_all(np.concatenate([batch, padding]))[: len(batch)]
        try:
            return self._run_all(batch)
        except Exception:
            if len(batch) == 1:
                raise
        # Some exports declare a variable batch size, although a reshape has the traced size of 1 fixed.
        self.batch = 1
        return np.concatenate([self._run_all(batch[index : index + 1]) for index in range(len(batch))])

    def _run_all(self, batch: NDArray[Any]) -> NDArray[np.float64]:
        try:
            (given,) = self._session.run([self._output.name], {self._input.name: batch})
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            raise ModelNotUsable(
                f"the model fails on input of {describe(batch.shape)}: {_first_line(error)}",
                "check --classifier size=..., or export the model again",
            ) from error
        rows = given.reshape(given.shape[:2]) if given.ndim == 4 and given.shape[2:] == (1, 1) else given
        if rows.ndim != 2 or len(rows) != len(batch):
            raise ModelNotUsable(f"the model gave {describe(given.shape)} numbers for {len(batch)} images", _EXPORT)
        result: NDArray[np.float64] = rows.astype(np.float64)
        return result


def _open(path: Path, threads: int | None) -> Any:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise ModelNotUsable(f"{path} cannot be read: {error.strerror}", "check --labels-model") from error
    if start.startswith(b"version https://git-lfs"):
        raise ModelNotUsable(f"{path} is a Git LFS pointer, not the model itself", "fetch it with `git lfs pull`")
    settings = ort.SessionOptions()
    settings.log_severity_level = 3  # users cannot act on warnings about the model
    if threads is not None:
        settings.intra_op_num_threads = threads
    try:
        return ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no base class of their own
        if "protobuf" in str(error).lower():
            raise ModelNotUsable(f"{path} is not an ONNX model", "give an .onnx file with --labels-model") from error
        raise ModelNotUsable(
            f"onnxruntime {ort.__version__} cannot open {path}: {_first_line(error)}",
            "export the model for this onnxruntime, and keep its external data files beside it",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _dims(shape: Sequence[Any]) -> Dims:
    return tuple(dim if isinstance(dim, int) and dim > 0 else None for dim in shape)


def _declared(node: Any) -> str:
    return f"{node.name!r} {node.type} {describe(_dims(node.shape)) or '(shape not declared)'}"


def _may_be_classes(dims: Dims) -> bool:
    return len(dims) in (0, 2) or (len(dims) == 4 and all(dim in (None, 1) for dim in dims[2:]))
