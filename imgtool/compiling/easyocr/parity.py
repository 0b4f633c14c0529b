"""A compiled EasyOCR held to the networks it came from: score maps and readings of made-up pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.artefacts.exported import Parity
from imgtool.compiling.easyocr.networks import Networks, load_networks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAPS_TOLERANCE = 1e-3
_ROUNDING = 1e-4
"""Share of the largest logit by which fp32 may miss: torch itself is this far from its own answer in float64. Classes
nearer to each other than that are a tie, which no two programs need to break alike."""
_SIZES = ((32, 64), (96, 160), (64, 32), (160, 128))
"""Height and width of the pictures, in turn: the graph must hold for other shapes than the one it was traced with."""
_CROPS_PER_IMAGE = 8
_HEIGHT = 64


def compare(source: Path, artefact: Path, seed: int, images: int) -> Parity:
    """Hold the compiled model in ``artefact`` to the weights in ``source``, as the analyzer would use it.

    Score maps may differ by 1e-3 at most, and what is read from crops not at all but where torch itself has two
    classes that are equal within rounding. ``images`` pictures, and eight crops of different widths for each.

    Raises:
        ImgtoolError: EasyOCR is missing, or the weights are missing or damaged.
    """
    import numpy as np

    from imgtool.inference.easyocr.graphs import EasyOcrGraphs

    settings = _settings(artefact)
    networks = load_networks(source, settings["languages"])
    graphs = EasyOcrGraphs(artefact, settings["languages"], None)
    rng = np.random.default_rng(seed)
    maps = [_maps_difference(networks, graphs, image) for image in _pictures(rng, images)]
    crops = [_compared(networks, graphs, crop) for crop in _crops(rng, images * _CROPS_PER_IMAGE)]
    figures = {
        "maps_max_abs_difference": max(maps, default=0.0),
        "logits_max_abs_difference": max((crop.difference for crop in crops), default=0.0),
        "texts_equal_share": sum(crop.is_equal for crop in crops) / max(len(crops), 1),
    }
    return Parity(
        passed=figures["maps_max_abs_difference"] <= MAPS_TOLERANCE and all(crop.is_right for crop in crops),
        figures=figures,
        detail=f"{len(maps)} pictures through the detector, {len(crops)} crops through the recogniser",
    )


def _settings(artefact: Path) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads((artefact / "settings.json").read_text(encoding="utf-8"))
    return found


def _maps_difference(networks: Networks, graphs: Any, image: NDArray[np.float32]) -> float:
    import torch

    with torch.inference_mode():
        maps, _ = networks.craft(torch.from_numpy(image))
    return max(float(abs(maps[0, :, :, at].numpy() - one).max()) for at, one in enumerate(graphs.score_maps(image)))


@dataclass(frozen=True)
class _Compared:
    """A crop: is the same class best at every step, or tied with the best, and how far are the logits apart at most."""

    is_equal: bool
    is_right: bool
    difference: float


def _compared(networks: Networks, graphs: Any, crop: NDArray[np.float32]) -> _Compared:
    import numpy as np
    import torch

    with torch.inference_mode():
        expected = networks.recogniser(torch.from_numpy(crop), None).numpy()
    answered = graphs.logits(crop)
    if answered.shape != expected.shape:
        return _Compared(False, False, float("inf"))
    best = answered.argmax(2)
    behind = expected.max(2) - np.take_along_axis(expected, best[..., None], 2)[..., 0]
    return _Compared(
        bool((expected.argmax(2) == best).all()),
        bool((behind <= _ROUNDING * abs(expected).max()).all()),
        float(abs(expected - answered).max()),
    )


def _pictures(rng: np.random.Generator, count: int) -> Iterator[NDArray[np.float32]]:
    """Normalised pictures (1, 3, H, W) of blocks and noise."""
    for number in range(count):
        yield _blocks(rng, 3, _SIZES[number % len(_SIZES)], scale=2.0)


def _crops(rng: np.random.Generator, count: int) -> Iterator[NDArray[np.float32]]:
    """Crops (1, 1, 64, W) in [-1, 1], from a square one to one of twelve heights' length."""
    for number in range(count):
        yield _blocks(rng, 1, (_HEIGHT, _HEIGHT * (1 + number % 12)), scale=1.0).clip(-1, 1)


def _blocks(rng: np.random.Generator, channels: int, size: Sequence[int], scale: float) -> NDArray[np.float32]:
    import numpy as np

    height, width = size
    coarse = rng.uniform(-scale, scale, (1, channels, -(-height // 8), -(-width // 8)))
    blocks = np.kron(coarse, np.ones((8, 8)))[:, :, :height, :width]
    return (blocks + rng.normal(0, scale / 10, blocks.shape)).astype(np.float32)
