"""The pages and the description of the service, the former in a real browser."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from imgtool.service.openapi import OPERATIONS, describe
from imgtool.service.problems import STATUSES
from tests import pictures, planted
from tests.browser import CHROMIUM, Browser
from tests.service.running import PLANTED, Running, running

NUMBERED = (
    *("-t", "caption,text,labels", "--caption-engine", "tests.planted:Numbered"),
    *("--text-engine", "tests.planted:NumberedText", "--labels-engine", "tests.planted:NumberedLabels"),
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(*NUMBERED, "--cache-dir", tmp_path_factory.mktemp("cache")) as found:
        yield found


def test_the_description_is_openapi_of_every_address(service: Running) -> None:
    found = service.get("/openapi.json").json()
    assert found == json.loads(msgspec.json.encode(describe(("caption", "text", "labels"), ("ko", "en"), 60.0)))
    assert found["openapi"] == "3.1.0"
    described = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    app = Path(__file__).parents[2] / "imgtool" / "service" / "app.py"
    served = {
        (method, path)
        for path, methods in re.findall(r'Route\("([^"]+)", .*methods=\[([^\]]+)\]', app.read_text())
        for method in re.findall(r"\w+", methods)
    }
    assert described == served - {("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json")}
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)


def test_every_reference_leads_somewhere_and_every_answer_fits_its_schema(service: Running) -> None:
    found = describe()
    names = set(re.findall(r"#/components/schemas/(\w+)", str(found)))
    assert names <= set(found["components"]["schemas"])
    looked_at = 0
    for operation in OPERATIONS:
        kind = operation.answers[next(iter(operation.answers))].get("application/json")
        if operation.method == "get" and "{" not in operation.path and kind is not None:
            msgspec.json.decode(service.get(operation.path).content, type=kind)
            looked_at += 1
    assert looked_at >= 7


def test_the_page_of_the_description_needs_no_network(service: Running) -> None:
    page = service.get("/docs")
    assert page.status_code == 200
    for operation in OPERATIONS:
        assert operation.path in page.text
    for code in STATUSES:
        assert f"<code>{code}</code>" in page.text
    assert not re.search(r"(?:src|href)=.?(?:https?:)?//", page.text)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_policy_of_the_pages_allows_nothing_else(service: Running, path: str) -> None:
    page = service.get(path)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page.text)
    assert policy and "default-src &#39;none&#39;" in policy[1] and "unsafe" not in policy[1]
    assert page.headers["content-security-policy"] == "frame-ancestors 'none'"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with Browser() as found:
        yield found


def until(browser: Browser, condition: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not browser.evaluate(condition):
        assert time.monotonic() < deadline, browser.evaluate("document.body.innerText")
        time.sleep(0.05)


def choose(browser: Browser, path: Path) -> None:
    """Choose a file as a person does in the dialog."""
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    browser.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 400])
def test_an_image_is_chosen_and_its_answer_appears(
    service: Running, browser: Browser, tmp_path: Path, width: int
) -> None:
    browser.problems.clear()
    browser.requests.clear()
    browser.viewport(width, 900)
    browser.open(f"{service.address}/")
    choose(browser, pictures.flat(tmp_path / "photo.png", (1, 2, width % 250), (300, 200)))
    until(browser, "document.getElementById('status').textContent === '3 answered'")
    text = browser.evaluate("document.getElementById('parts').innerText")
    for expected in ("number 258", f"blue {width % 250}", "Caption", "Labels"):
        assert expected.lower() in text.lower()
    assert browser.evaluate("document.getElementById('preview').naturalWidth") == 300
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.problems == []
    assert {request.split("/")[2] for request in browser.requests if request.startswith("http")} == {
        service.address.removeprefix("http://")
    }


@pytest.mark.browser
def test_what_fails_is_said_and_a_key_is_asked_for(browser: Browser, tmp_path: Path) -> None:
    from imgtool.service.keys import Role, add_key

    key = add_key(tmp_path / "keys.json", "anna", Role.USER, None)
    with running(*PLANTED, "--cache-dir", tmp_path / "cache", "--api-keys", tmp_path / "keys.json") as service:
        browser.open(f"{service.address}/")
        choose(browser, pictures.flat(tmp_path / "red.png", planted.RED))
        until(browser, "!document.getElementById('key').hidden")
        browser.evaluate(f"document.getElementById('secret').value = {key!r}")
        browser.evaluate("document.querySelector('#key button').click()")
        until(browser, "document.getElementById('status').textContent === '1 answered, 1 failed'")
        assert "SIGSEGV" in browser.evaluate("document.querySelector('.part.failed').innerText")
        (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n garbage")
        choose(browser, tmp_path / "broken.png")
        until(browser, "document.getElementById('status').textContent === 'nothing could be answered'")
