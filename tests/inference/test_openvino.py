"""The whole way of a picture with OpenVINO under the graphs, as ``--precision fast`` opens them on bfloat16 processors.

Elsewhere OpenVINO computes the same graphs in single precision, and the answers are those of onnxruntime.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from imgtool.artefacts.manifest import FAST
from imgtool.artefacts.runtime_identity import this_runtime
from imgtool.compiling.lossy.methods import MULTIPLIES_BFLOAT16, in_bfloat16
from imgtool.inference.blip import graphs as _blip_onnx
from imgtool.inference.blip.parameters import Decoding
from imgtool.inference.easyocr import graphs as _easyocr_onnx
from imgtool.inference.sessions import OpenVinoGraph
from tests.blips import compiled, make_source, picture

for library in ("openvino", "torch", "transformers", "easyocr", "onnx"):
    pytest.importorskip(library)
pytestmark = pytest.mark.filterwarnings("ignore")

HAS_BFLOAT16 = bool(MULTIPLIES_BFLOAT16 & set(this_runtime().cpu_features))
TOLERANCE = 0.1 if HAS_BFLOAT16 else 1e-3
LANGUAGES = ("ko", "en")


def with_openvino(monkeypatch: pytest.MonkeyPatch, module: Any, folder: Path, graphs: tuple[str, ...]) -> None:
    """Build the lossy twins in ``folder`` as ``warm-cache`` does, and have ``module`` open them."""
    (folder / FAST).mkdir(exist_ok=True)
    in_bfloat16(folder, graphs, lambda graph: ())
    twins = folder / FAST
    monkeypatch.setattr(module, "open_graph", lambda _, name, **__: OpenVinoGraph(twins / f"{name}.blob", 1))


@pytest.mark.parametrize("beams", [1, 3])
def test_blip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beams: int) -> None:
    folder = compiled(make_source(tmp_path / "source", eagerness_to_end=7), tmp_path / "compiled")
    pictures, decoding = [picture(seed) for seed in range(4)], Decoding(beams, 12, 0, "")
    exact = _blip_onnx.BlipGraphs(folder, 1)
    features, captions = exact.features(pictures), exact.caption(pictures, decoding)
    with_openvino(monkeypatch, _blip_onnx, folder, ("vision", "decoder"))
    fast = _blip_onnx.BlipGraphs(folder, 1)
    assert_close(fast.features(pictures), features)
    found = fast.caption(pictures, decoding)
    assert all(found)
    if not HAS_BFLOAT16:
        assert found == captions
    assert fast.caption(pictures[:1], decoding) == found[:1], "nothing is left of the batch before"


@pytest.mark.slow
def test_easyocr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from imgtool.compiling.easyocr.export import export
    from imgtool.weights.synthetic.networks import make_easyocr

    make_easyocr(tmp_path / "weights", LANGUAGES, "tiny", 1)
    folder = tmp_path / "compiled"
    exported = export(tmp_path / "weights", folder, "", LANGUAGES)
    (folder / "settings.json").write_text(json.dumps(exported.settings), encoding="utf-8")
    exact = _easyocr_onnx.EasyOcrGraphs(folder, LANGUAGES, 2)
    with_openvino(monkeypatch, _easyocr_onnx, folder, exported.graphs)
    fast = _easyocr_onnx.EasyOcrGraphs(folder, LANGUAGES, 2)
    rng = np.random.default_rng(5)
    for height, width in ((64, 96), (160, 64), (64, 96)):
        image = rng.standard_normal((1, 3, height, width)).astype(np.float32)
        for found, expected in zip(fast.score_maps(image), exact.score_maps(image), strict=True):
            assert_close(found, expected)
    for width in (64, 200, 100):
        line = rng.uniform(-1, 1, (1, 1, 64, width)).astype(np.float32)
        assert_close(fast.logits(line), exact.logits(line))


def assert_close(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()
