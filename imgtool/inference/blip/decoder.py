"""BLIP's decoder, step by step, with its state between the steps. Imported by the worker only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgtool.inference.sessions import Graph


class DecoderSteps:
    """The decoder's graph with the keys and values of the images, and of the tokens so far.

    Each image has the same number of rows. The keys and values of an image (40 MB at full size) are held once, however
    many rows read them. An image that is finished is overwritten by the last one, so that the others stay contiguous
    without being copied.
    """

    def __init__(self, graph: Graph, settings: Mapping[str, Any], seen: Mapping[str, NDArray[Any]], beams: int) -> None:
        self._graph = graph
        cross = {name: array for name, array in seen.items() if name.startswith("cross_")}
        # A view of the network's output; a copy only if that is not writable.
        self._cross = {name: np.require(array, requirements=["C", "W"]) for name, array in cross.items()}
        images = len(seen["cross_key_0"])
        empty = np.empty((images * beams, settings["heads"], 0, settings["head_size"]), dtype=np.float32)
        self._names = [f"{kind}_{layer}" for layer in range(settings["layers"]) for kind in ("key", "value")]
        self._past = dict.fromkeys(self._names, empty)

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """``tokens`` (rows, T) -> the logits of what comes next, (rows, vocabulary)."""
        before, new = self._past[self._names[0]].shape[2], tokens.shape[1]
        # Each token sees those before it and itself.
        mask = np.triu(np.full((new, before + new), -np.inf, dtype=np.float32), before + 1)
        given = {"tokens": tokens, "positions": np.arange(before, before + new), "mask": mask}
        past = {f"past_{name}": array for name, array in self._past.items()}
        result = self._graph.run({**given, **past, **self._cross})
        self._past = {name: result[name] for name in self._names}
        logits: NDArray[np.float32] = result["logits"]
        return logits

    def keep(self, images: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Continue with these images and these rows only, in this order.

        An image either stays in its place or comes from a place after those kept.
        """
        for name, array in self._cross.items():
            for to, source in enumerate(images):
                if to != source:
                    array[to] = array[source]
            self._cross[name] = array[: len(images)]
        held = len(self._past[self._names[0]])
        if len(rows) != held or np.any(rows != np.arange(held)):
            self._past = {name: array[rows] for name, array in self._past.items()}
