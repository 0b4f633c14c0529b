"""EasyOCR compiled: line for line what EasyOCR reads with its networks in fp32, and without any of its libraries."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imgtool.analyzers.text.easyocr_compiled import EasyOcrOnnx
from imgtool.errors import ModelLoadFailed, ModelMissing
from imgtool.inference.easyocr.crops import Crop
from imgtool.inference.easyocr.graphs import EasyOcrGraphs, Recognition
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
from imgtool.types import TextLine
from tests.text_pages import TextPage, text_page

TORCH = all(importlib.util.find_spec(name) for name in ("torch", "torchvision", "easyocr"))
needs_torch = pytest.mark.skipif(not TORCH, reason="the torch extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

LIBRARIES = ("torch", "torchvision", "easyocr", "scipy", "skimage", "transformers")
SETTINGS = [
    {},
    {"rotation_info": [90, 180]},
    {"decoder": "beamsearch", "beamWidth": 3},
    {"decoder": "wordbeamsearch"},
    {"allowlist": "가나다라0123"},
    {"blocklist": "가나다라0123"},
    {"contrast_ths": 0.9, "adjust_contrast": 0.7},
    {"paragraph": True},
]


def compiled(languages: tuple[str, ...], weights: Path, folder: Path, seed: int) -> Path:
    """Random weights in ``weights``, compiled into ``folder`` as ``warm-cache`` leaves it."""
    from imgtool.compiling.easyocr.export import export
    from imgtool.weights.synthetic.networks import make_easyocr

    make_easyocr(weights, languages, "tiny", seed)
    exported = export(weights, folder, "", languages)
    (folder / "settings.json").write_text(json.dumps(exported.settings), encoding="utf-8")
    return folder


def upstream_reader(weights: Path, languages: tuple[str, ...], recogniser: dict[str, Any]) -> Any:
    """``easyocr.Reader`` in fp32, its table told of the made-up weights."""
    from easyocr import Reader, config

    from imgtool.weights.synthetic.marker import read_marker

    marker = read_marker(weights)
    assert marker is not None
    with pytest.MonkeyPatch.context() as patch:
        for row in (config.detection_models["craft"], recogniser):
            patch.setitem(row, "md5sum", marker.files[row["filename"]])
        folder = str(weights)
        return Reader(
            list(languages),
            gpu=False,
            quantize=False,
            model_storage_directory=folder,
            user_network_directory=folder,
            verbose=False,
        )


def analyzer_for(folder: Path, languages: tuple[str, ...], **given: Any) -> EasyOcrOnnx:
    parameters = {"languages": list(languages), "detect": {}, "recognize": {}, "precision": "exact", "threads": 1}
    analyzer = EasyOcrOnnx(
        {
            **parameters,
            **given,
            "paths": {"artefact": str(folder)},
            "remedy": "run `imgtool warm-cache easyocr --compile`",
        }
    )
    analyzer.load()
    return analyzer


@dataclass
class Both:
    """The same made-up weights in EasyOCR's reader and compiled."""

    upstream: Any
    analyzer: EasyOcrOnnx
    folder: Path
    weights: Path
    languages: tuple[str, ...] = ("ko", "en")

    def lines(self, picture: Picture, settings: dict[str, Any]) -> list[TextLine]:
        parameters = dict(self.analyzer.parameters_given)
        detect = {name: value for name, value in settings.items() if name in ("min_size", "mag_ratio", "low_text")}
        parameters["detect"] = detect
        parameters["recognize"] = {name: value for name, value in settings.items() if name not in detect}
        asked = EasyOcrOnnx(parameters)
        asked._reader = self.analyzer._reader
        (found,) = asked.run([picture])
        return list(found)  # type: ignore[arg-type]

    def expected(self, path: Path, picture: Picture, settings: dict[str, Any]) -> list[Any] | None:
        """What upstream reads in the file: text, box clamped to the picture, confidence; ``None`` where it breaks."""
        Image.fromarray(picture.pixels).save(path)
        try:
            found = self.upstream.readtext(str(path), **settings)
        except (ArithmeticError, __import__("cv2").error):
            return None
        right, bottom = picture.width, picture.height
        return [
            (text, tuple((min(max(float(x), 0), right), min(max(float(y), 0), bottom)) for x, y in box), *score)
            for box, text, *score in found
        ]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    if not TORCH:
        pytest.skip("the torch extra is not installed")
    import torch
    from easyocr import config

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    place, languages = tmp_path_factory.mktemp("easyocr"), ("ko", "en")
    folder = compiled(languages, place / "weights", place / "compiled", seed=3)
    upstream = upstream_reader(place / "weights", languages, config.recognition_models["gen2"]["korean_g2"])
    # Three threads: lines are read side by side.
    yield Both(upstream, analyzer_for(folder, languages, threads=3), folder, place / "weights")
    torch.set_num_threads(threads)


def as_picture(pixels: NDArray[np.uint8]) -> Picture:
    return Picture(pixels, pixels.shape[1], pixels.shape[0], "PNG")


def is_tie(one: str, other: str) -> bool:
    """Whether two readings differ in one step, as where two classes are equal within the rounding of fp32."""
    shorter, longer = sorted((one, other), key=len)
    start = next((n for n, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    rest = len(longer) - len(shorter)
    return rest <= 1 and any(shorter[start + n :] == longer[start + n + rest :] for n in (0, 1))


@dataclass
class Tally:
    """How many lines were compared, and in how many of them chance decided."""

    lines: int = 0
    ties: int = 0

    def compare(self, found: list[TextLine], expected: list[Any]) -> None:
        assert [line.box for line in found] == [box for _, box, *_ in expected]
        for line, (text, _, *score) in zip(found, expected, strict=True):
            self.lines += 1
            if line.text != text:
                assert is_tie(line.text, text), (line.text, text)
                self.ties += 1
            assert not score or abs(line.confidence - score[0]) < 1e-4


def with_maps(patch: pytest.MonkeyPatch, both: Both, page: TextPage) -> None:
    """Both detectors see the words that were drawn; everything after them runs as it is."""
    import torch

    def upstream(image: Any) -> Any:
        maps = page.score_maps(image.shape[2] // 2, image.shape[3] // 2)
        return torch.from_numpy(np.stack(maps, axis=-1))[None], None

    def ours(image: Any) -> Any:
        return page.score_maps(image.shape[2] // 2, image.shape[3] // 2)

    patch.setattr(both.upstream, "detector", upstream)
    patch.setattr(both.analyzer._reader, "score_maps", ours)


def compare_drawn(both: Both, folder: Path, seeds: range, settings: dict[str, Any]) -> Tally:
    tally = Tally()
    for seed in seeds:
        page = text_page(seed)
        picture = as_picture(page.pixels)
        with pytest.MonkeyPatch.context() as patch:
            with_maps(patch, both, page)
            expected = both.expected(folder / "page.png", picture, settings)
            if expected is not None:
                tally.compare(both.lines(picture, settings), expected)
    return tally


@needs_torch
class TestAsUpstream:
    @pytest.mark.parametrize("settings", SETTINGS, ids=str)
    def test_drawn_pages(self, both: Both, tmp_path: Path, settings: dict[str, Any]) -> None:
        tally = compare_drawn(both, tmp_path, range(6 if not settings else 2), settings)
        assert tally.lines >= 2
        assert tally.ties <= 1

    def test_lines_read_side_by_side_come_in_order(self, both: Both) -> None:
        graphs, alone = both.analyzer._reader, analyzer_for(both.folder, both.languages)._reader
        assert graphs is not None
        assert alone is not None
        levels = np.asarray(Image.fromarray(text_page(5).pixels).convert("L").resize((600, 400)))
        # The widest first, which takes longest: the others are done before it.
        boxes = [[0, 600 - 40 * n, 40 * n, 40 * n + 40] for n in range(9)]
        read = graphs.recognise(levels, boxes, [], Recognition())
        assert [line[0] for line in read] == [line[0] for line in alone.recognise(levels, boxes, [], Recognition())]
        assert [line[1:] for line in read] == [line[1:] for line in alone.recognise(levels, boxes, [], Recognition())]

    @pytest.mark.slow
    def test_100_drawn_pages(self, both: Both, tmp_path: Path) -> None:
        tally = compare_drawn(both, tmp_path, range(1000, 1100), {})
        assert tally.lines >= 150
        assert tally.ties <= 0.02 * tally.lines

    @pytest.mark.parametrize("settings", [{}, {"mag_ratio": 1.5, "min_size": 5}], ids=str)
    def test_with_the_true_detector(self, both: Both, tmp_path: Path, settings: dict[str, Any]) -> None:
        self.end_to_end(both, tmp_path, 2, settings)

    @pytest.mark.slow
    def test_100_pages_with_the_true_detector(self, both: Both, tmp_path: Path) -> None:
        self.end_to_end(both, tmp_path, 100, {})

    def end_to_end(self, both: Both, folder: Path, pages: int, settings: dict[str, Any]) -> None:
        from tests.analyzers.text.test_easyocr import page

        tally = Tally()
        for seed in range(pages):
            picture = page(seed)
            expected = both.expected(folder / "page.png", picture, settings)
            found = both.lines(picture, settings)
            if expected is not None:
                tally.compare(found, expected)
        assert tally.lines >= pages
        assert tally.ties <= max(1, 0.02 * tally.lines)

    @pytest.mark.parametrize("count", [12, pytest.param(500, marks=pytest.mark.slow)])
    def test_readings_of_crops(self, both: Both, count: int) -> None:
        """The recogniser alone, on crops of every kind, some hardly readable."""
        recognition = pytest.importorskip("easyocr.recognition")
        upstream, graphs = both.upstream, both.analyzer._reader
        assert graphs is not None
        from imgtool.inference.easyocr.graphs import Recognition

        ignored = "".join(set(upstream.character) - set(upstream.lang_char))
        differing = 0
        for seed in range(count):
            crop = self.crop(seed)
            width = 64 * -(-crop.shape[1] // 64)
            ((_, text, score),) = recognition.get_text(
                upstream.character,
                64,
                width,
                upstream.recognizer,
                upstream.converter,
                [(None, crop)],
                ignored,
                workers=0,
            )
            ((found, confidence),) = graphs._best_readings([crop], width, Recognition())
            assert abs(confidence - score) < 1e-4
            if found != text:
                assert is_tie(found, text)
                differing += 1
        assert differing <= 0.02 * count

    def test_a_line_reads_the_same_whatever_is_read_with_it(self, both: Both) -> None:
        graphs = both.analyzer._reader
        assert isinstance(graphs, EasyOcrGraphs)
        crops = [(Crop([[0, 0]] * 4, self.crop(seed)), 448 if seed % 3 else 512) for seed in range(14)]
        together = graphs._read_all(crops, Recognition())
        assert together == [graphs._read_all([each], Recognition())[0] for each in crops]

    def crop(self, seed: int) -> NDArray[np.uint8]:
        """64 high: a stretch of a drawn page, blurred or noisy now and then."""
        rng = np.random.default_rng(seed)
        height, width = 64, int(rng.integers(20, 400))
        page = Image.fromarray(text_page(seed).pixels).convert("L")
        part = page.crop((0, 0, page.width, int(rng.integers(30, page.height)))).resize((width, height))
        levels = np.asarray(part).astype(float) + rng.normal(0, rng.choice([0, 3, 30]), (height, width))
        return np.clip(levels, 0, 255).astype(np.uint8)

    def test_languages_of_the_same_recogniser(self, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
        """One artefact serves each of its languages; what may be read follows from those asked for."""
        languages = ("ko",)
        from easyocr import config

        from imgtool.inference.easyocr import ctc

        ignored: list[set[int]] = []
        probabilities = ctc.probabilities

        def record(logits: NDArray[np.float32], classes: list[int]) -> NDArray[np.float32]:
            ignored.append(set(classes))
            return probabilities(logits, classes)

        monkeypatch.setattr(ctc, "probabilities", record)
        pixels = text_page(5).pixels
        for analyzer in (analyzer_for(both.folder, languages), both.analyzer):
            analyzer.run([Picture(pixels, pixels.shape[1], pixels.shape[0], "PNG")])
        reader = upstream_reader(both.weights, languages, config.recognition_models["gen2"]["korean_g2"])
        expected = {reader.character.index(c) + 1 for c in set(reader.character) - set(reader.lang_char)}
        assert ignored[0] == expected
        assert ignored[-1] != expected


@needs_torch
@pytest.mark.slow
class TestTheOlderNetwork:
    def test_arabic_from_right_to_left(self, tmp_path: Path) -> None:
        """Generation 1: another network, characters that the model knows twice, text put in the order of display."""
        from easyocr import config

        from imgtool.compiling.easyocr.parity import check_parity

        languages = ("ar", "fa")
        folder = compiled(languages, tmp_path / "weights", tmp_path / "compiled", seed=5)
        assert check_parity(tmp_path / "weights", folder, images=1).passed
        upstream = upstream_reader(tmp_path / "weights", languages, config.recognition_models["gen1"]["arabic_g1"])
        both = Both(upstream, analyzer_for(folder, languages), folder, tmp_path / "weights", languages)
        for settings in ({}, {"paragraph": True}, {"decoder": "beamsearch"}):
            tally = compare_drawn(both, tmp_path, range(2), settings)
            assert tally.lines >= 2
            assert tally.ties <= 1


@needs_torch
class TestAnalyzer:
    def test_what_an_answer_is(self, both: Both, capfd: pytest.CaptureFixture[str]) -> None:
        both.analyzer.warm_up()
        page = text_page(2)
        with pytest.MonkeyPatch.context() as patch:
            with_maps(patch, both, page)
            (lines,) = both.analyzer.run([as_picture(page.pixels)])
        assert capfd.readouterr() == ("", "")
        assert isinstance(lines, tuple)
        assert lines
        for line in lines:
            assert isinstance(line, TextLine)
            assert 0 <= line.confidence <= 1
            assert all(type(number) is float for point in line.box for number in point)

    @pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 400), (5000, 1), (40, 7)])
    def test_pictures_of_any_shape(self, both: Both, size: tuple[int, int]) -> None:
        width, height = size
        (lines,) = both.analyzer.run([as_picture(np.full((height, width, 3), 255, dtype=np.uint8))])
        assert isinstance(lines, tuple)

    def test_a_box_without_a_pixel_in_the_picture_is_nothing(self, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
        pixels = np.full((91, 132, 3), 240, dtype=np.uint8)
        pixels[10:33, 8:60] = 10
        found = [[6, 62, 8, 35], [18, 127, 91, 93], [132, 140, 5, 20], [-9, 0, 5, 20]]
        monkeypatch.setattr(both.analyzer._reader, "detect", lambda *_: (found, []))
        (lines,) = both.analyzer.run([as_picture(pixels)])
        assert [line.box for line in lines] == [((6, 8), (62, 8), (62, 35), (6, 35))]

    def test_languages_that_were_not_compiled(self, both: Both) -> None:
        with pytest.raises(ModelLoadFailed, match="ja") as caught:
            analyzer_for(both.folder, ("ko", "ja"))
        assert "warm-cache" in caught.value.remedy

    def test_a_damaged_graph(self, both: Both, tmp_path: Path) -> None:
        (tmp_path / "settings.json").write_bytes((both.folder / "settings.json").read_bytes())
        (tmp_path / "craft.onnx").write_bytes(b"not a graph")
        with pytest.raises(ModelLoadFailed, match="cannot be opened"):
            analyzer_for(tmp_path, ("ko",))

    def test_memory_that_runs_out(self, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> Any:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 123")

        monkeypatch.setattr(both.analyzer._reader, "score_maps", fail)
        with pytest.raises(MemoryError):
            both.analyzer.run([as_picture(np.zeros((40, 40, 3), np.uint8))])

    def test_words_come_from_the_artefact(self, both: Both, tmp_path: Path) -> None:
        for path in both.folder.iterdir():
            (tmp_path / path.name).symlink_to(path)
        settings = json.loads((both.folder / "settings.json").read_text(encoding="utf-8"))
        (tmp_path / "settings.json").unlink()
        (tmp_path / "settings.json").write_text(json.dumps({**settings, "words": {"ko": "words-ko.txt"}}))
        (tmp_path / "words-ko.txt").write_text("가나\n다라\n", encoding="utf-8-sig")
        known = analyzer_for(tmp_path, ("ko", "en"))._reader
        assert known is not None
        assert known._known_words() == {"가나", "다라"}
        other = analyzer_for(tmp_path, ("en",))._reader
        assert other is not None
        assert other._known_words() == frozenset()

    def test_run_before_load_is_a_mistake(self) -> None:
        with pytest.raises(RuntimeError):
            EasyOcrOnnx({}).run([])


class TestFinding:
    @pytest.fixture
    def artefact(self, monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
        """What the store would find; set ``problem`` to have it find none."""
        manifest = types.SimpleNamespace(model="korean_g2", model_version="easyocr 1.7.2, korean_g2 abc", size_bytes=99)
        manifest.judged_fast, manifest.parity, manifest.denormals, manifest.methods = None, None, 0, {}
        found = types.SimpleNamespace(folder=Path("/compiled/easyocr-1"), manifest=manifest, problem=None, notice="")

        def find(_: EngineOptions) -> Any:
            if found.problem is not None:
                raise found.problem
            return found

        monkeypatch.setattr("imgtool.analyzers.text.easyocr_compiled.find_easyocr", find)
        return found

    def test_the_probe_speaks_for_the_artefact(self, artefact: types.SimpleNamespace) -> None:
        probe = EasyOcrOnnx.probe(EngineOptions(languages=("ko", "en")))
        assert probe.available
        assert (probe.model, probe.size_bytes) == ("korean_g2", 99)
        assert probe.model_version == "easyocr 1.7.2, korean_g2 abc"
        assert set(probe.languages) == {"ko", "en"}

    def test_the_probe_says_what_is_missing(self, artefact: types.SimpleNamespace) -> None:
        artefact.problem = ModelMissing("nothing compiled", "run `imgtool warm-cache easyocr`")
        probe = EasyOcrOnnx.probe(EngineOptions(languages=("ko", "en")))
        assert not probe.available
        assert (probe.reason, probe.remedy) == ("nothing compiled", "run `imgtool warm-cache easyocr`")

    def test_another_device_is_not_for_compiled_models(self, artefact: types.SimpleNamespace) -> None:
        probe = EasyOcrOnnx.probe(EngineOptions(languages=("ko",), device="cuda"))
        assert not probe.available
        assert "cuda" in probe.reason

    def test_parameters(self, artefact: types.SimpleNamespace) -> None:
        options = EngineOptions(languages=("KO",), ocr={"decoder": "beamsearch", "rotations": (90,), "mag_ratio": 1.5})
        given = EasyOcrOnnx.parameters(options)
        assert given == {
            "paths": {"artefact": "/compiled/easyocr-1"},
            "remedy": "run `imgtool warm-cache easyocr --languages KO --compile`",
            "languages": ["ko"],
            "detect": {"mag_ratio": 1.5},
            "recognize": {"decoder": "beamsearch", "rotation_info": [90]},
            "precision": "exact",
        }
        assert json.loads(json.dumps(given)) == given


SLIM = """
import json, sys, types
from pathlib import Path

hidden, folder, page = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]

class Without:
    def __init__(self, finder): self.finder = finder
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden: return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
import numpy as np
from imgtool.analyzers.text import easyocr_compiled
from imgtool.analyzers.text.easyocr_compiled import EasyOcrOnnx
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions

manifest = types.SimpleNamespace(
    model="korean_g2", model_version="1", size_bytes=1, judged_fast=None, parity=None, denormals=0, methods={}
)
found = types.SimpleNamespace(folder=Path(folder), manifest=manifest, notice="")
easyocr_compiled.find_easyocr = lambda options: found
options = EngineOptions(languages=("ko", "en"), ocr={"rotations": (45,), "paragraph": True, "min_size": 5})
heavy = {"numpy", "PIL", "cv2", "onnxruntime"} & set(sys.modules) - {"numpy"}
assert EasyOcrOnnx.probe(options).available
assert not heavy, heavy
analyzer = EasyOcrOnnx({**EasyOcrOnnx.parameters(options), "threads": 1})
analyzer.load()
pixels = np.load(page)
(lines,) = analyzer.run([Picture(pixels, pixels.shape[1], pixels.shape[0], "PNG")])
there = sorted({name.partition(".")[0] for name in sys.modules} & set(hidden))
print(json.dumps([there, [line.text for line in lines]]))
"""


@needs_torch
def test_nothing_of_easyocr_s_libraries_is_needed(both: Both, tmp_path: Path) -> None:
    from tests.analyzers.text.test_easyocr import page

    picture = page(1)
    np.save(tmp_path / "page.npy", picture.pixels)
    arguments = [json.dumps(LIBRARIES), str(both.folder), str(tmp_path / "page.npy")]
    done = subprocess.run(
        [sys.executable, "-c", SLIM, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    there, texts = json.loads(done.stdout)
    assert there == []
    expected = both.lines(picture, {"rotation_info": [45], "paragraph": True, "min_size": 5})
    assert texts == [line.text for line in expected]
    assert texts
