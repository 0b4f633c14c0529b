"""Pictures by the thousand as arrays: drawn, degraded, resized as the classifier's sidecar says."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from kinds import camera, charts, documents, linework, photos, screens, signs
from kinds.world import Layout, World

MODULES = {
    "document": documents,
    "photo": photos,
    "line drawing": linework,
    "chart": charts,
    "screen": screens,
    "sign": signs,
}
KINDS = tuple(MODULES)
"""The classes in the order of the model's outputs."""
SIDE = 96
"""Side of the model's square input in pixels."""


def squash(image: Image.Image) -> Any:
    """``image`` as ``(SIDE, SIDE, 3)`` uint8, its aspect ignored."""
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def sample(seed: tuple[int, int], kind: str, layouts: list[Layout], world: World) -> Any:
    """One picture of ``kind``; ``seed`` alone decides which."""
    rng = np.random.default_rng([*seed, KINDS.index(kind)])
    layout = layouts[int(rng.integers(len(layouts)))]
    return squash(camera.degrade(layout(rng, world), rng, world))


def draw_set(seed: int, each: int, world: World, unseen: bool = False, workers: int = 2) -> tuple[Any, Any]:
    """``each`` pictures of every kind: ``(N, SIDE, SIDE, 3)`` uint8, and the class numbers ``(N,)`` int64.

    ``unseen`` draws the layouts that training never sees.
    """
    pictures: list[Any] = []
    with ProcessPoolExecutor(workers) as pool:
        for kind, module in MODULES.items():
            layouts = module.UNSEEN if unseen else module.SEEN
            one = partial(sample, kind=kind, layouts=layouts, world=world)
            pictures += pool.map(one, [(seed, number) for number in range(each)], chunksize=25)
    return np.stack(pictures), np.repeat(np.arange(len(KINDS)), each)
