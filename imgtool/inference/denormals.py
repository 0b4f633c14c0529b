"""Denormal weights of an ONNX file, found and set to zero as bytes, without the ``onnx`` package.

A denormal number is nearer to zero than the smallest one of full precision, 1.2e-38 for float32. Training with weight
decay leaves them by the hundred thousand in layers that it has switched off. On many processors each product with one
costs a hundred times as much as any other, and no sum is changed by it.

The walk follows the message types of ``onnx.proto3``: a model holds a graph and functions, these hold nodes, and
tensors are initialisers, attributes of nodes, or the values of sparse ones. It reads ``raw_data``, ``float_data``,
``double_data`` and files of external data. Sixteen-bit numbers that stand in ``int32_data`` are left as they are.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgtool.files import writable

SMALLEST = 16
"""Numbers in a tensor. A smaller one may be a constant that only has to be greater than zero, and is left as it is."""

_FLOAT, _HALF, _DOUBLE, _BFLOAT = 1, 10, 11, 16
_EXTERNAL = 1

# Field numbers of onnx.proto3: those that lead to a message of another kind.
_MODEL = {7: "graph", 25: "function"}
_GRAPH = {1: "node", 5: "tensor", 15: "sparse"}
_FUNCTION = {7: "node"}
_NODE = {5: "attribute"}
_ATTRIBUTE = {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"}
_SPARSE = {1: "tensor"}
_INSIDE = {
    "model": _MODEL,
    "graph": _GRAPH,
    "function": _FUNCTION,
    "node": _NODE,
    "attribute": _ATTRIBUTE,
    "sparse": _SPARSE,
}

_PIECE = 1 << 16
"""Numbers looked at in one go: their copies stay in the processor's cache."""


@dataclass(frozen=True)
class _Kind:
    """A format of floating-point numbers: its unsigned integer, and the bits of exponent and mantissa but the sign's.

    ``is_slow`` says that its denormals are also those of the float32 that it is computed in; a float16 is an ordinary
    number there, and one that matters.
    """

    integer: Any
    mantissa_bits: int
    is_slow: bool


_KINDS = {
    _FLOAT: _Kind(np.uint32, 23, True),
    _DOUBLE: _Kind(np.uint64, 52, True),
    _BFLOAT: _Kind(np.uint16, 7, True),
    _HALF: _Kind(np.uint16, 10, False),
}


@dataclass(frozen=True)
class Denormals:
    """What was found: denormal numbers, and of them float16 ones, which were counted and left; of how many ``numbers``.

    float16 denormals are up to 6e-5. Every runtime widens them to float32, where they are neither slow nor without
    effect.
    """

    numbers: int = 0
    denormal: int = 0
    half: int = 0

    @property
    def zeroed(self) -> int:
        """How many are zero now, or would be."""
        return self.denormal - self.half

    def __add__(self, other: Denormals) -> Denormals:
        return Denormals(self.numbers + other.numbers, self.denormal + other.denormal, self.half + other.half)


@dataclass(frozen=True)
class _Stored:
    """Numbers of one tensor: ``length`` bytes at ``offset`` of the graph, or of the file ``location`` beside it."""

    kind: int
    offset: int
    length: int
    location: str = ""


class NotOnnx(ValueError):
    """The bytes are no ONNX model."""


def external_files(graph: Path) -> list[Path]:
    """The files beside ``graph`` that hold weights of it, in the order in which it names them.

    Raises:
        OSError: it cannot be read.
        NotOnnx: it is no ONNX model.
    """
    names = dict.fromkeys(each.location for each in _stored(_mapped(graph, is_changed=False)) if each.location)
    return [_beside(graph, name) for name in names]


def count_denormals(graph: Path) -> Denormals:
    """The denormal weights of the ONNX file ``graph``, those in files beside it included.

    Raises:
        OSError: it or a file of weights cannot be read.
        NotOnnx: it is no ONNX model.
    """
    return _in_files(graph, is_changed=False)


def zero_denormals(graph: Path) -> Denormals:
    """Set denormal weights of ``graph`` and of the files beside it to zero, in place.

    Nobody else may have the files open. A graph that has no denormals is not written.

    Raises:
        OSError: a file cannot be read.
        imgtool.errors.StoreNotWritable: a file cannot be written.
        NotOnnx: it is no ONNX model.
    """
    found = count_denormals(graph)
    if found.zeroed:
        with writable(graph.parent):
            _in_files(graph, is_changed=True)
    return found


def zeroed_bytes(graph: bytes) -> tuple[bytearray, Denormals]:
    """``graph``, an ONNX file that holds all its weights itself, with its denormals set to zero.

    Raises:
        NotOnnx: it is no ONNX model, or some of its weights lie in another file.
    """
    copied = bytearray(graph)
    with memoryview(copied) as view:
        stored = list(_stored(view))
        if any(each.location for each in stored):
            raise NotOnnx("some of its weights lie in another file")
        found = sum((_examined(view, each, is_changed=True) for each in stored), Denormals())
    return copied, found


def _in_files(graph: Path, *, is_changed: bool) -> Denormals:
    view = _mapped(graph, is_changed)
    stored = list(_stored(view))
    views = {"": view}
    for name in {each.location for each in stored} - {""}:
        views[name] = _mapped(_beside(graph, name), is_changed)
    return sum((_examined(views[each.location], each, is_changed) for each in stored), Denormals())


def _mapped(path: Path, is_changed: bool) -> memoryview:
    """The bytes of ``path``; what is written into them is in the file. Unmapped when nobody refers to them any more."""
    with path.open("r+b" if is_changed else "rb") as file:
        if not path.stat().st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_WRITE if is_changed else mmap.ACCESS_READ))


def _beside(graph: Path, name: str) -> Path:
    path = graph.parent / name
    # onnxruntime refuses these as well: a model must not read or change what lies elsewhere.
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise NotOnnx(f"its weights lie outside of its folder: {name}")
    return path


def _examined(view: memoryview, stored: _Stored, is_changed: bool) -> Denormals:
    kind = _KINDS[stored.kind]
    size = np.dtype(kind.integer).itemsize
    if stored.offset < 0 or stored.length < 0 or stored.offset + stored.length > len(view):
        raise NotOnnx(f"it names {stored.length} bytes at {stored.offset} of a file of {len(view)}")
    bits = np.frombuffer(view, kind.integer, stored.length // size, stored.offset)
    # Doubled, which drops the sign, denormals are 2, 4, ... up to the smallest normal number; zero wraps around.
    limit = kind.integer((2 << kind.mantissa_bits) - 2)
    count, doubled = 0, np.empty(min(_PIECE, len(bits)), kind.integer)
    for start in range(0, len(bits), _PIECE):
        piece = bits[start : start + _PIECE]
        room = doubled[: len(piece)]
        np.left_shift(piece, 1, out=room)
        np.subtract(room, 2, out=room)
        are_denormal = room < limit
        if found := int(np.count_nonzero(are_denormal)):
            count += found
            if is_changed and kind.is_slow:
                piece[are_denormal] = 0
    return Denormals(len(bits), count, 0 if kind.is_slow else count)


def _stored(view: memoryview) -> Iterator[_Stored]:
    """Every tensor of floating-point numbers in a model that is large enough to be one of weights."""
    try:
        yield from _tensors(view, "model", 0, len(view))
    except (IndexError, UnicodeDecodeError, RecursionError) as error:
        raise NotOnnx(f"it is no ONNX model: {error}") from error


def _tensors(view: memoryview, what: str, start: int, end: int) -> Iterator[_Stored]:
    inside = _INSIDE[what]
    for number, wire, begin, stop in _fields(view, start, end):
        kind = inside.get(number)
        if kind is None or wire != 2 or stop - begin < SMALLEST:
            continue
        if kind == "tensor":
            yield from _tensor(view, begin, stop)
        else:
            yield from _tensors(view, kind, begin, stop)


def _tensor(view: memoryview, start: int, end: int) -> Iterator[_Stored]:
    kind, numbers, is_outside = 0, 1, False
    spans: list[tuple[int, int]] = []
    entries: dict[str, str] = {}
    for number, wire, begin, stop in _fields(view, start, end):
        if number == 1:  # dims, packed or not
            numbers *= _product(view, begin, stop)
        elif number == 2:
            kind, _ = _varint(view, begin)
        elif number in (4, 9, 10) and wire != 0:
            spans.append((begin, stop - begin))
        elif number == 13:
            entries.update([_entry(view, begin, stop)])
        elif number == 14:
            is_outside = _varint(view, begin)[0] == _EXTERNAL
    if kind not in _KINDS or numbers < SMALLEST:
        return
    if is_outside:
        size = numbers * np.dtype(_KINDS[kind].integer).itemsize
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
        yield _Stored(kind, offset, length, entries.get("location", ""))
    else:
        yield from (_Stored(kind, begin, length) for begin, length in spans)


def _product(view: memoryview, start: int, end: int) -> int:
    product = 1
    while start < end:
        value, start = _varint(view, start)
        product *= value
    return product


def _entry(view: memoryview, start: int, end: int) -> tuple[str, str]:
    words = {number: bytes(view[begin:stop]).decode() for number, _, begin, stop in _fields(view, start, end)}
    return words.get(1, ""), words.get(2, "")


def _fields(view: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, and where the value begins and stops, of each field of a message."""
    while start < end:
        key, start = _varint(view, start)
        wire = key & 7
        if wire == 2:
            length, start = _varint(view, start)
            stop = start + length
        elif wire == 0:
            _, stop = _varint(view, start)
        elif wire in (1, 5):
            stop = start + (8 if wire == 1 else 4)
        else:
            raise NotOnnx(f"it is no ONNX model: a field of wire type {wire}")
        if stop > end:
            raise NotOnnx("it is no ONNX model, or it was cut off")
        yield key >> 3, wire, start, stop
        start = stop


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """A number of variable length, and where it stops."""
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise NotOnnx("it is no ONNX model: a number of more than ten bytes")
