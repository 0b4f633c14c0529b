"""What needs an optional package says which; in a folder only what is an image is reported for lacking it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from imgtool.distribution import install_command
from imgtool.engine.files import problems
from imgtool.engine.files.discover import RefusedPath, discover

HEADS = {"pdf": b"%PDF-1.7\n", "jxl": b"\0\0\0\x0cJXL \r\n\x87\n", "heif": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"}


@pytest.mark.parametrize("extra", HEADS)
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    packages = {"pdf": "pypdfium2", "jxl": "pillow_jxl", "heif": "pillow_heif"}
    monkeypatch.setattr(problems, "find_spec", lambda name: None if name == packages[extra] else find_spec(name))
    (tmp_path / "file").write_bytes(HEADS[extra].ljust(64, b"\0"))
    (found,) = discover([str(tmp_path / "file")])
    assert isinstance(found, RefusedPath)
    assert (found.problem.code, found.problem.remedy) == (f"{extra}_extra_missing", install_command(extra))
    assert len(list(discover([str(tmp_path)]))) == (0 if extra == "pdf" else 1)
