"""RapidOCR on pages that it reads badly by itself: lines turned the wrong way, very long and very small images.

On all other pages every line, score and box is RapidOCR's own. Imported by the worker only.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SURE, _MARGIN, _LEAST = 0.9, 0.05, 0.8
"""A line below the first score is read the other way round as well. Where it runs as most lines of the page do, the
other reading is kept if it scores at least the last and better by the margin; else if it scores worse by less."""

_LONG_RATIO, _LONG_SIDE = 3.0, 2048
"""An image that is longer than both is looked at in slices: RapidOCR shrinks the longer side to 2,000 pixels."""

_SLICE, _OVERLAP, _LEAST_SLICE, _LEAST_WIDTH = 1.5, 0.2, 1500, 480
"""The length of a slice in widths of the image, the part of it that the next one shows again, its least length, and the
width to which a narrower one is filled up: RapidOCR would enlarge it many times over."""

_SAME_EDGE = 3.0
"""Two slices find the edges of one line so many pixels apart, at most."""

_SMALL_SIDE = 368
"""RapidOCR enlarges the shorter side to 736 pixels: where it is below half of that, letters may become too large to be
found."""


class PageReader:
    """Called like the ``RapidOCR`` that it is made of. Not safe for two threads at once."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._detect = engine.detect_and_crop
        engine.detect_and_crop = self._detect_and_crop

    def __call__(self, image: NDArray[np.uint8]) -> Any:
        """RapidOCR's output for an (H, W, 3) uint8 BGR image; the corners of boxes are in the order of reading."""
        found = self._read(image)
        height, width = image.shape[:2]
        if getattr(found, "txts", None) or min(height, width) >= _SMALL_SIDE:
            return found
        edge = max(height, width) // 2
        found = self._read(cv2.copyMakeBorder(image, edge, edge, edge, edge, cv2.BORDER_REPLICATE))
        if getattr(found, "boxes", None) is not None:
            found.boxes = found.boxes - edge
        return found

    def _read(self, image: NDArray[np.uint8]) -> Any:
        engine = self._engine
        part, record = (image, _unchanged()) if _is_long(image) else engine.preprocess_img(image)
        boxes, turns, texts, crops = engine.run_ocr_steps(part, record)
        if boxes.boxes is not None and turns.cls_res is not None and texts.txts is not None:
            turned = self._read_the_other_way(boxes.boxes, turns, texts, crops)
            boxes.boxes = np.array([_as_read(box, *how) for box, how in zip(boxes.boxes, turned, strict=True)])
        return engine.build_final_output(image, boxes, turns, texts, crops, record)

    def _read_the_other_way(self, boxes: Any, turns: Any, texts: Any, crops: list[Any]) -> list[tuple[bool, bool]]:
        """Replace the texts of lines that read better so; whether each crop is upended, and was then read turned."""
        least = self._engine.text_cls.cls_thresh
        turned = ["180" in label and score > least for label, score in turns.cls_res]
        upended = [_is_upended(box) for box in boxes]
        lengths = [max(1.0, crop.shape[1] / crop.shape[0]) for crop in crops]
        most = {}
        for kind in (False, True):
            votes = [(way, length) for way, up, length in zip(turned, upended, lengths, strict=True) if up is kind]
            most[kind] = sum(length if way else -length for way, length in votes) > 0
        against = [way is not most[up] for way, up in zip(turned, upended, strict=True)]
        scores = list(texts.scores)
        again = [n for n, score in enumerate(scores) if score < _SURE or against[n]]
        if again:
            words = list(texts.txts)
            others = [crops[n] if turned[n] else cv2.rotate(crops[n], cv2.ROTATE_180) for n in again]
            read = self._engine.recognize_txt(others)
            for n, text, score in zip(again, read.txts, read.scores, strict=True):
                if text.strip() and score > (scores[n] - _MARGIN if against[n] else max(scores[n] + _MARGIN, _LEAST)):
                    words[n], scores[n], turned[n] = text, score, not turned[n]
            texts.txts, texts.scores = tuple(words), tuple(scores)
        return list(zip(upended, turned, strict=True))

    def _detect_and_crop(self, image: NDArray[np.uint8], record: dict[str, Any]) -> Any:
        """As RapidOCR's own; in a long image lines are found slice by slice, and cut out of the whole."""
        if not _is_long(image):
            return self._detect(image, record)
        engine = self._engine
        length, width = max(image.shape[:2]), min(image.shape[:2])
        axis = int(image.shape[1] > image.shape[0])
        size = min(length, max(_LEAST_SLICE, round(_SLICE * width)))
        count = math.ceil((length - size) / (size * (1 - _OVERLAP))) + 1
        detector = engine._load_det_model()
        lines: list[NDArray[np.float32]] = []
        before = 0
        starts = [int(start) for start in np.linspace(0, length - size, count)]
        for start, following in itertools.zip_longest(starts, starts[1:], fillvalue=length):
            whole = image[:, start : start + size] if axis else image[start : start + size]
            rows, columns = (max(0, _LEAST_WIDTH - side) for side in whole.shape[:2])
            filled = cv2.copyMakeBorder(whole, 0, rows, 0, columns, cv2.BORDER_REPLICATE)
            part, scale = engine.preprocess_img(filled)
            found = detector(part).boxes
            fresh = []
            for box in () if found is None else found:
                placed = box * (scale["preprocess"]["ratio_w"], scale["preprocess"]["ratio_h"])
                placed[:, 1 - axis] += start
                fresh.append(placed.astype(np.float32))
            seam = len(lines)
            for box in fresh:
                twin = next((n for n in range(before, seam) if _is_same_line(lines[n], box, axis)), None)
                if twin is None:
                    lines.append(box)
                else:
                    lines[twin] = _around(lines[twin], box)
            # The next slice can meet lines of this one alone, those that were joined among them.
            reaching = (n for n in range(before, len(lines)) if lines[n][:, 1 - axis].max() > following)
            before = next(reaching, len(lines))
        from rapidocr.main import RapidOCRError, TextDetOutput

        if not lines:
            raise RapidOCRError("nothing was found in any slice")
        boxes = detector.sorted_boxes(np.array(lines))
        return engine.crop_text_regions(image, boxes), TextDetOutput(image, boxes, [1.0] * len(boxes), elapse=0.0)


def _is_long(image: NDArray[np.uint8]) -> bool:
    short, long = sorted(image.shape[:2])
    return bool(long > _LONG_SIDE and long > _LONG_RATIO * short)


def _unchanged() -> dict[str, Any]:
    return {"preprocess": {"ratio_h": 1.0, "ratio_w": 1.0}}


def _is_same_line(one: NDArray[np.float32], other: NDArray[np.float32], axis: int) -> bool:
    """Whether two slices show the same line; along the cut (``axis`` 1: of a wide image) each may show a part only."""
    shared = np.minimum(one.max(0), other.max(0)) - np.maximum(one.min(0), other.min(0))
    if shared.min() <= 0:
        return False
    smaller = np.minimum(np.ptp(one, axis=0), np.ptp(other, axis=0))
    return bool(shared[axis] > 0.5 * smaller[axis] and (axis == 1 or shared[1] > 0.5 * smaller[1]))


def _around(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """The one that has all of the other, else the smallest upright box around both; corners in RapidOCR's order."""
    (left, top), (right, bottom) = np.minimum(one.min(0), other.min(0)), np.maximum(one.max(0), other.max(0))
    for box in (one, other):
        if np.abs((*box.min(0) - (left, top), *box.max(0) - (right, bottom))).max() <= _SAME_EDGE:
            return box
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def _is_upended(box: NDArray[np.float32]) -> bool:
    """Whether RapidOCR lays the crop on its side, anticlockwise, because it is high and narrow."""
    width = int(max(np.linalg.norm(box[0] - box[1]), np.linalg.norm(box[2] - box[3])))
    height = int(max(np.linalg.norm(box[0] - box[3]), np.linalg.norm(box[1] - box[2])))
    return bool(height >= 1.5 * width)


def _as_read(box: NDArray[np.float32], upended: bool, turned: bool) -> NDArray[np.float32]:
    """The corners clockwise, the first where the first letter has its top left."""
    return np.roll(box, -(upended + 2 * turned), axis=0)
