"""EasyOCR's pipeline with compiled networks, without torch, EasyOCR, scipy and scikit-image."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgtool.artefacts.manifest import SETTINGS
from imgtool.distribution import pip_install
from imgtool.errors import ModelLoadFailed
from imgtool.inference.easyocr import ctc
from imgtool.inference.easyocr.answers import is_inside, lowest, text_line, vanishes
from imgtool.inference.easyocr.boxes import find_boxes, in_picture
from imgtool.inference.easyocr.crops import Crop, cut_out, recogniser_input
from imgtool.inference.easyocr.detector_input import detector_input
from imgtool.inference.easyocr.lines import Grouping, group_words
from imgtool.inference.easyocr.paragraphs import join_paragraphs
from imgtool.inference.easyocr.rotate import rotate
from imgtool.inference.session_memory import Arena
from imgtool.inference.sessions import Damaged, open_graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgtool.inference.easyocr.lines import Slanted, Upright
    from imgtool.inference.picture import Picture
    from imgtool.types import TextLine

DETECTOR, RECOGNISER = "craft", "recogniser"
"""The names of the graphs."""

_LINES_TOGETHER, _COLUMNS_TOGETHER = 4, 4096
"""Most lines of one width that are read in one batch, and most columns of these. An LSTM then goes through its weights
once for all of them, which takes a quarter less time; more gain nothing."""

_ALWAYS_GREEDY = ("chinese_sim", "chinese_tra")
_RIGHT_TO_LEFT = "arabic"
_NO_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation", "Insufficient memory")

Line = tuple[Any, str, float]
"""Corners, text, confidence."""


@dataclass(frozen=True)
class Detection(Grouping):
    """EasyOCR's parameters of ``detect``, under its names and with its defaults."""

    text_threshold: float = 0.7
    low_text: float = 0.4
    link_threshold: float = 0.4
    canvas_size: int = 2560
    mag_ratio: float = 1.0


@dataclass(frozen=True)
class Recognition:
    """EasyOCR's parameters of ``recognize``, under its names and with its defaults."""

    decoder: str = "greedy"
    beamWidth: int = 5  # noqa: N815 - upstream's name
    allowlist: str | None = None
    blocklist: str | None = None
    rotation_info: Sequence[float] | None = None
    paragraph: bool = False
    contrast_ths: float = 0.1
    adjust_contrast: float = 0.5
    x_ths: float = 1.0
    y_ths: float = 0.5


class EasyOcrGraphs:
    """The compiled networks in a folder, and their characters and words.

    It reads as ``easyocr.Reader`` does with networks in fp32 (``quantize=False``) on the CPU.
    """

    def __init__(self, folder: Path, languages: Sequence[str], threads: int | None, precision: str = "exact") -> None:
        """Open both graphs.

        Raises:
            Damaged: the model is not for these languages, or a file is missing or was changed.
            ModelLoadFailed: python-bidi, which right-to-left text needs, is not installed.
        """
        self._settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        self._characters: str = self._settings["characters"]
        self._height: int = self._settings["height"]
        alphabets = self._settings["alphabets"]
        if unknown := sorted(set(languages) - set(alphabets)):
            raise Damaged(f"the compiled {self._settings['recogniser']} does not read {', '.join(unknown)}")
        self._readable = frozenset(self._settings["symbols"]).union(*(alphabets[code] for code in languages))
        self._word_files = [folder / name for code, name in self._settings["words"].items() if code in languages]
        self._words: frozenset[str] | None = None
        self._is_right_to_left = self._settings["script"] == _RIGHT_TO_LEFT
        if self._is_right_to_left:
            try:
                from bidi import get_display
            except ImportError as error:
                text = "text from right to left cannot be put in order: python-bidi is not installed"
                raise ModelLoadFailed(text, pip_install("python-bidi")) from error
            self._display = get_display
        self._detector = open_graph(folder, DETECTOR, threads=threads, precision=precision, arena=Arena.EXACT)
        # A line is read step by step, which threads hardly speed up: instead, each thread reads a line of its own.
        # Its weights are packed: then a line has the same logits to the last bit, whichever lines are read with it.
        self._recogniser = open_graph(
            folder, RECOGNISER, threads=threads and 1, callers=threads or 1, precision=precision, is_packed=True
        )
        self._readers = threads or 1

    def read(self, picture: Picture, detect: Mapping[str, Any], recognize: Mapping[str, Any]) -> list[TextLine]:
        """The lines in ``picture`` in upstream's order; boxes are clamped to the picture.

        ``detect`` and ``recognize`` hold what differs from upstream's defaults, under upstream's names.

        Raises:
            MemoryError: the picture does not fit into memory.
        """
        from imgtool.inference.easyocr.grey import grey

        height, width = picture.pixels.shape[:2]
        if vanishes(width, height, detect):
            return []
        recognition = Recognition(**recognize)
        with memory_errors():
            boxes, slanted = self.detect(picture.pixels, Detection(**detect))
            upright = [box for box in boxes if is_inside(box, width, height)]
            lines = self.recognise(grey(picture.pixels, picture.format), upright, slanted, recognition)
        if recognition.paragraph:
            joined = join_paragraphs(lines, recognition.x_ths, recognition.y_ths, self._is_right_to_left)
            lines = [(corners, text, lowest(corners, lines)) for corners, text in joined]
        return [text_line(corners, text, score, width, height) for corners, text, score in lines]

    def score_maps(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The character and the link score, both (H / 2, W / 2), of a normalised ``image`` (1, 3, H, W)."""
        shape = (1, image.shape[2] // 2, image.shape[3] // 2)
        maps = self._detector.run({"image": image}, {name: np.empty(shape, np.float32) for name in ("text", "link")})
        return maps["text"][0], maps["link"][0]

    def detect(self, pixels: NDArray[np.uint8], wanted: Detection) -> tuple[list[Upright], list[Slanted]]:
        """The upright and the slanted lines in ``pixels``, (H, W, 3) uint8 RGB."""
        image, ratio = detector_input(pixels, wanted.canvas_size, wanted.mag_ratio)
        text, link = self.score_maps(image)
        boxes = find_boxes(text, link, wanted.text_threshold, wanted.link_threshold, wanted.low_text)
        return group_words(in_picture(boxes, ratio), wanted)

    def recognise(
        self, levels: NDArray[np.uint8], upright: Sequence[Upright], slanted: Sequence[Slanted], wanted: Recognition
    ) -> list[Line]:
        """The text of each line in ``levels``, (H, W) uint8."""
        if wanted.rotation_info:
            crops, width = cut_out(levels, upright, slanted, self._height)
            attempts = [(crop, width) for crop in crops]
            for angle in wanted.rotation_info:
                attempts += [(Crop(crop.corners, rotate(crop.levels, angle)), width) for crop in crops]
            read = self._read_all(attempts, wanted)
            turns = [read[start : start + len(crops)] for start in range(0, len(read), max(1, len(crops)))]
            lines = [max(candidates, key=lambda line: line[2]) for candidates in zip(*turns, strict=True)]
        else:
            # One by one, in the order of detection and each padded to its own width, as upstream does without a GPU.
            cuts = [cut_out(levels, [box], [], self._height) for box in upright]
            cuts += [cut_out(levels, [], [corners], self._height) for corners in slanted]
            lines = self._read_all([(crop, width) for together, width in cuts for crop in together], wanted)
        if self._is_right_to_left:
            lines = [(corners, self._display(text), score) for corners, text, score in lines]
        return lines

    def _read_all(self, crops: Sequence[tuple[Crop, int]], wanted: Recognition) -> list[Line]:
        """The text of the lines in ``crops``, each with the width to which it is padded, in order."""
        if wanted.decoder == "wordbeamsearch":
            self._known_words()  # read once, before several threads ask for them
        by_width: dict[int, list[int]] = {}
        for place, (_, width) in enumerate(crops):
            by_width.setdefault(width, []).append(place)
        together: list[list[int]] = []
        for width, places in by_width.items():
            most = max(1, min(_LINES_TOGETHER, _COLUMNS_TOGETHER // width, -(-len(crops) // self._readers)))
            together += (places[first : first + most] for first in range(0, len(places), most))

        def read(places: Sequence[int]) -> list[tuple[str, float]]:
            return self._best_readings([crops[place][0].levels for place in places], crops[places[0]][1], wanted)

        readings: dict[int, tuple[str, float]] = {}
        with ThreadPoolExecutor(self._readers, thread_name_prefix="line") as readers:
            for places, found in zip(together, readers.map(read, together), strict=True):
                readings.update(zip(places, found, strict=True))
        return [(crop.corners, *readings[place]) for place, (crop, _) in enumerate(crops)]

    def _best_readings(
        self, lines: Sequence[NDArray[np.uint8]], width: int, wanted: Recognition
    ) -> list[tuple[str, float]]:
        """The text of each of ``lines`` and its confidence; doubtful ones are read once more, with more contrast."""
        found = self._readings(lines, width, wanted)
        doubtful = [place for place, (_, score) in enumerate(found) if not score >= wanted.contrast_ths]
        if doubtful:
            again = self._readings([lines[place] for place in doubtful], width, wanted, wanted.adjust_contrast)
            for place, second in zip(doubtful, again, strict=True):
                found[place] = found[place] if found[place][1] > second[1] else second
        return found

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The recogniser's answer (N, T, classes) to ``images``, (N, 1, H, W) float32 in [-1, 1]."""
        return self._recogniser.run({"image": images})["logits"]

    def _readings(
        self, lines: Sequence[NDArray[np.uint8]], width: int, wanted: Recognition, adjust_contrast: float = 0.0
    ) -> list[tuple[str, float]]:
        images = np.stack([recogniser_input(levels, self._height, width, adjust_contrast) for levels in lines])
        return [self._reading(logits, wanted) for logits in self.logits(images)]

    def _reading(self, logits: NDArray[np.float32], wanted: Recognition) -> tuple[str, float]:
        # The classes that must not be read: of a character that the model has twice, only the first one.
        ignored = set(self._characters)
        if wanted.allowlist:
            ignored -= set(wanted.allowlist)
        elif wanted.blocklist:
            ignored &= set(wanted.blocklist)
        else:
            ignored -= self._readable
        classes = sorted(self._characters.index(character) + 1 for character in ignored)
        shares = ctc.probabilities(logits, classes)
        decoder = "greedy" if self._settings["script"] in _ALWAYS_GREEDY else wanted.decoder
        if decoder == "beamsearch":
            text = ctc.decode_beams(shares, self._characters, wanted.beamWidth)
        elif decoder == "wordbeamsearch":
            text = ctc.decode_words(shares, self._characters, wanted.beamWidth, self._known_words())
        else:
            text = ctc.decode_greedy(shares, self._characters)
        return text, ctc.confidence(shares)

    def _known_words(self) -> Collection[str]:
        if self._words is None:
            lists = [path.read_text(encoding="utf-8-sig").splitlines() for path in self._word_files]
            self._words = frozenset(word for words in lists for word in words)
        return self._words


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise :class:`MemoryError` for errors of onnxruntime and OpenCV about memory that ran out."""
    try:
        yield
    except Exception as error:
        if any(words in str(error) for words in _NO_MEMORY):
            raise MemoryError(str(error)) from error
        raise
