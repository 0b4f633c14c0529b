"""RapidOCR's own pipeline with less waste: the same numbers to the last bit. Imported by the worker only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT_PIXELS = 1_300_000
"""Of an image for which the detector's memory is kept for the next one: about 400 MB. An image of 1200 x 736 has 0.9
million; RapidOCR enlarges most to about that."""

_SMALLEST = (1, 3, 32, 32)
"""An image that takes no time."""


class DetectorSession(onnxruntime.InferenceSession):  # type: ignore[misc]
    """A session on RapidOCR's detector that keeps the memory of its buffers between images, within limits.

    RapidOCR takes each buffer from the system and gives it back: the kernel clears every one of them anew, a quarter of
    the detector's time. An arena that is only given back when it is in the way, or was made for a large image, spares
    that. Never for two threads at once.
    """

    def __init__(self, model: str | bytes, options: Any, **more: Any) -> None:
        options.enable_cpu_mem_arena = True
        # Planned as one block, the second image of a size would hold all its buffers at once.
        options.enable_mem_pattern = False
        # What lives as long as the session would keep the arena from shrinking.
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
        super().__init__(model, options, **more)
        self._shrink = onnxruntime.RunOptions()
        self._shrink.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._largest = 0
        """Pixels of the largest image since the arena was given back: for one that is larger it has no piece of use."""

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, NDArray[Any]], options: Any = None) -> list[Any]:
        """As onnxruntime's own, of one image (1, 3, H, W)."""
        ((name, image),) = feeds.items()
        pixels = image.shape[2] * image.shape[3]
        if 0 < self._largest < pixels:
            super().run(outputs, {name: np.zeros(_SMALLEST, image.dtype)}, self._shrink)
        is_kept = pixels <= _KEPT_PIXELS
        self._largest = max(self._largest, pixels) if is_kept else 0
        found: list[Any] = super().run(outputs, feeds, options if is_kept else self._shrink)
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
