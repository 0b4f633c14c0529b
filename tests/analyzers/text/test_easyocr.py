"""EasyOCR: its files and languages, and its lines held to EasyOCR called directly, on random weights."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from imgtool.analyzers.text.easyocr import EasyOcrTorch
from imgtool.errors import ModelLoadFailed, ModelMissing, UsageProblem
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions, Precision
from imgtool.types import TextLine
from imgtool.weights.languages import easyocr_codes
from imgtool.weights.on_disk.easyocr import weights_for
from imgtool.weights.synthetic.marker import Marker, read_marker, write_marker

TORCH = all(importlib.util.find_spec(name) for name in ("torch", "torchvision", "easyocr"))
pytestmark = pytest.mark.skipif(not TORCH, reason="the torch extra is not installed")


def plain_folder(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("craft_mlt_25k.pth", "korean_g2.pth"):
        (folder / name).write_bytes(b"weights")
    return folder


@pytest.fixture
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which EasyOCR looks by itself; empty."""
    monkeypatch.setenv("EASYOCR_MODULE_PATH", str(tmp_path / "easyocr"))
    return tmp_path / "easyocr" / "model"


class TestFiles:
    def test_nothing_there(self, own_directory: Path) -> None:
        with pytest.raises(ModelMissing, match=r"craft_mlt_25k\.pth and korean_g2\.pth") as caught:
            weights_for(EngineOptions(languages=("ko", "en")))
        assert "warm-cache easyocr" in caught.value.remedy

    def test_an_empty_file_is_none(self, own_directory: Path) -> None:
        (plain_folder(own_directory) / "korean_g2.pth").write_bytes(b"")
        with pytest.raises(ModelMissing, match=r"^korean_g2\.pth not in"):
            weights_for(EngineOptions(languages=("ko",)))

    def test_what_the_probe_tells(self, own_directory: Path) -> None:
        plain_folder(own_directory, "craft_mlt_25k.pth", "korean_g2.pth", "zh_sim_g2.pth")
        probe = EasyOcrTorch.probe(EngineOptions(languages=("ko", "en")))
        assert probe.available
        assert (probe.model, probe.size_bytes) == ("korean_g2", 14)
        assert probe.model_version.startswith("easyocr 1.")
        assert probe.model_version.endswith(", korean_g2 befecf7b1ca2")
        assert set(probe.languages) == {"ko", "en", "ch_sim", "zh", "zh-cn", "zh-sg", "zh-hans"}

    @pytest.mark.parametrize(
        ("languages", "words"), [(("ko", "ja"), "together"), (("ko", "xx"), "xx"), ((), "language")]
    )
    def test_languages_that_cannot_be_read(self, own_directory: Path, languages: tuple[str, ...], words: str) -> None:
        plain_folder(own_directory)
        options = EngineOptions(languages=languages)
        probe = EasyOcrTorch.probe(options)
        assert not probe.available
        assert words in probe.reason
        assert probe.remedy
        with pytest.raises(UsageProblem, match=words):
            EasyOcrTorch.parameters(options)

    def test_another_recogniser_is_missing(self, own_directory: Path) -> None:
        plain_folder(own_directory)
        probe = EasyOcrTorch.probe(EngineOptions(languages=("fr", "en")))
        assert not probe.available
        assert "latin_g2.pth" in probe.reason

    def test_synthetic_weights_answer_only_where_their_folder_was_named(self, own_directory: Path) -> None:
        write_marker(plain_folder(own_directory), Marker(seed=5, size="tiny", files={"korean_g2.pth": "abc"}))
        with pytest.raises(ModelMissing, match="synthetic"):
            weights_for(EngineOptions(languages=("ko",)))
        assert weights_for(EngineOptions(languages=("ko",), easyocr_dir=own_directory)).version.startswith(
            "synthetic-5 easyocr"
        )

    def test_codes_people_write(self) -> None:
        assert easyocr_codes(("zh", "EN", "zh-CN", "zh-TW", "sr-Latn", "ko")) == (
            *("ch_sim", "en", "ch_tra", "rs_latin", "ko"),
        )


class TestOptions:
    def test_only_what_was_set_is_handed_on(self, own_directory: Path) -> None:
        plain_folder(own_directory)
        options = EngineOptions(ocr={"decoder": "beamsearch", "rotations": (90,), "mag_ratio": 1.5, "paragraph": False})
        given = EasyOcrTorch.parameters(options)
        assert given.pop("paths") == {"folder": str(own_directory)}
        assert given == {
            "languages": ["ko", "en"],
            "detect": {"mag_ratio": 1.5},
            "recognize": {"decoder": "beamsearch", "rotation_info": [90], "paragraph": False},
            "remedy": "run `imgtool warm-cache easyocr --refresh`",
            "device": "auto",
            "precision": "exact",
        }
        assert json.loads(json.dumps(given)) == given

    def test_what_makes_no_sense_is_refused(self, own_directory: Path) -> None:
        plain_folder(own_directory)
        with pytest.raises(UsageProblem):
            EasyOcrTorch.parameters(EngineOptions(device="gpu"))


@given(st.integers(0, 255), st.sampled_from(["PNG", "BMP", "TIFF", "PPM", "WEBP"]))
def test_grey_levels_are_those_of_opencv_s_readers(seed: int, image_format: str) -> None:
    import cv2

    from imgtool.inference.easyocr.grey import grey

    pixels = np.random.default_rng(seed).integers(0, 256, (9, 30, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, image_format, **({"lossless": True} if image_format == "WEBP" else {}))
    read = cv2.imdecode(np.frombuffer(written.getvalue(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(grey(pixels, image_format), read)


def page(seed: int) -> Picture:
    """A light page with rows of dark strokes, some of them aslant, and other colours."""
    rng = np.random.default_rng(seed)
    width, height = int(rng.integers(90, 190)), int(rng.integers(50, 125))
    image = Image.new("RGB", (width, height), tuple(int(v) for v in rng.integers(190, 255, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 4))):
        x, y, slope = int(rng.integers(0, width // 2)), int(rng.integers(0, height - 30)), float(rng.uniform(-0.2, 0.4))
        ink = tuple(int(v) for v in rng.integers(0, 130, 3))
        for letter in range(int(rng.integers(3, 6))):
            left, top = x + 13 * letter, y + int(13 * letter * slope)
            draw.line((left, top, left + int(rng.integers(0, 9)), top + 20), ink, 3)
            draw.line((left, top + int(rng.integers(0, 20)), left + 8, top + int(rng.integers(0, 20))), ink, 3)
    return Picture(np.asarray(image), width, height, "PNG")


PAGES = [page(seed) for seed in range(12)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of EasyOCR's shapes in a folder."""
    from imgtool.weights.synthetic.networks import make_easyocr

    folder = tmp_path_factory.mktemp("easyocr") / "weights"
    make_easyocr(folder, ("ko", "en"), "tiny", seed=3)
    return folder


def loaded(folder: Path, **options: Any) -> EasyOcrTorch:
    chosen = EngineOptions(**{"easyocr_dir": folder, "device": "cpu", **options})
    analyzer = EasyOcrTorch({**EasyOcrTorch.parameters(chosen), "threads": 1})
    analyzer.load()
    return analyzer


@pytest.fixture(scope="module")
def plain(model: Path) -> EasyOcrTorch:
    """Loaded with upstream's defaults."""
    return loaded(model)


@pytest.fixture(scope="module")
def upstream(model: Path) -> Any:
    """``easyocr.Reader`` in single precision."""
    return upstream_reader(model, quantize=False)


def upstream_reader(model: Path, *, quantize: bool) -> Any:
    """``easyocr.Reader`` as its own documentation says to make it, its table told of the made-up weights."""
    import warnings

    from easyocr import Reader, config

    marker = read_marker(model)
    assert marker is not None
    rows = config.detection_models["craft"], config.recognition_models["gen2"]["korean_g2"]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in rows:
            patch.setitem(row, "md5sum", marker.files[row["filename"]])
        folder = str(model)
        return Reader(
            ["ko", "en"],
            gpu=False,
            model_storage_directory=folder,
            user_network_directory=folder,
            verbose=False,
            quantize=quantize,
        )


def as_lines(found: list[Any], picture: Picture) -> list[Any]:
    """Upstream's answer with plain numbers, boxes clamped to the picture; confidence only where it has one."""
    width, height = picture.width, picture.height
    return [
        (text, tuple((min(max(float(x), 0), width), min(max(float(y), 0), height)) for x, y in box), *map(float, score))
        for box, text, *score in found
    ]


@pytest.mark.filterwarnings("ignore")
class TestLines:
    @pytest.mark.parametrize(
        ("options", "settings", "pages"),
        [
            ({}, {}, PAGES),
            ({"ocr": {"decoder": "beamsearch", "beam_width": 3}}, {"decoder": "beamsearch", "beamWidth": 3}, PAGES[:1]),
            ({"ocr": {"decoder": "wordbeamsearch"}}, {"decoder": "wordbeamsearch"}, PAGES[:1]),
            ({"ocr": {"rotations": (180,)}}, {"rotation_info": [180]}, PAGES[:1]),
            ({"ocr": {"allowlist": "가나다라0123"}}, {"allowlist": "가나다라0123"}, PAGES[:2]),
            ({"ocr": {"min_size": 5, "mag_ratio": 1.5}}, {"min_size": 5, "mag_ratio": 1.5}, PAGES[:2]),
        ],
    )
    def test_as_upstream_reads_the_file(
        self,
        model: Path,
        plain: EasyOcrTorch,
        upstream: Any,
        tmp_path: Path,
        options: Any,
        settings: Any,
        pages: list[Picture],
    ) -> None:
        analyzer = loaded(model, **options) if options else plain
        read = 0
        for one in pages:
            Image.fromarray(one.pixels).save(tmp_path / "page.png")
            expected = as_lines(upstream.readtext(str(tmp_path / "page.png"), **settings), one)
            (lines,) = analyzer.run([one])
            assert [(line.text, line.box, line.confidence) for line in lines] == expected
            read += len(expected)
        assert read >= len(pages)

    def test_fast_is_what_upstream_does_on_a_cpu_unasked(self, model: Path, tmp_path: Path) -> None:
        Image.fromarray(PAGES[0].pixels).save(tmp_path / "page.png")
        found = upstream_reader(model, quantize=True).readtext(str(tmp_path / "page.png"))
        (lines,) = loaded(model, precision=Precision.FAST).run(PAGES[:1])
        assert lines
        assert [line.text for line in lines] == [text for _, text, _ in found]

    def test_paragraphs_as_upstream_joins_them(
        self, model: Path, plain: EasyOcrTorch, upstream: Any, tmp_path: Path
    ) -> None:
        analyzer = loaded(model, ocr={"paragraph": True})
        for one in PAGES[:3]:
            Image.fromarray(one.pixels).save(tmp_path / "page.png")
            expected = as_lines(upstream.readtext(str(tmp_path / "page.png"), paragraph=True), one)
            (lines,) = analyzer.run([one])
            assert [(line.text, line.box) for line in lines] == expected
            (single,) = plain.run([one])
            assert {line.confidence for line in lines} <= {line.confidence for line in single}

    def test_what_an_answer_is(self, plain: EasyOcrTorch, capfd: pytest.CaptureFixture[str]) -> None:
        plain.warm_up()
        (lines,) = plain.run(PAGES[:1])
        assert lines
        assert capfd.readouterr() == ("", "")
        assert isinstance(lines, tuple)
        for line in lines:
            assert isinstance(line, TextLine)
            assert 0 <= line.confidence <= 1
            assert all(type(number) is float for point in line.box for number in point)

    @pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 400), (5000, 1), (40, 7)])
    def test_pictures_of_any_shape(self, plain: EasyOcrTorch, size: tuple[int, int]) -> None:
        width, height = size
        blank = Picture(np.full((height, width, 3), 255, dtype=np.uint8), width, height, "PNG")
        (lines,) = plain.run([blank])
        assert isinstance(lines, tuple)

    @pytest.mark.parametrize(
        "outside",
        [
            [18, 127, 91, 93],  # in the rows by which the detector pads a picture
            [132, 140, 5, 20],
            [-9, 0, 5, 20],
        ],
    )
    def test_a_box_without_a_pixel_in_the_picture_is_nothing(
        self, plain: EasyOcrTorch, upstream: Any, monkeypatch: pytest.MonkeyPatch, outside: list[int]
    ) -> None:
        import cv2
        from easyocr import Reader

        pixels = np.full((91, 132, 3), 240, dtype=np.uint8)
        pixels[10:33, 8:60] = 10
        monkeypatch.setattr(Reader, "detect", lambda *_, **__: ([[[6, 62, 8, 35], outside]], [[]]))
        with pytest.raises((ArithmeticError, cv2.error)):
            upstream.readtext(pixels)
        (lines,) = plain.run([Picture(pixels, 132, 91, "PNG")])
        assert [line.box for line in lines] == [((6, 8), (62, 8), (62, 35), (6, 35))]

    def test_loading_leaves_nothing_behind(self, model: Path, own_directory: Path) -> None:
        from easyocr import config

        paths, before = list(sys.path), config.detection_models["craft"]["md5sum"]
        loaded(model)
        assert sys.path == paths
        assert config.detection_models["craft"]["md5sum"] == before
        assert not own_directory.parent.exists()

    def test_memory_does_not_grow(self, plain: EasyOcrTorch) -> None:
        import psutil

        # A leak of one picture's features a call would be some megabytes times fifty.
        small = Picture(PAGES[0].pixels[:32, :64], 64, 32, "PNG")
        process = psutil.Process()
        for _ in range(10):
            plain.run([small])
        before = process.memory_info().rss
        for _ in range(50):
            plain.run([small])
        assert process.memory_info().rss - before < 30_000_000

    def test_run_before_load_is_a_mistake(self, model: Path) -> None:
        analyzer = loaded(model)
        analyzer.close()
        with pytest.raises(RuntimeError):
            analyzer.run(PAGES[:1])


@pytest.mark.filterwarnings("ignore")
class TestDamage:
    @pytest.fixture
    def copy(self, model: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(model, tmp_path / "copy"))

    def test_weights_that_are_not_upstream_s(self, copy: Path) -> None:
        (copy / "SYNTHETIC").unlink()
        with pytest.raises(ModelLoadFailed, match="MD5 mismatch") as caught:
            loaded(copy)
        assert "--easyocr-dir" in caught.value.remedy
        assert (copy / "craft_mlt_25k.pth").exists()

    @pytest.mark.parametrize("name", ["craft_mlt_25k.pth", "korean_g2.pth"])
    def test_synthetic_weights_that_were_changed(self, copy: Path, name: str) -> None:
        with (copy / name).open("r+b") as file:
            file.truncate(1000)
        with pytest.raises(ModelLoadFailed):
            loaded(copy)

    def test_a_mark_does_not_open_the_door_to_code(self, copy: Path, tmp_path: Path) -> None:
        import hashlib

        class Payload:
            def __reduce__(self) -> Any:
                return os.mkdir, (str(tmp_path / "ran"),)

        harm = pickle.dumps(Payload())
        (copy / "korean_g2.pth").write_bytes(harm)
        marker = read_marker(copy)
        assert marker is not None
        files = {**marker.files, "korean_g2.pth": hashlib.md5(harm, usedforsecurity=False).hexdigest()}
        write_marker(copy, Marker(seed=1, size="tiny", files=files))
        with pytest.raises(ModelLoadFailed):
            loaded(copy)
        assert not (tmp_path / "ran").exists()

    def test_a_recogniser_that_the_mark_does_not_vouch_for(self, copy: Path) -> None:
        marker = read_marker(copy)
        assert marker is not None
        files = {name: md5 for name, md5 in marker.files.items() if name != "korean_g2.pth"}
        write_marker(copy, Marker(seed=1, size="tiny", files=files))
        with pytest.raises(ModelLoadFailed):
            loaded(copy)


FRESH = """
import sys
def listen(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        sys.stderr.write(f"network: {event} {arguments}\\n")
sys.addaudithook(listen)
from pathlib import Path
from imgtool.analyzers.text.easyocr import EasyOcrTorch
from imgtool.options import EngineOptions, Precision
options = EngineOptions(easyocr_dir=Path(sys.argv[1]))
assert EasyOcrTorch.probe(options).available
analyzer = EasyOcrTorch({**EasyOcrTorch.parameters(options), "threads": 1})
assert not {"torch", "easyocr", "cv2", "numpy"} & set(sys.modules)
analyzer.load()
analyzer.warm_up()
"""


def test_a_fresh_process_is_quiet_and_makes_no_call_to_the_network(model: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FRESH, str(model)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
