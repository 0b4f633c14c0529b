"""The HTML gallery in a real browser, at 1,000 images: what a person sees and does, and what hostile input does not."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from imgtool.formats.gallery_writer import HtmlWriter
from imgtool.types import (
    Backend,
    CaptionResult,
    ImageResult,
    Label,
    LabelsResult,
    Problem,
    Status,
    TaskResults,
    TextLine,
    TextResult,
)
from tests.browser import CHROMIUM, Browser
from tests.formats.gallery_page import find, opened, text, texts, thumbnail, written
from tests.results import HS_CODE, QR_CODE, answered, codes
from tests.results import text as text_result

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install chromium to run the browser tests"),
]

COUNT = 1000
HOSTILE_NAME = "<img src=x onerror=document.title='owned'>.png"
HOSTILE_TEXT = "</script><script>document.title='owned'</script>"
# Every 20th image is partial, every 25th failed; every 4th says "harbour" in its text; image 7 is the hostile one.
FAILED, PARTIAL = 40, 50


def line(text: str, left: float, top: float, right: float, bottom: float) -> TextLine:
    return TextLine(text=text, confidence=0.93, box=((left, top), (right, top), (right, bottom), (left, bottom)))


def result(number: int, picture: bytes) -> ImageResult:
    by: dict[str, Any] = {"engine": "planted", "model": "m", "model_version": "1", "backend": Backend.ONNX}
    said = HOSTILE_TEXT if number == 7 else f"ticket {number} {'harbour' if number % 4 == 0 else 'station'}"
    lines = (line(said, 400, 100, 1200, 200), *(line(f"row {row}", 80, 300, 240, 340) for row in range(number % 30)))
    text = TextResult(value=lines, seconds=0.5, **by)
    if number % 20 == 3:
        text = TextResult(error=Problem("timeout", "No answer within 120 s.", "Raise --timeout."), seconds=120, **by)
    label = ("document", "photo", "chart")[number % 3]
    whole = ImageResult(
        path=f"photos/{HOSTILE_NAME}" if number == 7 else f"photos/사진_{number}.jpg",
        sha256=f"{number:064x}",
        format="JPEG",
        width=1600,
        height=1200,
        file_size=1000 + number * 7919 % 100_000,
        status=Status.PARTIAL if number % 20 == 3 else Status.OK,
        tasks=TaskResults(
            caption=CaptionResult(value=HOSTILE_TEXT if number == 7 else f"Picture {number}.", seconds=0.1, **by),
            text=text,
            labels=LabelsResult(value=(Label(label, 0.8), Label("other", 0.1)), seconds=0, **by),
        ),
        processing_time_ms=10,
        cache_enabled=True,
        from_cache=number % 2 == 0,
        thumbnail=picture,
    )
    if number % 25 != 11:
        return whole
    problem = Problem("truncated", "The file ends too early.", "Copy it again.")
    nothing = {"sha256": None, "format": None, "width": None, "height": None, "thumbnail": msgspec.UNSET}
    return msgspec.structs.replace(whole, status=Status.FAILED, error=problem, tasks=TaskResults(), **nothing)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gallery") / "gallery.html"
    pictures = [thumbnail(320, 240, (90 + shade, 140, 200)) for shade in range(0, 120, 10)]
    original = path.with_name("photos") / "original"
    original.parent.mkdir()
    original.write_bytes(thumbnail(1600, 1200, (90, 140, 200)))
    with path.open("w", encoding="utf-8") as out, contextlib.chdir(path.parent):
        writer = HtmlWriter(out, "photos & <b>more</b>", path.parent)
        for number in range(COUNT):
            os.link(original, result(number, b"").path)
            writer.write(result(number, pictures[number % len(pictures)]))
        writer.close({"images": COUNT, "failed": FAILED, "hit_rate_percent": 50.0, "wall_seconds": 12.5})
    return path


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def page(running: Browser, gallery: Path) -> Iterator[Browser]:
    """A freshly opened gallery; at the end nothing may have been reported, fetched or run."""
    opened(running, gallery)
    yield running
    assert running.evaluate("document.title") == "photos & <b>more</b>"
    assert running.problems == []
    assert running.requests[0] == gallery.resolve().as_uri()
    # Nothing but the original of an image that was opened.
    folder = gallery.parent.as_uri() + "/photos/"
    assert [request for request in running.requests[1:] if not request.startswith(folder)] == []


def choose(page: Browser, order: str) -> None:
    change = f"sort.value = {order!r}; sort.dispatchEvent(new Event('change'));"
    page.evaluate(f"(sort => {{ {change} }})(document.querySelector('#sort'))")
    page.settle()


def dialog_open(page: Browser) -> bool:
    return bool(page.evaluate("document.querySelector('#detail').open"))


def test_a_thousand_images_load_and_filter_at_once(page: Browser) -> None:
    loaded = page.evaluate("performance.getEntriesByName('gallery-ready')[0].startTime")
    filtered = page.evaluate(
        "(async (box) => { const started = performance.now();"
        " box.value = 'harbour'; box.dispatchEvent(new Event('input'));"
        " await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));"
        " return performance.now() - started; })(document.querySelector('#filter'))"
    )
    print(f"\n{COUNT} images: loaded in {loaded:.0f} ms, filtered and drawn in {filtered:.0f} ms")
    assert loaded < 5000
    assert filtered < 1000


def test_only_the_cards_in_view_exist_and_every_image_can_be_scrolled_to(page: Browser) -> None:
    assert text(page, "#count") == "1,000"
    assert 4 <= len(texts(page, ".card")) <= 60
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait("[...document.querySelectorAll('.card .name')].some(node => node.textContent === '사진_999.jpg')")
    assert len(texts(page, ".card")) <= 60
    last = page.evaluate("document.querySelector('.card:last-child').getBoundingClientRect().bottom")
    assert 0 < last <= 900


def test_the_summary_shows_what_is_known(page: Browser) -> None:
    assert texts(page, "#summary dt") == ["images", "failed", "from cache", "wall time"]
    assert texts(page, "#summary dd") == ["1,000", "40", "50%", "12.5 s"]


def test_the_filter_narrows_to_what_holds_every_word(page: Browser) -> None:
    find(page, "harbour")
    expected = sum(1 for number in range(COUNT) if number % 4 == 0 and number % 20 != 3 and number % 25 != 11)
    assert text(page, "#count") == f"{expected} of 1,000"
    find(page, "HARBOUR 48")
    numbers = [int(name.removeprefix("사진_").removesuffix(".jpg")) for name in texts(page, ".card .name")]
    both = [n for n in range(COUNT) if n % 4 == 0 and "48" in str(n) and n % 25 != 11]
    assert text(page, "#count") == f"{len(both)} of 1,000"
    assert numbers == both[: len(numbers)]
    assert {"48", "harbour"} <= set(texts(page, ".card mark"))
    find(page, "사진_12.jpg")
    assert texts(page, ".card .name") == ["사진_12.jpg"]


def test_no_match_says_so_and_can_be_undone(page: Browser) -> None:
    find(page, "nothing of the kind")
    assert text(page, "#count") == "0 of 1,000"
    assert texts(page, ".card") == []
    page.click(*page.centre("#clear"))
    assert text(page, "#count") == "1,000"
    assert page.evaluate("document.querySelector('#filter').value") == ""


@pytest.mark.parametrize(
    ("status", "count"),
    [("ok", COUNT - FAILED - PARTIAL), ("partial", PARTIAL), ("failed", FAILED)],
)
def test_the_status_filter(page: Browser, status: str, count: int) -> None:
    page.click(*page.centre(f"[name=status][value={status}]"))
    assert text(page, "#count") == f"{count} of 1,000"
    badges = {"ok": set(), "partial": {"Partial"}, "failed": {"Failed"}}
    assert set(texts(page, ".card .badge")) == badges[status]


def test_labels_are_chips_by_frequency_and_several_mean_any(page: Browser) -> None:
    chips = texts(page, "#labels button")
    assert [chip.rstrip("0123456789") for chip in chips] == ["document", "photo", "chart"]
    page.click(*page.centre("#labels button:nth-child(2)"))
    assert text(page, "#count") == f"{chips[1].removeprefix('photo')} of 1,000"
    assert texts(page, "#labels [aria-pressed=true]") == [chips[1]]
    page.click(*page.centre("#labels button:nth-child(3)"))
    both = int(chips[1].removeprefix("photo")) + int(chips[2].removeprefix("chart"))
    assert text(page, "#count") == f"{both} of 1,000"


def test_sorting(page: Browser) -> None:
    choose(page, "name")
    names = texts(page, ".card .name")
    assert names[:4] == [HOSTILE_NAME, "사진_0.jpg", "사진_1.jpg", "사진_2.jpg"]
    choose(page, "size")
    largest = sorted(range(COUNT), key=lambda number: -(number * 7919 % 100_000))[0]
    assert texts(page, ".card .name")[0] == f"사진_{largest}.jpg"
    page.click(*page.centre("#reverse"))
    assert texts(page, ".card .name")[0] == "사진_0.jpg"
    choose(page, "given")
    assert texts(page, ".card .name")[:2] == ["사진_999.jpg", "사진_998.jpg"]
    page.click(*page.centre("#reverse"))
    choose(page, "status")
    assert texts(page, ".card .name")[0] == "사진_11.jpg"
    choose(page, "lines")
    assert texts(page, ".card .name")[0] == "사진_29.jpg"
    choose(page, "time")
    assert texts(page, ".card .name")[0] == "사진_3.jpg"


def test_a_hostile_name_and_hostile_text_are_text(page: Browser) -> None:
    find(page, "onerror")
    assert texts(page, ".card .name") == [HOSTILE_NAME]
    assert text(page, ".card .caption") == HOSTILE_TEXT
    assert text(page, ".card .text li") == HOSTILE_TEXT
    page.click(*page.centre(".card .frame"))
    assert text(page, "#detail-name") == HOSTILE_NAME
    assert texts(page, "#detail img") == [""]
    page.move(*page.centre("#detail polygon"))
    assert text(page, "#detail .said") == HOSTILE_TEXT
    assert page.evaluate("document.querySelectorAll('script:not([type])').length") == 1


def test_code_that_did_get_in_would_not_run(page: Browser) -> None:
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p id=p onclick=\"document.title=1\">p</p>')")
    page.evaluate("document.querySelector('#p').click()")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 2'}))")
    page.settle()
    assert len([problem for problem in page.problems if "Content Security Policy" in problem]) >= 2
    page.problems.clear()


def test_hovering_draws_the_boxes_where_the_text_is(page: Browser) -> None:
    find(page, "사진_29.jpg")
    assert texts(page, ".card polygon") == []
    page.move(*page.centre(".card .frame"))
    assert len(texts(page, ".card polygon")) == 30
    picture, box = page.evaluate(
        "['.card img', '.card polygon'].map(name => { const r = document.querySelector(name).getBoundingClientRect();"
        " return [r.left, r.top, r.right, r.bottom]; })"
    )
    # The image is 1600 x 1200, as is the frame's ratio: boxes and frame differ by one scale alone.
    scale = (picture[2] - picture[0]) / 1600
    corners = [picture[0] + 400 * scale, picture[1] + 100 * scale, picture[0] + 1200 * scale, picture[1] + 200 * scale]
    assert box == pytest.approx(corners, abs=1.5)
    page.wait("getComputedStyle(document.querySelector('.card .boxes')).opacity === '1'")


def test_a_box_and_its_line_are_picked_together(page: Browser) -> None:
    find(page, "사진_29.jpg")
    page.move(*page.centre(".card .frame"))
    page.move(*page.centre(".card polygon[data-line='0']"))
    assert text(page, ".card .said") == "ticket 29 station"
    assert texts(page, ".card .text .picked") == ["ticket 29 station"]
    page.move(*page.centre(".card polygon[data-line='28']"))
    (picked,) = texts(page, ".card .text .picked")
    assert picked == text(page, ".card .said") == "row 28"
    inside = page.evaluate(
        "(() => { const list = document.querySelector('.card .text').getBoundingClientRect();"
        " const item = document.querySelector('.card .text .picked').getBoundingClientRect();"
        " return item.top >= list.top - 1 && item.bottom <= list.bottom + 1; })()"
    )
    assert inside
    page.move(1, 1)
    assert texts(page, ".card .picked") == []


def test_the_detail_view_by_keyboard(page: Browser) -> None:
    page.evaluate("document.querySelector('.card .frame').focus()")
    page.press("Enter")
    assert dialog_open(page)
    assert text(page, "#position") == "1 of 1,000"
    page.press("ArrowLeft")
    assert text(page, "#position") == "1 of 1,000"
    for _ in range(30):
        page.press("ArrowRight")
    assert text(page, "#position") == "31 of 1,000"
    assert text(page, "#detail-name") == "사진_30.jpg"
    assert "ticket 30 station93%" in texts(page, "#detail .text li")
    page.press("Escape")
    assert not dialog_open(page)
    assert page.evaluate("document.activeElement.ariaLabel") == "사진_30.jpg: show details"
    seen = page.evaluate("(r => r.top >= 0 && r.bottom <= innerHeight)(document.activeElement.getBoundingClientRect())")
    assert seen


def test_the_detail_view_has_all_the_facts(page: Browser) -> None:
    find(page, "사진_4.jpg")
    page.click(*page.centre(".card .frame"))
    shown = text(page, "#detail-content")
    for fact in ("photos/사진_4.jpg", f"{4:064x}", "1,600 × 1,200", "planted · m 1 · onnx", "80%", "ticket 4 harbour"):
        assert fact in shown
    assert json.loads(text(page, "#detail pre"))["path"] == "photos/사진_4.jpg"
    page.click(3, 3)
    assert not dialog_open(page)


def test_a_failed_image_says_why_and_what_to_do(page: Browser) -> None:
    find(page, "사진_11.jpg")
    assert texts(page, ".card img") == []
    assert texts(page, ".card .problem p") == ["The file ends too early.", "Copy it again."]
    page.click(*page.centre(".card .frame"))
    assert texts(page, "#detail .callout p") == ["The file ends too early.", "Copy it again."]
    page.press("Escape")
    find(page, "사진_3.jpg")
    assert texts(page, ".card .problem p") == ["Text: No answer within 120 s.", "Raise --timeout."]


def test_the_keyboard_reaches_the_filter_and_walks_the_cards(page: Browser) -> None:
    page.press("/")
    assert page.evaluate("document.activeElement.id") == "filter"
    assert page.evaluate("document.querySelector('#filter').value") == ""
    page.evaluate("document.querySelector('.card .frame').focus()")
    for _ in range(40):
        page.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "사진_40.jpg: show details"


@pytest.mark.parametrize(("width", "dark"), [(400, False), (400, True), (1280, True)])
def test_nothing_is_wider_than_the_window(page: Browser, width: int, dark: bool) -> None:
    page.viewport(width, 800, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert (shade < 60) is dark
    page.evaluate("document.querySelector('.card .frame').click()")
    page.settle()
    assert page.evaluate("(d => d.scrollWidth <= d.clientWidth)(document.querySelector('#detail-content'))")


def test_every_card_fits_its_place(page: Browser) -> None:
    heights = page.evaluate(
        "[...document.querySelectorAll('.card')].map(card => card.getBoundingClientRect().height.toFixed(2))"
    )
    assert len(set(heights)) == 1
    cut = page.evaluate(
        "[...document.querySelectorAll('.body')].filter(body => body.scrollHeight > body.clientHeight).length"
    )
    assert cut == 0


def test_printing_holds_every_image_that_matches(page: Browser) -> None:
    find(page, "harbour 8")
    shown = int(text(page, "#count").split()[0])
    printed = page.pdf()
    assert printed.startswith(b"%PDF")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(texts(page, ".card")) == shown
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(texts(page, ".card")) < shown


def test_an_empty_gallery_says_so(running: Browser, tmp_path: Path) -> None:
    path = tmp_path / "empty.html"
    with path.open("w", encoding="utf-8") as out:
        HtmlWriter(out, "nothing").close({})
    opened(running, path)
    assert text(running, "#empty p") == "There are no images in this gallery."
    assert texts(running, "#summary dt") == []
    assert running.problems == []


def test_codes_have_boxes_tags_and_safe_links(running: Browser, tmp_path: Path) -> None:
    hostile = msgspec.structs.replace(
        QR_CODE, value=HOSTILE_TEXT, links=("javascript:document.title='owned'", "https://x.example/1")
    )
    both = answered(f"{tmp_path}/a.png", codes=codes(HS_CODE, hostile), text=text_result("HS CODE: 8471.30-0000"))
    opened(running, written(tmp_path / "codes.html", both, answered("b.png", codes=codes())))
    find(running, "8471300000")
    assert texts(running, ".card .name") == ["a.png"]
    assert texts(running, ".card .tag") == ["8471.30-0000hs", f"{HOSTILE_TEXT}qr"]
    running.move(*running.centre(".card .frame"))
    assert len(texts(running, ".card polygon.code")) == 2
    running.click(*running.centre(".card .frame"))
    assert texts(running, "#detail .codes li")[0].startswith(
        "8471.30-0000hs · 84 machinery and computers, 기계와 컴퓨터"
    )
    hrefs = running.evaluate("[...document.querySelectorAll('#detail .codes a')].map(a => a.href)")
    assert hrefs == ["https://tariff.example/847130", "https://x.example/1"]
    running.move(*running.centre("#detail .codes li"))
    assert texts(running, "#detail .codes .picked")[0].startswith("8471.30-0000")
    assert text(running, "#detail .said") == "hs 8471.30-0000"
    assert running.evaluate("document.title") == "gallery"
    assert running.problems in ([], ["Failed to load resource: net::ERR_FILE_NOT_FOUND"])


def test_an_engine_that_stands_in_for_another_says_so(running: Browser, tmp_path: Path) -> None:
    read = msgspec.structs.replace(text_result("a line"), stands_in_for="easyocr")
    opened(running, written(tmp_path / "stand-in.html", answered("a.png", text=read)))
    assert texts(running, ".card .foot span")[0] == "rapidocr (instead of easyocr)"
