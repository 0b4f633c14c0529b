"""Measures an image's pixels, on copies of limited size: deterministic, and similar at every resolution."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from imgtool.analyzers.caption import colours
from imgtool.analyzers.caption.sentence import TRANSPARENT, Measurements, summarise_text
from imgtool.analyzers.codes.barcodes import QR, read_barcodes
from imgtool.types import TextLine

FINE = 2048
COARSE = 1024

_TILES = 8
_CLEAR, _NOT_REMARKABLE = 0.05, (50.0, 40.0)
# A tile with a smaller mean squared gradient (grey levels per pixel, squared) holds sensor noise and no edge.
_EDGE_FLOOR = 1.0
# If a larger share of a tile's gradient is constant over the tile, it is shading: a sky, a ramp.
_SHADING = 0.8
# Smoothing before derivatives, in pixels: without it single-pixel noise would count as the sharpest edge.
_SMOOTHING = 1.0


def measure(
    pixels: NDArray[np.uint8], text: Sequence[TextLine] = (), clear: float = 0.0, threads: int = 1
) -> Measurements:
    """Measure one upright image, (H, W, 3) uint8 RGB, and summarise the text that was read in it. Where a
    share of ``clear`` was transparent, a plain ground is not the image's own."""
    height, width = pixels.shape[:2]
    sampled = colours.sample(pixels)
    lightness, contrast = tone(sampled)
    ground = colours.plain_ground(sampled)
    transparent = ground is not None and clear >= _CLEAR
    if transparent:  # how light the ground is says nothing of the image
        lightness, contrast = _NOT_REMARKABLE
    apart = sampled.counts if ground is None else np.where(colours.near(ground, 8), 0, sampled.counts)
    flat, table = colours.is_flat(sampled), colours.tables()
    fine = cv2.cvtColor(halved(pixels, FINE), cv2.COLOR_RGB2GRAY)
    coarse = shrunk(fine, COARSE)
    codes = [] if flat else [code.kind in QR for code in read_barcodes(fine, threads)]
    return Measurements(
        width=width,
        height=height,
        lightness=lightness,
        contrast=contrast,
        greyscale=colours.is_greyscale(sampled),
        flat=flat,
        edge_width=None if flat else edge_width(coarse),
        colours=colours.shares(sampled.counts, sampled.total),
        ground=TRANSPARENT if transparent else None if ground is None else table.names[int(table.nearest[ground])],
        figure=() if ground is None else colours.shares(apart, sampled.total),
        text=summarise_text(text, width, height),
        qr_codes=sum(codes),
        barcodes=len(codes) - sum(codes),
    )


def tone(sampled: colours.ColourSample) -> tuple[float, float]:
    """Mean lightness and contrast of an image, both in L* of CIE 1976, [0, 100].

    Contrast is the distance between the means of the dark and the light part, separated by Otsu's threshold ("A
    threshold selection method from gray-level histograms", 1979). Unlike RMS contrast it does not depend on the amount
    of ink on a page.
    """
    levels = np.clip(np.rint(colours.tables().lab[:, 0]), 0, 100).astype(np.intp)
    histogram = np.bincount(levels, weights=sampled.counts, minlength=101) / sampled.total
    mass = np.cumsum(histogram)
    moment = np.cumsum(histogram * np.arange(101))
    mean = moment[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (mean - moment) / (1 - mass) - moment / mass
    # An empty side has no mean; that of a side of 1e-16 of the image, left by rounding, is meaningless.
    distance = np.where((mass > 1e-9) & (mass < 1 - 1e-9), distance, 0.0)
    between = mass * (1 - mass) * distance**2
    return float(mean), float(distance[between.argmax()])


def edge_width(grey: NDArray[np.uint8]) -> float | None:
    """How blurred the sharp parts of (H, W) uint8 are, as the standard deviation in pixels of their edges' blur.

    The variance of the Laplacian (Pech-Pacheco and others, "Diatom autofocusing in brightfield microscopy", 2000) falls
    with blur, but also with contrast and the number of edges. Dividing by the gradient's energy cancels both: a step
    blurred by a Gaussian of σ has E[gradient²] / E[Laplacian²] = 2 σ². It is taken tile by tile, from the sharpest
    quarter of the tiles, so that a sharp subject on a blurred background counts as sharp. Shading is not an edge;
    ``None`` if there is no edge.
    """
    if min(grey.shape) < 4 * _TILES:
        return None
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _SMOOTHING)
    # The derivatives of the outermost pixels depend on the border rule, not on the image.
    inner = np.s_[2:-2, 2:-2]
    laplacian = cv2.Laplacian(smooth, cv2.CV_32F)[inner]
    horizontal, vertical = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, ksize=1, scale=0.5)[inner] for dx in (1, 0))
    gradient = _tile_means(horizontal**2 + vertical**2)
    shading = _tile_means(horizontal) ** 2 + _tile_means(vertical) ** 2
    edges = (gradient > _EDGE_FLOOR) & (shading < _SHADING * gradient)
    if not edges.any():
        return None
    curvature = np.maximum(_tile_means(laplacian**2)[edges], 1e-6)
    squared = np.percentile(gradient[edges] / (2 * curvature), 25) - _SMOOTHING**2
    return float(np.sqrt(max(0.0, squared)))


def _tile_means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The means of 8 x 8 equal tiles of (H, W); remaining rows and columns are ignored."""
    height, width = (side // _TILES for side in values.shape)
    tiles = values[: height * _TILES, : width * _TILES].reshape(_TILES, height, _TILES, width)
    return np.asarray(tiles.mean(axis=(1, 3)))


def halved(pixels: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """Halve (H, W, C) until no side exceeds ``longest``: averaging 2 x 2 is ten times as fast as any other ratio."""
    while max(pixels.shape[:2]) > longest:
        height, width = pixels.shape[:2]
        size = max(1, width // 2), max(1, height // 2)
        # An odd last row or column is left out, so that the ratio is exactly two.
        even = pixels[: size[1] * min(2, height), : size[0] * min(2, width)]
        pixels = cv2.resize(even, size, interpolation=cv2.INTER_AREA)
    return pixels


def shrunk(pixels: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """(H, W) scaled down, never up, so that its longest side is ``longest``; no side falls under one pixel."""
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
