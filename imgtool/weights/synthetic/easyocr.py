"""EasyOCR's networks with random weights that find dark marks and read them as some letters.

Purely random weights would find no text, so that nothing after the detector would ever run. Therefore the detector's
last layer (34 numbers) is fitted to marks drawn on a sheet. The recogniser's weights are spread wide enough that its
answers depend on the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imgtool.weights.catalogue import ModelSpec
from imgtool.weights.easyocr_table import empty_recogniser
from imgtool.weights.languages import RECOGNISERS

StateDict = dict[str, Any]
"""The tensors of a network by name."""

_HEIGHT, _WIDTH = 192, 320
_PAPER, _INK = 235, 20
_PEAK = 1.4
"""The fit gives marks about 0.6; times this they pass the detector's threshold of 0.7 in places, as text does."""
_SMALLEST_DIRECTION = 1e-5
"""Of the features' directions, those are fitted that are at least this share as strong as the strongest."""
_STRIDES = (7, 5, 3, 1)


def craft(repeating: bool) -> StateDict:
    """Weights of CRAFT, drawn from torch's current generator. ``repeating`` ones take little space on disk."""
    from easyocr.craft import CRAFT

    network = CRAFT().eval()
    state = _drawn(network, lambda name: 1.0, repeating)
    network.load_state_dict(state)
    weight, bias = _fitted_last_layer(network)
    return {**state, "conv_cls.8.weight": weight, "conv_cls.8.bias": bias}


def recognition_network(spec: ModelSpec, repeating: bool) -> StateDict:
    """Weights of the recogniser ``spec``, drawn from torch's current generator."""
    from easyocr.config import recognition_models

    generation = RECOGNISERS[spec.name].generation
    classes = len(recognition_models[generation][spec.name]["characters"]) + 1
    return _drawn(empty_recogniser(generation, classes), _recogniser_gain, repeating)


def _recogniser_gain(name: str) -> float:
    """How much wider than at the start of a training, found by trial: answers must differ between pictures."""
    if name.startswith("Prediction"):
        return 16.0
    return 1.5 if name.startswith("FeatureExtraction") else 4.0


def _drawn(network: Any, gain: Callable[[str], float], repeating: bool) -> StateDict:
    """The matrices of a new network made wider or repeating; its vectors (biases, normalisation) unchanged."""
    import torch

    drawn: StateDict = {}
    for name, tensor in network.state_dict().items():
        if tensor.dim() < 2:
            drawn[name] = tensor
        elif not repeating:
            drawn[name] = tensor * gain(name)
        else:
            # Overlapping strides over a few thousand numbers, which alone are saved.
            strides = _STRIDES[-tensor.dim() :]
            count = 1 + sum((length - 1) * stride for length, stride in zip(tensor.shape, strides, strict=True))
            drawn[name] = (torch.randn(count) * (tensor.std() * gain(name))).as_strided(tensor.shape, strides)
    return drawn


def _fitted_last_layer(network: Any) -> tuple[Any, Any]:
    """Weight (2, 16, 1, 1) and bias (2) that give the marks of a sheet a high text score, and no links."""
    import torch

    sheet, marks = _sheet_with_marks()
    with torch.no_grad():
        features = network(sheet)[1]
        for layer in list(network.conv_cls)[:-1]:
            features = layer(features)
    columns = features[0].flatten(1).double()
    columns = torch.cat([columns, torch.ones_like(columns[:1])]).T
    # Repeating weights make some features nearly the same; telling them apart would amplify rounding a billionfold.
    found = torch.linalg.lstsq(columns, marks.flatten()[:, None].double(), rcond=_SMALLEST_DIRECTION, driver="gelsd")
    fit = found.solution[:, 0] * _PEAK
    weight, bias = torch.zeros(2, 16, 1, 1), torch.zeros(2)
    weight[0, :, 0, 0], bias[0] = fit[:16].float(), fit[16].float()
    return weight, bias


def _sheet_with_marks() -> tuple[Any, Any]:
    """A normalised sheet (1, 3, H, W) with rows of dark strokes, and where they are, (H / 2, W / 2) in [0, 1]."""
    import torch
    from easyocr.imgproc import normalizeMeanVariance
    from torch.nn import functional

    ink = torch.zeros(_HEIGHT, _WIDTH)
    for top, left, letters in ((20, 24, 7), (70, 130, 9), (130, 40, 12)):
        for letter in range(letters):
            x = left + 14 * letter
            ink[top : top + 24, x : x + 3] = 1
            ink[top + 5 * (letter % 5) :, x : x + 9][:3] = 1
    pixels = torch.where(ink > 0, _INK, _PAPER).byte()[..., None].repeat(1, 1, 3).numpy()
    sheet = torch.from_numpy(normalizeMeanVariance(pixels)).permute(2, 0, 1)[None]
    thick = functional.max_pool2d(ink[None, None], 9, stride=1, padding=4)
    return sheet, functional.avg_pool2d(thick, 2)[0, 0]
