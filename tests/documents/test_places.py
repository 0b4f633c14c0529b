"""Where the files about a document go: each has a name of its own, and a later run finds the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.documents.places import Places


def names(folder: Path, *files: str) -> dict[str, str]:
    """What the files about each of ``files`` are called, where these are in one folder."""
    folder.mkdir(exist_ok=True)
    for name in files:
        (folder / name).touch()
    places = Places(None)
    return {name: Path(places.of(str(folder / name))).name for name in files if not name.endswith((".md", ".ocr.pdf"))}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a.jpg", "b.png"], ["a", "b"]),
        (["a.jpg", "a.png", "b.png"], ["a.jpg", "a.png", "b"]),
        (["a.jpg", "A.PNG"], ["a.jpg", "A.PNG"]),  # macOS and Windows take a.txt and A.txt for one
        (["a.jpg", "a.pdf", "a.ocr.pdf"], ["a.jpg", "a.pdf"]),
        (["a.jpg", "a.ocr.pdf"], ["a"]),  # what was written before is no image
        (["a.jpg", "a.md"], ["a"]),
        (["scan", "b.jpg"], ["scan", "b"]),
        (["scan", "scan.jpg"], ["scan", "scan.jpg"]),
        (["a.dat"], ["a.dat"]),  # an image by its content
        (["a.jpg", "a.png", "a.jpg.webp"], ["a.jpg", "a.png", "a.jpg.webp"]),
        (["a.jpg", "a.jpg.webp"], ["a", "a.jpg.webp"]),
        ([".jpg", ".a.png"], [".jpg", ".a"]),
        (["한국.tiff", "é.heic"], ["한국", "é"]),
    ],
)
def test_names_do_not_clash(tmp_path: Path, files: list[str], expected: list[str]) -> None:
    found = names(tmp_path / "photos", *files)
    assert list(found.values()) == expected
    assert len(set(found.values())) == len(found)


def test_images_that_keep_their_suffix_are_counted(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.jpg", "b.gif", "c.png"):
        (tmp_path / name).touch()
    places = Places(None)
    for path in sorted(tmp_path.glob("*.*")):
        places.of(str(path))
    assert (places.kept_suffixes, places.kept_suffix) == (4, ["a.jpg", "a.png"])


@pytest.mark.parametrize(
    ("root", "path", "expected"),
    [
        ("photos", "photos/x/a.jpg", "out/x/a"),
        ("photos/", "photos/x/a.jpg", "out/x/a"),
        (".", "./x/a.jpg", "out/x/a"),
        (None, "photos/x/a.jpg", "out/photos/x/a"),
        (None, "./photos/x/a.jpg", "out/photos/x/a"),
        (None, "a.jpg", "out/a"),
        ("a.jpg", "a.jpg", "out/a"),
        ("photos/x/*.jpg", "photos/x/a.jpg", "out/photos/x/a"),
    ],
)
def test_a_folder_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str | None, path: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    places = Places(Path("out"))
    places.root = root
    assert places.of(path) == expected


def test_what_lies_elsewhere_keeps_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    places = Places(Path("out"))
    assert places.of("../a.jpg") == f"out{tmp_path}/a"
    assert places.of(str(tmp_path / "b.jpg")) == f"out{tmp_path}/b"
