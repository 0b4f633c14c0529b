"""BLIP's two networks as ONNX graphs: Li et al. 2022, "BLIP", as transformers' ``modeling_blip*.py`` computes them.

``vision`` turns pixels into features and, at once, into the keys and values with which every layer of the decoder
attends to the image: they depend on the image alone, so they are computed once an image. ``decoder`` takes one step.

Matrices stay as torch stores them, (out, in), and enter ``Gemm`` transposed: with one row or a few, that is what
onnxruntime streams fastest without packing a copy of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.compiling.onnx_writer import GraphWriter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VISION, DECODER = "vision", "decoder"


@dataclass(frozen=True)
class Sizes:
    """Of the text decoder, and of the picture (pixels a side) that the vision network takes."""

    layers: int
    heads: int
    head_size: int
    vocabulary: int
    image: int


def write_vision(model: Any, sizes: Sizes, into: Path) -> None:
    """Write the graph ``vision``.

    ``pixel_values`` (N, 3, H, W) float32 -> ``features`` (N, S, C), and for each layer i of the decoder
    ``cross_key_i`` (N, heads, D, S), transposed as the decoder multiplies it, and ``cross_value_i`` (N, heads, S, D).
    """
    vision = model.vision_model
    length, width = vision.embeddings.num_positions, vision.config.hidden_size
    with GraphWriter(into, VISION) as graph:
        build = _Blocks(graph)
        pixels = graph.input("pixel_values", ("images", 3, sizes.image, sizes.image))
        rows = _patches(build, vision.embeddings, pixels)
        for layer in vision.encoder.layers:
            rows = _vision_layer(build, layer, rows, length)
        rows = build.normalised(rows, vision.post_layernorm)
        features = graph.output("features", ("images", length, width))
        build.reshaped(rows, -1, length, width, into=features)
        for index, layer in enumerate(model.text_decoder.bert.encoder.layer):
            attention = layer.crossattention.self
            heads, size = attention.num_attention_heads, attention.attention_head_size
            for module, name, axes in ((attention.key, "key", (0, 2, 3, 1)), (attention.value, "value", (0, 2, 1, 3))):
                apart = build.reshaped(build.linear(rows, module), -1, length, heads, size)
                shape = [("images", length, heads, size)[axis] for axis in axes]
                build.transposed(apart, *axes, into=graph.output(f"cross_{name}_{index}", shape))
        graph.finish()


def write_decoder(model: Any, sizes: Sizes, into: Path) -> None:
    """Write the graph ``decoder``: one step for R rows, of T tokens each, after P earlier ones (T > 0, P >= 0).

    ``tokens`` (R, T) int64, ``positions`` (T,) int64, ``mask`` (T, P + T) float32 to be added to the scores,
    ``past_key_i`` and ``past_value_i`` (R, heads, P, D), and ``cross_key_i`` and ``cross_value_i`` of N images, where
    R is a multiple of N: the R/N rows of an image stand together and share its keys and values. Gives ``logits``
    (R, V) of the last of the T tokens, and ``key_i`` and ``value_i`` (R, heads, P + T, D).
    """
    decoder = model.text_decoder
    with GraphWriter(into, DECODER) as graph:
        step = _Step(graph, sizes)
        words = graph.weight(_array(decoder.bert.embeddings.word_embeddings.weight))
        rows = step.embedded(decoder.bert.embeddings, words)
        for index, layer in enumerate(decoder.bert.encoder.layer):
            rows = step.layer(layer, rows, index)
        step.logits(decoder, words, rows)
        graph.finish()


class _Blocks:
    """The operators that both networks are made of. ``rows`` are (rows, C): all positions of all images in one."""

    def __init__(self, graph: GraphWriter) -> None:
        self.graph = graph

    def linear(self, rows: str, *modules: Any, scale: float = 1.0) -> str:
        """One matrix for all ``modules`` side by side; what the first of them gives is multiplied by ``scale``."""
        import numpy as np

        weights, biases = ([_array(getattr(each, name)) for each in modules] for name in ("weight", "bias"))
        weights[0], biases[0] = weights[0] * np.float32(scale), biases[0] * np.float32(scale)
        return self.gemm(rows, self.graph.weight(np.concatenate(weights)), self.graph.weight(np.concatenate(biases)))

    def gemm(self, rows: str, weight: str, bias: str, into: str = "") -> str:
        return self.graph.node("Gemm", rows, weight, bias, into=into, transB=1)

    def add(self, first: str, second: str) -> str:
        return self.graph.node("Add", first, second)

    def normalised(self, rows: str, module: Any) -> str:
        scale, shift = (self.graph.weight(_array(each)) for each in (module.weight, module.bias))
        return self.graph.node("LayerNormalization", rows, scale, shift, epsilon=module.eps)

    def gelu(self, rows: str) -> str:
        return self.graph.node("Gelu", rows)

    def reshaped(self, value: str, *shape: int, into: str = "") -> str:
        return self.graph.node("Reshape", value, self.graph.integers(*shape), into=into)

    def transposed(self, value: str, *axes: int, into: str = "") -> str:
        return self.graph.node("Transpose", value, into=into, perm=axes)

    def attended(self, query: str, key: str, value: str, mask: str = "") -> str:
        """(A, heads, Q, D) x (A, heads, D, K) -> (A * Q, heads * D). The query is scaled already."""
        scores = self.graph.node("MatMul", query, key)
        scores = self.add(scores, mask) if mask else scores
        context = self.graph.node("MatMul", self.graph.node("Softmax", scores, axis=-1), value)
        return self.transposed(context, 0, 2, 1, 3)

    def split(self, value: str, axis: int) -> list[str]:
        return self.graph.nodes("Split", value, outputs=3, axis=axis, num_outputs=3)


def _patches(build: _Blocks, embeddings: Any, pixels: str) -> str:
    """The class token and the patches, each with its position added: (images * positions, C)."""
    graph, patch, size = build.graph, embeddings.patch_embedding, embeddings.patch_size
    kernel, bias = graph.weight(_array(patch.weight)), graph.weight(_array(patch.bias))
    grid = graph.node("Conv", pixels, kernel, bias, kernel_shape=(size, size), strides=(size, size))
    patches = build.transposed(build.reshaped(grid, 0, 0, -1), 0, 2, 1)
    # Where pixels have no share in the class token, the first position is that token and its position together.
    positions = _array(embeddings.position_embedding)
    first = positions[:, :1] + _array(embeddings.class_embedding)
    images = graph.node("Shape", pixels, start=0, end=1)
    shape = graph.node("Concat", images, graph.integers(*first.shape[1:]), axis=0)
    token = graph.node("Expand", graph.weight(first), shape)
    placed = build.add(patches, graph.weight(positions[:, 1:]))
    return build.reshaped(graph.node("Concat", token, placed, axis=1), -1, first.shape[2])


def _vision_layer(build: _Blocks, layer: Any, rows: str, length: int) -> str:
    attention = layer.self_attn
    heads, width = attention.num_heads, attention.embed_dim
    normal = build.normalised(rows, layer.layer_norm1)
    # Queries, keys and values in one, (rows, 3C), the queries scaled.
    weight, bias = _array(attention.qkv.weight).copy(), _array(attention.qkv.bias).copy()
    for each in (weight, bias):
        each[:width] *= attention.scale
    qkv = build.gemm(normal, build.graph.weight(weight), build.graph.weight(bias))
    parts = build.split(build.reshaped(qkv, -1, length, 3 * width), axis=2)
    # This operator never holds the scores of all positions at once: the network takes 3 % less time.
    context = build.graph.node("MultiHeadAttention", *parts, domain="com.microsoft", num_heads=heads, scale=1.0)
    rows = build.add(build.linear(build.reshaped(context, -1, width), attention.projection), rows)
    inner = build.gelu(build.linear(build.normalised(rows, layer.layer_norm2), layer.mlp.fc1))
    return build.add(build.linear(inner, layer.mlp.fc2), rows)


class _Step(_Blocks):
    """One step of the decoder: its inputs, its layers, its logits."""

    def __init__(self, graph: GraphWriter, sizes: Sizes) -> None:
        super().__init__(graph)
        self._sizes = sizes
        self._tokens = graph.input("tokens", ("rows", "tokens"), integer=True)
        self._positions = graph.input("positions", ("tokens",), integer=True)
        self._mask = graph.input("mask", ("tokens", "past + tokens"))
        heads = graph.integers(3 * sizes.heads, sizes.head_size)
        self._own_shape = graph.node("Concat", graph.node("Shape", self._tokens), heads, axis=0)
        self._image_shape = ""

    def embedded(self, embeddings: Any, words: str) -> str:
        """Words and positions, (R * T, C)."""
        places = self.graph.weight(_array(embeddings.position_embeddings.weight))
        word = self.graph.node("Gather", words, self._tokens)
        both = self.add(word, self.graph.node("Gather", places, self._positions))
        return self.normalised(self.reshaped(both, -1, self._width), embeddings.LayerNorm)

    def layer(self, layer: Any, rows: str, index: int) -> str:
        rows = self._ended(layer.attention.output, self._own(layer.attention.self, rows, index), rows)
        rows = self._ended(layer.crossattention.output, self._cross(layer.crossattention.self, rows, index), rows)
        return self._ended(layer.output, self.gelu(self.linear(rows, layer.intermediate.dense)), rows)

    def logits(self, decoder: Any, words: str, rows: str) -> None:
        """Of the last token of each row."""
        head, matrix = decoder.cls.predictions, decoder.cls.predictions.decoder.weight
        shape = self.graph.node("Concat", self.graph.node("Shape", self._tokens), self.graph.integers(-1), axis=0)
        apart = self.graph.node("Reshape", rows, shape)
        last = self.reshaped(self.graph.node("Gather", apart, self.graph.integers(-1), axis=1), -1, self._width)
        last = self.normalised(self.gelu(self.linear(last, head.transform.dense)), head.transform.LayerNorm)
        tied = matrix.data_ptr() == decoder.bert.embeddings.word_embeddings.weight.data_ptr()
        weight = words if tied else self.graph.weight(_array(matrix))
        logits = self.graph.output("logits", ("rows", self._sizes.vocabulary))
        self.gemm(last, weight, self.graph.weight(_array(head.decoder.bias)), into=logits)

    @property
    def _width(self) -> int:
        return self._sizes.heads * self._sizes.head_size

    def _ended(self, module: Any, inner: str, rows: str) -> str:
        return self.normalised(self.add(self.linear(inner, module.dense), rows), module.LayerNorm)

    def _own(self, attention: Any, rows: str, index: int) -> str:
        """Attention to the row's own tokens, earlier ones included."""
        mixed = self.linear(rows, attention.query, attention.key, attention.value, scale=_scale(attention))
        apart = self.transposed(self.graph.node("Reshape", mixed, self._own_shape), 0, 2, 1, 3)
        query, *new = self.split(apart, axis=1)
        heads, size = self._sizes.heads, self._sizes.head_size
        for place, name in enumerate(("key", "value")):
            past = self.graph.input(f"past_{name}_{index}", ("rows", heads, "past", size))
            both = self.graph.output(f"{name}_{index}", ("rows", heads, "past + tokens", size))
            new[place] = self.graph.node("Concat", past, new[place], into=both, axis=2)
        key, value = new
        context = self.attended(query, self.transposed(key, 0, 1, 3, 2), value, self._mask)
        return self.reshaped(context, -1, self._width)

    def _cross(self, attention: Any, rows: str, index: int) -> str:
        """Attention to the image. All tokens of all rows of an image are queries to the one set of keys it has."""
        heads, size = self._sizes.heads, self._sizes.head_size
        key = self.graph.input(f"cross_key_{index}", ("images", heads, size, "positions"))
        value = self.graph.input(f"cross_value_{index}", ("images", heads, "positions", size))
        query = self.linear(rows, attention.query, scale=_scale(attention))
        if not self._image_shape:
            images = self.graph.node("Shape", key, start=0, end=1)
            self._image_shape = self.graph.node("Concat", images, self.graph.integers(-1, heads, size), axis=0)
        query = self.graph.node("Reshape", query, self._image_shape)
        return self.reshaped(self.attended(self.transposed(query, 0, 2, 1, 3), key, value), -1, self._width)


def _scale(attention: Any) -> float:
    return 1 / math.sqrt(attention.attention_head_size)


def _array(tensor: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array
