"""A classifier's ONNX file in onnxruntime: its input and output, and a run on a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from imgtool.analyzers.labels.names import check_count
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
_USUAL_SIDE = 224
"""Pixels, for a model that does not declare its size."""

_EXPORT = "export an image classifier: one image input (N, 3, H, W), one output (N, classes)"


class Network:
    """An open classifier. ``dims`` and ``dtype`` (as numpy names it) are those of its input.

    ``batch`` is the largest number of images in a run. ``output`` is the name of the one that has the classes: the
    first that can have them until :meth:`choose_output`.
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
        self._candidates = [(node.name, _dims(node.shape)) for node in usable]
        self.output = self._candidates[0][0]
        self.dtype = _INPUT_TYPES[self._input.type]
        self.dims = _dims(self._input.shape)
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.batch = self.dims[0] or MAX_BATCH
        self._keeps_apart = False

    def choose_output(self, names: int, source: str, sides: tuple[int, int, int]) -> None:
        """Take the output with as many classes as there are ``names``, which come from ``source``. Where several do not
        declare their width, the model runs once on an image of ``sides``, as its input has them.

        Raises:
            LabelsMismatch: there is none.
        """
        widths = {name: _width(dims) for name, dims in self._candidates}
        if len(widths) > 1 and names not in widths.values():
            image: NDArray[Any] = np.zeros((self.dims[0] or 1, *sides), dtype=self.dtype)
            for name in [name for name, width in widths.items() if width is None]:
                try:
                    widths[name] = self._rows(name, image).shape[1]
                except ModelNotUsable:
                    del widths[name]
        check_count(names, tuple(widths.values()), source)
        fitting = [name for name, width in widths.items() if width == names]
        self.output = (fitting or [name for name, width in widths.items() if width is None])[0]

    def run(self, batch: NDArray[Any]) -> NDArray[np.float64]:
        """The raw outputs, (N, classes), for 1 to ``self.batch`` prepared images.

        Raises:
            ModelNotUsable: the run fails, or its output has another shape than declared.
        """
        if self.dims[0] is not None:
            padding = np.zeros((self.batch - len(batch), *batch.shape[1:]), dtype=batch.dtype)
            return self._rows(self.output, np.concatenate([batch, padding]))[: len(batch)]
        if len(batch) == 1 or self.batch == 1:
            return np.concatenate([self._rows(self.output, one[None]) for one in batch])
        with suppress(ModelNotUsable):
            rows = self._rows(self.output, batch)
            alone = rows[:1] if self._keeps_apart else self._rows(self.output, batch[:1])
            self._keeps_apart = np.allclose(rows[:1], alone, rtol=1e-2, atol=1e-3, equal_nan=True)
            if self._keeps_apart:
                return rows
        # Some exports declare a variable batch size, although a reshape has the traced size of 1 fixed, or some layer
        # mixes the images of a batch.
        self.batch = 1
        return self.run(batch)

    def _rows(self, output: str, batch: NDArray[Any]) -> NDArray[np.float64]:
        try:
            (given,) = self._session.run([output], {self._input.name: batch})
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            raise ModelNotUsable(
                f"the model fails on input of {describe(batch.shape)}: {_first_line(error)}",
                "check --classifier size=..., or export the model again",
            ) from error
        # What pooling and reshapes leave: sides of 1.
        rows = given.reshape(given.shape[:2]) if given.ndim > 2 and set(given.shape[2:]) == {1} else given
        if rows.ndim == 1:  # a single class, or a single image
            rows = rows.reshape(len(batch), -1) if rows.size % len(batch) == 0 else rows
        if rows.ndim != 2 or len(rows) != len(batch):
            raise ModelNotUsable(f"the model gave {describe(given.shape)} numbers for {len(batch)} images", _EXPORT)
        result: NDArray[np.float64] = rows.astype(np.float64)
        return result


def answer_alike(one: Path, other: Path) -> bool:
    """Whether two files hold classifiers that give the same numbers, bit by bit, for two made-up batches."""
    try:
        networks = [Network(path, 1) for path in (one, other)]
        batches = list(_batches(networks[0]))
        rows = [[network.run(batch) for batch in batches] for network in networks]
    except ModelNotUsable:
        return False
    return all(np.array_equal(first, second, equal_nan=True) for first, second in zip(*rows, strict=True))


def _batches(network: Network) -> Iterator[NDArray[Any]]:
    """One image of noise and one of a single colour."""
    images, *sides = network.dims
    shape = (images or 1, *(side or _USUAL_SIDE for side in sides))
    levels = np.random.default_rng(0).integers(0, 256, shape)
    for batch in (levels, np.full(shape, 140)):
        yield batch.astype(np.uint8) if network.dtype == "uint8" else (batch / 128 - 1).astype(network.dtype)


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
    return len(dims) <= 4 and all(dim in (None, 1) for dim in dims[2:])


def _width(dims: Dims) -> int | None:
    return dims[1] if len(dims) > 1 else None
