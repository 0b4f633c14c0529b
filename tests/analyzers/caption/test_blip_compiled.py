"""BLIP compiled: its pixels held to transformers' processor, its search to ``generate``, and what is not imported."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from imgtool.analyzers.caption.blip import BlipTorch
from imgtool.analyzers.caption.blip_compiled import BlipOnnx
from imgtool.artefacts.manifest import GATE, ArtefactFile, ArtefactManifest, FastMode, Parity
from imgtool.artefacts.runtime_identity import this_runtime
from imgtool.engine.plan import UNPRINTED
from imgtool.errors import ImgtoolError, ModelLoadFailed, ModelMissing, UsageProblem
from imgtool.inference.blip.parameters import Decoding
from imgtool.inference.blip.pixels import PixelSettings, prepare, resize
from imgtool.inference.blip.search import LengthLimits, beam_search, greedy
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions, Precision
from tests.blips import compiled, make_source, picture

TORCH = all(importlib.util.find_spec(name) for name in ("torch", "torchvision", "transformers", "onnx"))
needs_torch = pytest.mark.skipif(not TORCH, reason="the torch extra is not installed")

CLIP = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
BLIP_PIXELS = PixelSettings({"height": 384, "width": 384, "rescale_factor": 1 / 255, **CLIP})


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small weights whose captions end after one to twenty tokens."""
    return make_source(tmp_path_factory.mktemp("source") / "tiny-blip", eagerness_to_end=7)


@pytest.fixture(scope="module")
def artefact(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, compiled."""
    return compiled(source, tmp_path_factory.mktemp("compiled") / "blip")


@pytest.fixture(scope="module")
def graphs(artefact: Path) -> Any:
    """The compiled model, opened."""
    from imgtool.inference.blip.graphs import BlipGraphs

    return BlipGraphs(artefact, 1)


@pytest.fixture(scope="module")
def network(source: Path) -> Any:
    """The original, on torch."""
    from imgtool.inference.blip.upstream import BlipNetwork

    return BlipNetwork(source, "cpu", 1, "")


def noise(width: int, height: int, seed: int = 0, kind: str = "noise") -> NDArray[np.uint8]:
    """The hardest picture for a filter that rounds: every pixel another."""
    pixels: NDArray[np.uint8] = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == "grey":
        return np.repeat(pixels[..., :1], 3, axis=2)
    return pixels if kind == "noise" else (pixels > 127).astype(np.uint8) * np.uint8(255)


class TestPixels:
    def upstream(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        from PIL import Image
        from transformers import BlipImageProcessor

        values: NDArray[np.float32] = BlipImageProcessor()(Image.fromarray(pixels), return_tensors="pt")["pixel_values"]
        return np.asarray(values)

    @needs_torch
    @pytest.mark.parametrize("kind", ["noise", "black and white", "grey"])
    @pytest.mark.parametrize(
        "size", [(1, 1), (1000, 1), (1, 1000), (384, 384), (383, 385), (384, 90), (1000, 600), (40, 3000), (2500, 1900)]
    )
    def test_the_same_to_the_last_bit(self, size: tuple[int, int], kind: str) -> None:
        pixels = noise(*size, kind=kind)
        np.testing.assert_array_equal(prepare([pixels], BLIP_PIXELS), self.upstream(pixels))

    @needs_torch
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 1000))
    def test_any_size(self, width: int, height: int, seed: int) -> None:
        pixels = noise(width, height, seed)
        np.testing.assert_allclose(prepare([pixels], BLIP_PIXELS), self.upstream(pixels), atol=1e-5, rtol=0)

    @settings(max_examples=60, deadline=None)
    @given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64), st.integers(1, 64), st.integers(0, 255))
    def test_one_colour_stays(self, width: int, height: int, to_width: int, to_height: int, level: int) -> None:
        """To within the rounding of 16-bit weights, whose sum is not always one."""
        planes = np.full((3, height, width), level, dtype=np.uint8)
        resized = resize(planes, to_height, to_width)
        assert resized.shape == (3, to_height, to_width)
        assert np.ptp(resized.astype(int)) <= 1
        assert abs(int(resized[0, 0, 0]) - level) <= 1

    def test_a_batch_of_different_sizes(self) -> None:
        pictures = [noise(30, 20), noise(700, 10), noise(384, 384)]
        batch = prepare(pictures, BLIP_PIXELS)
        assert batch.shape == (3, 3, 384, 384)
        for one, values in zip(pictures, batch, strict=True):
            np.testing.assert_array_equal(prepare([one], BLIP_PIXELS)[0], values)

    def test_it_computes_in_the_thread_that_asks(self) -> None:
        """numpy's own threads wait busily for each other: beside networks that costs many times the product."""
        picture = noise(1600, 1200)
        prepare([picture], BLIP_PIXELS)
        before, own = time.process_time(), time.thread_time()
        prepare([picture], BLIP_PIXELS)
        own = time.thread_time() - own
        assert time.process_time() - before < 1.5 * own

    def test_pixels_that_are_a_view(self) -> None:
        whole = noise(60, 50)
        np.testing.assert_array_equal(
            prepare([whole[5:40:2, ::-1]], BLIP_PIXELS), prepare([whole[5:40:2, ::-1].copy()], BLIP_PIXELS)
        )


END = 3


class Script:
    """A decoder that goes by a table: what comes next depends on the image, and on how far it is; it keeps count."""

    def __init__(self, table: NDArray[np.float32], beams: int = 1) -> None:
        """``table`` is (images, steps, vocabulary)."""
        self._table = table
        self._at = 0
        self.rows = np.repeat(np.arange(len(table)), beams)
        self.seen: list[list[int]] = []

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        assert len(tokens) == len(self.rows)
        self.seen.append(self.rows.tolist())
        self._at += 1
        return self._table[self.rows, self._at - 1]

    def keep(self, images: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        # A place is either kept, or filled from behind all that are kept: only then can it be done without a copy.
        assert all(source == place or source >= len(images) for place, source in enumerate(images))
        self.rows = self.rows[rows]


def endings(*lengths: int) -> NDArray[np.float32]:
    """A table by which image i says ``4 + i`` until it ends with its ``lengths[i]``-th token."""
    table = np.zeros((len(lengths), max(lengths) + 2, 12), dtype=np.float32)
    for image, length in enumerate(lengths):
        table[image, : length - 1, 4 + image] = 5
        table[image, length - 1 :, END] = 5
    return table


class TestSearch:
    @pytest.mark.parametrize("lengths", [(1,), (1, 1, 1), (5, 1, 3), (1, 2, 3, 4), (4, 3, 2, 1), (2, 6, 2, 6, 2, 1, 7)])
    @pytest.mark.parametrize("beams", [1, 3])
    def test_images_leave_when_they_are_done(self, lengths: tuple[int, ...], beams: int) -> None:
        script, limits = Script(endings(*lengths), beams), LengthLimits(0, 20, END)
        if beams == 1:
            answers = greedy(script, [0, 7], len(lengths), limits)
            running = [
                sorted(image for image, length in enumerate(lengths) if length > at) for at in range(max(lengths))
            ]
            assert [sorted(rows) for rows in script.seen] == running
        else:
            answers = beam_search(script, [0, 7], len(lengths), beams, limits)
            assert all(len(rows) % beams == 0 for rows in script.seen)
            assert [len(rows) for rows in script.seen] == sorted(map(len, script.seen), reverse=True)
        assert answers == [[4 + image] * (length - 1) + [END] for image, length in enumerate(lengths)]

    @pytest.mark.parametrize("beams", [1, 2])
    def test_limits(self, beams: int) -> None:
        def search(limits: LengthLimits) -> list[list[int]]:
            script = Script(endings(2, 9), beams)
            if beams == 1:
                return greedy(script, [0], 2, limits)
            return beam_search(script, [0], 2, beams, limits)

        assert [len(answer) for answer in search(LengthLimits(0, 4, END))] == [2, 4]
        at_least = search(LengthLimits(3, 6, END))
        assert END not in at_least[0][:3]
        assert [len(answer) for answer in at_least] == [4, 6]
        assert [len(answer) for answer in search(LengthLimits(0, 1, END))] == [1, 1]

    def test_a_beam_finds_what_greed_misses(self) -> None:
        """The likeliest first token leads nowhere: two poor tokens after it against one sure one after the other."""

        class Fork:
            def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
                following = {0: [0.6, 0.4], 4: [0.5, 0.5], 5: [0.99, 0.01]}
                named = {0: (4, 5), 4: (END, 6), 5: (END, 6)}
                scores = np.full((len(tokens), 8), -30, dtype=np.float32)
                for row, token in enumerate(tokens[:, -1]):
                    scores[row, list(named.get(token, (END, 6)))] = np.log(following.get(token, [0.9, 0.1]))
                return scores

            def keep(self, images: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
                pass

        assert greedy(Fork(), [0], 1, LengthLimits(0, 2, END)) == [[4, END]]
        assert beam_search(Fork(), [0], 1, 2, LengthLimits(0, 2, END)) == [[5, END]]


SEARCHES = [
    Decoding(1, 20, 0, ""),
    Decoding(3, 20, 0, ""),
    Decoding(1, 12, 0, "baba dada"),
    Decoding(3, 12, 0, "baba, dada!"),
    Decoding(1, 12, 12, ""),
    Decoding(3, 14, 6, ""),
    Decoding(5, 10, 3, "dede"),
    Decoding(2, 1, 0, ""),
]


@needs_torch
class TestCaptions:
    @pytest.mark.parametrize("decoding", SEARCHES, ids=lambda each: f"{each.beams} beams {each.prompt}")
    def test_as_generate_in_batches(self, graphs: Any, network: Any, decoding: Decoding) -> None:
        pictures = [picture(seed) for seed in range(30)]
        found = [text for at in range(0, 30, 10) for text in graphs.caption(pictures[at : at + 10], decoding)]
        expected = [text for at in range(0, 30, 15) for text in network.caption(pictures[at : at + 15], decoding)]
        assert found == expected
        assert len(set(expected)) > 8

    @pytest.mark.parametrize("beams", [1, 3])
    def test_captions_end_and_do_not_depend_on_the_batch(self, graphs: Any, beams: int) -> None:
        pictures, decoding = [picture(seed) for seed in range(12)], Decoding(beams, 20, 0, "")
        together = graphs.tokens(pictures, decoding)
        assert len({len(tokens) for tokens in together}) > 3
        assert together == [graphs.tokens([one], decoding)[0] for one in pictures]

    def test_pictures_of_any_shape_and_none(self, graphs: Any, network: Any) -> None:
        pictures = [picture(1, size) for size in ((1, 1), (3, 5), (1, 900), (900, 1))]
        assert graphs.caption(pictures, SEARCHES[0]) == network.caption(pictures, SEARCHES[0])
        assert graphs.caption([], SEARCHES[0]) == []

    @pytest.mark.parametrize("prompt", ["x", "Baba, DADA's ü 日本", "[SEP] baba", "?!", "\u200b"])
    def test_odd_prompts(self, graphs: Any, network: Any, prompt: str) -> None:
        decoding = Decoding(1, 5, 2, prompt)
        assert graphs.caption([picture(0)], decoding) == network.caption([picture(0)], decoding)

    def test_no_more_tokens_than_there_are_positions(self, graphs: Any) -> None:
        long, longer = (" ".join(["baba"] * count) for count in (509, 600))
        assert len(graphs.tokens([picture(0)], Decoding(1, 30, 30, long))[0]) == 3
        with pytest.raises(UsageProblem, match="--caption-prompt"):
            graphs.caption([picture(0)], Decoding(1, 30, 0, longer))

    def test_spaces_are_cleaned_up_where_the_settings_say_so(
        self, artefact: Path, tmp_path: Path, network: Any
    ) -> None:
        from imgtool.inference.blip.graphs import BlipGraphs

        folder = Path(shutil.copytree(artefact, tmp_path / "copy"))
        kept = json.loads((folder / "settings.json").read_text())
        (folder / "settings.json").write_text(json.dumps({**kept, "clean_up_spaces": True}))
        cleaning = BlipGraphs(folder, 1)
        words = network.processor.tokenizer(["ba . ba , ba ' s n ' t ? !"])["input_ids"][0]
        expected = network.processor.decode(words, skip_special_tokens=True, clean_up_tokenization_spaces=True)
        assert cleaning.text(words) == expected.strip()

    def test_keys_of_the_image_are_neither_copied_nor_repeated(self, graphs: Any) -> None:
        from imgtool.inference.blip.decoder import DecoderSteps

        fed: list[Mapping[str, NDArray[Any]]] = []

        def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            fed.append(feeds)
            done: dict[str, NDArray[Any]] = graphs._decoder.run(feeds)
            return done

        seen = graphs._vision.run({"pixel_values": prepare([picture(seed) for seed in range(4)], BLIP_PIXELS)})
        last = seen["cross_key_1"][3].copy()
        steps = DecoderSteps(SimpleNamespace(run=run), graphs._settings, seen, beams=3)
        steps.step(np.full((12, 1), 400))
        steps.keep(np.array([0, 3, 2]), np.array([0, 1, 2, 9, 10, 11, 6, 7, 8]))
        steps.step(np.full((9, 1), 7))
        for feeds, images in zip(fed, (4, 3), strict=True):
            for name, array in feeds.items():
                if name.startswith("cross_"):
                    assert len(array) == images
                    assert np.shares_memory(array, seen[name])
        np.testing.assert_array_equal(fed[1]["cross_key_1"][1], last)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The store of compiled models, which has one; ``found.folder`` may be set, ``found.problem`` is raised."""
    fast = FastMode(
        executor="openvino", release="1.2", method="bfloat16", parity=Parity(passed=True, figures={}), gate=GATE
    )
    manifest = ArtefactManifest(
        kind="blip",
        model="tiny-blip",
        model_version="synthetic-3 sha256:0",
        graphs=("vision", "decoder"),
        exporter="",
        opset=17,
        runtime=this_runtime(),
        files=(ArtefactFile(path="fast/vision.xml", size=5, sha256="ab" * 32, sample=""),),
        fast=fast,
        created="",
    )
    store = SimpleNamespace(folder=tmp_path / "artefact", manifest=manifest, problem=None, notice="")

    def find_blip(options: EngineOptions) -> Any:
        if store.problem is not None:
            raise store.problem
        return store

    monkeypatch.setattr("imgtool.analyzers.caption.blip_compiled.find_blip", find_blip)
    return store


class TestAnalyzer:
    def test_the_probe_tells_what_the_manifest_says(self, found: Any) -> None:
        probe = BlipOnnx.probe(EngineOptions())
        assert probe.available
        assert (probe.model, probe.model_version, probe.size_bytes) == ("tiny-blip", "synthetic-3 sha256:0", 5)

    def test_no_compiled_model(self, found: Any) -> None:
        found.problem = ModelMissing("it was not compiled", "compile it")
        probe = BlipOnnx.probe(EngineOptions())
        assert (probe.available, probe.reason, probe.remedy) == (False, "it was not compiled", "compile it")
        with pytest.raises(ModelMissing):
            BlipOnnx.parameters(EngineOptions())

    @pytest.mark.parametrize(("device", "available"), [("auto", True), ("cpu", True), ("cuda", False), ("mps", False)])
    def test_it_is_a_cpu_that_computes(self, found: Any, device: str, available: bool) -> None:
        assert BlipOnnx.probe(EngineOptions(device=device)).available == available

    def test_parameters(self, found: Any) -> None:
        parameters = BlipOnnx.parameters(
            EngineOptions(num_beams=3, caption_prompt=" a photo ", precision=Precision.FAST)
        )
        assert parameters == {
            "paths": {"artefact": str(found.folder)},
            "remedy": "run `imgtool warm-cache blip-base --precision fast --compile`",
            "beams": 3,
            "max_new_tokens": 30,
            "min_new_tokens": 0,
            "prompt": "a photo",
            "precision": "fast",
            "computed_by": f"openvino 1.2 bfloat16 {hashlib.sha256(b'ab' * 32).hexdigest()[:12]}",
            "device": "auto",
        }
        assert json.loads(json.dumps(parameters)) == parameters
        assert type(parameters["precision"]) is str

    @pytest.mark.parametrize(
        "exact", [{"notice": "runs as exact"}, {"fast": None}, {"executor": ""}, {"gate": GATE - 1}]
    )
    def test_fast_that_computes_exactly_is_kept_as_exact(self, found: Any, exact: dict[str, Any]) -> None:
        found.notice = exact.get("notice", "")
        changes = {name: value for name, value in exact.items() if name in ("executor", "gate")}
        fast_mode = exact.get("fast", msgspec.structs.replace(found.manifest.fast, **changes))
        found.manifest = msgspec.structs.replace(found.manifest, fast=fast_mode)
        fast, plain = (BlipOnnx.parameters(EngineOptions(precision=each)) for each in (Precision.FAST, Precision.EXACT))
        assert fast.pop("remedy") != plain.pop("remedy")
        assert fast == plain

    def test_another_way_to_be_fast_is_another_answer(self, found: Any) -> None:
        before = BlipOnnx.parameters(EngineOptions(precision=Precision.FAST))
        other = msgspec.structs.replace(found.manifest.fast, release="1.3")
        found.manifest = msgspec.structs.replace(found.manifest, fast=other)
        assert BlipOnnx.parameters(EngineOptions(precision=Precision.FAST)) != before

    def test_exact_answers_are_kept_under_the_name_of_torch(self, found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """What one backend answered the other need not compute again: all that a fingerprint is made of is equal."""
        compiled = {key: value for key, value in BlipOnnx.parameters(EngineOptions()).items() if key not in UNPRINTED}
        weights = SimpleNamespace(folder=found.folder)
        monkeypatch.setattr("imgtool.analyzers.caption.blip.weights_for", lambda _: weights)
        plain = {key: value for key, value in BlipTorch.parameters(EngineOptions()).items() if key not in UNPRINTED}
        assert compiled == plain
        assert BlipOnnx.spec.same_answers_as is BlipTorch.spec.backend
        assert BlipOnnx.spec.version == BlipTorch.spec.version

    def test_what_makes_no_sense_is_refused(self, found: Any) -> None:
        with pytest.raises(UsageProblem):
            BlipOnnx.parameters(EngineOptions(min_new_tokens=40))

    def test_torch_is_exact_only(self, tmp_path: Path) -> None:
        for name in ("config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"):
            (tmp_path / name).write_text("{}")
        options = {"caption_model": str(tmp_path)}
        assert BlipTorch.parameters(EngineOptions(**options))["precision"] == "exact"
        with pytest.raises(UsageProblem, match="'fast'") as caught:
            BlipTorch.parameters(EngineOptions(**options, precision=Precision.FAST))
        assert "--precision exact" in caught.value.remedy

    def test_run_before_load_is_a_mistake(self, found: Any) -> None:
        with pytest.raises(RuntimeError):
            BlipOnnx(BlipOnnx.parameters(EngineOptions())).run([])

    @needs_torch
    def test_it_answers(self, found: Any, artefact: Path, network: Any) -> None:
        found.folder = artefact
        analyzer = BlipOnnx({**BlipOnnx.parameters(EngineOptions(max_new_tokens=6)), "threads": 1})
        analyzer.load()
        analyzer.warm_up()
        pixels = picture(0)
        answers = analyzer.run([Picture(pixels, pixels.shape[1], pixels.shape[0], "PNG")])
        assert answers == network.caption([pixels], Decoding(1, 6, 0, ""))
        analyzer.close()
        with pytest.raises(RuntimeError):
            analyzer.run([])

    @needs_torch
    @pytest.mark.parametrize("name", ["settings.json", "tokenizer.json", "vision.onnx", "decoder.onnx"])
    @pytest.mark.parametrize("content", [None, b"", b"[]", b"{\x00"])
    def test_damage(self, found: Any, artefact: Path, tmp_path: Path, name: str, content: bytes | None) -> None:
        found.folder = Path(shutil.copytree(artefact, tmp_path / "copy"))
        (found.folder / name).unlink()
        if content is not None:
            (found.folder / name).write_bytes(content)
        with pytest.raises(ImgtoolError) as caught:
            BlipOnnx(BlipOnnx.parameters(EngineOptions())).load()
        assert isinstance(caught.value, ModelLoadFailed)
        assert "warm-cache" in caught.value.remedy


ALONE = """
import sys
from pathlib import Path
barred = {"torch", "torchvision", "transformers", "easyocr", "scipy", "skimage", "onnx"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in barred:
            raise ImportError(f"{name} is not for this process")
sys.meta_path.insert(0, Refuse())
from imgtool.analyzers.caption.blip_compiled import BlipOnnx
light = {"numpy", "onnxruntime", "tokenizers", "PIL"} & set(sys.modules)
assert not light, light
analyzer = BlipOnnx({"paths": {"artefact": sys.argv[1]}, "remedy": "", "beams": int(sys.argv[2]), "max_new_tokens": 6,
                     "min_new_tokens": 0, "prompt": "baba", "precision": "exact", "threads": 1})
analyzer.load()
import numpy as np
from imgtool.inference.picture import Picture
print(analyzer.run([Picture(np.zeros((50, 40, 3), dtype=np.uint8), 40, 50, "")])[0])
heavy = barred & {name.partition(".")[0] for name in sys.modules}
assert not heavy, heavy
"""


@needs_torch
@pytest.mark.parametrize("beams", [1, 3])
def test_a_process_of_its_own_needs_nothing_of_torch(artefact: Path, network: Any, beams: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(artefact), str(beams)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    black = np.zeros((50, 40, 3), dtype=np.uint8)
    assert done.stdout.strip() == network.caption([black], Decoding(beams, 6, 0, "baba"))[0]


@needs_torch
@pytest.mark.slow
def test_captions_at_full_size(tmp_path: Path) -> None:
    """Greedy and with three beams, token for token. The project's acceptance asks for IMGTOOL_TEST_CAPTIONS=200."""
    from imgtool.compiling.blip import parity
    from imgtool.inference.blip.graphs import BlipGraphs
    from imgtool.inference.blip.upstream import BlipNetwork

    source = make_source(tmp_path / "base", "base", seed=0)
    network, graphs = BlipNetwork(source, "cpu", None, ""), BlipGraphs(compiled(source, tmp_path / "compiled"))
    pictures = [picture(seed) for seed in range(int(os.environ.get("IMGTOOL_TEST_CAPTIONS", "24")))]
    seen = parity._features(network, pictures[:8]).numpy()
    assert np.abs(graphs.features(pictures[:8]) - seen).max() <= parity.FEATURES_TOLERANCE
    for beams in (1, 3):
        notes = [
            note
            for at in range(0, len(pictures), 8)
            for note in parity._differing_captions(network, graphs, pictures[at : at + 8], beams)
        ]
        # What torch itself scores alike to within rounding may come out either way.
        assert all(note.startswith("a tie: ") for note in notes), notes
        assert len(notes) <= 2, notes
