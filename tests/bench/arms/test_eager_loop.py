"""The loop of the eager program, with libraries that only take down how they are called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imgtool.bench.arms import eager


class Reader:
    """Stands in for ``easyocr.Reader``."""

    made: tuple[Any, ...] = ()

    def __init__(self, languages: list[str], **options: Any) -> None:
        Reader.made = (languages, options)

    def readtext(self, path: str) -> list[tuple[None, str, float]]:
        return [(None, f"text of {Path(path).name}", 0.5)]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of threads that torch was given."""
    given: list[int] = []
    no = SimpleNamespace(is_available=lambda: False)
    torch = SimpleNamespace(set_num_threads=given.append, cuda=no, backends=SimpleNamespace(mps=no))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "easyocr", SimpleNamespace(Reader=Reader))
    return given


def test_every_image_is_a_line_and_models_are_loaded_once(
    tmp_path: Path, threads: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    eager.main(["--easyocr", str(tmp_path), "--languages", "ko,en", "--threads", "3", "a.png", "b.png"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"path": "a.png", "text": [["text of a.png", 0.5]]},
        {"path": "b.png", "text": [["text of b.png", 0.5]]},
    ]
    assert threads == [3]
    languages, options = Reader.made
    assert (languages, options["gpu"], options["download_enabled"]) == (["ko", "en"], False, False)


def test_the_md5_sums_of_synthetic_weights_are_made_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"filename": "craft.pth", "md5sum": "that of the real one"}
    config = SimpleNamespace(detection_models={"craft": row}, recognition_models={})
    monkeypatch.setitem(sys.modules, "easyocr", SimpleNamespace(Reader=Reader, config=config))
    (tmp_path / "SYNTHETIC").write_text(json.dumps({"files": {"craft.pth": "that of the synthetic one"}}))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(set_num_threads=lambda number: None))
    eager.main(["--easyocr", str(tmp_path), "--device", "cpu", "a.png"])
    assert row["md5sum"] == "that of the synthetic one"


def test_a_device_that_is_named_is_taken(tmp_path: Path, threads: list[int]) -> None:
    eager.main(["--easyocr", str(tmp_path), "--device", "cuda:1", "a.png"])
    assert Reader.made[1]["gpu"] == "cuda:1"
