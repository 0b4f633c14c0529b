"""Convolutions of 3 x 3 by Winograd's method, as ordinary nodes of a graph, where that was measured to be faster.

Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks": an output of 4 x 4 pixels takes 36
multiplications for each pair of channels instead of 144, F(4 x 4, 3 x 3). Around them stand two small transforms that
do not depend on the weights, and those of the weights are done beforehand. No runtime for x86 that maps its weights
has it (onnxruntime, OpenVINO), so it is written with the operators that they have: a convolution with 36 fixed kernels
of 6 x 6 takes tiles to the domain of the method, one multiplication of matrices for each of the 36 places does the
work, a fixed matrix and a rearrangement of depth to space come back.

It is arithmetic of the same precision in another order: score maps of CRAFT differ from those of the direct method by
some 5e-6. Weights take four times the space, in a file that is mapped. Compiling processes only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.compiling.flat_graph import Convolution, FlatGraph
from imgtool.files import scratch_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TILE, PLACES = 4, 36
"""Pixels a side of an output tile, and multiplications for it."""

_LAYER_WORTH = 1.1
"""Times as fast as the direct method that a layer must be alone: around it the layout of the data changes."""

WORTH = 1.05
"""Times as fast that the whole graph must be."""

_ROUNDS = 2
_PLAIN = ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), (1,))
"""What a convolution must be: 3 x 3, no strides, no dilation, padded to the same size, one group."""

_FEWEST_CHANNELS = 64
"""In and out: with fewer the transforms take more than is saved, on every processor seen."""


def transformed(weights: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """(K, C, 3, 3) -> (36, K, C): the weights in the domain of the method, computed in double precision."""
    import numpy as np

    both = np.einsum("ai,kcij,bj->abkc", _weights_matrix(), weights.astype(np.float64), _weights_matrix())
    found: NDArray[np.float32] = both.reshape(PLACES, *weights.shape[:2]).astype(np.float32)
    return found


def suitable(layers: Sequence[Convolution]) -> list[Convolution]:
    """Those that the method could compute, and that would need no more memory than the largest of all does anyway."""
    largest = max((layer.height * layer.width * (layer.channels + layer.filters) for layer in layers), default=0)
    return [layer for layer in layers if _is_suitable(layer) and _numbers(layer) <= largest]


def rewrite(graph: FlatGraph, layers: Collection[Convolution], multiples: Mapping[str, int]) -> None:
    """Write ``layers`` as nodes of Winograd's method, in ``graph`` itself.

    ``multiples`` says, by a layer's name, of what number its height and width are always multiples.
    """
    chosen = {layer.name for layer in layers}
    nodes: list[Any] = []
    for node in graph.nodes:
        if node.name in chosen:
            nodes += _Nodes(graph, node, multiples.get(node.name, 1)).made()
        else:
            nodes.append(node)
    graph.replace_nodes(nodes)


@dataclass(frozen=True)
class Faster:
    """A graph rewritten: how many ``layers``, and how many times as fast it is as the one it was made from."""

    layers: int
    speed_up: float


def rewrite_where_faster(
    path: Path,
    into: Path,
    sizes: Mapping[str, Sequence[int]],
    multiple: int,
    threads: int,
    seconds: Callable[[Path, Mapping[str, Sequence[int]], int], float] | None = None,
) -> Faster | None:
    """Write the graph ``path`` with Winograd's method to ``into``, if it is faster on this machine.

    Layers are measured one by one, then the whole, with images of ``sizes`` (by input) on ``threads`` threads; heights
    and widths of images are always multiples of ``multiple``. ``seconds`` measures a graph, for tests.

    Raises:
        OSError: a file cannot be read or written.
    """
    seconds = seconds or run_seconds
    graph = FlatGraph(path)
    (image,) = sizes.values()
    layers = suitable(graph.convolutions(sizes))
    multiples = {layer.name: max(1, multiple * layer.height // image[2]) for layer in layers}
    chosen = [layer for layer in layers if _gain(layer, threads, seconds) >= _LAYER_WORTH]
    if not chosen:
        return None
    rewrite(graph, chosen, multiples)
    graph.save(into)
    # Turn about, and the least of each: what else runs on the machine disturbs both alike.
    rounds = [(seconds(path, sizes, threads), seconds(into, sizes, threads)) for _ in range(_ROUNDS)]
    speed_up = min(one for one, _ in rounds) / min(other for _, other in rounds)
    return Faster(len(chosen), speed_up) if speed_up >= WORTH else None


def run_seconds(path: Path, sizes: Mapping[str, Sequence[int]], threads: int) -> float:
    """The least wall time of two runs of the graph ``path`` after a first one, in seconds, on random numbers."""
    import numpy as np
    import onnxruntime

    from imgtool.inference.session_memory import Arena, set_memory
    from imgtool.inference.sessions import session_options

    options = session_options(threads)
    set_memory(options, Arena.OWN)
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal(tuple(size), dtype=np.float32) for name, size in sizes.items()}
    times = []
    for _ in range(_ROUNDS + 1):
        started = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - started)
    return min(times[1:])


def _is_suitable(layer: Convolution) -> bool:
    return layer.kind == _PLAIN and min(layer.channels, layer.filters) >= _FEWEST_CHANNELS


def _numbers(layer: Convolution) -> int:
    """How many numbers are held at once: all tiles before and after the multiplication."""
    tiles = -(-layer.height // TILE) * -(-layer.width // TILE)
    return tiles * PLACES * (layer.channels + layer.filters)


def _gain(layer: Convolution, threads: int, seconds: Callable[..., float]) -> float:
    """How many times as fast ``layer`` alone is by Winograd's method."""
    sizes = {"image": (1, layer.channels, layer.height, layer.width)}
    with scratch_folder("winograd") as folder:
        direct, other = folder / "direct.onnx", folder / "winograd.onnx"
        _write_alone(layer, direct)
        graph = FlatGraph(direct)
        rewrite(graph, graph.convolutions(sizes), {layer.name: _multiple_of_tile(layer)})
        graph.save(other)
        return seconds(direct, sizes, threads) / seconds(other, sizes, threads)


def _multiple_of_tile(layer: Convolution) -> int:
    return 1 if layer.height % TILE or layer.width % TILE else TILE


def _write_alone(layer: Convolution, path: Path) -> None:
    """A graph of nothing but ``layer`` with random weights."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    shape = (layer.filters, layer.channels, 3, 3)
    weights = rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(9 * layer.channels))
    given = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(weights[:, 0, 0, 0].copy(), "b")]
    node = helper.make_node("Conv", ["image", "w", "b"], ["out"], name=layer.name, kernel_shape=[3, 3], pads=[1] * 4)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, layer.channels, "height", "width"))
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, (1, layer.filters, "height", "width"))
    graph = helper.make_graph([node], "alone", [image], [out], given)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))


class _Nodes:
    """The nodes in place of one convolution. Values in comments are (axes) as C channels, K filters, T tiles."""

    def __init__(self, graph: FlatGraph, node: Any, multiple: int) -> None:
        self._graph, self._node, self._multiple = graph, node, multiple
        self._weights = graph.array(node.input[1])
        self._nodes: list[Any] = []

    def made(self) -> list[Any]:
        filters, channels = self._weights.shape[:2]
        image = self._node.input[0]
        # (1, C, H, W) -> (C, 1, H, W) -> (C, 36, h, w): every channel is an image of its own with 36 fixed kernels.
        # Four pixels more than needed on the far sides: the number of tiles is then right for every size.
        size = self._add("Shape", image, start=2, end=4)
        apart = self._add("Reshape", image, self._add("Concat", self._integers(channels, 1), size, axis=0))
        kernels = self._fixed("tiles", _tiles_kernels())
        tiles = self._add("Conv", apart, kernels, kernel_shape=[6, 6], strides=[TILE, TILE], pads=[1, 1, 4, 4])
        counts = self._add("Shape", tiles, start=2, end=4)
        # -> (36, C, T), times (36, K, C) -> (36, K, T) -> (36, K * T), times (16, 36) -> (16, K * T)
        by_channel = self._add("Reshape", tiles, self._integers(channels, PLACES, -1))
        by_place = self._add("Transpose", by_channel, perm=[1, 0, 2])
        matrix = self._graph.add_weight(f"{self._node.name}/winograd", transformed(self._weights))
        done = self._add("Reshape", self._add("MatMul", matrix, by_place), self._integers(PLACES, -1))
        pixels = self._add("MatMul", self._fixed("pixels", _pixels_matrix()), done)
        # -> (16, K, h, w) -> (K, 16, h, w) -> (K, 1, 4 h, 4 w) -> (1, K, 4 h, 4 w)
        shape = self._add("Concat", self._integers(TILE * TILE, filters), counts, axis=0)
        by_filter = self._add("Transpose", self._add("Reshape", pixels, shape), perm=[1, 0, 2, 3])
        spread = self._add("DepthToSpace", by_filter, blocksize=TILE)
        whole = self._add("Mul", counts, self._integers(TILE, TILE))
        out = self._add("Reshape", spread, self._add("Concat", self._integers(1, filters), whole, axis=0))
        if self._multiple % TILE:
            out = self._add("Slice", out, self._integers(0, 0), size, self._integers(2, 3))
        self._finish(out)
        return self._nodes

    def _finish(self, out: str) -> None:
        """Add the bias, and give the result the name that the convolution's had."""
        if len(self._node.input) > 2:
            bias = self._graph.array(self._node.input[2]).reshape(-1, 1, 1)
            self._add("Add", out, self._graph.add_weight(f"{self._node.name}/bias", bias))
        self._nodes[-1].output[0] = self._node.output[0]

    def _add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"{self._node.name}/{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def _integers(self, *values: int) -> str:
        import numpy as np

        return self._graph.add_weight(f"winograd/{'_'.join(map(str, values))}", np.array(values, np.int64))

    def _fixed(self, name: str, array: NDArray[np.float32]) -> str:
        return self._graph.add_weight(f"winograd/{name}", array)


@cache
def _weights_matrix() -> NDArray[np.float64]:
    """G of the paper, with its points 0, 1, -1, 2, -2 and infinity: (6, 3)."""
    import numpy as np

    rows = [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]
    return np.array(rows, np.float64) / 24


@cache
def _tiles_kernels() -> NDArray[np.float32]:
    """B of the paper in both directions, as kernels: (36, 1, 6, 6)."""
    import numpy as np

    rows = [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
    matrix = np.array(rows, np.float32)
    found: NDArray[np.float32] = np.einsum("ai,bj->abij", matrix, matrix).reshape(PLACES, 1, 6, 6)
    return found


@cache
def _pixels_matrix() -> NDArray[np.float32]:
    """A of the paper in both directions: (16, 36)."""
    import numpy as np

    rows = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
    matrix = np.array(rows, np.float32)
    found: NDArray[np.float32] = np.einsum("ai,bj->abij", matrix, matrix).reshape(TILE * TILE, PLACES)
    return found
