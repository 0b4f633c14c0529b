"""The methods by which a lossy twin can be made, and which of them this processor may gain from.

bfloat16 is OpenVINO's, for processors that multiply it. Eight bits are made here: convolutions with ranges that were
measured beforehand, matrices with ranges that are found as they come. onnxruntime computes both; where a processor has
no instructions for them (VNNI), OpenVINO's kernels for convolutions are the better ones. Compiling processes only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgtool.artefacts.manifest import FAST
from imgtool.compiling.blip.graphs import VISION
from imgtool.compiling.blip.int8 import quantise
from imgtool.compiling.interface import Feeds
from imgtool.compiling.lossy.int8_static import FEWEST_FILTERS, quantise_static
from imgtool.compiling.optimise import optimise
from imgtool.ground.privacy import import_openvino

ONNXRUNTIME, OPENVINO = "onnxruntime", "openvino"

MULTIPLIES_BFLOAT16 = frozenset(("amx_bf16", "avx512_bf16"))
_ADDS_FOUR_PRODUCTS = frozenset(("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"))
"""Of eight bits, in 32 bits and in one step."""


_IN_PART = 0.25
"""Share of the weights: that of the recogniser's convolutions is a third, that of BLIP's patches less than 0.01."""


@dataclass(frozen=True)
class LossyMethod:
    """``build`` writes the twin of the compiled model in a folder into its folder ``FAST``.

    It says whether there was a graph that a twin can be made of. Whatever it raises but :class:`OSError`, the method
    does not pay here."""

    executor: str
    name: str
    build: Callable[[Path, Sequence[str], Feeds], bool]


def lossy_methods(features: Iterable[str], has_openvino: bool) -> list[LossyMethod]:
    """What is worth trying on a processor with ``features`` (the kernel's names of them)."""
    given = frozenset(features)
    has_vnni = bool(given & _ADDS_FOUR_PRODUCTS)
    found = []
    if has_openvino and given & MULTIPLIES_BFLOAT16:
        found.append(LossyMethod(OPENVINO, "bfloat16 by OpenVINO", in_bfloat16))
    if has_openvino and not has_vnni:
        found.append(LossyMethod(OPENVINO, "convolutions in int8 by OpenVINO", _convolutions_by_openvino))
    found.append(LossyMethod(ONNXRUNTIME, "convolutions in int8", _Convolutions(not has_vnni)))
    more = _Convolutions(not has_vnni, also_in_part=True)
    found.append(LossyMethod(ONNXRUNTIME, "convolutions in int8, of the recogniser too", more))
    found.append(LossyMethod(ONNXRUNTIME, "matrices in int8", _Matrices(not has_vnni)))
    return found


def in_bfloat16(folder: Path, graphs: Sequence[str], feeds: Feeds) -> bool:
    for name in graphs:
        _export_blob(folder / f"{name}.onnx", folder / FAST / f"{name}.blob", "bf16")
    return True


def _convolutions_by_openvino(folder: Path, graphs: Sequence[str], feeds: Feeds) -> bool:
    chosen = _convolutional(folder, graphs)
    for name in chosen:
        made = folder / FAST / f"{name}.onnx"
        quantise_static(folder / f"{name}.onnx", made, feeds(name), seven_bits=True)
        _export_blob(made, made.with_suffix(".blob"), "f32")
        made.unlink()
        made.with_name(f"{made.name}.data").unlink()
    return bool(chosen)


@dataclass(frozen=True)
class _Convolutions:
    """``also_in_part``: beside graphs of convolutions those that begin with some, as EasyOCR's recogniser."""

    seven_bits: bool
    also_in_part: bool = False

    def __call__(self, folder: Path, graphs: Sequence[str], feeds: Feeds) -> bool:
        chosen = _convolutional(folder, graphs)
        if self.also_in_part:
            more = _convolutional(folder, graphs, _IN_PART)
            chosen = more if len(more) > len(chosen) else []
        for name in chosen:
            made = folder / FAST / f"{name}.onnx"
            quantise_static(folder / f"{name}.onnx", made, feeds(name), seven_bits=self.seven_bits)
            _keep_optimised(folder / FAST, name)
        return bool(chosen)


@dataclass(frozen=True)
class _Matrices:
    seven_bits: bool

    def __call__(self, folder: Path, graphs: Sequence[str], feeds: Feeds) -> bool:
        chosen = [name for name in graphs if _share(folder / f"{name}.onnx", "Gemm") > 0.5]
        for name in chosen:
            quantise(folder, folder / FAST, name, seven_bits=self.seven_bits, sees_one_image=name == VISION)
            _keep_optimised(folder / FAST, name)
        return bool(chosen)


def _convolutional(folder: Path, graphs: Sequence[str], share: float = 0.5) -> list[str]:
    return [name for name in graphs if _share(folder / f"{name}.onnx", "Conv") > share]


def _keep_optimised(folder: Path, name: str) -> None:
    """Only the optimised graph is ever opened, which has weights of its own, packed."""
    optimise(folder, name, packed=True)
    (folder / f"{name}.onnx").unlink()
    (folder / f"{name}.onnx.data").unlink(missing_ok=True)


def _export_blob(graph: Path, blob: Path, precision: str) -> None:
    settings = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    compiled = import_openvino().Core().compile_model(str(graph), "CPU", settings)
    # Not OpenVINO's own cache: its files are found by where the graph lies, and this folder will be moved.
    blob.write_bytes(compiled.export_model().getbuffer())


def _share(graph: Path, kind: str) -> float:
    """The share of a graph's weights that operators of ``kind`` multiply with and that would be in eight bits."""
    import onnx

    model = onnx.load(str(graph), load_external_data=False).graph
    shapes = {each.name: tuple(each.dims) for each in model.initializer}
    multiplied = {node.input[1] for node in model.node if node.op_type == kind} & shapes.keys()
    if kind == "Conv":
        multiplied = {name for name in multiplied if shapes[name][0] >= FEWEST_FILTERS}
    total = sum(map(math.prod, shapes.values()))
    return sum(math.prod(shapes[name]) for name in multiplied) / total if total else 0.0
