"""Opens RapidOCR quickly and offline, and reads lines with it. Imported by the worker only.

Two thirds of a plain start are ``import rapidocr`` (mostly parsing one YAML file, twice) and opening three models. Here
the models are opened by a thread during the import, without their denormal weights, and the file is parsed once.
Answers are RapidOCR's own, with its own settings, but for what :mod:`imgtool.inference.rapidocr_pages` does better.

Because the sessions are passed to it, RapidOCR never calls its downloader, which it does if a model is missing or has
another checksum.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from imgtool.analyzers.text.reading_order import in_reading_order
from imgtool.inference.cleaned_graphs import open_cleaned
from imgtool.inference.rapidocr import DetectorSession, normalise_by_table
from imgtool.inference.rapidocr_pages import PageReader
from imgtool.inference.session_memory import Arena, give_back_region, set_memory
from imgtool.types import TextLine

_DICTIONARY = "character"
"""Metadata key of the recognition model. Without it RapidOCR would download a dictionary."""

_WIDEST, _TALLEST = 100, 20
"""Largest ratios of width to height, and of height to width, for unchanged images: RapidOCR refuses ratios above 125,
and it enlarges a tall sliver until its short side has 736 pixels, which takes 20 GB for one of 1 × 300."""

_WIDE, _TALL = 100, 5
"""The ratios to which such slivers are widened; close to the limit for wide ones, whose text RapidOCR enlarges."""


def open_reader(
    files: Mapping[str, Path], threads: int | None, cleaned: Path | None = None, *, raw: bool = False
) -> Reader:
    """A reader on the models ``files``: paths by section of RapidOCR's configuration (Det, Cls, Rec).

    ``cleaned`` is where their graphs are kept without denormal weights; without it they are cleaned in memory.
    ``raw`` leaves every answer as RapidOCR gives it.

    Raises:
        Exception: whatever onnxruntime or RapidOCR raise for missing or broken files.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="open-models") as opener:
        opening = opener.submit(_open_sessions, files, threads, cleaned)
        engine_class = _import_engine()
        sessions = opening.result()
    if _DICTIONARY not in sessions["Rec"].get_modelmeta().custom_metadata_map:
        raise ValueError(f"{files['Rec'].name} carries no dictionary")
    from omegaconf import flag_override

    # The paths are not opened again; without them RapidOCR would look for its models elsewhere.
    paths = {f"{section}.model_path": str(path) for section, path in files.items()}
    engine = engine_class(params={"Global.log_level": "error", **paths})
    with flag_override(engine.cfg, "allow_objects", True):
        for section, session in sessions.items():
            engine.cfg[section].session = session
    normalise_by_table(engine)
    return Reader(engine if raw else PageReader(engine), raw=raw)


def _open_sessions(files: Mapping[str, Path], threads: int | None, cleaned: Path | None) -> dict[str, Any]:
    opened = {section: _open_session(section, path, threads, cleaned) for section, path in files.items()}
    give_back_region()
    return opened


def _open_session(section: str, path: Path, threads: int | None, cleaned: Path | None) -> ort.InferenceSession:
    """With the same options as RapidOCR itself, but for memory, of which it takes each buffer from the system, and for
    threads that wait busily: these take a processor from others, and with two of them a third more processor time is
    spent on an image."""

    def options() -> ort.SessionOptions:
        made = ort.SessionOptions()
        made.log_severity_level = 4
        set_memory(made, Arena.REGION)
        made.add_session_config_entry("session.intra_op.allow_spinning", "0")
        made.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        if threads and threads <= (os.cpu_count() or 1):
            made.intra_op_num_threads = threads
        return made

    return open_cleaned(path, cleaned, options, DetectorSession if section == "Det" else None)


_importing = threading.Lock()


def _import_engine() -> Any:
    """The class ``RapidOCR``; two of its modules load the same table of 1,600 lines, at 0.15 s each."""
    from omegaconf import OmegaConf

    loader: Any = OmegaConf
    with _importing:
        original = loader.__dict__["load"]
        loader.load = staticmethod(functools.cache(loader.load))
        try:
            from rapidocr.main import RapidOCR
        finally:
            loader.load = original
    return RapidOCR


class Reader:
    """RapidOCR's pipeline on open sessions. Not safe for two threads at once."""

    def __init__(self, engine: Any, *, raw: bool = True) -> None:
        self._engine = engine
        self._raw = raw

    def read(self, pixels: NDArray[np.uint8]) -> tuple[TextLine, ...]:
        """Lines in reading order of an (H, W, 3) uint8 RGB image; boxes in its pixels."""
        height, width = pixels.shape[:2]
        # A sliver is widened by repeating its last row or column: coordinates stay as they are.
        rows = math.ceil(width / _WIDE) - height if width > _WIDEST * height else 0
        columns = math.ceil(height / _TALL) - width if height > _TALLEST * width else 0
        image = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        if rows or columns:
            image = np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")
        output = self._engine(image)
        if getattr(output, "txts", None) is None or getattr(output, "boxes", None) is None:
            return ()
        lines = zip(output.txts, output.scores, output.boxes, strict=True)
        found = []
        for text, score, corners in lines:
            one, two, three, four = (
                (min(float(width), max(0.0, float(x))), min(float(height), max(0.0, float(y)))) for x, y in corners
            )
            confidence = min(1.0, max(0.0, float(score)))
            found.append(TextLine(text=text, confidence=confidence, box=(one, two, three, four)))
        return tuple(found) if self._raw else in_reading_order(found)

    def close(self) -> None:
        """Give back the memory that was kept for the next image. What the sessions hold themselves stays, so that those
        that are opened next lie in the same place."""
        give_back_region()

    def warm_up(self) -> None:
        """Read a drawn word."""
        page: NDArray[np.uint8] = np.full((120, 320, 3), 255, np.uint8)
        cv2.putText(page, "Ready 123", (20, 75), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (0, 0, 0), 3)
        self.read(page)
