"""The roofline: how long the arithmetic of the models would take at the rates that this machine was measured to have.

Williams, Waterman and Patterson 2009, "Roofline": a program is bound by multiplications or by memory, whichever takes
longer. Rates are those of onnxruntime's own kernels on matrices of a good size, so that what is compared with them is
what is lost between the kernels and an answer. The work of a graph is counted from the shapes that one run of it
reports: no library but the runtime is needed, and axes of free length are counted as they are.

Winograd's method does a convolution with fewer multiplications than are counted here (the direct method's), so that
more than the whole of the roofline can be reached.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from imgtool.files import scratch_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIDE = 1024
"""Of the matrices that are multiplied: their 4 MB each stay in no first cache, and in every last one."""

_STREAMED_BYTES = 256 << 20
"""Of the matrix whose reading is timed: more than any cache of the usual machine holds."""

_ROUNDS = 7


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine does at best with ``threads``: additions and multiplications a second in single precision and
    in eight bits (a multiplication with its addition counts as two), and bytes of weights read a second."""

    threads: int
    float_ops: float
    int8_ops: float
    bytes_read: float


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What one run takes: additions and multiplications, and bytes of weights that have to be read for it."""

    ops: float
    weight_bytes: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(ops=self.ops + other.ops, weight_bytes=self.weight_bytes + other.weight_bytes)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One network's share of an image: its ``work``, done ``times`` times, in eight bits or in single precision."""

    name: str
    work: Work
    times: float = 1.0
    is_int8: bool = False

    def seconds(self, rates: Rates) -> float:
        """The least it can take at ``rates``."""
        arithmetic = self.work.ops / (rates.int8_ops if self.is_int8 else rates.float_ops)
        # Weights in eight bits are a quarter of what was counted.
        reading = self.work.weight_bytes / (4 if self.is_int8 else 1) / rates.bytes_read
        return self.times * max(arithmetic, reading)


class Roofline(msgspec.Struct, frozen=True, kw_only=True):
    """The least time an image can take, part by part, beside the time that it did take, in seconds."""

    rates: Rates
    parts: tuple[Part, ...]
    measured_seconds: float

    @property
    def seconds(self) -> float:
        """The least time of all parts together: they share the same cores."""
        return sum(part.seconds(self.rates) for part in self.parts)

    @property
    def share(self) -> float:
        """The share of the roofline that was reached; 0 where nothing was measured."""
        return self.seconds / self.measured_seconds if self.measured_seconds > 0 else 0.0


def measure_rates(threads: int, rounds: int = _ROUNDS) -> Rates:
    """The rates of this machine, each the best of ``rounds``; takes some seconds."""
    return Rates(
        threads=threads,
        float_ops=2 * _SIDE**3 / _seconds(_float_product(), threads, rounds),
        int8_ops=2 * _SIDE**3 / _seconds(_int8_product(), threads, rounds),
        bytes_read=_STREAMED_BYTES / _seconds(_row_product(), threads, rounds),
    )


def count_work(path: Path, feeds: Mapping[str, NDArray[Any]]) -> Work:
    """The work of one run of the ONNX graph ``path`` with ``feeds``, which is carried out to learn every shape.

    Convolutions, products of matrices and LSTMs are counted; all else is less than a hundredth of a network.

    Raises:
        Exception: whatever onnxruntime raises on a graph or on feeds that it refuses.
    """
    import onnxruntime

    with scratch_folder("bench") as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # As it was written: what optimisation fuses has names and shapes of its own.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        # Packed weights are no inputs any more, and their shapes would not be told.
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_bytes())
    return _total(event["args"] for event in events if str(event.get("name", "")).endswith("_kernel_time"))


def _total(nodes: Iterable[Mapping[str, Any]]) -> Work:
    ops = weights = 0.0
    for node in nodes:
        if (count := _COUNTS.get(node["op_name"])) is not None:
            given, made = (_shapes(node[f"{side}_type_shape"]) for side in ("input", "output"))
            ops += 2 * count(given, made)
            weights += 4 * sum(math.prod(shape) for shape in given[1:3] if len(shape) > 1)
    return Work(ops=ops, weight_bytes=weights)


def _shapes(listed: Sequence[Mapping[str, Sequence[int]]]) -> list[tuple[int, ...]]:
    """``[{"float": [1, 3]}, ...]`` as shapes; inputs that were left out are not in the list."""
    return [tuple(shape) for each in listed for shape in each.values()]


Shapes = Sequence[tuple[int, ...]]


def _convolution(given: Shapes, made: Shapes) -> float:
    return math.prod(made[0]) * math.prod(given[1][1:])


def _transposed_convolution(given: Shapes, made: Shapes) -> float:
    return math.prod(given[0]) * math.prod(given[1][1:])


def _matrix_product(given: Shapes, made: Shapes) -> float:
    return math.prod(made[0]) * given[0][-1]


def _general_product(given: Shapes, made: Shapes) -> float:
    # Either matrix may be transposed: what they have in common is what is not in the result.
    return math.prod(given[0]) * made[0][-1]


def _attention(given: Shapes, made: Shapes) -> float:
    """Queries (B, S, C) with keys (B, T, C), and what comes of it with values of as many."""
    return 2 * math.prod(given[0]) * given[1][1]


def _lstm(given: Shapes, made: Shapes) -> float:
    """Inputs are (T, B, I), (D, 4 H, I) and (D, 4 H, H)."""
    steps, batch, _ = given[0]
    return steps * batch * (math.prod(given[1]) + math.prod(given[2]))


_COUNTS: Mapping[str, Callable[[Shapes, Shapes], float]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "MatMul": _matrix_product,
    "Gemm": _general_product,
    "LSTM": _lstm,
    "FusedConv": _convolution,
    "FusedGemm": _general_product,
    "FusedMatMul": _general_product,
    "MultiHeadAttention": _attention,
}
"""Multiplications by operator."""


def _seconds(model: tuple[bytes, Mapping[str, NDArray[Any]]], threads: int, rounds: int) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model[0], options, providers=["CPUExecutionProvider"])
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        session.run(None, dict(model[1]))
        times.append(time.perf_counter() - started)
    return min(times[1:])


def _float_product() -> tuple[bytes, Mapping[str, NDArray[Any]]]:
    import numpy as np

    square = np.random.default_rng(0).standard_normal((_SIDE, _SIDE), dtype=np.float32)
    return _model("MatMul", square), {"x": square}


def _int8_product() -> tuple[bytes, Mapping[str, NDArray[Any]]]:
    import numpy as np

    rng = np.random.default_rng(0)
    weights = rng.integers(-63, 64, (_SIDE, _SIDE), dtype=np.int8)
    return _model("MatMulInteger", weights), {"x": rng.integers(0, 128, (_SIDE, _SIDE), dtype=np.uint8)}


def _row_product() -> tuple[bytes, Mapping[str, NDArray[Any]]]:
    """One row times a matrix: each weight is read once and used once."""
    import numpy as np

    weights: NDArray[Any] = np.ones((_SIDE, _STREAMED_BYTES // 4 // _SIDE), np.float32)
    return _model("MatMul", weights), {"x": np.ones((1, _SIDE), np.float32)}


def _model(kind: str, weights: NDArray[Any]) -> bytes:
    """A graph of one node, ``x`` times ``weights``, without the ``onnx`` package: a few fields of its messages."""
    import numpy as np

    types = {np.dtype(np.float32): 1, np.dtype(np.uint8): 2, np.dtype(np.int8): 3, np.dtype(np.int32): 6}
    floats = weights.dtype == np.float32
    given, made = (np.dtype(np.float32),) * 2 if floats else (np.dtype(np.uint8), np.dtype(np.int32))
    tensor = b"".join(
        (
            *(_number(1, size) for size in weights.shape),
            _number(2, types[weights.dtype]),
            _bytes(8, b"w"),
            _bytes(9, weights.tobytes()),
        )
    )
    node = _bytes(1, b"x") + _bytes(1, b"w") + _bytes(2, b"y") + _bytes(4, kind.encode())
    ends = _bytes(11, _value(b"x", types[given])) + _bytes(12, _value(b"y", types[made]))
    graph = _bytes(1, node) + _bytes(2, b"rate") + _bytes(5, tensor) + ends
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 17))


def _value(name: bytes, kind: int) -> bytes:
    """An input or output of two axes of free length."""
    axis = _bytes(1, _bytes(2, b"n"))
    other = _bytes(1, _bytes(2, b"m"))
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, axis + other)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)
