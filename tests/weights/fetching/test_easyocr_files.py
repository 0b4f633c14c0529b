"""EasyOCR's archives by themselves: which address, what is unpacked, and what is left after a refusal."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from imgtool.weights.easyocr_table import TableEntry
from imgtool.weights.errors import BrokenArchive, RepositoryIncomplete, WrongHash
from imgtool.weights.fetching.easyocr_files import ENDPOINT_VARIABLE, address, install, unpack

CONTENT = b"weights"
ENTRY = TableEntry("model.pth", "https://example.invalid/a/b/model.zip", hashlib.md5(CONTENT).hexdigest())


def archive(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name, content in files.items():
            made.writestr(name.replace("_pth", ".pth"), content)
    return path


def test_a_mirror_replaces_scheme_and_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENDPOINT_VARIABLE, raising=False)
    assert address(ENTRY) == ENTRY.url
    monkeypatch.setenv(ENDPOINT_VARIABLE, "http://mirror:8080/")
    assert address(ENTRY) == "http://mirror:8080/a/b/model.zip"


def test_the_weights_alone_are_unpacked(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", model_pth=CONTENT, other_pth=b"x")
    unpack(made, ENTRY, tmp_path / "into", "there")
    assert {path.name: path.read_bytes() for path in (tmp_path / "into").iterdir()} == {"model.pth": CONTENT}


def test_what_is_wrong_leaves_the_former_weights(tmp_path: Path) -> None:
    into = tmp_path / "into"
    install(io.BytesIO(CONTENT), ENTRY, into, "there")
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    for path, kind in (
        (archive(tmp_path / "wrong.zip", model_pth=b"others"), WrongHash),
        (archive(tmp_path / "empty.zip", other_pth=CONTENT), RepositoryIncomplete),
        (tmp_path / "broken.zip", BrokenArchive),
    ):
        with pytest.raises(kind, match="there"):
            unpack(path, ENTRY, into, "there")
        assert {each.name: each.read_bytes() for each in into.iterdir()} == {"model.pth": CONTENT}
