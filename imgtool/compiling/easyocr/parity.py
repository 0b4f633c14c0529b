"""A compiled EasyOCR compared with the networks it came from: score maps and readings of made-up pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from imgtool.artefacts.manifest import SETTINGS, Parity
from imgtool.compiling.easyocr.networks import load_networks
from imgtool.weights.upstream_warnings import quiet

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


def check_parity(source: Path, artefact: Path, threads: int | None = None, *, seed: int = 0, images: int = 4) -> Parity:
    """Compare the compiled model in ``artefact``, as the analyzer would use it, with the weights in ``source``.

    Score maps may differ by 1e-3 at most, and what is read from crops not at all but where torch itself has two
    classes that are equal within rounding. ``images`` pictures, and eight crops of different widths for each.

    Raises:
        ImgtoolError: EasyOCR is missing, or the weights are missing or damaged.
    """
    import numpy as np
    import torch

    from imgtool.inference.easyocr.graphs import EasyOcrGraphs

    quiet()
    languages = msgspec.json.decode((artefact / SETTINGS).read_bytes())["languages"]
    networks, graphs = load_networks(source, languages, ""), EasyOcrGraphs(artefact, languages, threads)
    rng = np.random.default_rng(seed)
    maps, logits, equal, right = [0.0], [0.0], 0, 0
    for number in range(images):
        image = _blocks(rng, 3, _SIZES[number % len(_SIZES)], scale=2.0)
        with torch.inference_mode():
            expected = networks.craft(torch.from_numpy(image))[0][0].numpy()
        maps += [float(abs(expected[:, :, at] - one).max()) for at, one in enumerate(graphs.score_maps(image))]
    crops = images * _CROPS_PER_IMAGE
    for number in range(crops):
        # From a square one to one of twelve heights' length.
        crop = _blocks(rng, 1, (_HEIGHT, _HEIGHT * (1 + number % 12)), scale=1.0).clip(-1, 1)
        with torch.inference_mode():
            expected = networks.recogniser(torch.from_numpy(crop), None).numpy()
        answered = graphs.logits(crop)
        if answered.shape != expected.shape:
            logits.append(float("inf"))
            continue
        best = answered.argmax(2)
        behind = expected.max(2) - np.take_along_axis(expected, best[..., None], 2)[..., 0]
        logits.append(float(abs(expected - answered).max()))
        equal += bool((expected.argmax(2) == best).all())
        right += bool((behind <= _ROUNDING * abs(expected).max()).all())
    return Parity(
        passed=max(maps) <= MAPS_TOLERANCE and right == crops,
        figures={
            "maps_max_abs_difference": max(maps),
            "logits_max_abs_difference": max(logits),
            "texts_equal_share": equal / max(crops, 1),
        },
        detail=f"{images} pictures through the detector, {crops} crops through the recogniser",
    )


def _blocks(rng: np.random.Generator, channels: int, size: Sequence[int], scale: float) -> NDArray[np.float32]:
    """(1, channels, H, W) of blocks and noise."""
    import numpy as np

    height, width = size
    coarse = rng.uniform(-scale, scale, (1, channels, -(-height // 8), -(-width // 8)))
    blocks = np.kron(coarse, np.ones((8, 8)))[:, :, :height, :width]
    return (blocks + rng.normal(0, scale / 10, blocks.shape)).astype(np.float32)
