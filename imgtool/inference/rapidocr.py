"""RapidOCR's own pipeline with less waste: the same numbers to the last bit. Imported by the worker only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from imgtool.inference.session_memory import give_back_region

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT_PIXELS = 3_100_000
"""Of an image for which the detector's memory is kept for the next one: about 360 MB. RapidOCR shrinks photographs to
2,000 pixels, which gives 3.0 million, and enlarges small images to about 0.9 million."""


class DetectorSession(onnxruntime.InferenceSession):  # type: ignore[misc]
    """A session on RapidOCR's detector, in ``Arena.REGION``, that gives the memory of large images back."""

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, NDArray[Any]], options: Any = None) -> list[Any]:
        """As onnxruntime's own, of one image (1, 3, H, W)."""
        (image,) = feeds.values()
        found: list[Any] = super().run(outputs, feeds, options)
        if image.shape[2] * image.shape[3] > _KEPT_PIXELS:
            # The answer must not stay in what is given back.
            found = [array.copy() for array in found]
            give_back_region()
        return found


def normalise_by_table(engine: Any) -> None:
    """Let the detector of ``engine``, a ``RapidOCR``, normalise pixels by looking them up.

    RapidOCR subtracts the mean and divides by the deviation in float64, in three passes over the image, and rounds
    to float32. There are 256 levels a channel, so the same numbers stand in a table. One of upstream's releases that
    prepares images in another way than the one known here is left as it is.
    """
    load = getattr(engine, "_load_det_model", None)
    if load is None:
        return
    detector = load()
    original = detector.get_preprocess()
    if not all(callable(getattr(original, name, None)) for name in ("resize", "normalize", "permute")):
        return
    detector.get_preprocess = lambda: _ByTable(original)


class _ByTable:
    """RapidOCR's ``DetPreProcess`` with its ``normalize`` applied to every level beforehand."""

    def __init__(self, original: Any) -> None:
        self._original = original
        levels: NDArray[np.uint8] = np.arange(256, dtype=np.uint8).repeat(3).reshape(256, 1, 3)
        table = original.permute(original.normalize(levels)).astype(np.float32)
        self._table: NDArray[np.float32] = np.ascontiguousarray(table.reshape(3, 256))

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """(H, W, 3) uint8 -> (1, 3, H', W') float32; ``None`` where upstream has none: too small to be resized."""
        resized = self._original.resize(image)
        if resized is None:
            return None
        if resized.dtype != np.uint8 or resized.ndim != 3 or resized.shape[2] != 3:
            found: NDArray[np.float32] | None = self._original(image)
            return found
        made = np.empty((1, 3, *resized.shape[:2]), np.float32)
        for channel, table in enumerate(self._table):
            # "clip" only because numpy buffers the output otherwise: no level is outside of the table.
            np.take(table, resized[:, :, channel], out=made[0, channel], mode="clip")
        return made
