"""The lossy twin of a compiled model: what this processor does best, kept if it pays and if its answers are as good.

Every method that the processor may gain from is tried. A twin is held to the exact model on this machine: it must
answer faster, and pass the gate on answers (:mod:`imgtool.compiling.lossy.gate`) on pictures that it was not adjusted
on. The fastest that does is kept; without one, ``fast`` runs as ``exact``. Compiling processes only.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from imgtool.artefacts.manifest import FAST, GATE, NAME, ArtefactManifest, FastMode, Parity
from imgtool.compiling.interface import Exporter, Program
from imgtool.compiling.lossy.gate import Reading, judge
from imgtool.compiling.lossy.methods import OPENVINO, LossyMethod, lossy_methods
from imgtool.compiling.lossy.pictures import Pictures, pictures
from imgtool.distribution import installed_release
from imgtool.files import is_full
from imgtool.ground.sealed import encode_sealed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORTH = 1.1
"""Times as fast as exact that it must be."""

_BEST = f"{FAST}-best"
_ROUNDS = 3
_TIMED = 3
"""Pictures, of the different kinds, on which speed is measured."""

_ERROR_CHARACTERS = 200


def make_fast(
    folder: Path, manifest: ArtefactManifest, exporter: Exporter, threads: int, calibrate: Path | None = None
) -> FastMode:
    """Add the lossy twin to the compiled model in ``folder``, which has the manifest in it.

    ``calibrate`` is a folder of pictures like those that the model will see. A method that fails is a method that does
    not pay, whatever its library raised: the exact model is whole.

    Raises:
        ImgtoolError: the compiled model cannot be opened.
        OSError: the folder cannot be written, or ``calibrate`` cannot be read.
    """
    # A twin of another make may be here: its files give way.
    kept = tuple(file for file in manifest.files if not file.path.startswith(f"{FAST}/"))
    manifest = msgspec.structs.replace(manifest, files=kept)
    given = pictures(calibrate)
    exact = exporter.program(folder, "exact", threads)
    expected = _readings(exact, given, manifest.is_synthetic)
    release = installed_release(OPENVINO)
    best: FastMode | None = None
    tried: list[str] = []
    try:
        for method in lossy_methods(manifest.runtime.cpu_features, bool(release)):
            shutil.rmtree(folder / FAST, ignore_errors=True)
            (folder / FAST).mkdir()
            try:
                if not method.build(folder, manifest.graphs, exporter.feeds(given.calibration)):
                    continue
                draft = _draft(method, release)
                (folder / NAME).write_bytes(encode_sealed(msgspec.structs.replace(manifest, fast=draft)))
                fast = exporter.program(folder, "fast", threads)
                speed_up = _speed_up(exact, fast, given.test[:: max(1, len(given.test) // _TIMED)])
                found = msgspec.structs.replace(draft, speed_up=speed_up)
                if speed_up >= WORTH:
                    found = _judged(found, expected, fast, given, manifest.is_synthetic)
            except Exception as error:
                if isinstance(error, OSError) or is_full(folder):
                    raise
                # On one line: OpenVINO tells its call stack.
                told = " ".join(str(error).split())[:_ERROR_CHARACTERS]
                tried.append(f"{method.name} failed ({type(error).__name__}: {told})")
                continue
            if speed_up < WORTH:
                tried.append(f"{method.name}: {speed_up:.2g} times as fast")
            elif not found.parity.passed:
                tried.append(f"{method.name}: refused, {found.parity.detail}")
            elif best is None or found.speed_up > best.speed_up:
                best = found
                shutil.rmtree(folder / _BEST, ignore_errors=True)
                (folder / FAST).rename(folder / _BEST)
        shutil.rmtree(folder / FAST, ignore_errors=True)
        if best is not None:
            (folder / _BEST).rename(folder / FAST)
            return best
    finally:
        shutil.rmtree(folder / _BEST, ignore_errors=True)
    method_told = "; ".join(tried) or "there is no method for its networks"
    return FastMode(executor="", method=method_told, parity=Parity(passed=True, figures={}), gate=GATE)


def _draft(method: LossyMethod, release: str) -> FastMode:
    return FastMode(
        executor=method.executor,
        release=release if method.executor == OPENVINO else "",
        method=method.name,
        parity=Parity(passed=False, figures={}),
        gate=GATE,
    )


def _judged(found: FastMode, expected: Sequence[Reading], fast: Program, given: Pictures, synthetic: bool) -> FastMode:
    parity = judge(expected, _readings(fast, given, synthetic), is_synthetic=synthetic, origin=given.origin)
    return msgspec.structs.replace(found, parity=parity)


def _readings(program: Program, given: Pictures, synthetic: bool) -> list[Reading]:
    """What the program makes of the test pictures. Random weights give hundreds of lines, and none counts: only the
    numbers are taken then."""
    found = []
    for picture in given.test:
        numbers, answer = program.numbers(picture), "" if synthetic else program.answer(picture)
        found.append(
            Reading(numbers, caption=answer) if isinstance(answer, str) else Reading(numbers, lines=tuple(answer))
        )
    return found


def _speed_up(exact: Program, fast: Program, given: Sequence[NDArray[np.uint8]]) -> float:
    """How many times as fast ``fast`` answers."""
    # In turn, and the least of each: what else runs on the machine disturbs both alike.
    rounds = [(_seconds(exact, given), _seconds(fast, given)) for _ in range(_ROUNDS)]
    return min(one for one, _ in rounds) / min(other for _, other in rounds)


def _seconds(program: Program, given: Sequence[NDArray[np.uint8]]) -> float:
    started = time.perf_counter()
    for picture in given:
        program.answer(picture)
    return time.perf_counter() - started
