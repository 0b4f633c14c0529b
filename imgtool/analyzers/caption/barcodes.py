"""Counts QR codes and barcodes that can be decoded; a pattern that only looks like one does not count."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# The smallest QR code has 21 modules a side, the shortest barcode (EAN-8) has 67 in one row.
_SMALLEST = 21

# Detectors raise cv2.error for some images; in OpenCV before 4.11 a payload that is not UTF-8 fails in the binding.
_REFUSALS = (cv2.error, UnicodeDecodeError)


def count_qr_codes(coarse: NDArray[np.uint8], fine: NDArray[np.uint8]) -> int:
    """How many QR codes can be read. Never raises because of the image's content.

    ``coarse`` and ``fine`` are (H, W) uint8 copies of one image. Codes are located in the coarse one and read in that
    part of the fine one: reading all of the fine one takes five times as long, and in the coarse one the small codes of
    an invoice are lost. The detector based on ArUco's contours finds small and tilted codes that OpenCV's older line
    scan misses.
    """
    if min(coarse.shape) < _SMALLEST:
        return 0
    try:
        # Some readers use OpenCV's global random generator: seeded, answers do not depend on earlier images.
        cv2.setRNGSeed(0)
        detector: Any = getattr(cv2, "QRCodeDetectorAruco", cv2.QRCodeDetector)()
        located, corners = detector.detectMulti(coarse)
        if not located:
            return 0
        scale = np.array([fine.shape[1] / coarse.shape[1], fine.shape[0] / coarse.shape[0]])
        # Corners from the coarse copy are too inexact for reading: they are searched again in the part that is cut out,
        # with a quiet zone. Each of the two detectors finds some corners better than the other.
        # ``corners`` is (n, 4, 2), x and y in pixels.
        low, high = (corners * scale).min(axis=(0, 1)), (corners * scale).max(axis=(0, 1))
        margin = 0.25 * (high - low).max() + 8
        left, top = np.maximum(low - margin, 0).astype(int)
        right, bottom = np.ceil(high + margin).astype(int)
        part = np.ascontiguousarray(fine[top:bottom, left:right])
        return _read(detector, part) or _read(cv2.QRCodeDetector(), part)
    except _REFUSALS:
        return 0


def count_barcodes(fine: NDArray[np.uint8]) -> int:
    """How many EAN-8, EAN-13 and UPC-A barcodes can be read. Never raises because of the image's content."""
    if min(fine.shape) < _SMALLEST or not hasattr(cv2, "barcode"):
        return 0
    try:
        detector = cv2.barcode.BarcodeDetector()
        # Drawn bars with perfectly sharp edges are often found only after smoothing.
        return _read(detector, fine) or _read(detector, cv2.GaussianBlur(fine, (0, 0), 1))
    except _REFUSALS:
        return 0


def _read(detector: Any, grey: NDArray[np.uint8]) -> int:
    """How many codes a detector of OpenCV can read in (H, W); the payload of an unreadable code is empty."""
    # As bytes if possible: a code may hold anything, not only text.
    found = getattr(detector, "detectAndDecodeBytesMulti", detector.detectAndDecodeMulti)(grey)
    return sum(bool(payload) for payload in found[1])
