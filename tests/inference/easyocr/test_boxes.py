"""Boxes found in score maps: EasyOCR's own, point for point, and what must hold of any of them."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.inference.easyocr.boxes import find_boxes, in_picture
from imgtool.inference.easyocr.detector_input import detector_input
from tests.score_maps import blank_maps, draw_word, layouts, made_up

DEFAULTS = {"text_threshold": 0.7, "link_threshold": 0.4, "low_text": 0.4}


class TestAsUpstream:
    @pytest.mark.filterwarnings("ignore")
    def test_boxes_of_200_layouts(self) -> None:
        craft_utils = pytest.importorskip("easyocr.craft_utils")
        found = dict.fromkeys({kind for kind, _ in layouts(6)}, 0)
        for kind, seed in layouts(200):
            text, link = made_up(kind, seed)
            expected, _, _ = craft_utils.getDetBoxes(text, link, **DEFAULTS)
            boxes = find_boxes(text, link, **DEFAULTS)
            assert len(boxes) == len(expected), (kind, seed)
            for box, other in zip(boxes, expected, strict=True):
                assert np.abs(box - other).max() < 1e-3, (kind, seed)
            found[kind] += len(boxes)
        assert found.pop("none") == 0
        assert all(count >= 30 for count in found.values()), found

    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from(["rotated", "touching", "tiny", "curved"]),
        st.integers(0, 10**6),
        st.tuples(st.floats(0.3, 0.9), st.floats(0.05, 0.9), st.floats(0.05, 0.9)),
        st.tuples(st.integers(4, 70), st.integers(4, 70)),
    )
    @pytest.mark.filterwarnings("ignore")
    def test_boxes_with_other_thresholds(
        self, kind: str, seed: int, thresholds: tuple[float, float, float], size: tuple[int, int]
    ) -> None:
        craft_utils = pytest.importorskip("easyocr.craft_utils")
        text, link = made_up(kind, seed, size)
        text_threshold, link_threshold, low_text = thresholds
        if text_threshold <= low_text:
            text_threshold = low_text + 0.05
        expected, _, _ = craft_utils.getDetBoxes(text, link, text_threshold, link_threshold, low_text)
        boxes = find_boxes(text, link, text_threshold, link_threshold, low_text)
        assert len(boxes) == len(expected)
        assert all(np.abs(box - other).max() < 1e-3 for box, other in zip(boxes, expected, strict=True))

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.floats(-5, 4000, width=32), min_size=8, max_size=8), st.floats(0.01, 8))
    @pytest.mark.filterwarnings("ignore")
    def test_boxes_in_the_picture(self, numbers: list[float], ratio: float) -> None:
        craft_utils = pytest.importorskip("easyocr.craft_utils")
        box = np.array(numbers, np.float32).reshape(4, 2)
        (expected,) = craft_utils.adjustResultCoordinates([box.copy()], 1 / ratio, 1 / ratio)
        (found,) = in_picture([box], ratio)
        assert np.array_equal(found, expected.astype(np.int32).reshape(-1))

    @settings(max_examples=50, deadline=None)
    @given(
        st.tuples(st.integers(1, 300), st.integers(1, 300)),
        st.sampled_from([2560, 256, 100]),
        st.sampled_from([1.0, 1, 1.5, 0.7, 3.3]),
        st.integers(0, 255),
    )
    @pytest.mark.filterwarnings("ignore")
    def test_what_the_detector_sees(self, size: tuple[int, int], canvas: int, magnify: float, seed: int) -> None:
        imgproc = pytest.importorskip("easyocr.imgproc")
        ratio = min(magnify * max(size), canvas) / max(size)
        if min(int(size[0] * ratio), int(size[1] * ratio)) < 1:
            return
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        resized, scaled, _ = imgproc.resize_aspect_ratio(pixels, canvas, cv2.INTER_LINEAR, magnify)
        image, found = detector_input(pixels, canvas, magnify)
        assert found == scaled
        assert image.dtype == np.float32
        assert np.array_equal(image[0], imgproc.normalizeMeanVariance(resized).transpose(2, 0, 1))


class TestGeometry:
    @settings(max_examples=60, deadline=None)
    @given(st.floats(-math.pi, math.pi), st.integers(2, 5), st.floats(7, 12))
    def test_a_word_is_one_box_around_its_letters(self, angle: float, letters: int, size: float) -> None:
        maps = blank_maps(160, 160)
        draw_word(maps, (80, 80), angle, letters, size)
        (box,) = find_boxes(*maps, **DEFAULTS)
        centres = [(80 + n * size * math.cos(angle), 80 + n * size * math.sin(angle)) for n in range(letters)]
        assert all(cv2.pointPolygonTest(box, centre, measureDist=False) >= 0 for centre in centres)
        # A box that held twice the letters' area would hold a neighbour too.
        assert cv2.contourArea(box) < 2 * (letters + 1) * size * size

    def test_letters_without_a_link_are_words_of_their_own(self) -> None:
        maps = blank_maps(40, 120)
        for x in (20, 60, 100):
            draw_word(maps, (x, 20), 0, 1, 12)
        assert len(find_boxes(*maps, **DEFAULTS)) == 3
        draw_word(maps, (20, 20), 0, 8, 12)
        assert len(find_boxes(*maps, **DEFAULTS)) == 1

    def test_a_weak_or_a_tiny_mark_is_none(self) -> None:
        maps = blank_maps(40, 80)
        draw_word(maps, (20, 20), 0, 1, 12, peak=0.6)
        draw_word(maps, (60, 20), 0, 1, 2)
        assert find_boxes(*maps, **DEFAULTS) == []

    def test_links_alone_are_none_however_low_the_threshold(self) -> None:
        text, link = blank_maps(40, 80)
        link[10:20, 10:40] = 1
        text[10:20, 10:40] = 0.2
        assert find_boxes(text, link, text_threshold=0.1, link_threshold=0.4, low_text=0.4) == []

    @pytest.mark.parametrize("angle", [0.0, 0.3, -0.3, 0.7])
    def test_corners_go_clockwise_from_the_top_left(self, angle: float) -> None:
        maps = blank_maps(120, 160)
        draw_word(maps, (40, 60), angle, 4, 14)
        (box,) = find_boxes(*maps, **DEFAULTS)
        (x1, y1), (x2, y2), (x3, y3), _ = box
        assert (x2 - x1) * (y3 - y2) - (y2 - y1) * (x3 - x2) > 0
        assert (x1 + y1) == min(x + y for x, y in box)

    @settings(max_examples=40, deadline=None)
    @given(st.integers(1, 200), st.integers(1, 200))
    def test_the_detector_gets_multiples_of_32(self, height: int, width: int) -> None:
        image, ratio = detector_input(np.zeros((height, width, 3), np.uint8), 2560, 1.0)
        assert ratio == 1
        assert image.shape == (1, 3, math.ceil(height / 32) * 32, math.ceil(width / 32) * 32)
