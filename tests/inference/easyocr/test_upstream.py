"""Loading upstream's reader: damaged files are named with what to do, and nothing of this process is left changed."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("easyocr")

from imgtool.errors import ModelLoadFailed
from imgtool.inference.easyocr.upstream import EasyOcrReader

REMEDY = "do this"


@pytest.fixture
def tables() -> Any:
    """EasyOCR's tables before the test; afterwards they must be the same."""
    from easyocr import config

    before = copy.deepcopy((config.detection_models, config.recognition_models)), list(sys.path)
    yield before
    assert ((config.detection_models, config.recognition_models), sys.path) == before


@pytest.mark.usefixtures("tables")
def test_files_that_are_missing_or_wrong(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadFailed, match="cannot load its weights") as caught:
        EasyOcrReader(tmp_path, ["en"], "cpu", 1, remedy=REMEDY)
    assert caught.value.remedy == REMEDY
    for name in ("craft_mlt_25k.pth", "english_g2.pth"):
        (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(ModelLoadFailed, match="cannot load its weights") as caught:
        EasyOcrReader(tmp_path, ["en"], "cpu", 1, remedy=REMEDY)
    assert caught.value.remedy == REMEDY


@pytest.mark.usefixtures("tables")
def test_marked_weights_are_opened_as_tensors_only(tmp_path: Path) -> None:
    """A pickle with code in it is refused before upstream, which would run it, sees it."""
    import pickle

    from imgtool.weights.synthetic.networks import make_easyocr

    make_easyocr(tmp_path, ["en"], "tiny")
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (ran,))

    (tmp_path / "english_g2.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelLoadFailed) as caught:
        EasyOcrReader(tmp_path, ["en"], "cpu", 1, remedy=REMEDY)
    assert caught.value.remedy == REMEDY
    assert not ran.exists()
