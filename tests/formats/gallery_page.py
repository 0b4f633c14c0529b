"""A gallery as a person has it before them: written by the product, opened in a real browser."""

from __future__ import annotations

import io
import json
from pathlib import Path

from imgtool.formats.gallery_writer import HtmlWriter
from imgtool.types import ImageResult
from tests.browser import Browser

READY = "document.documentElement.dataset.state === 'ready'"


def thumbnail(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "JPEG")
    return out.getvalue()


def opened(running: Browser, page: Path) -> Browser:
    """``page`` in a window of its own; what a former page reported is forgotten."""
    running.call("Page.navigate", url="about:blank")
    running.problems.clear()
    running.requests.clear()
    running.move(0, 0)
    running.viewport(1280, 900)
    running.open(page, READY)
    running.settle()
    return running


def written(page: Path, *results: ImageResult) -> Path:
    """A gallery of ``results``."""
    with page.open("w", encoding="utf-8") as out:
        writer = HtmlWriter(out, "gallery", page.parent)
        for each in results:
            writer.write(each)
        writer.close({"images": len(results)})
    return page


def texts(page: Browser, selector: str) -> list[str]:
    return list(page.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map(node => node.textContent)"))


def text(page: Browser, selector: str) -> str:
    return texts(page, selector)[0]


def find(page: Browser, words: str) -> None:
    page.evaluate("document.querySelector('#filter').focus(); document.querySelector('#filter').select()")
    page.type(words)
