"""Optimises a graph for this machine and stores the result beside the portable graph.

onnxruntime writes the graph as it would run it, with the weights in a separate file. Most of these are the same bytes
as the portable graph's, so the optimised graph refers to those. Only rewritten weights (of convolutions, in blocks as
wide as the processor's registers) are stored again. Compiling processes only.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from imgtool.artefacts.manifest import OPTIMISED
from imgtool.artefacts.runtime_identity import PROVIDER

_SMALLEST_OUTSIDE = 1024
"""Bytes: smaller tensors stay in the graph."""

_PAGE = 4096


class _WeightPlace(NamedTuple):
    """A range of bytes in a file."""

    file: str
    offset: int
    length: int

    def read(self, folder: Path) -> memoryview:
        with (folder / self.file).open("rb") as file:
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return memoryview(view)[self.offset : self.offset + self.length]


def optimise(folder: Path, name: str) -> None:
    """Write ``<name>.optimised.onnx`` beside ``<name>.onnx`` in ``folder``.

    Raises:
        OSError: the folder cannot be written.
    """
    import onnx
    import onnxruntime

    portable, raw, target = (folder / f"{name}{end}" for end in (".onnx", ".raw.onnx", OPTIMISED))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = str(raw)
    for key, value in (
        ("session.optimized_model_external_initializers_file_name", f"{raw.name}.data"),
        ("session.optimized_model_external_initializers_min_size_in_bytes", str(_SMALLEST_OUTSIDE)),
        ("session.disable_prepacking", "1"),
    ):
        options.add_session_config_entry(key, value)
    onnxruntime.InferenceSession(str(portable), options, providers=[PROVIDER])
    try:
        known: dict[bytes, _WeightPlace] = {}
        model = onnx.load(str(raw), load_external_data=False)
        for _, place in _outside(onnx.load(str(portable), load_external_data=False)):
            known[hashlib.sha256(place.read(folder)).digest()] = place
        data = folder / f"{target.name}.data"
        with data.open("wb") as own:
            for tensor, place in _outside(model):
                content = place.read(folder)
                shared = known.get(hashlib.sha256(content).digest())
                if shared is None:
                    offset = -(-own.tell() // _PAGE) * _PAGE
                    own.seek(offset)
                    own.write(content)
                    shared = _WeightPlace(data.name, offset, place.length)
                del tensor.external_data[:]
                for entry, place_value in zip(("location", "offset", "length"), shared, strict=True):
                    tensor.external_data.add(key=entry, value=str(place_value))
            size = own.tell()
        if not size:
            data.unlink()
        target.write_bytes(model.SerializeToString())
    finally:
        for path in (raw, folder / f"{raw.name}.data"):
            path.unlink(missing_ok=True)


def _outside(model: Any) -> Iterator[tuple[Any, _WeightPlace]]:
    """Each weight that is stored outside of the graph, and its place."""
    for tensor in model.graph.initializer:
        given = {entry.key: entry.value for entry in tensor.external_data}
        if "location" in given:
            yield tensor, _WeightPlace(given["location"], int(given.get("offset", 0)), int(given["length"]))
