"""EasyOCR's networks as ONNX: what is written, for which shapes it holds, and what parity notices."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgtool.compiling.interface import Export
from imgtool.errors import ModelMissing
from imgtool.weights.errors import FileRefused, LanguagesRefused
from imgtool.weights.synthetic.marker import Marker, read_marker, write_marker

TORCH = all(importlib.util.find_spec(name) for name in ("torch", "torchvision", "easyocr", "onnx"))
pytestmark = [
    pytest.mark.skipif(not TORCH, reason="the torch extra is not installed"),
    pytest.mark.filterwarnings("ignore"),
]

LANGUAGES = ("ko", "en")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    import torch

    from imgtool.weights.synthetic.networks import make_easyocr

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("easyocr") / "weights"
    make_easyocr(folder, LANGUAGES, "tiny", seed=4)
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def made(weights: Path) -> tuple[Path, Export]:
    from imgtool.compiling.easyocr.export import export

    folder = weights.parent / "compiled"
    exported = export(weights, folder, "do this", LANGUAGES)
    (folder / "settings.json").write_text(json.dumps(exported.settings), encoding="utf-8")
    return folder, exported


class TestExport:
    def test_what_is_written(self, made: tuple[Path, Export]) -> None:
        from easyocr.config import recognition_models

        folder, exported = made
        assert exported.graphs == ("craft", "recogniser")
        assert {path.name for path in folder.iterdir()} >= {
            f"{graph}.onnx{part}" for graph in exported.graphs for part in ("", ".data")
        }
        assert exported.exporter.startswith("torch 2.")
        settings = exported.settings
        assert json.loads(json.dumps(settings)) == settings
        row = recognition_models["gen2"]["korean_g2"]
        assert (settings["characters"], settings["symbols"]) == (row["characters"], row["symbols"])
        assert (settings["recogniser"], settings["script"]) == ("korean_g2", "korean")
        assert set(settings["alphabets"]) == set(LANGUAGES)
        assert "가" in settings["alphabets"]["ko"]

    def test_the_weights_lie_beside_the_graph(self, made: tuple[Path, Export]) -> None:
        for graph in made[1].graphs:
            path = made[0] / f"{graph}.onnx"
            assert path.stat().st_size < 100_000
            assert path.with_name(f"{graph}.onnx.data").stat().st_size > 10_000_000

    @pytest.mark.parametrize("size", [(32, 32), (64, 160), (128, 96)])
    def test_the_detector_takes_any_multiple_of_32(self, made: tuple[Path, Export], size: tuple[int, int]) -> None:
        maps = self.run(made[0], "craft", (1, 3, *size))
        assert {name: one.shape for name, one in maps.items()} == dict.fromkeys(
            ("text", "link"), (1, size[0] // 2, size[1] // 2)
        )

    @pytest.mark.parametrize(("batch", "width"), [(1, 64), (3, 192), (2, 640)])
    def test_the_recogniser_takes_any_batch_and_width(self, made: tuple[Path, Export], batch: int, width: int) -> None:
        from imgtool.inference.sessions import open_graph

        images = np.random.default_rng(0).uniform(-1, 1, (batch, 1, 64, width)).astype(np.float32)
        graph = open_graph(made[0], "recogniser", threads=1)
        together = graph.run({"image": images})["logits"]
        assert together.shape == (batch, width // 4 - 1, 1009)
        for image, logits in zip(images, together, strict=True):
            alone = graph.run({"image": image[None]})["logits"][0]
            assert np.abs(alone - logits).max() < 1e-4 * np.abs(logits).max()

    def run(self, folder: Path, graph: str, shape: tuple[int, ...]) -> dict[str, Any]:
        from imgtool.inference.sessions import open_graph

        return open_graph(folder, graph, threads=1).run({"image": np.zeros(shape, np.float32)})

    def test_languages_that_no_recogniser_reads_together(self, weights: Path, tmp_path: Path) -> None:
        from imgtool.compiling.easyocr.export import export

        with pytest.raises(LanguagesRefused):
            export(weights, tmp_path, "do this", ("ko", "ja"))

    def test_word_lists_are_copied_where_there_are_some(self, tmp_path: Path) -> None:
        from imgtool.compiling.easyocr.export import copy_words

        lists = tmp_path / "dict"
        lists.mkdir()
        (lists / "ko.txt").write_text("가나\n", encoding="utf-8")
        assert copy_words(lists, LANGUAGES, tmp_path) == {"ko": "words-ko.txt"}
        assert (tmp_path / "words-ko.txt").read_text(encoding="utf-8") == "가나\n"
        assert copy_words(tmp_path / "none", LANGUAGES, tmp_path) == {}


class TestParity:
    def test_a_faithful_copy_passes(self, weights: Path, made: tuple[Path, Export]) -> None:
        from imgtool.compiling.easyocr.parity import check_parity

        parity = check_parity(weights, made[0], images=1)
        assert parity.passed
        assert parity.figures["maps_max_abs_difference"] < 1e-3
        assert parity.figures["texts_equal_share"] >= 0.8

    @pytest.mark.parametrize("graph", ["craft", "recogniser"])
    def test_other_weights_do_not(self, weights: Path, made: tuple[Path, Export], tmp_path: Path, graph: str) -> None:
        from imgtool.compiling.easyocr.parity import check_parity

        for path in made[0].iterdir():
            (tmp_path / path.name).symlink_to(path)
        data = tmp_path / f"{graph}.onnx.data"
        values = np.fromfile(data, dtype=np.float32)
        data.unlink()
        values[len(values) // 2 :] *= 1.05
        values.tofile(data)
        assert not check_parity(weights, tmp_path, images=1).passed


class TestDamage:
    @pytest.fixture
    def copy(self, weights: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(weights, tmp_path / "copy"))

    @pytest.mark.parametrize("name", ["craft_mlt_25k.pth", "korean_g2.pth"])
    def test_changed_weights_are_not_opened(self, copy: Path, tmp_path: Path, name: str) -> None:
        from imgtool.compiling.easyocr.export import export

        with (copy / name).open("r+b") as file:
            file.seek(1000)
            file.write(b"changed")
        with pytest.raises(FileRefused, match=name):
            export(copy, tmp_path / "into", "do this", LANGUAGES)

    def test_weights_without_a_mark_are_held_to_easyocr_s_table(self, copy: Path, tmp_path: Path) -> None:
        from imgtool.compiling.easyocr.export import export

        (copy / "SYNTHETIC").unlink()
        with pytest.raises(FileRefused, match="2f8227d2def4037cdb3b34389dcf9ec1"):
            export(copy, tmp_path / "into", "do this", LANGUAGES)

    def test_missing_weights(self, copy: Path, tmp_path: Path) -> None:
        from imgtool.compiling.easyocr.export import export

        (copy / "korean_g2.pth").unlink()
        with pytest.raises(ModelMissing, match=r"korean_g2\.pth"):
            export(copy, tmp_path / "into", "do this", LANGUAGES)

    def test_a_mark_does_not_open_the_door_to_code(self, copy: Path, tmp_path: Path) -> None:
        import hashlib

        from imgtool.compiling.easyocr.export import export

        class Payload:
            def __reduce__(self) -> Any:
                return os.mkdir, (str(tmp_path / "ran"),)

        harm = pickle.dumps(Payload())
        (copy / "korean_g2.pth").write_bytes(harm)
        marker = read_marker(copy)
        assert marker is not None
        files = {**marker.files, "korean_g2.pth": hashlib.md5(harm, usedforsecurity=False).hexdigest()}
        write_marker(copy, Marker(seed=1, size="tiny", files=files))
        with pytest.raises(FileRefused, match="korean_g2"):
            export(copy, tmp_path / "into", "do this", LANGUAGES)
        assert not (tmp_path / "ran").exists()
