"""Models warmed from a hub on this machine, a run without any network, and upstream's libraries called directly on the
same thirty pictures: caption by caption, line by line, box by box."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pictures

from tests.fakes.hub import running_hub
from tests.test_docker_emulation import TORCH, Image, make_weights, needs_namespaces, serve_weights
from tests.text_pages import text_page

pytestmark = [
    pytest.mark.slow,
    needs_namespaces,
    pytest.mark.skipif(not TORCH, reason="the torch extra is not installed"),
]

COUNT = 30

_DIRECTLY = """
import json, os, sys
os.environ["HF_HUB_OFFLINE"] = "1"  # its library would knock at the hub's door for minutes
import easyocr, torch
from PIL import Image
from transformers import BlipForConditionalGeneration, BlipProcessor

name = "Salesforce/blip-image-captioning-base"
processor = BlipProcessor.from_pretrained(name)
blip = BlipForConditionalGeneration.from_pretrained(name).eval()
home = os.environ["HOME"]  # EasyOCR makes a folder where it is told to; the baked ones are read-only
reader = easyocr.Reader(["ko", "en"], gpu=False, verbose=False, quantize=False, user_network_directory=home)
answers = []
for path in sys.argv[1:]:
    with torch.inference_mode():
        inputs = processor(images=Image.open(path).convert("RGB"), return_tensors="pt")
        tokens = blip.generate(**inputs, max_new_tokens=30)[0]
    lines = [[[[float(x), float(y)] for x, y in box], text, float(score)] for box, text, score in reader.readtext(path)]
    answers.append({
        "caption": processor.decode(tokens, skip_special_tokens=True).strip(),
        "lines": lines,
    })
print("answers", json.dumps(answers))
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """A baked folder; the hub that it came from is gone."""
    root = tmp_path_factory.mktemp("image")
    for name in ("cache", "builder", "packages"):
        (root / name).mkdir()
    baked = Image(root / "cache", root / "builder", root / "packages")
    weights = make_weights(baked, root / "weights")
    with running_hub() as hub:
        serve_weights(hub, baked, weights)
        baked.bake(hub)
    yield baked


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for seed in range(COUNT):
        picture = Pictures.fromarray(text_page(seed).pixels)
        # A JPEG's luma cannot be had from the RGB that all tasks share: its lines can differ from EasyOCR's own.
        mode, suffix = (*[("RGB", "png")] * 3, ("L", "png"), ("RGB", "bmp"), ("RGB", "tif"))[seed % 6]
        paths.append(str(folder / f"{seed:02}.{suffix}"))
        picture.convert(mode).save(paths[-1])
    return paths


def said(image: Image, home: Path, program: str, *arguments: str) -> Any:
    done = image.run("-c", program, *arguments, home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("answers "))[8:])


def clamped(box: list[list[float]], width: int, height: int) -> list[list[float]]:
    return [[min(max(x, 0.0), width), min(max(y, 0.0), height)] for x, y in box]


@pytest.fixture(scope="module")
def expected(image: Image, photos: list[str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What upstream's libraries say."""
    return said(image, tmp_path_factory.mktemp("home"), _DIRECTLY, *photos)


@pytest.mark.parametrize(
    ("backend", "load", "rounding"), [("torch", "lazy", 1e-6), ("torch", "parallel", 1e-6), ("onnx", "lazy", 1e-4)]
)
def test_thirty_pictures(
    image: Image, photos: list[str], expected: Any, tmp_path: Path, backend: str, load: str, rounding: float
) -> None:
    flags = ("--tasks", "caption,text", "--backend", backend, "--strict", "--load", load, "--format", "jsonl")
    done = image.run("-m", "imgtool", "analyze", *photos, *flags, home=tmp_path)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert {result["tasks"][task]["backend"] for result in results for task in ("caption", "text")} == {backend}
    captions = [result["tasks"]["caption"]["value"] for result in results]
    # Word by word: one token that differs is a word, or a part of one, that differs.
    assert captions == [one["caption"] for one in expected]
    for result, one in zip(results, expected, strict=True):
        lines = result["tasks"]["text"]["value"]
        width, height = result["width"], result["height"]
        assert [line["text"] for line in lines] == [text for _, text, _ in one["lines"]]
        assert [line["box"] for line in lines] == [clamped(box, width, height) for box, _, _ in one["lines"]]
        assert [line["confidence"] for line in lines] == pytest.approx(
            [score for _, _, score in one["lines"]], abs=rounding
        )
    # The pictures ask something of the models: captions differ, and most have lines.
    assert len(set(captions)) > 3
    assert np.mean([bool(one["lines"]) for one in expected]) > 0.5
