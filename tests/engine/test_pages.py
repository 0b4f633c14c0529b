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
