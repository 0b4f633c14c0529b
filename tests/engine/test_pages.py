"""``--pages all``: every page has its own answer, whatever became of the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from imgtool import Engine, ImageResult, Status


def pages_of(path: Path, **options: object) -> list[ImageResult]:
    chosen = {"tasks": ["caption"], "caption_engine": "tests.planted:Hazard", "pages": "all", **options}
    with Engine(**chosen) as engine:  # type: ignore[arg-type]
        return list(engine.analyze([path]))


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A TIFF of three deflated pages, the first of which does not unpack."""
    pages = [Image.effect_noise((60, 40), 50 + number).convert("RGB") for number in range(3)]
    path = tmp_path / "three.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate")
    with Image.open(path) as first:
        strip = first.tag_v2[273][0]
    content = bytearray(path.read_bytes())
    content[strip : strip + 40] = b"\xff" * 40
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("cache", [True, False])
def test_a_damaged_first_page_does_not_take_the_others(damaged: Path, tmp_path: Path, cache: bool) -> None:
    options = {"cache_dir": tmp_path / "cache", "cache": cache}
    for _ in range(2):
        results = pages_of(damaged, **options)
        assert [result.status for result in results] == [Status.FAILED, Status.OK, Status.OK]
        assert [(result.page, result.pages) for result in results] == [(0, 3), (1, 3), (2, 3)]
        assert results[0].error is not None


def test_the_same_damaged_file_twice(damaged: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    copy = tmp_path / "again" / "copy.tif"
    copy.write_bytes(damaged.read_bytes())
    with Engine(tasks=["caption"], caption_engine="tests.planted:Hazard", pages="all", cache=False) as engine:
        results = list(engine.analyze([damaged, copy]))
    assert [result.status.value for result in results] == ["failed", "ok", "ok"] * 2


def test_only_the_first_page_is_looked_at_unless_all_are_asked_for(damaged: Path) -> None:
    (only,) = pages_of(damaged, pages="first", cache=False)
    assert (only.status, only.pages) == (Status.FAILED, 3)


def test_by_default_a_document_is_read_whole(tmp_path: Path, damaged: Path) -> None:
    results = pages_of(damaged, pages="auto", cache=False)
    assert [(result.status, result.page) for result in results] == [(Status.FAILED, 0), (Status.OK, 1), (Status.OK, 2)]


def animation(path: Path, *greys: int) -> Path:
    """Frames with a square on a grey; one whose grey is 20 or less is one colour all over."""
    frames = []
    for grey in greys:
        frames.append(Image.new("RGB", (60, 40), (grey,) * 3))
        if grey > 20:
            frames[-1].paste((255, 200, 10), (20, 10, 40, 30))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    return path


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.avif"])
def test_by_default_the_first_frame_that_shows_something_stands_for_an_animation(tmp_path: Path, name: str) -> None:
    path = animation(tmp_path / name, 0, 20, 90, 120)
    for cached in (False, True):
        (result,) = pages_of(path, pages="auto", cache_dir=tmp_path / "cache")
        assert (result.page, result.pages, result.status, result.from_cache) == (2, 4, Status.OK, cached)
        assert result.tasks.caption is not None
        assert result.tasks.caption.notice == "frame 3 of 4 is analyzed (--pages all: every frame)"
    (first,) = pages_of(path, pages="first", cache_dir=tmp_path / "cache")
    assert (first.page, first.from_cache) == (0, True)
    assert [result.page for result in pages_of(path, pages="all", cache_dir=tmp_path / "cache")] == [0, 1, 2, 3]


def test_an_animation_that_shows_something_at_once_or_never(tmp_path: Path) -> None:
    for greys in ((90, 120, 0), (0, 20, 0)):
        (result,) = pages_of(animation(tmp_path / "a.webp", *greys), pages="auto", cache=False)
        assert result.page == 0


def test_a_damaged_animation_fails_once(tmp_path: Path) -> None:
    path = animation(tmp_path / "a.webp", 90, 120, 50)
    content = bytearray(path.read_bytes())
    at = content.index(b"VP8 ") if b"VP8 " in content else content.index(b"VP8L")
    content[at + 8 : at + 40] = bytes(32)
    path.write_bytes(content)
    assert [result.status for result in pages_of(path, pages="auto", cache=False)] == [Status.FAILED]


@pytest.mark.parametrize("name", ["a.tif", "a.gif"])
def test_more_pages_than_the_limit_are_one_failure(tmp_path: Path, name: str) -> None:
    path, cache = animation(tmp_path / name, 90, 120, 60), tmp_path / "cache"
    for known in (False, True):  # the second time the file's number of pages comes from the cache
        (result,) = pages_of(path, max_pages=2, cache_dir=cache)
        assert (result.status, result.page, result.from_cache) == (Status.FAILED, 0, False)
        assert result.error is not None and result.error.code == "too_many_pages"
        assert "--max-pages 3" in (result.error.remedy or "")
        (first,) = pages_of(path, max_pages=2, pages="first", cache_dir=cache)
        assert (first.status, first.pages, first.from_cache) == (Status.OK, 3, known)
    raised = pages_of(path, max_pages=3, cache_dir=cache)
    assert [result.page for result in raised] == [0, 1, 2]
