"""The files of transformers and timm: read as the libraries themselves read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgtool.analyzers.labels.preprocess import prepare
from imgtool.analyzers.labels.published import from_published
from imgtool.analyzers.labels.settings import merge, resolve
from imgtool.analyzers.labels.sources import from_folder, from_sidecar
from imgtool.errors import ConfigProblem, UnknownKey

NORMAL = {"image_mean": [0.5], "image_std": [0.25]}


def processor(kind: str, **table: Any) -> dict[str, Any]:
    return {"image_processor_type": kind, **NORMAL, **table}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            processor("DeiTFeatureExtractor", size=256, crop_size=224, do_center_crop=True),
            {"size": (224, 224), "resize": "squash", "crop_pct": 0.875},
        ),
        (
            processor("LevitImageProcessor", size={"shortest_edge": 224}, crop_size=224, do_center_crop=True),
            {"size": (224, 224), "resize": "crop", "crop_pct": 0.875},
        ),
        (
            processor("PoolFormerImageProcessor", size={"shortest_edge": 224}, crop_size=224, crop_pct=0.9),
            {"size": (224, 224), "resize": "crop", "crop_pct": pytest.approx(224 / 248)},
        ),
        (
            processor("EfficientNetImageProcessor", size={"height": 346, "width": 346}, include_top=True),
            {"std": (0.0625,), "resize": "squash"},
        ),
        (processor("EfficientNetImageProcessor", size=8, rescale_offset=True), {"mean": (1.5,)}),
        (processor("CLIPImageProcessor", do_resize=False, crop_size=224), {"size": (224, 224), "resize": "none"}),
        ({"image_processor": processor("ViTImageProcessor", size=8)}, {"size": (8, 8), "mean": (0.5,)}),
        (
            {"image_processor_type": "MobileViTImageProcessor", "do_flip_channel_order": True, "size": 8},
            {"mean": (0.0,), "std": (1.0,), "channels": "BGR"},
        ),
        ({"architecture": "a", "input_size": [3, 8, 9], "mean": [0.5], "std": [0.5]}, {"size": (8, 9), "mean": (0.5,)}),
        (
            {"pretrained_cfg": {"input_size": [3, 8, 8], "crop_mode": "border", "mean": [0.5, 0.2, 0]}},
            {"resize": "pad", "fill": (128, 51, 0), "crop_pct": 0.875},
        ),
        (
            {
                "pretrained_cfg": {
                    "input_size": [3, 8, 8],
                    "test_input_size": [3, 10, 10],
                    "crop_pct": 0.9,
                    "test_crop_pct": 1,
                }
            },
            {"size": (10, 10), "crop_pct": 1.0},
        ),
        ({"id2label": {"0": "a", "1": "b"}, "problem_type": "multi_label_classification"}, {"multi_label": True}),
    ],
)
def test_what_a_file_says(table: dict[str, Any], expected: dict[str, Any]) -> None:
    found = from_published(table, "file", (None, 3, 10, 10))
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("table", "error", "pattern"),
    [
        ({"pretrained_cfg": {"input_size": [3, 8, 8], "interpolation": "random"}}, ConfigProblem, "random"),
        ({"pretrained_cfg": {"input_size": [3, 8, 8], "crop_mode": "rrc"}}, ConfigProblem, "rrc"),
        ({"pretrained_cfg": {"input_size": 8}}, ConfigProblem, "cannot be understood"),
        ({"id2label": {"0": "a", "5": "b"}}, ConfigProblem, "without a gap"),
        (processor("ViTImageProcessor", size={"longest_edge": 9}), ConfigProblem, "longest edge"),
        (processor("X", size={"shortest_edge": 8}, crop_size=9), ConfigProblem, "larger"),
        (processor("X", do_polish=True), UnknownKey, "do_polish"),
    ],
)
def test_what_cannot_be_done_is_refused(table: dict[str, Any], error: type[ConfigProblem], pattern: str) -> None:
    with pytest.raises(error, match=pattern) as caught:
        from_published(table, "file", ())
    assert caught.value.remedy


def test_the_configuration_of_something_else_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"port": 8080, "size": "large"}')
    assert from_folder([tmp_path / "config.json"]) == {}


def test_another_resize_takes_nothing_of_the_former() -> None:
    cropped = {"resize": "crop", "crop_pct": 0.8, "mean": (0.5,), "interpolation": "bicubic"}
    assert merge(cropped, {"resize": "pad"}) == {"resize": "pad", "mean": (0.5,), "interpolation": "bicubic"}
    assert merge(cropped, {"resize": "none"}) == {"resize": "none", "mean": (0.5,)}
    assert merge(cropped, {"crop_pct": 1.0})["resize"] == "crop"


PROCESSORS = {
    **dict.fromkeys(("ViT", "DeiT", "Beit", "MobileNetV2", "Bit", "CLIP", "Levit", "PoolFormer", "Pvt", "Siglip")),
    "EfficientNet": {"size": {"height": 100, "width": 100}, "crop_size": {"height": 80, "width": 80}},
    "ConvNext": {"size": {"shortest_edge": 160}, "crop_pct": 0.875},
    "MobileViT": {"size": {"shortest_edge": 288}, "crop_size": {"height": 256, "width": 256}},
}
ONE_LEVEL = 1.02 / 255
"""Its processors resample tensors, ours images: rounding costs a level here and there."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", PROCESSORS)
def test_pixels_are_those_of_transformers(tmp_path: Path, kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torchvision")
    theirs = getattr(transformers, f"{kind}ImageProcessor")(**(PROCESSORS[kind] or {}))
    path = tmp_path / "preprocessor_config.json"
    path.write_text(theirs.to_json_string())
    random = np.random.default_rng(0)
    for size in ((317, 211), (501, 777), (1003, 640), (223, 225)):
        image = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(size)
        expected = np.asarray(theirs(image, return_tensors="np")["pixel_values"][0])
        settings = resolve(from_sidecar(path), (None, 3, *expected.shape[1:]))
        found = prepare([np.asarray(image)], settings, "float32")[0]
        difference = np.abs(found - expected) * np.asarray(settings.std).reshape(3, 1, 1) * settings.scale / 255
        assert difference.max() <= 2 * ONE_LEVEL
        assert difference.mean() <= ONE_LEVEL / 10


def test_json_files_may_be_in_utf_16(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"labels": ["개"]}, ensure_ascii=False), encoding="utf-16")
    assert from_sidecar(tmp_path / "m.json") == {"labels": ("개",)}
