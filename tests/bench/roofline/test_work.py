"""The work of real networks on an image: RapidOCR's, and those of a compiled model in both precisions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from imgtool.artefacts.manifest import FAST, OPTIMISED
from imgtool.bench.roofline.bounds import count_work
from imgtool.bench.roofline.work import _Run, work_of
from imgtool.engine.plan import make_plan
from imgtool.options import EngineOptions
from tests.compiling.test_winograd import small_network

EXAMPLES = Path(__file__).parents[3] / "examples" / "images"


def test_rapidocr_on_a_page(tmp_path: Path) -> None:
    page = EXAMPLES / "street-sign.jpg"
    plan = make_plan(EngineOptions(text_engine="rapidocr", cache_dir=tmp_path / "cache"))
    parts = {part.name: part for part in work_of(plan, (str(page),), 1)}
    assert {name.split("_")[-2] for name in parts} >= {"det", "rec"}
    assert 5e9 < parts["PP-OCRv6_det_small"].work.ops < 1e11
    assert not any(part.is_int8 for part in parts.values())


def test_a_lossy_twin_counts_as_the_graph_that_it_stands_for(tmp_path: Path) -> None:
    exported = small_network(tmp_path / "net.onnx")
    feeds = (("image", "<f4", (1, 3, 64, 96)),)
    expected = count_work(exported, {"image": np.zeros((1, 3, 64, 96), np.float32)})
    for path, is_lossy in ((f"net{OPTIMISED}", False), (f"{FAST}/net{OPTIMISED}", True), (f"{FAST}/net.blob", True)):
        run = _Run(str(tmp_path / path), feeds)
        assert (run.name, run.is_lossy, run.work()) == ("net", is_lossy, expected)
    assert Counter([_Run("a", feeds), _Run("a", feeds)])[_Run("a", feeds)] == 2
