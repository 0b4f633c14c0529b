"""Optimising a graph once, for the machine at hand, and keeping the result beside the portable one.

onnxruntime writes the graph as it would run it, with the weights in a file of their own. Most of them are the same
bytes as the portable graph's: the optimised one then names those, and only what was rewritten (convolutions, in
blocks as wide as the processor's registers) is kept a second time. Compiling processes only.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgtool.artefacts.manifest import OPTIMISED
from imgtool.artefacts.runtime_identity import PROVIDER

_SMALLEST_OUTSIDE = 1024
"""Bytes: smaller tensors stay in the graph."""

_PAGE = 4096
_RAW = ".raw"


@dataclass(frozen=True)
class _Place:
    """Bytes of a file."""

    file: str
    offset: int
    length: int


def optimise(folder: Path, name: str) -> None:
    """Write ``<name>.optimised.onnx`` beside ``<name>.onnx`` in ``folder``.

    Raises:
        OSError: the folder cannot be written.
    """
    raw = folder / f"{name}{_RAW}.onnx"
    _save_as_run(folder / f"{name}.onnx", raw)
    try:
        _share_weights(folder, name, raw)
    finally:
        for path in (raw, _data(raw)):
            path.unlink(missing_ok=True)


def _save_as_run(portable: Path, raw: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = str(raw)
    for key, value in (
        ("session.optimized_model_external_initializers_file_name", _data(raw).name),
        ("session.optimized_model_external_initializers_min_size_in_bytes", str(_SMALLEST_OUTSIDE)),
        ("session.disable_prepacking", "1"),
    ):
        options.add_session_config_entry(key, value)
    onnxruntime.InferenceSession(str(portable), options, providers=[PROVIDER])


def _share_weights(folder: Path, name: str, raw: Path) -> None:
    import onnx

    model = onnx.load(str(raw), load_external_data=False)
    portable = onnx.load(str(folder / f"{name}.onnx"), load_external_data=False)
    known = {_digest(folder, place): place for _, place in _outside(portable)}
    target = folder / f"{name}{OPTIMISED}"
    with _data(target).open("wb") as own:
        for tensor, place in _outside(model):
            shared = known.get(_digest(folder, place))
            _point(tensor, shared or _appended(folder, place, own))
        size = own.tell()
    if not size:
        _data(target).unlink()
    target.write_bytes(model.SerializeToString())


def _data(graph: Path) -> Path:
    return graph.with_name(f"{graph.name}.data")


def _outside(model: Any) -> Iterator[tuple[Any, _Place]]:
    """Each weight that lies outside of the graph, and where."""
    for tensor in model.graph.initializer:
        given = {entry.key: entry.value for entry in tensor.external_data}
        if "location" in given:
            yield tensor, _Place(given["location"], int(given.get("offset", 0)), int(given["length"]))


def _digest(folder: Path, place: _Place) -> bytes:
    with _mapped(folder, place) as view:
        return hashlib.sha256(memoryview(view)[place.offset : place.offset + place.length]).digest()


def _appended(folder: Path, place: _Place, own: Any) -> _Place:
    offset = -(-own.tell() // _PAGE) * _PAGE
    own.seek(offset)
    with _mapped(folder, place) as view:
        own.write(memoryview(view)[place.offset : place.offset + place.length])
    return _Place(Path(own.name).name, offset, place.length)


def _mapped(folder: Path, place: _Place) -> mmap.mmap:
    with (folder / place.file).open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _point(tensor: Any, place: _Place) -> None:
    del tensor.external_data[:]
    for key, value in (("location", place.file), ("offset", str(place.offset)), ("length", str(place.length))):
        tensor.external_data.add(key=key, value=value)
