"""How fast a large gallery opens and filters in Chromium, and whether its script reports an error.

    python scripts/measure_gallery.py [--images 5000] [--runs 5] [--keep gallery.html]

The gallery is written by the product's own writer: thumbnails of the example images, text of up to 40 lines, codes,
labels, documents of several pages, failures, and names and texts that try to be markup. Figures are medians with the
range of all runs, each in a page that is opened anew. *opened* is the time until every image is there and the page
answers; *first cards* the time until there is something to see. *filter* is the slowest of several words: from the key
to the frame that shows the matches.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import msgspec  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from imgtool.analyzers.thumbnail import QUALITY, SIDE, Thumbnail  # noqa: E402
from imgtool.formats.gallery_writer import HtmlWriter  # noqa: E402
from imgtool.inference.picture import Picture  # noqa: E402
from imgtool.types import (  # noqa: E402
    Backend,
    CaptionResult,
    Code,
    CodesResult,
    ImageResult,
    Label,
    LabelsResult,
    Problem,
    Status,
    TaskResults,
    TextLine,
    TextResult,
)
from tests.browser import Browser  # noqa: E402

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
WORDS = ("invoice", "harbour", "total", "station", "ticket", "송장", "운임", "北京", "東京", "menu", "paid", "carton")
QUERIES = ("i", "harbour", "송장 total", "page 3", "nothing of the kind", "8471")


def thumbnails() -> list[bytes]:
    """The example images as the gallery has them."""
    maker = Thumbnail({"side": SIDE, "quality": QUALITY})
    found = []
    for path in sorted((ROOT / "examples" / "images").iterdir()):
        with Image.open(path) as image:
            found.append(maker.run([Picture(np.asarray(image.convert("RGB")), *image.size, "JPEG")])[0])
    return [each for each in found if isinstance(each, bytes)]


def line(rng: random.Random, row: int) -> TextLine:
    """A line of some words, below the ones before it."""
    said = " ".join(rng.choices(WORDS, k=rng.randint(1, 7)))
    top, right = 20.0 + 27 * row, 60.0 + 9 * len(said)
    return TextLine(
        said, round(rng.uniform(0.5, 1), 4), ((60.0, top), (right, top), (right, top + 20), (60.0, top + 20))
    )


def results(count: int) -> Iterator[ImageResult]:
    """As many results: images and documents of nine pages, one in fifty failed, one in a hundred hostile."""
    rng, pictures = random.Random(17), thumbnails()
    number = 0
    while number < count:
        pages = rng.choice((1, 1, 1, 1, 1, 1, 1, 1, 1, 9))
        for page in range(min(pages, count - number)):
            yield result(rng, number, page, pages, pictures[number % len(pictures)])
            number += 1


def result(rng: random.Random, number: int, page: int, pages: int, picture: bytes) -> ImageResult:
    """One image or page."""
    by: dict[str, Any] = {"engine": "rapidocr", "model": "PP-OCRv6", "model_version": "3.9.2", "backend": Backend.ONNX}
    lines = tuple(line(rng, row) for row in range(rng.choice((0, 0, 3, 12, 40))))
    if number % 100 == 7:
        lines = (TextLine(HOSTILE, 0.9, lines[0].box if lines else ((0, 0), (9, 0), (9, 9), (0, 9))), *lines)
    code = Code(kind="hs", value="8471.30-0000", normalised="847130", national="0000", confidence=0.93,
                box=((60, 20), (200, 20), (200, 40), (60, 40)), evidence=("label: HS CODE",))  # fmt: skip
    kinds = rng.sample(("document", "photo", "line drawing", "chart", "screen", "sign"), 6)
    scores = (0.71, 0.2, 0.06, 0.02, 0.006, 0.004)
    tasks = TaskResults(
        caption=CaptionResult(value=f"A picture of a {rng.choice(WORDS)}, mostly blue.", seconds=0.009, **by),
        text=TextResult(value=lines, seconds=0.61, **by),
        labels=LabelsResult(value=tuple(map(Label, kinds, scores)), seconds=0.004, **by),
        codes=CodesResult(value=(code,) if number % 20 == 1 else (), seconds=0.02, **by),
    )
    folder = f"scans {number // 400}"
    name = f"{HOSTILE.replace('/', ':')}{number}.jpg" if number % 100 == 7 else f"사진_{number - page:05}.jpg"
    whole = ImageResult(
        path=f"{folder}/{name}", page=page, pages=pages, sha256=f"{number:064x}", format="PDF" if pages > 1 else "JPEG",
        width=1600, height=1200, file_size=100_000 + number * 7919 % 3_000_000, status=Status.OK, tasks=tasks,
        processing_time_ms=634.2, cache_enabled=True, from_cache=number % 3 == 0, thumbnail=picture,
    )  # fmt: skip
    if number % 50 != 11 or pages > 1:
        return whole
    problem = Problem("truncated", "The file ends too early.", "Copy it again.")
    nothing: dict[str, Any] = {
        "sha256": None,
        "format": None,
        "width": None,
        "height": None,
        "thumbnail": msgspec.UNSET,
    }
    return msgspec.structs.replace(whole, status=Status.FAILED, error=problem, tasks=TaskResults(), **nothing)


FIRST = "performance.getEntriesByName('gallery-first')"
FILTERED = """(async (box, words) => {
  const started = performance.now();
  box.value = words; box.dispatchEvent(new Event('input'));
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - started;
})(document.querySelector('#filter'), WORDS)"""


def measure(page: Path, runs: int) -> tuple[dict[str, list[float]], list[str]]:
    """Milliseconds of each figure in every run, and what the browser reported as an error."""
    figures: dict[str, list[float]] = {"opened": [], "first cards": [], "filter": [], "heap_mb": []}
    problems: list[str] = []
    for _ in range(runs):
        with Browser() as browser:
            browser.viewport(1280, 900)
            started = time.perf_counter()
            browser.open(page, "document.documentElement.dataset.state === 'ready'")
            browser.settle()
            figures["opened"].append(1000 * (time.perf_counter() - started))
            figures["first cards"].append(
                browser.evaluate("performance.getEntriesByName('gallery-first')[0]?.startTime ?? NaN")
            )
            took = []
            for words in QUERIES:
                took.append(browser.evaluate(FILTERED.replace("WORDS", repr(words))))
            figures["filter"].append(max(took))
            figures["heap_mb"].append(browser.evaluate("performance.memory.usedJSHeapSize / 1e6"))
            title = browser.evaluate("document.title")
            problems += browser.problems + ([f"the title became {title}"] if title != "5,000 & more" else [])
    return figures, problems


def spread(values: Sequence[float], unit: str) -> str:
    """``812 ms (790 to 955)``."""
    return f"{statistics.median(values):,.0f} {unit} ({min(values):,.0f} to {max(values):,.0f})"


def main() -> None:
    """Write the gallery, open it, print the figures."""
    parser = argparse.ArgumentParser(description="Measure a large gallery in Chromium.")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="where to leave the gallery")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = options.keep or Path(folder) / "gallery.html"
        with page.open("w", encoding="ascii") as out:
            writer = HtmlWriter(out, "5,000 & more")
            for each in results(options.images):
                writer.write(each)
            writer.close({"images": options.images, "wall_seconds": 1234.5, "images_per_second": 4.1})
        figures, problems = measure(page, options.runs)
        print(f"{options.images:,} images, {page.stat().st_size / 1e6:.1f} MB, {options.runs} runs")
    for name, values in figures.items():
        print(f"{name.removesuffix('_mb')}: {spread(values, 'MB' if name.endswith('_mb') else 'ms')}")
    print(f"errors reported: {len(problems)}", *dict.fromkeys(problems), sep="\n  ")


if __name__ == "__main__":
    main()
