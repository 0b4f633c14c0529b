"""Named colours of pixels: a histogram of sampled pixels and a small palette in CIELAB."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from imgtool.analyzers.caption.sentence import ColourShare

_LEVELS = 32
_SAMPLES = 512
_GOLDEN = 0.6180339887498949

# Linear sRGB -> CIE XYZ. A row's sum is that coordinate of the white point.
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])

# Several focal points of one name widen its region. The hues are the basic colour terms of Berlin and Kay (1969) and
# common ones in between: beige, turquoise, teal, olive, magenta.
_FOCAL: dict[str, tuple[tuple[int, int, int], ...]] = {
    "black": ((0, 0, 0), (22, 22, 22)),
    "dark grey": ((75, 75, 75),),
    "grey": ((128, 128, 128),),
    "light grey": ((200, 200, 200),),
    "white": ((255, 255, 255), (244, 244, 242)),
    "red": ((220, 25, 35), (255, 0, 0)),
    "dark red": ((125, 10, 15), (85, 5, 10)),
    "pink": ((255, 165, 185), (245, 105, 150), (255, 20, 147), (255, 205, 215)),
    "orange": ((255, 135, 0), (235, 110, 30)),
    "light orange": ((255, 195, 140),),
    "brown": ((140, 78, 35), (115, 70, 40)),
    "light brown": ((185, 140, 100),),
    "dark brown": ((65, 38, 20),),
    "beige": ((230, 212, 180), (245, 230, 205)),
    "yellow": ((255, 255, 0), (250, 215, 30)),
    "light yellow": ((255, 250, 170),),
    "olive": ((128, 128, 0), (105, 110, 45)),
    "green": ((0, 255, 0), (35, 160, 50), (60, 130, 60)),
    "light green": ((150, 225, 140), (190, 240, 180)),
    "dark green": ((0, 80, 15), (20, 55, 25)),
    "turquoise": ((64, 224, 208), (0, 185, 170)),
    "teal": ((0, 125, 125), (0, 85, 90)),
    "cyan": ((0, 255, 255),),
    "light cyan": ((190, 245, 245),),
    "blue": ((0, 0, 255), (35, 85, 220), (70, 120, 200), (70, 125, 175)),
    "light blue": ((150, 200, 245), (100, 175, 235), (190, 215, 245)),
    "dark blue": ((0, 0, 110), (20, 40, 95)),
    "purple": ((128, 35, 160), (150, 85, 210), (128, 0, 128)),
    "light purple": ((200, 165, 230),),
    "dark purple": ((60, 10, 85), (75, 0, 130)),
    "magenta": ((255, 0, 255), (215, 0, 140)),
}


@dataclass(frozen=True)
class Tables:
    """For each of the 32768 cells of the RGB cube: L*a*b* (n, 3) float32, and the nearest of the ``names`` (n,) intp.

    Distances are Euclidean in CIELAB (CIE 1976 ΔE*ab).
    """

    lab: NDArray[np.float32]
    nearest: NDArray[np.intp]
    names: tuple[str, ...]


@dataclass(frozen=True)
class ColourSample:
    """Cells of the RGB cube of pixels spread over an image: ``cells`` (h, w) intp and how often each occurs."""

    cells: NDArray[np.intp]
    counts: NDArray[np.intp]

    @property
    def total(self) -> int:
        """How many pixels were sampled."""
        return int(self.cells.size)


def to_lab(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """CIE 1976 L*a*b* under D65, (n, 3) float32, of sRGB values (n, 3) float32 in [0, 1] (IEC 61966-2-1).

    OpenCV could do this too, but its first call takes 0.08 s to fill tables.
    """
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    relative = linear @ (_XYZ / _XYZ.sum(axis=1, keepdims=True)).T
    root = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1).astype(np.float32)


@lru_cache(maxsize=1)
def tables() -> Tables:
    """L*a*b* value and name of every cell, computed once a process (under 0.05 s)."""
    steps = np.linspace(0, 1, _LEVELS, dtype=np.float32)
    lab = to_lab(np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3))
    names = tuple(_FOCAL)
    owner = np.array([index for index, name in enumerate(names) for _ in _FOCAL[name]], dtype=np.intp)
    focal = to_lab(np.array([point for points in _FOCAL.values() for point in points], dtype=np.float32) / 255)
    # |a - b|² without the |a|² that is the same for every candidate.
    nearest = ((focal**2).sum(axis=1) - 2 * lab @ focal.T).argmin(axis=1)
    return Tables(lab, owner[nearest], names)


def sample(pixels: NDArray[np.uint8]) -> ColourSample:
    """At most 512 x 512 pixels of (H, W, 3) uint8 RGB, one from each cell of a grid.

    Pixels are picked, not averaged: the average of black letters and white paper is a grey that is not in the picture.
    The golden ratio shifts the pick within its grid cell, so that a regular pattern is not seen as one colour.
    """
    picked = pixels[_spread(pixels.shape[0])][:, _spread(pixels.shape[1])].astype(np.intp) >> 3
    cells: NDArray[np.intp] = (picked[..., 0] << 10) | (picked[..., 1] << 5) | picked[..., 2]
    return ColourSample(cells, np.bincount(cells.ravel(), minlength=_LEVELS**3))


def _spread(length: int) -> NDArray[np.intp]:
    count = min(length, _SAMPLES)
    if count == length:
        return np.arange(length)
    steps = np.arange(count)
    return np.floor((steps + steps * _GOLDEN % 1) * length / count).astype(np.intp)


def shares(counts: NDArray[np.intp], total: int) -> tuple[ColourShare, ...]:
    """The named colours of a histogram of cells as shares of ``total``, largest first; ties in alphabetical order."""
    table = tables()
    by_name = np.bincount(table.nearest, weights=counts, minlength=len(table.names)) / total
    found = [ColourShare(name, float(share)) for name, share in zip(table.names, by_name, strict=True) if share > 0]
    return tuple(sorted(found, key=lambda colour: (-colour.share, colour.name)))


def near(cell: int, radius: float) -> NDArray[np.bool_]:
    """Which cells of the cube lie within ``radius`` ΔE*ab of one cell: (32768,) bool."""
    lab = tables().lab
    return np.asarray(((lab - lab[cell]) ** 2).sum(axis=1) <= radius**2)


def is_greyscale(sampled: ColourSample) -> bool:
    """Whether less than one pixel in a thousand has channels more than about 16 levels apart."""
    used = np.flatnonzero(sampled.counts)
    channels = np.stack([used >> 10, used >> 5 & 31, used & 31])
    coloured = np.ptp(channels, axis=0) > 1
    return bool(sampled.counts[used][coloured].sum() < 0.001 * sampled.total)


def is_flat(sampled: ColourSample) -> bool:
    """Whether all but one pixel in ten thousand are within ΔE*ab 8 of the most frequent colour."""
    within = sampled.counts[near(int(sampled.counts.argmax()), 8)].sum()
    return bool(sampled.total - within <= 0.0001 * sampled.total)


def plain_ground(sampled: ColourSample) -> int | None:
    """The cell of a plain background, or ``None``.

    Plain means that one colour (ΔE*ab 8) holds four fifths of the image's outer frame and half of the whole image.
    """
    cells = sampled.cells
    depth = max(1, min(cells.shape) // 32)
    frame = np.concatenate(
        [cells[:depth].ravel(), cells[-depth:].ravel(), cells[:, :depth].ravel(), cells[:, -depth:].ravel()]
    )
    ground = int(np.bincount(frame).argmax())
    alike = near(ground, 8)
    enough = alike[frame].mean() >= 0.8 and sampled.counts[alike].sum() >= 0.5 * sampled.total
    return ground if enough else None
