"""Prepares pictures for the network exactly as BLIP's processor does: resized, rescaled, normalised.

transformers' ``BlipImageProcessor`` resizes with torchvision, and that, for bytes on a CPU, is torch's antialiased
bicubic filter in fixed point (``UpSampleKernel.cpp``: weights of 16 bits, width before height, bytes in between).
Pillow's filter has weights of 22 bits and differs by a grey level in some places, a hundred times more than the
network's rounding errors. So the filter is computed here, in doubles, which hold every sum exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CUBIC = -0.5
"""Keys 1981, "Cubic convolution interpolation for digital image processing"; the value Pillow and torch take."""

_SUPPORT = 2.0
_WEIGHT_BITS = 15
_MOST_PRECISE = 22
_BAND = 16
"""Number of outputs that are computed together, from all inputs that any of them reads."""

_AT_ONCE = 1 << 14
"""Number of doubles that are converted and multiplied at once. They fit into a core's cache, and numpy's OpenBLAS
computes products of this size in the calling thread: beside a network that keeps all cores busy, its waiting threads
take twenty times the processor time of the product."""


class PixelSettings:
    """What ``preprocessor_config.json`` says, as stored in the settings of a compiled model."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.height, self.width = settings["height"], settings["width"]
        grey: NDArray[np.float32] = np.arange(256, dtype=np.float32)[:, None]
        # As upstream: the factor goes into mean and deviation, each rounded to single precision.
        factor = np.float32(1.0 / settings["rescale_factor"])
        mean, deviation = (np.array(settings[name], dtype=np.float32) * factor for name in ("mean", "std"))
        self.levels: NDArray[np.float32] = np.ascontiguousarray(((grey - mean) / deviation).T)


def prepare(pictures: Sequence[NDArray[np.uint8]], settings: PixelSettings) -> NDArray[np.float32]:
    """(H, W, 3) uint8 pictures of any size -> (N, 3, height, width) float32."""
    batch = np.empty((len(pictures), 3, settings.height, settings.width), dtype=np.float32)
    for picture, values in zip(pictures, batch, strict=True):
        planes = resize(np.ascontiguousarray(picture.transpose(2, 0, 1)), settings.height, settings.width)
        for channel, levels in enumerate(settings.levels):
            np.take(levels, planes[channel], out=values[channel])
    return batch


def resize(planes: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(3, H, W) -> (3, height, width), as ``torchvision.transforms.v2.functional.resize``, bicubic with antialias."""
    if planes.shape[2] != width:
        rows = planes.reshape(-1, planes.shape[2])
        across: NDArray[np.uint8] = np.empty((len(rows), width), dtype=np.uint8)
        for band in _bands(planes.shape[2], width):
            step = max(1, _AT_ONCE // (band.stop - band.start))
            for first in range(0, len(rows), step):
                some = slice(first, first + step)
                source = rows[some, band.start : band.stop].astype(np.float64)
                across[some, band.outputs] = _levels(source @ band.weights.T)
        planes = across.reshape(3, -1, width)
    if planes.shape[1] != height:
        down: NDArray[np.uint8] = np.empty((3, height, planes.shape[2]), dtype=np.uint8)
        for band in _bands(planes.shape[1], height):
            step = max(1, _AT_ONCE // (band.stop - band.start))
            for first in range(0, planes.shape[2], step):
                source = planes[:, band.start : band.stop, first : first + step].astype(np.float64)
                down[:, band.outputs, first : first + step] = _levels(band.weights @ source)
        planes = down
    return planes


def _levels(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounded half up, within what a byte holds."""
    sums += 0.5
    return np.clip(np.floor(sums, out=sums), 0, 255, out=sums)


@dataclass(frozen=True)
class _Band:
    """Weights (outputs, inputs) of a few neighbouring outputs over the inputs ``start`` to ``stop``."""

    outputs: slice
    start: int
    stop: int
    weights: NDArray[np.float64]


@lru_cache(maxsize=32)
def _bands(length: int, size: int) -> tuple[_Band, ...]:
    starts, weights = _weights(length, size)
    bands = []
    for first in range(0, len(starts), _BAND):
        outputs = slice(first, min(first + _BAND, len(starts)))
        inputs = starts[outputs, None] + np.arange(weights.shape[1])
        start, stop = int(inputs.min()), min(int(inputs.max()) + 1, length)
        dense = np.zeros((outputs.stop - first, stop - start))
        inside = inputs < stop
        dense[np.nonzero(inside)[0], inputs[inside] - start] = weights[outputs][inside]
        bands.append(_Band(outputs, start, stop, dense))
    return tuple(bands)


def _weights(length: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The first input of each output, and its weights (size, taps), which are whole multiples of a power of two."""
    scale = length / size
    stretch = max(scale, 1.0)
    taps = math.ceil(_SUPPORT * stretch) * 2 + 1
    centres = scale * (np.arange(size) + 0.5)
    starts = np.maximum(np.trunc(centres - _SUPPORT * stretch + 0.5), 0)
    counts = np.minimum(np.trunc(centres + _SUPPORT * stretch + 0.5), length) - starts
    places = np.arange(taps)
    x = np.abs((places + starts[:, None] - centres[:, None] + 0.5) * (1.0 / stretch))
    near = ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1
    far = ((_CUBIC * x - 5 * _CUBIC) * x + 8 * _CUBIC) * x - 4 * _CUBIC
    weights = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    weights[places >= counts[:, None]] = 0
    # Summed in order, as upstream does: pairwise summation would round another way.
    weights /= np.cumsum(weights, axis=1)[:, -1:]
    # In fixed point: at the finest resolution at which the largest still fits into 16 bits with its sign.
    greatest = float(weights.max())
    finer = (bits for bits in range(_MOST_PRECISE) if int(0.5 + greatest * 2 ** (bits + 1)) >= 2**_WEIGHT_BITS)
    one = 2.0 ** next(finer, _MOST_PRECISE)
    return starts.astype(np.int64), np.trunc(weights * one + np.copysign(0.5, weights)) / one
