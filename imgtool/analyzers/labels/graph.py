"""What an ONNX file says about itself, read without the onnx library: no run needs that one, and its import is slow.

Only the few fields that matter are looked at; weights are stepped over, so that a file of any size takes a moment. The
field numbers are those of ``onnx.proto3``.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import msgspec

PROBABILITIES, LOGITS = "probabilities", "logits"

_Bytes: TypeAlias = "memoryview[int]"

_MAKE_PROBABILITIES = {"Softmax", "Sigmoid", "HardSigmoid", "QLinearSoftmax", "QLinearSigmoid"}
_MAKE_LOGITS = {"Gemm", "MatMul", "Conv", "QGemm", "QLinearMatMul", "QLinearConv", "LogSoftmax"}
_KEEP_VALUES = {
    *("Identity", "Cast", "CastLike", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout"),
    *("QuantizeLinear", "DequantizeLinear"),
}
_EXTERNAL, _UINT8 = 1, 2
_MOST_STEPS = 32


class Graph(msgspec.Struct, frozen=True):
    """Facts of an ONNX file.

    ``external`` are the locations of weights outside the file, as the graph names them, sorted. ``shapes`` has the
    dimensions of each input that is no weight; ``dtype`` is ``uint8`` if the first one takes that. ``endings`` says of
    each output whether the operations before it make ``probabilities`` or ``logits``; where they do not tell, it is
    missing.
    """

    external: tuple[str, ...] = ()
    shapes: tuple[tuple[int | None, ...], ...] = ()
    dtype: str = "float32"
    endings: dict[str, str] = {}
    metadata: dict[str, str] = {}


def read_graph(path: Path) -> Graph:
    """The facts in ``path``; of what is no ONNX file, none (onnxruntime says what is wrong with it).

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file, suppress(ValueError, IndexError, RecursionError):  # an empty file cannot be mapped
        return _read_model(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    return Graph()


def _read_model(data: _Bytes) -> Graph:
    graph = Graph()
    locations: set[str] = set()
    metadata = {}
    for number, value in _fields(data):
        if isinstance(value, int):
            continue
        if number == 7:
            _find_locations(value, "graph", locations)
            graph = _read_graph(value)
        elif number == 25:
            _find_locations(value, "function", locations)
        elif number == 14:
            entry = _strings(value)
            metadata[entry.get(1, "")] = entry.get(2, "")
    return msgspec.structs.replace(graph, external=tuple(sorted(locations)), metadata=metadata)


def _read_graph(data: _Bytes) -> Graph:
    weights: set[str] = set()
    inputs: dict[str, tuple[tuple[int | None, ...], int]] = {}
    outputs: list[str] = []
    makers: dict[str, tuple[str, list[str]]] = {}
    for number, value in _fields(data):
        if isinstance(value, int):
            continue
        if number == 1:
            _, kind, sources, results = _node(value)
            makers |= dict.fromkeys(results, (kind, sources))
        elif number == 5:
            weights.add(_strings(value, {8}).get(8, ""))
        elif number == 11:
            inputs[_strings(value, {1}).get(1, "")] = (_shape(value), _element(value))
        elif number == 12:
            outputs.append(_strings(value, {1}).get(1, ""))
    endings = {name: ending for name in outputs if (ending := _ending(name, makers))}
    images = [found for name, found in inputs.items() if name not in weights]
    dtype = "uint8" if images and images[0][1] == _UINT8 else "float32"
    return Graph(shapes=tuple(shape for shape, _ in images), dtype=dtype, endings=endings)


def _ending(name: str, makers: dict[str, tuple[str, list[str]]]) -> str | None:
    """What the operations before the value ``name`` make of it."""
    for _ in range(_MOST_STEPS):
        kind, sources = makers.get(name, ("", []))
        if kind in _MAKE_PROBABILITIES:
            return PROBABILITIES
        if kind in _MAKE_LOGITS:
            # A layer on probabilities may average or merge them: then the values themselves must tell.
            return None if _makers_kind(sources, makers) & _MAKE_PROBABILITIES else LOGITS
        if kind == "Add" and _makers_kind(sources, makers) & _MAKE_LOGITS:  # a layer and its bias
            return LOGITS
        if kind not in _KEEP_VALUES or not sources:
            return None
        name = sources[0]
    return None


def _makers_kind(sources: list[str], makers: dict[str, tuple[str, list[str]]]) -> set[str]:
    return {makers[source][0] for source in sources if source in makers}


def _node(data: _Bytes) -> tuple[list[_Bytes], str, list[str], list[str]]:
    attributes: list[_Bytes] = []
    kind, sources, results = "", [], []
    for number, value in _fields(data):
        if isinstance(value, int):
            continue
        if number == 1:
            sources.append(_text(value))
        elif number == 2:
            results.append(_text(value))
        elif number == 4:
            kind = _text(value)
        elif number == 5:
            attributes.append(value)
    return attributes, kind, sources, results


_PARTS = {
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""In which fields of a message further messages may hold a tensor."""


def _find_locations(data: _Bytes, kind: str, found: set[str]) -> None:
    """Add to ``found`` where each tensor below a message of ``kind`` keeps its values, if that is another file."""
    if kind == "tensor":
        parts = list(_fields(data))
        if (14, _EXTERNAL) in parts:
            entries = [_strings(value) for number, value in parts if number == 13 and not isinstance(value, int)]
            found |= {entry.get(2, "") for entry in entries if entry.get(1) == "location"}
        return
    below = _PARTS[kind]
    for number, value in _fields(data):
        if number in below and not isinstance(value, int):
            _find_locations(value, below[number], found)


def _below(data: _Bytes, *numbers: int) -> list[_Bytes]:
    """The messages under these field numbers, one inside the other."""
    found = [data]
    for number in numbers:
        found = [value for part in found for at, value in _fields(part) if at == number and not isinstance(value, int)]
    return found


def _shape(info: _Bytes) -> tuple[int | None, ...]:
    """The dimensions in a ``ValueInfoProto``: ``type.tensor_type.shape.dim``."""
    sizes = [dict(_fields(dim)).get(1) for dim in _below(info, 2, 1, 2, 1)]
    return tuple(size if isinstance(size, int) and 0 < size < 1 << 31 else None for size in sizes)


def _element(info: _Bytes) -> int:
    """The element type in a ``ValueInfoProto``: ``type.tensor_type.elem_type``."""
    kinds = [value for part in _below(info, 2, 1) for at, value in _fields(part) if at == 1 and isinstance(value, int)]
    return kinds[0] if kinds else 0


def _strings(data: _Bytes, only: set[int] | None = None) -> dict[int, str]:
    return {
        number: _text(value)
        for number, value in _fields(data)
        if not isinstance(value, int) and (only is None or number in only)
    }


def _text(value: _Bytes) -> str:
    return bytes(value).decode("utf-8", "replace")


def _fields(data: _Bytes) -> Iterator[tuple[int, int | _Bytes]]:
    """The fields of a protobuf message: numbers as ``int``, everything with a length as bytes; others are left out.

    Raises:
        ValueError, IndexError: it is no such message.
    """
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
        elif kind == 2:
            length, at = _varint(data, at)
            if length > end - at:
                raise ValueError("a field is longer than its message")
            yield number, data[at : at + length]
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"there is no wire type {kind}")


def _varint(data: _Bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
