"""Whether EasyOCR or BLIP on torch holds more memory with every picture: own memory after every 50th of 500 calls.

    python scripts/measure_memory_over_calls.py easyocr FOLDER [CALLS]
    python scripts/measure_memory_over_calls.py blip FOLDER [CALLS]

``FOLDER`` holds the weights (EasyOCR's two files for ``ko,en``, or a checkout of BLIP). Pictures are small, of changing
size, with a dark mark so that the recogniser has work. Linux only.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imgtool import trace
from imgtool.analyzers.caption.blip import BlipTorch
from imgtool.analyzers.interface import Analyzer
from imgtool.analyzers.text.easyocr import EasyOcrTorch
from imgtool.ground.cores import granted_cores
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions

CALLS, EVERY = 500, 50


def opened(engine: str, folder: Path) -> Analyzer:
    """The engine with the weights in ``folder``, loaded."""
    cls, options = {
        "easyocr": (EasyOcrTorch, EngineOptions(easyocr_dir=folder)),
        "blip": (BlipTorch, EngineOptions(caption_model=str(folder))),
    }[engine]
    analyzer = cls({**cls.parameters(options), "threads": granted_cores()})
    analyzer.load()
    return analyzer


def drawn(number: int) -> Picture:
    """A light sheet with a dark bar, of another size each time."""
    random = np.random.default_rng(number)
    width, height = (int(side) for side in random.integers((64, 32), (160, 80)))
    pixels: NDArray[np.uint8] = np.full((height, width, 3), 235, dtype=np.uint8)
    x, y = int(random.integers(0, width - 40)), int(random.integers(0, height - 14))
    pixels[y : y + 12, x : x + 36] = 20
    return Picture(pixels, width, height, "PNG")


def main(engine: str, folder: str, calls: int = CALLS) -> None:
    """Print ``calls  RssAnon in MB  seconds`` every 50 calls."""
    analyzer, began = opened(engine, Path(folder)), time.perf_counter()
    for number in range(calls + 1):
        if number % EVERY == 0:
            seconds = time.perf_counter() - began
            print(f"{number:5}  {trace.memory()['anon'] / 1e6:8.1f} MB  {seconds:6.0f} s", flush=True)
        analyzer.run([drawn(number)])


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
