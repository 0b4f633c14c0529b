"""The gallery's detail view in a real browser: the original with its boxes, pages, labels, codes, keys and print."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import msgspec
import pytest
from PIL import Image

from imgtool.types import Box, ImageResult, TextLine, TextResult
from tests.browser import CHROMIUM, Browser
from tests.formats.gallery_page import find, opened, text, texts, thumbnail, written
from tests.results import HS_CODE, QR_CODE, answered, by, codes, labels
from tests.results import text as lines

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install chromium to run the browser tests"),
]

MARK: Box = ((400.0, 100.0), (800.0, 100.0), (800.0, 200.0), (400.0, 200.0))
WHOLE = "document.querySelector('.stage img')?.src.startsWith('file:')"
GONE = "Failed to load resource: net::ERR_FILE_NOT_FOUND"


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    with Browser() as browser:
        browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        yield browser


def picture(path: Path, *, width: int = 1600, height: int = 1200, **changes: Any) -> ImageResult:
    """An image at ``path`` with a line of text at :data:`MARK`."""
    read = TextResult(value=(TextLine("harbour", 0.9, MARK),), **by("rapidocr"))
    size = {"format": "JPEG", "width": width, "height": height, "thumbnail": thumbnail(320, 240, (90, 140, 200))}
    return msgspec.structs.replace(answered(str(path), text=read), **size, **changes)


def pages_of(path: Path, count: int, format: str = "PDF") -> list[ImageResult]:
    """A document, with its own words on each page."""
    return [
        msgspec.structs.replace(
            picture(path), format=format, page=page, pages=count, tasks=answered(text=lines(f"sheet-{page + 1}")).tasks
        )
        for page in range(count)
    ]


def show(page: Browser, position: int = 0) -> None:
    page.evaluate(f"document.querySelectorAll('.card .frame')[{position}].click()")
    page.settle()


def rectangle(page: Browser, selector: str) -> list[float]:
    return list(
        page.evaluate(
            f"(r => [r.left, r.top, r.right, r.bottom])(document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect())"
        )
    )


def note(page: Browser) -> str:
    page.wait("document.querySelector('.tools .note')?.hidden === false")
    return text(page, ".tools .note")


def test_the_original_is_shown_upright_with_its_boxes_at_any_zoom(running: Browser, tmp_path: Path) -> None:
    upright = Image.new("RGB", (1600, 1200), "white")
    upright.paste((200, 0, 0), (400, 100, 800, 200))
    turned = Image.Exif()
    turned[0x0112] = 6
    path = tmp_path / "photos" / "a b#c.jpg"
    path.parent.mkdir()
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=turned, quality=95)
    page = opened(running, written(tmp_path / "gallery.html", picture(path)))
    show(page)
    page.wait(WHOLE)
    for zoom in ("fit", "1", "+"):
        if zoom != "fit":
            page.press(zoom)
        image, box = rectangle(page, ".stage img"), rectangle(page, ".stage polygon")
        scale = (image[2] - image[0]) / 1600
        assert {"fit": scale < 1, "1": scale == pytest.approx(1), "+": scale == pytest.approx(2)}[zoom]
        corners = [image[0] + 400 * scale, image[1] + 100 * scale, image[0] + 800 * scale, image[1] + 200 * scale]
        assert box == pytest.approx(corners, abs=1)
    page.press("0")
    left, top, right, bottom = (round(side) for side in rectangle(page, ".stage polygon"))
    page.press("b")  # what lies under the boxes
    shot = tmp_path / "shot.png"
    page.screenshot(shot)
    with Image.open(shot) as seen:
        red = seen.convert("RGB").crop((left + 3, top + 3, right - 3, bottom - 3)).resize((1, 1)).getpixel((0, 0))
    assert red[0] > 180 and red[1] < 30
    assert page.requests[1:] == [path.as_uri()]
    assert page.problems == []


@pytest.mark.parametrize("format", ["JPEG", "PNG", "AVIF", "WEBP"])
def test_what_is_turned_by_its_exif_data_or_has_none_is_shown(running: Browser, tmp_path: Path, format: str) -> None:
    path = tmp_path / "a"
    upright = Image.new("RGB", (1600, 1200), "white")
    upright.paste((200, 0, 0), (400, 100, 800, 200))
    upside_down = Image.Exif()
    upside_down[0x0112] = 3
    if format == "WEBP":
        upright.save(path, format)
    else:
        upright.transpose(Image.Transpose.ROTATE_180).save(path, format, exif=upside_down)
    page = opened(running, written(tmp_path / "gallery.html", msgspec.structs.replace(picture(path), format=format)))
    show(page)
    page.wait(WHOLE)
    left, top, right, bottom = (round(side) for side in rectangle(page, ".stage polygon"))
    page.press("b")
    page.screenshot(tmp_path / "shot.png")
    with Image.open(tmp_path / "shot.png") as seen:
        red = seen.convert("RGB").crop((left + 3, top + 3, right - 3, bottom - 3)).resize((1, 1)).getpixel((0, 0))
    assert red[0] > 180 and red[1] < 40


def test_a_click_zooms_to_what_was_clicked_and_back(running: Browser, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (3200, 2400), "white").save(path)
    page = opened(running, written(tmp_path / "gallery.html", picture(path, width=3200, height=2400)))
    show(page)
    page.wait(WHOLE)
    left, top, right, bottom = rectangle(page, ".stage img")
    page.click(left + 0.75 * (right - left), top + 0.25 * (bottom - top))
    image, canvas = rectangle(page, ".stage img"), rectangle(page, ".canvas")
    assert image[2] - image[0] == pytest.approx(3200)
    assert (canvas[0] + canvas[2]) / 2 - image[0] == pytest.approx(0.75 * 3200, abs=20)
    assert (canvas[1] + canvas[3]) / 2 - image[1] == pytest.approx(0.25 * 2400, abs=20)
    page.click(*page.centre(".canvas"))
    assert rectangle(page, ".stage img")[2] - left < 1600


@pytest.mark.parametrize("kind", ["moved", "tiff", "damaged", "changed", "page", "piped", "webp"])
def test_without_the_original_the_thumbnail_is_shown_and_says_why(running: Browser, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.jpg"
    result, expected = picture(path), "The original is not there any more, or cannot be read: this is the thumbnail."
    if kind == "tiff":
        Image.new("RGB", (1600, 1200)).save(path, "TIFF")
        result = picture(path)
        result = msgspec.structs.replace(result, format="TIFF")
        expected = "This browser cannot show TIFF here: this is the thumbnail."
    elif kind == "damaged":
        path.write_bytes(b"no image")
    elif kind == "changed":
        Image.new("RGB", (1200, 1600)).save(path)
        expected = "The original is now 1200 × 1600 pixels, it was 1600 × 1200: this is the thumbnail."
    elif kind == "page":
        result = pages_of(path, 2)[1]
        expected = "A browser cannot show a page of a PDF here: this is its thumbnail."
    elif kind == "webp":
        upside_down = Image.Exif()
        upside_down[0x0112] = 3
        Image.new("RGB", (1600, 1200)).save(path, "WEBP", exif=upside_down)
        result = msgspec.structs.replace(result, format="WEBP")
        expected = "A browser does not turn a WebP as its EXIF data may ask for: this is the thumbnail."
    elif kind == "piped":
        result = msgspec.structs.replace(result, path="-")
        expected = "The original has no address: this is its thumbnail."
    page = opened(running, written(tmp_path / "gallery.html", result))
    show(page)
    assert note(page) == expected
    assert page.evaluate("document.querySelector('.stage img').src.startsWith('data:')")
    assert page.evaluate("document.querySelector('#zoom').hidden")
    assert page.problems == ([GONE] if kind == "moved" else [])
    links = page.evaluate("[...document.querySelectorAll('#original')].map(link => link.href)")
    assert links == ([] if kind == "piped" else [path.as_uri() + ("#page=2" if kind == "page" else "")])


def test_the_pages_of_a_document_are_one_card(running: Browser, tmp_path: Path) -> None:
    single = picture(tmp_path / "z.jpg")
    results = (*pages_of(tmp_path / "scan.pdf", 12), single)
    page = opened(running, written(tmp_path / "gallery.html", *results))
    assert texts(page, ".card .name") == ["scan.pdf", "z.jpg"]
    assert texts(page, ".badge.pages") == ["12 pages"]
    assert texts(page, "#summary dd")[:2] == ["2", "13"]
    show(page)
    assert text(page, "#position") == "1 of 2 · page 1 of 12"
    assert len(texts(page, ".strip button")) == 12
    for _ in range(2):
        page.press("ArrowRight")
    assert text(page, "#detail-name") == "scan.pdf · page 3 of 12"
    page.click(*page.centre(".strip button:nth-child(6)"))
    assert "sheet-6" in text(page, "#detail .text")
    page.press("]")
    assert text(page, "#detail-name") == "z.jpg"
    page.press("[")
    assert text(page, "#detail-name") == "scan.pdf · page 1 of 12"
    page.press("ArrowLeft")
    assert text(page, "#detail-name") == "scan.pdf · page 1 of 12"
    page.press("Escape")
    assert page.evaluate("document.activeElement.ariaLabel") == "scan.pdf, 12 pages: show details"


def test_a_filter_finds_the_pages_of_a_document(running: Browser, tmp_path: Path) -> None:
    page = opened(running, written(tmp_path / "gallery.html", *pages_of(tmp_path / "scan.pdf", 12)))
    find(page, "sheet-1")
    assert text(page, "#count") == "4 of 12"
    assert texts(page, ".badge.pages") == ["4 of 12 pages"]
    show(page)
    page.press("ArrowRight")
    assert text(page, "#detail-name") == "scan.pdf · page 10 of 12"
    page.press("ArrowLeft")
    assert text(page, "#detail-name") == "scan.pdf · page 1 of 12"
    assert len(texts(page, ".strip .pale")) == 8
    page.click(*page.centre(".strip button:nth-child(4)"))  # one that does not match
    page.press("ArrowRight")
    assert text(page, "#detail-name") == "scan.pdf · page 10 of 12"


def test_labels_that_say_nothing_are_not_shown(running: Browser, tmp_path: Path) -> None:
    clear = answered("a.png", labels=labels(photo=0.9, chart=0.05, sign=0.049))
    unclear = answered("b.png", labels=labels(cat=0.04, dog=0.03))
    page = opened(running, written(tmp_path / "gallery.html", clear, unclear))
    assert texts(page, ".card .tag") == ["photo90%", "chart5%"]
    assert texts(page, "#labels:not([hidden]) button") == []
    show(page)
    assert texts(page, "#detail .bars dt") == ["photo", "chart"]
    page.press("ArrowRight")
    assert "No label reaches 5%" in text(page, ".panel")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ms"),
        (0.0004, "under 1 ms"),
        (0.00919, "9 ms"),
        (0.9996, "1 s"),
        (1.234, "1.2 s"),
        (59.96, "60 s"),
        (125.4, "2 min 5 s"),
        (7261, "2 h 1 min"),
    ],
)
def test_times_are_figures_a_person_reads(running: Browser, tmp_path: Path, seconds: float, said: str) -> None:
    result = answered("a.png", labels=msgspec.structs.replace(labels(photo=0.9), seconds=seconds))
    page = opened(running, written(tmp_path / "gallery.html", result))
    show(page)
    assert texts(page, ".panel .by")[0].endswith(f"· {said}")


def test_codes_filter_by_kind_and_by_value(running: Browser, tmp_path: Path) -> None:
    other = msgspec.structs.replace(HS_CODE, value="0101.21", normalised="010121", national=None)
    results = [answered(f"{name}.png", codes=codes(*found)) for name, found in
               (("a", [HS_CODE]), ("b", [other, QR_CODE]), ("c", []))]  # fmt: skip
    page = opened(running, written(tmp_path / "gallery.html", *results))
    assert texts(page, "#codes button") == ["hs2", "qr1"]
    page.click(*page.centre("#codes button:nth-child(1)"))
    assert texts(page, ".card .name") == ["a.png", "b.png"]
    page.click(*page.centre("#codes button:nth-child(1)"))
    assert len(texts(page, ".card")) == 3
    page.click(*page.centre(".card .tag"))  # a value in a card
    assert texts(page, ".card .name") == ["a.png"]
    assert texts(page, "#codes [aria-pressed=true]") == ["hs 8471.30-0000"]
    page.click(*page.centre("#codes [aria-pressed=true]"))
    assert texts(page, "#codes button") == ["hs2", "qr1"]
    show(page, 1)
    page.click(*page.centre(".codes li:nth-child(2) .only"))  # a value in the detail view
    assert texts(page, ".card .name") == ["b.png"]
    assert page.problems in ([], [GONE])


def test_the_text_is_copied_without_what_is_likely_no_text(running: Browser, tmp_path: Path) -> None:
    read = TextResult(
        value=(
            TextLine("first <b>", 0.9, MARK),
            TextLine("吾h", 0.7, MARK, doubt="mixed scripts"),
            TextLine("둘째", 0.9, MARK),
        ),
        **by("rapidocr"),
    )
    page = opened(running, written(tmp_path / "gallery.html", answered("a.png", text=read, codes=codes(HS_CODE))))
    assert texts(page, ".card .text li") == ["first <b>", "둘째"]
    find(page, "吾h")
    assert texts(page, ".card") == []
    find(page, "first")
    show(page)
    assert texts(page, "#detail .doubtful span") == ["吾h", "70%"]
    for key, copied in (("c", "first <b>\n둘째"), ("", "8471.30-0000")):
        if key:
            page.press(key)
        else:
            page.click(*page.centre("#copy-codes"))
        page.wait("[...document.querySelectorAll('.copy')].some(button => button.textContent === 'Copied')")
        assert page.evaluate("navigator.clipboard.readText()") == copied
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")  # as over HTTP
    assert page.evaluate("document.querySelector('#copy-text').textContent") in ("Copy", "Copied")
    page.evaluate("document.querySelector('#copy-text').textContent = 'Copy'")
    page.click(*page.centre("#copy-text"))
    page.wait("document.querySelector('#copy-text').textContent === 'Copied'")


def test_the_keyboard_walks_the_cards_and_says_which_keys_there_are(running: Browser, tmp_path: Path) -> None:
    results = [answered(f"{number}.png") for number in range(300)]
    page = opened(running, written(tmp_path / "gallery.html", *results))
    columns = page.evaluate("getComputedStyle(document.querySelector('#grid')).gridTemplateColumns.split(' ').length")
    page.evaluate("document.querySelector('.card .frame').focus()")

    def focused() -> str:
        return str(page.evaluate("document.activeElement.closest('.card').querySelector('.name').textContent"))

    for key, place in (("ArrowDown", columns), ("ArrowRight", columns + 1), ("ArrowUp", 1), ("ArrowLeft", 0)):
        page.press(key)
        assert focused() == f"{place}.png"
    page.press("ArrowLeft")
    assert focused() == "0.png"
    page.press("End")
    assert focused() == "299.png"
    for _ in range(4):
        page.press("ArrowUp")
    seen = page.evaluate("(r => r.top >= 0 && r.bottom <= innerHeight)(document.activeElement.getBoundingClientRect())")
    assert seen
    page.press("?")
    assert page.evaluate("document.querySelector('#keys').open")
    page.press("Escape")
    assert not page.evaluate("document.querySelector('#keys').open")


def test_printing_an_open_image_prints_it_with_all_its_text(running: Browser, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (1600, 1200), "white").save(path)
    long = answered("x", text=lines(*(f"row {number}" for number in range(120)))).tasks
    results = (picture(path, tasks=long), picture(tmp_path / "other.jpg"))
    page = opened(running, written(tmp_path / "gallery.html", *results))
    show(page)
    page.wait(WHOLE)
    if which("pdftotext") is None:
        pytest.skip("no pdftotext: install poppler-utils")
    found = subprocess.run(["pdftotext", "-", "-"], input=page.pdf(), capture_output=True, check=True).stdout.decode()
    assert {f"row {number}" for number in range(120)} <= set(found.splitlines())
    assert "a.jpg" in found
    assert "other.jpg" not in found
    page.press("Escape")
    whole = subprocess.run(["pdftotext", "-", "-"], input=page.pdf(), capture_output=True, check=True).stdout.decode()
    assert "other.jpg" in whole


@pytest.mark.parametrize("width", [400, 1280])
def test_image_note_and_strip_fit_the_window(running: Browser, tmp_path: Path, width: int) -> None:
    upright = {"width": 1200, "height": 1600, "thumbnail": thumbnail(240, 320, (90, 140, 200))}
    pages = [msgspec.structs.replace(each, **upright) for each in pages_of(tmp_path / "scan.pdf", 40)]
    page = opened(running, written(tmp_path / "gallery.html", *pages))
    page.viewport(width, 800)
    show(page)
    note(page)
    assert page.evaluate("(d => d.scrollWidth <= d.clientWidth)(document.querySelector('#detail-content'))")
    canvas, tools = rectangle(page, ".canvas"), rectangle(page, ".tools")
    image = rectangle(page, ".stage img")
    assert canvas[0] <= image[0] and image[2] <= canvas[2] + 1 and image[3] <= canvas[3] + 1
    assert canvas[3] <= tools[1]
    assert image[3] - image[1] > 150
