"""BLIP's graphs, node by node: what goes in and comes out, and that steps add up to the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgtool.compiling.blip.graphs import DECODER, VISION, Sizes, write_decoder, write_vision
from tests.blips import make_source

pytest.importorskip("torch")
pytest.importorskip("transformers")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import BlipForConditionalGeneration

    source = make_source(tmp_path_factory.mktemp("source") / "blip")
    return BlipForConditionalGeneration.from_pretrained(source, local_files_only=True).eval()


@pytest.fixture(scope="module")
def sizes(model: Any) -> Sizes:
    text = model.config.text_config
    heads = text.num_attention_heads
    side = model.config.vision_config.image_size
    return Sizes(text.num_hidden_layers, heads, text.hidden_size // heads, text.vocab_size, side)


@pytest.fixture(scope="module")
def folder(model: Any, sizes: Sizes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into: Path = tmp_path_factory.mktemp("graphs")
    write_vision(model, sizes, into)
    write_decoder(model, sizes, into)
    return into


def session(folder: Path, name: str) -> Any:
    return onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])


def test_what_goes_in_and_comes_out(folder: Path, sizes: Sizes) -> None:
    layers = range(sizes.layers)
    pair = [f"{kind}_{layer}" for layer in layers for kind in ("key", "value")]
    vision, decoder = session(folder, VISION), session(folder, DECODER)
    assert {node.name for node in vision.get_inputs()} == {"pixel_values"}
    assert {node.name for node in vision.get_outputs()} == {"features", *(f"cross_{name}" for name in pair)}
    steps = {"tokens", "positions", "mask"}
    assert {node.name for node in decoder.get_inputs()} == {
        *steps,
        *(f"{which}_{name}" for name in pair for which in ("past", "cross")),
    }
    assert {node.name for node in decoder.get_outputs()} == {"logits", *pair}


def test_tokens_one_by_one_give_the_same_as_all_at_once(folder: Path, sizes: Sizes) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.normal(0, 1, (1, 3, sizes.image, sizes.image)).astype(np.float32)
    vision, decoder = session(folder, VISION), session(folder, DECODER)
    names = [node.name for node in vision.get_outputs()]
    seen = dict(zip(names, vision.run(None, {"pixel_values": pixels}), strict=True))
    cross = {name: array for name, array in seen.items() if name != "features"}
    outputs = [node.name for node in decoder.get_outputs()]

    def step(tokens: list[int], past: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        before = next(iter(past.values())).shape[2]
        mask = np.triu(np.full((len(tokens), before + len(tokens)), -np.inf, dtype=np.float32), before + 1)
        positions = np.arange(before, before + len(tokens))
        given = {"tokens": np.array([tokens]), "positions": positions, "mask": mask}
        fed = {f"past_{name}": array for name, array in past.items()}
        return dict(zip(outputs, decoder.run(None, {**given, **fed, **cross}), strict=True))

    empty = np.empty((1, sizes.heads, 0, sizes.head_size), dtype=np.float32)
    start = {name: empty for name in outputs if name != "logits"}
    tokens = [400, 7, 250, 31]
    whole = step(tokens, start)["logits"]
    past = start
    for token in tokens:
        result = step([token], past)
        past = {name: array for name, array in result.items() if name != "logits"}
    assert result["logits"] == pytest.approx(whole, abs=1e-4)
