"""How long JPEG files take to decode: Pillow, OpenCV, and what imgtool does with simplejpeg.

    python scripts/bench_jpeg.py [--rounds 9]

Photographs are drawn at 0.3 to 12 megapixels, upright and turned, as files in memory. The three are interleaved;
processor time in milliseconds, medians with the range. Every result is compared with Pillow's, pixel by pixel.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgtool.runtime.worker.jpeg import upright_jpeg
from imgtool.runtime.worker.pixels import upright_rgb

SIZES = ((640, 480), (1920, 1080), (4000, 3000))
ORIENTATION = 0x0112

Pixels: TypeAlias = NDArray[np.uint8]


def photograph(width: int, height: int, orientation: int) -> bytes:
    """One of the example pictures, enlarged, with noise."""
    source = Path(__file__).resolve().parent.parent / "examples" / "images" / "street-sign.jpg"
    with Image.open(source) as image:
        large = np.asarray(image.convert("RGB").resize((width, height)), np.int16)
    noisy = large + np.random.default_rng(0).integers(-6, 7, large.shape, dtype=np.int16)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    held = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(held, "JPEG", quality=90, exif=exif.tobytes())
    return held.getvalue()


def by_pillow(data: bytes) -> Pixels:
    """As imgtool decodes other formats."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return upright_rgb(image)


def by_opencv(data: bytes) -> Pixels:
    """OpenCV turns the picture upright by itself."""
    found: Pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return found


def by_simplejpeg(data: bytes) -> Pixels:
    """As imgtool decodes JPEG files."""
    with Image.open(io.BytesIO(data)) as image:
        found = upright_jpeg(image, data)
    if found is None:
        raise SystemExit("simplejpeg is not installed, or differs from Pillow here")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    ways: dict[str, Callable[[bytes], Pixels]] = {
        "Pillow": by_pillow,
        "OpenCV": by_opencv,
        "simplejpeg": by_simplejpeg,
    }
    for width, height in SIZES:
        for orientation in (1, 6):
            data = photograph(width, height, orientation)
            expected = by_pillow(data)
            times: dict[str, list[float]] = {name: [] for name in ways}
            for number in range(rounds):
                order = list(ways.items())
                for name, way in order if number % 2 else order[::-1]:
                    started = time.process_time()
                    found = way(data)
                    times[name].append(1000 * (time.process_time() - started))
                    if not np.array_equal(found, expected):
                        print(f"  {name} gives other pixels")
            print(f"{width} x {height}, orientation {orientation}, {len(data) / 1e6:.1f} MB")
            for name, values in times.items():
                middle = statistics.median(values)
                print(f"  {name:<11} {middle:6.1f} ms ({min(values):.1f} to {max(values):.1f})")


if __name__ == "__main__":
    main()
