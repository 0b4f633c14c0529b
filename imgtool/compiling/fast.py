"""The lossy twin of a compiled model: what this processor does best, kept where it pays, with what it costs.

A processor that multiplies bfloat16 gets OpenVINO's model in that precision; any other gets the matrices in int8,
for onnxruntime. Either is held to the exact one on this machine: how much faster it answers, and how many answers
change. Where it is hardly faster nothing is kept, and ``fast`` runs as ``exact`` does. Compiling processes only.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from imgtool.artefacts.exported import Parity
from imgtool.artefacts.manifest import FAST, NAME, ArtefactManifest, FastMode
from imgtool.artefacts.runtime_identity import installed_release
from imgtool.files import is_full
from imgtool.privacy import import_openvino
from imgtool.versioned import encode

WORTH = 1.1
"""Times as fast as exact that it must be."""

BFLOAT16 = ("amx_bf16", "avx512_bf16")
_ROUNDS = 3
_WORDS = 200
"""Characters of an error that are kept."""

Ask = Callable[[], Sequence[str]]
"""Answers a fixed set of made-up pictures, in text."""

Answering = Callable[[Path, str, int], Ask]
"""Opens the compiled model in a folder, with a precision and a number of threads."""


def make_fast(folder: Path, manifest: ArtefactManifest, answering: Answering, threads: int) -> FastMode:
    """Add the lossy twin to the compiled model in ``folder``, which has the manifest in it.

    A way that fails is a way that does not pay, whatever its library raised: the exact model is whole.

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
            tried.append(f"{draft.method} failed ({_in_short(error)})")
            continue
        if measured.speed_up >= WORTH:
            return measured
        tried.append(f"{measured.method} was {measured.speed_up:.2g} times as fast")
    shutil.rmtree(folder / FAST, ignore_errors=True)
    method = "; ".join(tried) or "its networks are convolutions, which int8 does not speed up"
    return FastMode(executor="", method=method, parity=Parity(passed=True, figures={}))


def _candidates(manifest: ArtefactManifest) -> list[tuple[FastMode, Callable[[Path, ArtefactManifest], bool]]]:
    same = Parity(passed=True, figures={})
    found: list[tuple[FastMode, Callable[[Path, ArtefactManifest], bool]]] = []
    release = installed_release("openvino")
    if release and set(BFLOAT16) & set(manifest.runtime.cpu_features):
        draft = FastMode(executor="openvino", release=release, method="bfloat16 by OpenVINO", parity=same)
        found.append((draft, _in_bfloat16))
    draft = FastMode(executor="onnxruntime", method="matrices in int8", parity=same)
    return [*found, (draft, _in_int8)]


def _in_bfloat16(folder: Path, manifest: ArtefactManifest) -> bool:
    core = import_openvino().Core()
    for name in manifest.graphs:
        settings = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "LATENCY"}
        compiled = core.compile_model(str(folder / f"{name}.onnx"), "CPU", settings)
        # Not OpenVINO's own cache: its files are found by where the graph lies, and this folder will be moved.
        (folder / FAST / f"{name}.blob").write_bytes(compiled.export_model().getbuffer())
    return True


def _in_int8(folder: Path, manifest: ArtefactManifest) -> bool:
    """Whether there was a graph that consists of matrices for the most part."""
    from imgtool.compiling.blip.int8 import quantise
    from imgtool.compiling.optimise import optimise

    fast = folder / FAST
    names = [name for name in manifest.graphs if _share_of_matrices(folder / f"{name}.onnx") > 0.5]
    for name in names:
        quantise(folder, fast, name)
        optimise(fast, name)
        # Only the optimised one is ever opened; it names the weights of this one.
        (fast / f"{name}.onnx").unlink()
    return bool(names)


def _share_of_matrices(graph: Path) -> float:
    """The share of a graph's weights that are matrices multiplied as such."""
    import math

    import onnx

    model = onnx.load(str(graph), load_external_data=False).graph
    sizes = {each.name: math.prod(each.dims) for each in model.initializer}
    matrices = {node.input[1] for node in model.node if node.op_type == "Gemm"}
    total = sum(sizes.values())
    return sum(sizes.get(name, 0) for name in matrices) / total if total else 0.0


def _in_short(error: Exception) -> str:
    """``error`` on one line; OpenVINO tells its call stack."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_WORDS]}"


def _measured(draft: FastMode, exact: Ask, fast: Ask) -> FastMode:
    # Turn about, and the least of each: what else runs on the machine disturbs both alike.
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


def answering_for(exporter: Any, kind: str) -> Answering:
    """How a compiled model of ``kind`` is asked: by its exporter's own ``answering``, if it has one."""
    own: Answering | None = getattr(exporter, "answering", None)
    return own or {"blip": _captions, "easyocr": _texts}[kind]


def _captions(folder: Path, precision: str, threads: int) -> Ask:
    from imgtool.inference.blip.graphs import BlipGraphs
    from imgtool.inference.blip.parameters import Decoding

    decoding = Decoding(1, 12, 0, "")
    graphs = BlipGraphs(folder, threads, precision)
    pictures = [_patches(number, 384, 384) for number in range(4)]
    return lambda: [str(caption) for caption in graphs.caption(pictures, decoding)]


def _texts(folder: Path, precision: str, threads: int) -> Ask:
    from imgtool.inference.easyocr.graphs import EasyOcrGraphs
    from imgtool.inference.picture import Picture

    settings = msgspec.json.decode((folder / "settings.json").read_bytes())
    graphs = EasyOcrGraphs(folder, settings["languages"], threads, precision)
    pages = [Picture(_page(number), 640, 480, "PNG") for number in range(3)]
    return lambda: [" ".join(line.text for line in graphs.read(page, {}, {})) for page in pages]


def _patches(seed: int, height: int, width: int) -> Any:
    """(H, W, 3) uint8: rectangles of random colours."""
    import numpy as np

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 32, width // 32, 3), dtype=np.uint8)
    return coarse.repeat(32, axis=0).repeat(32, axis=1)


def _page(seed: int) -> Any:
    """(480, 640, 3) uint8: lines of letters on white."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(image)
    for row in range(8):
        letters = "".join(chr(code) for code in rng.integers(97, 123, 12))
        draw.text((30, 20 + 56 * row), letters, fill=(10, 10, 10), font=ImageFont.load_default(size=28))
    return np.asarray(image)
