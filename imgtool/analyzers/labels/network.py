"""A classifier's ONNX file opened by onnxruntime: what it takes, what it gives, and a run on a batch."""

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
"""Images in one run where the model leaves the number open: more gains nothing on a CPU and only takes memory."""

_INPUT_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
}
_OUTPUT_TYPES = {"tensor(float)", "tensor(float16)", "tensor(double)"}
_EXPORT = "export an image classifier: one image input (N, 3, H, W), one output (N, classes)"


class Network:
    """An open classifier. ``dims`` are those of its input, ``dtype`` is the input's numpy name.

    ``classes`` is ``None`` where the model does not declare their number. ``batch`` is how many images a run takes
    at most.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Open ``path`` on the CPU, with ``threads`` threads or as many as onnxruntime sees fit.

        Raises:
            ModelNotUsable: it is no ONNX file, or no classifier of images.
        """
        self._session = _open(path, threads)
        self._input = _only_input(self._session.get_inputs())
        self._output = _class_output(self._session.get_outputs())
        self.dtype = _INPUT_TYPES[self._input.type]
        self.dims = _dims(self._input.shape)
        self.classes = _dims(self._output.shape)[1] if self._output.shape else None
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.batch = self.dims[0] or MAX_BATCH

    def run(self, batch: NDArray[Any]) -> NDArray[np.float64]:
        """The raw outputs, (N, classes), for 1 to ``self.batch`` prepared images.

        Raises:
            ModelNotUsable: the run fails, or what comes out has another shape than declared.
        """
        if self.dims[0] is not None:
            return self._run_padded(batch)
        try:
            return self._run_all(batch)
        except Exception:
            if len(batch) == 1:
                raise
        # Some exports declare an open batch dimension and yet fold the 1 they were traced with into a reshape.
        self.batch = 1
        return np.concatenate([self._run_all(batch[index : index + 1]) for index in range(len(batch))])

    def _run_padded(self, batch: NDArray[Any]) -> NDArray[np.float64]:
        missing = self.batch - len(batch)
        if missing:
            batch = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), dtype=batch.dtype)])
        return self._run_all(batch)[: self.batch - missing]

    def _run_all(self, batch: NDArray[Any]) -> NDArray[np.float64]:
        given = self._run_session(batch)
        rows = given.reshape(given.shape[:2]) if given.ndim == 4 and given.shape[2:] == (1, 1) else given
        if rows.ndim != 2 or len(rows) != len(batch):
            raise ModelNotUsable(f"the model gave {describe(given.shape)} numbers for {len(batch)} images", _EXPORT)
        result: NDArray[np.float64] = rows.astype(np.float64)
        return result

    def _run_session(self, batch: NDArray[Any]) -> NDArray[Any]:
        try:
            (given,) = self._session.run([self._output.name], {self._input.name: batch})
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            raise ModelNotUsable(
                f"the model fails on input of {describe(batch.shape)}: {_first_line(error)}",
                "check --classifier size=..., or export the model again",
            ) from error
        result: NDArray[Any] = given
        return result


def _open(path: Path, threads: int | None) -> Any:
    _refuse_pointer(path)
    settings = ort.SessionOptions()
    settings.log_severity_level = 3  # its warnings about other people's models are of no use to who runs them
    if threads is not None:
        settings.intra_op_num_threads = threads
    try:
        return ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no base class of their own
        raise _not_opened(path, error) from error


def _refuse_pointer(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise ModelNotUsable(f"{path} cannot be read: {error.strerror}", "check --labels-model") from error
    if start.startswith(b"version https://git-lfs"):
        raise ModelNotUsable(f"{path} is a Git LFS pointer, not the model itself", "fetch it with `git lfs pull`")


def _not_opened(path: Path, error: Exception) -> ModelNotUsable:
    if "protobuf" in str(error).lower():
        return ModelNotUsable(f"{path} is not an ONNX model", "give an .onnx file with --labels-model")
    return ModelNotUsable(
        f"onnxruntime {ort.__version__} cannot open {path}: {_first_line(error)}",
        "export the model for this onnxruntime, and keep its external data files beside it",
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _dims(shape: Sequence[Any]) -> Dims:
    return tuple(dim if isinstance(dim, int) and dim > 0 else None for dim in shape)


def _declared(node: Any) -> str:
    return f"{node.name!r} {node.type} {describe(_dims(node.shape)) or '(shape not declared)'}"


def _only_input(inputs: Sequence[Any]) -> Any:
    if len(inputs) != 1:
        names = ", ".join(_declared(node) for node in inputs) or "none"
        raise ModelNotUsable(f"the model has {len(inputs)} inputs ({names}), not one image", _EXPORT)
    (node,) = inputs
    if node.type not in _INPUT_TYPES:
        raise ModelNotUsable(f"the model's input {_declared(node)} takes neither floats nor uint8", _EXPORT)
    if len(node.shape) != 4:
        raise ModelNotUsable(f"the model's input {_declared(node)} is no batch of images with 4 dimensions", _EXPORT)
    return node


def _class_output(outputs: Sequence[Any]) -> Any:
    """The first output that is declared as (N, classes); failing that, the first that declares no shape at all."""
    usable = [node for node in outputs if node.type in _OUTPUT_TYPES and _may_be_classes(_dims(node.shape))]
    if not usable:
        names = ", ".join(_declared(node) for node in outputs)
        raise ModelNotUsable(f"the model gives {names}, not one number a class (N, classes)", _EXPORT)
    return max(usable, key=lambda node: bool(node.shape))


def _may_be_classes(dims: Dims) -> bool:
    return len(dims) in (0, 2) or (len(dims) == 4 and all(dim in (None, 1) for dim in dims[2:]))
