"""EasyOCR's networks with random weights: they find dark marks, and repeating weights take little space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imgtool.weights.catalogue import CATALOGUE
from imgtool.weights.synthetic.easyocr import _sheet_with_marks, craft, recognition_network

torch = pytest.importorskip("torch")
pytest.importorskip("easyocr")


@pytest.fixture(autouse=True)
def _seed() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("repeating", [True, False])
def test_the_detector_finds_marks_and_no_links(repeating: bool) -> None:
    from easyocr.craft import CRAFT

    network = CRAFT().eval()
    network.load_state_dict(craft(repeating))
    sheet, marks = _sheet_with_marks()
    with torch.inference_mode():
        scores = network(sheet)[0][0]
    text, link = scores[..., 0], scores[..., 1]
    assert (text[marks > 0.9] > 0.7).float().mean() > 0.1
    assert text[marks == 0].mean() < 0.3
    assert link.abs().max() == 0


def test_repeating_weights_have_the_same_shapes_and_take_little_space(tmp_path: Path) -> None:
    spec = CATALOGUE["english_g2"]
    plain, repeating = recognition_network(spec, repeating=False), recognition_network(spec, repeating=True)
    assert {name: tensor.shape for name, tensor in plain.items()} == {
        name: tensor.shape for name, tensor in repeating.items()
    }
    for name, state in (("plain", plain), ("repeating", repeating)):
        torch.save(state, tmp_path / name)
    assert (tmp_path / "repeating").stat().st_size < (tmp_path / "plain").stat().st_size / 10
