"""Optimises a graph for this machine and stores the result beside the portable graph.

onnxruntime writes the graph as it would run it, with the weights in a separate file. Most of these are the same bytes
as the portable graph's, so the optimised graph refers to those. Only rewritten weights (of convolutions, in blocks as
wide as the processor's registers) are stored again.

Matrices in eight bits are packed before they are multiplied. onnxruntime can write the packed ones beside the weights
that they were made of, so that sessions map them and have no copy of their own. Compiling processes only.
"""

from __future__ import annotations

import hashlib
import mmap
import re
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


def optimise(folder: Path, name: str, rewritten: Path | None = None, *, packed: bool = False) -> None:
    """Write ``<name>.optimised.onnx`` beside ``<name>.onnx`` in ``folder``.

    ``rewritten`` is a graph that computes the same, to be optimised in its place. A ``packed`` one holds packed weights
    too, and refers to no file of the portable graph.

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
        ("session.disable_prepacking", "0" if packed else "1"),
        ("session.save_external_prepacked_constant_initializers", "1" if packed else "0"),
    ):
        options.add_session_config_entry(key, value)
    onnxruntime.InferenceSession(str(rewritten or portable), options, providers=[PROVIDER])
    try:
        known: dict[bytes, _WeightPlace] = {}
        model = onnx.load(str(raw), load_external_data=False)
        for _, place, _ in () if packed else _outside(onnx.load(str(portable), load_external_data=False)):
            known[hashlib.sha256(place.read(folder)).digest()] = place
        data = folder / f"{target.name}.data"
        with data.open("wb") as own:

            def written(place: _WeightPlace) -> _WeightPlace:
                own.seek(-(-own.tell() // _PAGE) * _PAGE)
                now = _WeightPlace(data.name, own.tell(), place.length)
                own.write(place.read(folder))
                return now

            for tensor, place, packs in _outside(model):
                shared = known.get(hashlib.sha256(place.read(folder)).digest()) or written(place)
                entries = dict(zip(("location", "offset", "length"), shared, strict=True))
                for key, (kernel, parts) in packs.items():
                    moved = [f"|{written(part).offset};{part.length};{rest}" for part, rest in parts]
                    entries[key] = kernel + "".join(moved)
                del tensor.external_data[:]
                for key, entry in entries.items():
                    tensor.external_data.add(key=key, value=str(entry))
            size = own.tell()
        if not size:
            data.unlink()
        target.write_bytes(model.SerializeToString())
    finally:
        for path in (raw, folder / f"{raw.name}.data"):
            path.unlink(missing_ok=True)


_Packs = dict[str, tuple[str, list[tuple[_WeightPlace, str]]]]
"""By key of an entry: the kernel that packed, and for each part its place and what else is said of it."""


def _outside(model: Any) -> Iterator[tuple[Any, _WeightPlace, _Packs]]:
    """Each weight that is stored outside of the graph, its place, and what was packed of it.

    An entry ``prepacked_<n>`` is ``<kernel>+<hash>|<offset>;<length>;<checksum>``, its second half once for each part.
    """
    for tensor in model.graph.initializer:
        given = {entry.key: entry.value for entry in tensor.external_data}
        if "location" not in given:
            continue
        packs: _Packs = {}
        for key in (key for key in given if key.startswith("prepacked_")):
            kernel, *parts = re.split(r"[|](?=\d+;)", given[key])
            split = (part.split(";", 2) for part in parts)
            packs[key] = (
                kernel,
                [(_WeightPlace(given["location"], int(at), int(size)), rest) for at, size, rest in split],
            )
        yield tensor, _WeightPlace(given["location"], int(given.get("offset", 0)), int(given["length"])), packs
