"""The lossy twin of a compiled model, kept if it is faster on this processor.

A processor that multiplies bfloat16 gets OpenVINO's model in that precision; any other one gets the matrices in int8,
for onnxruntime. The twin is compared with the exact model on this machine: how much faster it is, and how many answers
change. If it is hardly faster it is deleted, and ``fast`` runs as ``exact``. Compiling processes only.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from imgtool.artefacts.manifest import FAST, NAME, ArtefactManifest, FastMode, Parity
from imgtool.compiling.blip.int8 import quantise
from imgtool.compiling.interface import Answering, Ask
from imgtool.compiling.optimise import optimise
from imgtool.distribution import installed_release
from imgtool.files import is_full
from imgtool.ground.privacy import import_openvino
from imgtool.ground.versioned import encode

WORTH = 1.1
"""How many times as fast as the exact model it must be."""

BFLOAT16 = ("amx_bf16", "avx512_bf16")
_ROUNDS = 3
_ERROR_CHARACTERS = 200


def make_fast(folder: Path, manifest: ArtefactManifest, answering: Answering, threads: int) -> FastMode:
    """Add the lossy twin to the compiled model in ``folder``, which has its manifest.

    A method that fails, whatever its library raised, counts as not faster: the exact model is complete without it.

    Raises:
        ImgtoolError: the compiled model cannot be opened.
        OSError: the folder cannot be written.
    """
    exact, tried = answering(folder, "exact", threads), []
    for draft, build in _candidates(manifest):
        shutil.rmtree(folder / FAST, ignore_errors=True)
        (folder / FAST).mkdir()
        try:
            if not build(folder, manifest):
                continue
            (folder / NAME).write_bytes(encode(msgspec.structs.replace(manifest, fast=draft)))
            measured = _measured(draft, exact, answering(folder, "fast", threads))
        except Exception as error:
            if isinstance(error, OSError) or is_full(folder):
                raise
            # On one line: OpenVINO adds its call stack.
            told = " ".join(str(error).split())[:_ERROR_CHARACTERS]
            tried.append(f"{draft.method} failed ({type(error).__name__}: {told})")
            continue
        if measured.speed_up >= WORTH:
            return measured
        tried.append(f"{measured.method} was {measured.speed_up:.2g} times as fast")
    shutil.rmtree(folder / FAST, ignore_errors=True)
    method = "; ".join(tried) or "its networks are convolutions, which int8 does not speed up"
    return FastMode(executor="", method=method, parity=Parity(passed=True, figures={}))


def _candidates(manifest: ArtefactManifest) -> list[tuple[FastMode, Callable[[Path, ArtefactManifest], bool]]]:
    """The methods to try on this processor: a draft of each, and the function that builds it, if it can."""
    same = Parity(passed=True, figures={})
    int8 = FastMode(executor="onnxruntime", method="matrices in int8", parity=same)
    release = installed_release("openvino")
    if release and set(BFLOAT16) & set(manifest.runtime.cpu_features):
        draft = FastMode(executor="openvino", release=release, method="bfloat16 by OpenVINO", parity=same)
        return [(draft, _in_bfloat16), (int8, _in_int8)]
    return [(int8, _in_int8)]


def _in_bfloat16(folder: Path, manifest: ArtefactManifest) -> bool:
    core = import_openvino().Core()
    for name in manifest.graphs:
        settings = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "LATENCY"}
        compiled = core.compile_model(str(folder / f"{name}.onnx"), "CPU", settings)
        # Not OpenVINO's own cache: its keys hold the graph's path, and this folder will be moved.
        (folder / FAST / f"{name}.blob").write_bytes(compiled.export_model().getbuffer())
    return True


def _in_int8(folder: Path, manifest: ArtefactManifest) -> bool:
    """Returns whether there was a graph whose weights are mostly matrices."""
    import onnx

    fast, found = folder / FAST, False
    for name in manifest.graphs:
        model = onnx.load(str(folder / f"{name}.onnx"), load_external_data=False).graph
        sizes = {each.name: math.prod(each.dims) for each in model.initializer}
        matrices = {node.input[1] for node in model.node if node.op_type == "Gemm"}
        if sum(sizes.get(matrix, 0) for matrix in matrices) <= 0.5 * sum(sizes.values()):
            continue
        quantise(folder, fast, name)
        optimise(fast, name)
        # Only the optimised graph is opened; it refers to the weights of this one.
        (fast / f"{name}.onnx").unlink()
        found = True
    return found


def _measured(draft: FastMode, exact: Ask, fast: Ask) -> FastMode:
    # In turn, and the minimum of each: other processes on the machine then disturb both alike.
    rounds = [(_timed(exact), _timed(fast)) for _ in range(_ROUNDS)]
    (_, expected), (_, found) = rounds[0]
    changed = sum(one != other for one, other in zip(expected, found, strict=True))
    speed_up = min(one[0] for one, _ in rounds) / min(other[0] for _, other in rounds)
    figures = {"answers_changed_share": changed / max(len(expected), 1)}
    parity = Parity(passed=True, figures=figures, detail=f"{len(expected)} made-up pictures")
    return msgspec.structs.replace(draft, speed_up=speed_up, parity=parity)


def _timed(ask: Ask) -> tuple[float, Sequence[str]]:
    started = time.perf_counter()
    answers = ask()
    return time.perf_counter() - started, answers
