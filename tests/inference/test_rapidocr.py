"""RapidOCR with less waste: equal in every bit, and with memory that comes back."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from imgtool.inference.rapidocr import DetectorSession, normalise_by_table
from imgtool.inference.session_memory import Arena, set_memory
from tests.inference.test_denormals import rapidocr_models

det = pytest.importorskip("rapidocr.ch_ppocr_det.utils")


def engine_with(original: Any) -> Any:
    detector = SimpleNamespace(get_preprocess=lambda: original)
    return SimpleNamespace(_load_det_model=lambda: detector)


def prepared_by(engine: Any, image: np.ndarray) -> Any:
    return engine._load_det_model().get_preprocess()(image)


@pytest.mark.parametrize(
    ("mean", "std"), [([0.5] * 3, [0.5] * 3), ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])], ids=["own", "other"]
)
@pytest.mark.parametrize("size", [(64, 96), (33, 700), (900, 1300), (40, 30)])
def test_every_bit_is_the_same(mean: list[float], std: list[float], size: tuple[int, int]) -> None:
    original = det.DetPreProcess(736, "min", mean, std)
    engine = engine_with(original)
    normalise_by_table(engine)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    image.reshape(-1)[:256] = np.arange(256)
    expected, found = original(image), prepared_by(engine, image)
    assert type(prepared_by(engine, image)) is np.ndarray
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == np.ascontiguousarray(expected).tobytes()


def test_what_cannot_be_resized_is_told_as_upstream_tells_it() -> None:
    engine = engine_with(det.DetPreProcess(736, "max"))
    normalise_by_table(engine)
    assert prepared_by(engine, np.zeros((1, 3, 3), np.uint8)) is None


def test_other_than_bytes_is_left_to_upstream() -> None:
    original = det.DetPreProcess(736, "min")
    engine = engine_with(original)
    normalise_by_table(engine)
    image = np.random.default_rng(0).random((64, 96, 3), np.float32)
    assert np.array_equal(prepared_by(engine, image), original(image))


def test_a_release_that_prepares_in_another_way_is_left_as_it_is() -> None:
    original = SimpleNamespace(resize=lambda image: image)
    engine = engine_with(original)
    normalise_by_table(engine)
    assert engine._load_det_model().get_preprocess() is original


# -- memory


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).standard_normal((1, 3, height, width), dtype=np.float32)


def options(arena: Arena) -> Any:
    made = onnxruntime.SessionOptions()
    made.intra_op_num_threads = 1
    set_memory(made, arena)
    return made


def test_the_detector_answers_as_before_in_every_order_of_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgtool.inference.rapidocr._KEPT_PIXELS", 160_000)
    (path,) = [path for path in rapidocr_models() if "_det_" in path.name]
    plain = onnxruntime.InferenceSession(str(path), options(Arena.NONE), providers=["CPUExecutionProvider"])
    kept = DetectorSession(str(path), options(Arena.REGION), providers=["CPUExecutionProvider"])
    name = plain.get_inputs()[0].name
    for height, width in ((64, 96), (320, 480), (32, 64), (320, 480), (352, 512)):
        expected, found = (each.run(None, {name: image(height, width)})[0] for each in (plain, kept))
        assert np.array_equal(expected, found)


HELD = """
import sys
import numpy as np
import onnxruntime
from imgtool.inference import rapidocr
from imgtool.inference.session_memory import Arena, give_back_region, set_memory

def own_memory(what):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(what))

rapidocr._KEPT_PIXELS = 500_000
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
set_memory(options, Arena.REGION)
session = rapidocr.DetectorSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
give_back_region()
before = own_memory("RssAnon")
for size in sys.argv[2:]:
    height, width = map(int, size.split("x"))
    session.run(None, {session.get_inputs()[0].name: np.ones((1, 3, height, width), np.float32)})
    print(own_memory("RssAnon") - before, own_memory("VmHWM") - before)
"""
"""Prints how much more memory is held after an image of each size, and the most that there was. In a process of its
own, where nobody else frees."""


def test_memory_of_large_images_comes_back() -> None:
    (path,) = [path for path in rapidocr_models() if "_det_" in path.name]
    sizes = ["960x960", "640x640", "64x640", "320x640", "480x640", "640x640", "640x672", "640x768"]
    done = subprocess.run([sys.executable, "-c", HELD, str(path), *sizes], capture_output=True, text=True, check=True)
    held, most = zip(*(map(int, line.split()) for line in done.stdout.splitlines()), strict=True)
    after = dict(zip(sizes, held, strict=True))
    assert after["960x960"] < 30e6, "of some 120 MB"
    assert most[0] < 0.95 * 229e6, "which an arena of onnxruntime's own takes, with what the process has mapped"
    kept = after["640x640"]
    assert 30e6 < kept < 120e6
    assert max(after["64x640"], after["320x640"], after["480x640"]) < kept + 10e6
    assert max(after["640x672"], after["640x768"]) < 1.3 * kept + 10e6
