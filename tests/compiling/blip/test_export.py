"""BLIP compiled: what is written, how it compares with the original, and what is refused. Small random weights."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgtool.distribution import install_command
from imgtool.errors import ImgtoolError, ModelLoadFailed
from imgtool.weights.errors import FileRefused, LibraryMissing
from tests.blips import compiled, make_source, picture

pytest.importorskip("torch")
pytest.importorskip("transformers")
onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small weights whose captions end."""
    return make_source(tmp_path_factory.mktemp("source") / "blip", eagerness_to_end=7)


@pytest.fixture(scope="module")
def artefact(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, compiled."""
    return compiled(source, tmp_path_factory.mktemp("compiled") / "blip")


@pytest.fixture
def copy(source: Path, tmp_path: Path) -> Path:
    """The weights in a folder of their own, to be changed."""
    return Path(shutil.copytree(source, tmp_path / "copy"))


def parameters(folder: Path, *prefixes: str) -> int:
    """Bytes of the weights whose names begin so."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "np") as file:
        names = [name for name in file.keys() if name.startswith(prefixes)]  # noqa: SIM118 - no mapping
        return sum(file.get_tensor(name).nbytes for name in names)


class TestExport:
    def test_what_is_written(self, source: Path, tmp_path: Path) -> None:
        from imgtool.compiling.blip.export import export

        made = export(source, tmp_path / "into")
        assert made.graphs == ("vision", "decoder")
        expected = {f"{name}.onnx{end}" for name in made.graphs for end in ("", ".data")} | {"tokenizer.json"}
        assert {path.name for path in (tmp_path / "into").iterdir()} == expected
        assert json.loads(json.dumps(made.settings)) == made.settings
        assert made.settings["tokens"] == {"begin": 400, "end": 102, "padding": 0}
        for name in made.graphs:
            graph = onnx.load(tmp_path / "into" / f"{name}.onnx", load_external_data=False)
            assert [each.version for each in graph.opset_import if not each.domain] == [made.opset]

    def test_every_compile_writes_the_same_bytes(self, source: Path, artefact: Path, tmp_path: Path) -> None:
        again = compiled(source, tmp_path / "again")
        for path in artefact.iterdir():
            assert path.read_bytes() == (again / path.name).read_bytes(), path.name

    def test_each_weight_is_there_once(self, source: Path, artefact: Path) -> None:
        """Above all the table of words, which is both the decoder's first matrix and its last."""
        cross = ".crossattention.self."
        held = {name: self.weights(artefact / f"{name}.onnx") for name in ("vision", "decoder")}
        moved = sum(
            parameters(source, f"text_decoder.bert.encoder.layer.{layer}{cross}{kind}.")
            for layer in (0, 1)
            for kind in ("key", "value")
        )
        # The class token is the sum of its embedding and its position; the position is not needed beside it.
        class_token = parameters(source, "vision_model.embeddings.class_embedding")
        assert held["vision"] == parameters(source, "vision_model.") + moved - class_token
        assert held["decoder"] == parameters(source, "text_decoder.") - moved

    def weights(self, path: Path) -> int:
        initializers = onnx.load(path).graph.initializer
        return sum(onnx.numpy_helper.to_array(each).nbytes for each in initializers if each.data_type == 1)

    def test_weights_begin_at_pages(self, artefact: Path) -> None:
        for name in ("vision", "decoder"):
            graph = onnx.load(artefact / f"{name}.onnx", load_external_data=False).graph
            offsets = [int(e.value) for each in graph.initializer for e in each.external_data if e.key == "offset"]
            assert len(offsets) > 5
            assert all(offset % 4096 == 0 for offset in offsets)

    def test_a_tokenizer_that_is_only_a_vocabulary(self, copy: Path, artefact: Path, tmp_path: Path) -> None:
        from tokenizers import Tokenizer

        words = json.loads((copy / "tokenizer.json").read_text())["model"]["vocab"]
        (copy / "vocab.txt").write_text("\n".join(sorted(words, key=words.__getitem__)))
        (copy / "tokenizer.json").unlink()
        made = Tokenizer.from_file(str(compiled(copy, tmp_path / "into") / "tokenizer.json"))
        kept = Tokenizer.from_file(str(artefact / "tokenizer.json"))
        for text in ("baba dada", "a photo, of", "Babadada's bibi.", "[SEP] ü"):
            assert made.encode(text).ids == kept.encode(text).ids
            assert made.decode(made.encode(text).ids) == kept.decode(made.encode(text).ids)

    def test_weights_in_half_precision(self, copy: Path, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        from imgtool.compiling.blip.parity import check_parity

        halved = {name: tensor.half() for name, tensor in load_file(copy / "model.safetensors").items()}
        save_file(halved, copy / "model.safetensors", metadata={"format": "pt"})
        assert check_parity(copy, compiled(copy, tmp_path / "into"), images=2, threads=1).passed


class TestParity:
    def test_the_compiled_model_agrees(self, source: Path, artefact: Path) -> None:
        from imgtool.compiling.blip.parity import check_parity

        parity = check_parity(source, artefact, seed=1, images=6, threads=1)
        assert parity.passed, parity
        assert parity.figures["vision_max_abs_difference"] <= 1e-3
        assert parity.figures["captions_equal_share_greedy"] == 1
        assert parity.figures["captions_equal_share_beams_3"] == 1

    def test_other_weights_do_not(self, artefact: Path, tmp_path: Path) -> None:
        from imgtool.compiling.blip.parity import check_parity

        parity = check_parity(make_source(tmp_path / "other", seed=4), artefact, images=2, threads=1)
        assert not parity.passed
        assert parity.figures["vision_max_abs_difference"] > 1e-3
        assert "difference" in parity.detail

    def test_a_decoder_of_other_weights_does_not(self, source: Path, artefact: Path, tmp_path: Path) -> None:
        """Features agree here, and captions do not."""
        from imgtool.compiling.blip.parity import check_parity

        mixed = Path(shutil.copytree(artefact, tmp_path / "mixed"))
        other = compiled(make_source(tmp_path / "other", seed=4), tmp_path / "compiled")
        for name in ("decoder.onnx", "decoder.onnx.data"):
            shutil.copy(other / name, mixed / name)
        parity = check_parity(source, mixed, images=2, threads=1)
        assert not parity.passed
        assert parity.figures["vision_max_abs_difference"] <= 1e-3
        assert parity.figures["captions_equal_share_greedy"] < 1

    def test_another_tokenizer_does_not(self, source: Path, artefact: Path, tmp_path: Path) -> None:
        from imgtool.compiling.blip.parity import check_parity

        mixed = Path(shutil.copytree(artefact, tmp_path / "mixed"))
        tokenizer = json.loads((mixed / "tokenizer.json").read_text())
        words = tokenizer["model"]["vocab"]
        tokenizer["model"]["vocab"] = {word: at ^ 1 if at >= 200 else at for word, at in words.items()}
        (mixed / "tokenizer.json").write_text(json.dumps(tokenizer))
        parity = check_parity(source, mixed, images=2, threads=1)
        assert not parity.passed
        assert "written in two ways" in parity.detail

    def test_a_tie_is_no_difference(self, source: Path) -> None:
        """Two answers that torch scores alike within rounding; and two that it does not."""
        import torch

        from imgtool.compiling.blip.parity import judged
        from imgtool.inference.blip.upstream import BlipNetwork

        network = BlipNetwork(source, "cpu", 1, "")
        head = network.model.text_decoder.cls.predictions.decoder
        with torch.no_grad():
            head.weight[151] = head.weight[150] * (1 + 1e-6)
            head.bias[151] = head.bias[150]
        assert judged(network, picture(0), [150], [151]).startswith("a tie: ")
        assert judged(network, picture(0), [150], [152]).startswith("a difference: ")


def text_setting(name: str, value: Any) -> Callable[[Path], None]:
    """Change ``name`` of the text decoder's configuration."""

    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        config["text_config"][name] = value
        (folder / "config.json").write_text(json.dumps(config))

    return change


def image_setting(name: str, value: Any) -> Callable[[Path], None]:
    """Change ``name`` of the image processor's configuration."""

    def change(folder: Path) -> None:
        config = json.loads((folder / "processor_config.json").read_text())
        config["image_processor"][name] = value
        (folder / "processor_config.json").write_text(json.dumps(config))

    return change


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (text_setting("hidden_act", "relu"), "hidden_act"),
            (image_setting("resample", 2), "resample"),
            (image_setting("size", {"height": 224, "width": 224}), "size"),
            (image_setting("do_normalize", False), "do_normalize"),
        ],
    )
    def test_a_model_that_is_computed_another_way(
        self, copy: Path, tmp_path: Path, change: Callable[[Path], None], named: str
    ) -> None:
        from imgtool.compiling.blip.export import export

        change(copy)
        with pytest.raises(FileRefused, match=named) as caught:
            export(copy, tmp_path / "into")
        assert "--backend torch" in caught.value.remedy
        assert not (tmp_path / "into").exists()

    @pytest.mark.parametrize("setting", [{"repetition_penalty": 1.5}, {"no_repeat_ngram_size": 2}, {"min_length": 5}])
    def test_generation_that_is_not_the_usual(self, setting: dict[str, Any]) -> None:
        from transformers import GenerationConfig

        from imgtool.compiling.blip.export import odd_generation

        usual = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "max_length": 20, "num_beams": 1}
        assert not odd_generation(GenerationConfig(**usual))
        assert next(iter(setting)) in odd_generation(GenerationConfig(**{**usual, **setting}))[0]

    def test_damaged_weights(self, copy: Path, tmp_path: Path) -> None:
        from imgtool.compiling.blip.export import export

        with (copy / "model.safetensors").open("r+b") as file:
            file.truncate(1000)
        with pytest.raises(ModelLoadFailed):
            export(copy, tmp_path / "into")

    def test_a_damaged_artefact_has_no_parity(self, source: Path, artefact: Path, tmp_path: Path) -> None:
        from imgtool.compiling.blip.parity import check_parity

        broken = Path(shutil.copytree(artefact, tmp_path / "broken"))
        (broken / "settings.json").unlink()
        with pytest.raises(ImgtoolError):
            check_parity(source, broken, threads=1)

    def test_without_onnx(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from imgtool.compiling.blip.export import export

        monkeypatch.setitem(sys.modules, "onnx", None)
        with pytest.raises(LibraryMissing) as caught:
            export(source, tmp_path / "into")
        assert install_command("torch") in caught.value.remedy


def test_one_step_of_the_decoder_is_what_torch_computes(source: Path, artefact: Path) -> None:
    """Several tokens at once, then one more after them, three rows an image: the same logits as without any cache."""
    import torch

    from imgtool.inference.blip.decoder import DecoderSteps
    from imgtool.inference.blip.graphs import BlipGraphs
    from imgtool.inference.blip.pixels import prepare
    from imgtool.inference.blip.upstream import BlipNetwork

    network, graphs = BlipNetwork(source, "cpu", 1, ""), BlipGraphs(artefact, 1)
    pixels = prepare([picture(1), picture(2)], graphs._pixels)
    seen = graphs._vision.run({"pixel_values": pixels})
    steps = DecoderSteps(graphs._decoder, graphs._settings, seen, beams=3)
    tokens = np.random.default_rng(0).integers(0, 400, (6, 5))
    found = [steps.step(tokens[:, :4]), steps.step(tokens[:, 4:])]
    steps.keep(np.array([1]), np.array([5, 3, 3]))
    found.append(steps.step(np.array([[7], [8], [9]])))
    with torch.inference_mode():
        features = network.model.vision_model(torch.from_numpy(pixels))[0].repeat_interleave(3, 0)

        def whole(rows: Any, which: Any) -> Any:
            given = torch.from_numpy(np.asarray(rows))
            return network.model.text_decoder(input_ids=given, encoder_hidden_states=features[which]).logits[:, -1]

        last = np.concatenate([tokens[[5, 3, 3]], [[7], [8], [9]]], axis=1)
        expected = [whole(tokens[:, :4], range(6)), whole(tokens, range(6)), whole(last, [5, 3, 3])]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-3)


@pytest.mark.parametrize("seven_bits", [False, True])
def test_in_eight_bits(artefact: Path, tmp_path: Path, seven_bits: bool) -> None:
    """The same inputs and outputs, a fraction of the bytes, and nearly the same logits."""
    from imgtool.compiling.blip.int8 import quantise
    from imgtool.inference.blip.decoder import DecoderSteps
    from imgtool.inference.blip.graphs import BlipGraphs
    from imgtool.inference.blip.pixels import prepare

    rounded = Path(shutil.copytree(artefact, tmp_path / "rounded"))
    quantise(artefact, rounded, "decoder", seven_bits=seven_bits)
    before, after = (onnx.load(folder / "decoder.onnx") for folder in (artefact, rounded))
    assert list(before.graph.input) == list(after.graph.input)
    assert list(before.graph.output) == list(after.graph.output)
    kinds = [node.op_type for node in after.graph.node]
    assert kinds.count("Gemm") == 0
    assert kinds.count("DynamicQuantizeMatMul") == [node.op_type for node in before.graph.node].count("Gemm")
    logits = []
    for folder in (artefact, rounded):
        graphs = BlipGraphs(folder, 1)
        seen = graphs._vision.run({"pixel_values": prepare([picture(1), picture(2)], graphs._pixels)})
        logits.append(DecoderSteps(graphs._decoder, graphs._settings, seen, beams=1).step(np.array([[400], [400]])))
    share = np.sqrt(np.mean((logits[1] - logits[0]) ** 2)) / logits[0].std()
    assert 0 < share < 0.2


def test_an_image_does_not_change_what_is_seen_of_another_one(artefact: Path, tmp_path: Path) -> None:
    """In eight bits its numbers have one scale: a dark picture beside a bright one would lose its detail."""
    from imgtool.compiling.blip.int8 import quantise
    from imgtool.inference.blip.graphs import BlipGraphs

    rounded = Path(shutil.copytree(artefact, tmp_path / "rounded"))
    quantise(artefact, rounded, "vision", seven_bits=False, sees_one_image=True)
    exact, graphs = BlipGraphs(artefact, 1), BlipGraphs(rounded, 1)
    pictures = [picture(1), picture(2) // 8, np.zeros((40, 30, 3), np.uint8)]
    together = graphs.features(pictures)
    for number, one in enumerate(pictures):
        assert np.array_equal(graphs.features([one])[0], together[number])
    expected = exact.features(pictures)
    assert 0 < np.sqrt(np.mean((together - expected) ** 2)) / expected.std() < 0.1
