"""The HTML gallery as text: what is written, that it cannot be broken out of, and that nothing is kept."""

from __future__ import annotations

import io
import json
import math
import os
import re
import tracemalloc
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.formats.gallery_writer import HtmlWriter, data_block
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

HOSTILE = "</script><script>document.title='owned'</script><!--<img src=x onerror=alert(1)>&lt;\u2028\u2029{{results}}"
JPEG = bytes(range(256)) * 20


def a_result(path: str = "photos/one.jpg", said: str = "hello", **changes: Any) -> ImageResult:
    by: dict[str, Any] = {"engine": "e", "model": "m", "model_version": "1", "backend": Backend.ONNX, "seconds": 0.5}
    line = TextLine(text=said, confidence=0.9, box=((1.0, 2.0), (30.0, 2.0), (30.0, 9.0), (1.0, 9.0)))
    tasks = TaskResults(
        caption=CaptionResult(value=said, **by),
        text=TextResult(value=(line,), **by),
        labels=LabelsResult(value=(Label(label=said, score=0.7),), **by),
    )
    result = ImageResult(
        path=path,
        sha256="0" * 64,
        format="JPEG",
        width=640,
        height=480,
        file_size=1234,
        status=Status.OK,
        tasks=tasks,
        processing_time_ms=1.5,
        cache_enabled=True,
        from_cache=False,
        thumbnail=JPEG,
    )
    return msgspec.structs.replace(result, **changes)


def a_page(*results: ImageResult, title: str = "photos", summary: dict[str, Any] | None = None) -> str:
    out = io.StringIO()
    writer = HtmlWriter(out, title)
    for result in results:
        writer.write(result)
    writer.close(summary or {})
    return out.getvalue()


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text between it and the next tag."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self.inside = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[len(self.tags) - 1] = self.texts.get(len(self.tags) - 1, "") + data

    def texts_of(self, tag: str, kind: str | None = None) -> list[str]:
        return [
            self.texts.get(index, "")
            for index, (name, attributes) in enumerate(self.tags)
            if name == tag and attributes.get("type") == kind
        ]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_a_data_block_cannot_be_left_and_says_the_same(value: Any) -> None:
    block = data_block(value)
    assert block.isascii()
    assert not set(block) & set("<>&")
    assert json.loads(block) == value


def test_numbers_that_json_does_not_know_become_null() -> None:
    block = data_block({"a": [math.nan, 1.5], "b": (math.inf, -math.inf), "c": "NaN"})
    assert json.loads(block) == {"a": [None, 1.5], "b": [None, None], "c": "NaN"}


def test_a_result_is_in_the_page_as_its_json_and_its_thumbnail() -> None:
    results = [a_result(), a_result("b/사진.jpg", said="안녕", thumbnail=msgspec.UNSET)]
    elements = Elements(a_page(*results, summary={"images": 2}))
    *blocks, summary = elements.texts_of("script", "application/json")
    read = [msgspec.convert(json.loads(block), ImageResult) for block in blocks]
    assert read == [msgspec.structs.replace(result, thumbnail=msgspec.UNSET) for result in results]
    assert [b64decode(block) for block in elements.texts_of("script", "text/plain")] == [JPEG, b""]
    assert json.loads(summary) == {"images": 2}


def test_hostile_strings_add_no_element() -> None:
    failed = a_result(status=Status.FAILED, tasks=TaskResults(), error=Problem(HOSTILE, HOSTILE, HOSTILE))
    harmless = Elements(a_page(a_result(), a_result(), title="photos", summary={"images": 1}))
    hostile = Elements(a_page(a_result(HOSTILE, said=HOSTILE), failed, title=HOSTILE, summary={"images": HOSTILE}))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    plain = [[each for each in tags if "data-original" not in each[1]] for tags in (hostile.tags, harmless.tags)]
    assert plain[0][3:] == plain[1][3:]
    assert hostile.texts_of("title") == [HOSTILE]
    assert hostile.texts_of("h1") == [HOSTILE]


def links(page: str) -> list[str | None]:
    return [
        attributes.get("data-original")
        for tag, attributes in Elements(page).tags
        if tag == "script" and attributes.get("type") == "text/plain"
    ]


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("photos/one.jpg", "../photos/one.jpg"),
        ("out/here.jpg", "here.jpg"),
        ("/elsewhere/a b#c?d%e.jpg", "ROOTelsewhere/a%20b%23c%3Fd%25e.jpg"),
        ("out/javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("out/" + HOSTILE.replace("/", ""), None),
        ("/\\\\server/x.jpg", "ROOT%5C%5Cserver/x.jpg"),
    ],
)
def test_the_original_is_linked_relative_to_the_gallery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, link: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    HtmlWriter(out, "g", Path("out")).write(a_result(path))
    (found,) = links(out.getvalue())
    assert found is not None
    assert re.fullmatch(r"[A-Za-z0-9_./%~-]+", found)
    assert os.path.normpath(tmp_path / "out" / unquote(found)) == os.path.normpath(tmp_path / path)
    if link is not None:
        assert found == link.replace("ROOT", "../" * len((tmp_path / "out").parts[1:]))


def test_without_a_folder_the_link_is_absolute_and_what_was_piped_in_has_none(tmp_path: Path) -> None:
    assert links(a_page(a_result(f"{tmp_path}/a b.jpg"), a_result("-"))) == [f"file://{tmp_path}/a%20b.jpg", None]


def test_a_name_that_is_no_utf8_is_linked_by_its_bytes(tmp_path: Path) -> None:
    odd = a_result("folder/\\xe9t\\xe9.jpg", uri=f"file://{tmp_path}/folder/%E9t%E9.jpg")
    out = io.StringIO()
    HtmlWriter(out, "g", tmp_path).write(odd)
    assert links(out.getvalue()) == ["folder/%E9t%E9.jpg"]


def test_a_title_that_names_a_placeholder_is_a_title() -> None:
    for name in ("results", "summary", "script", "style"):
        elements = Elements(a_page(a_result(), title=f"{{{{{name}}}}}"))
        assert elements.texts_of("title") == [f"{{{{{name}}}}}"]
        assert len(elements.texts_of("script", "application/json")) == 2


def test_the_policy_names_the_hashes_of_the_only_script_and_style() -> None:
    elements = Elements(a_page(a_result(said=HOSTILE)))
    policy = next(attributes["content"] for tag, attributes in elements.tags if "http-equiv" in attributes)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    (script,), (style,) = elements.texts_of("script"), elements.texts_of("style")
    for text, rule in ((script, rules["script-src"]), (style, rules["style-src"])):
        assert rule == f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: file: 'self'"


def test_no_element_of_the_page_carries_what_the_policy_forbids() -> None:
    for _, attributes in Elements(a_page(a_result())).tags:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        assert not [value for name, value in attributes.items() if name in {"src", "href"} and value != "data:,"]


def test_the_script_builds_no_markup_from_strings() -> None:
    (script,) = Elements(a_page()).texts_of("script")
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc"
    assert not re.search(forbidden, script)


def test_any_encoding_of_the_file_will_do(tmp_path: Path) -> None:
    path = tmp_path / "gallery.html"
    with path.open("w", encoding="ascii") as out:
        writer = HtmlWriter(out, "사진 \udcff")
        writer.write(a_result("폴더/\udce9t\udce9.jpg", said="가나다 – ½"))
        writer.close({})
        assert not out.closed
    *blocks, _ = Elements(path.read_text("ascii")).texts_of("script", "application/json")
    assert json.loads(blocks[0])["path"] == "폴더/\udce9t\udce9.jpg"


def test_a_result_is_written_at_once() -> None:
    out = io.StringIO()
    writer = HtmlWriter(out, "photos")
    head = out.tell()
    writer.write(a_result())
    assert out.getvalue()[head:].count("</script>\n") == 2
    assert b64encode(JPEG).decode() in out.getvalue()[head:]


class Nowhere(io.TextIOBase):
    """Takes any text and keeps its length only."""

    length = 0

    def write(self, text: str) -> int:
        self.length += len(text)
        return len(text)


def test_memory_does_not_grow_with_the_gallery() -> None:
    out, count = Nowhere(), 1000
    writer = HtmlWriter(out, "photos")  # type: ignore[arg-type]
    writer.write(a_result())
    tracemalloc.start()
    try:
        for number in range(count):
            writer.write(a_result(f"{number}.jpg"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert out.length > count * len(JPEG)
    assert peak < 200_000
