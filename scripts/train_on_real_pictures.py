"""Train a classifier of five kinds on real pictures beside drawn ones, and test it on others that are real.

    python scripts/train_on_real_pictures.py [--folder FOLDER] [--epochs 16] [--out out/real-kind.onnx]

An experiment: could the example classifier answer ``labels`` where no model is given? It should be right on 85 % of
real pictures. :mod:`kinds.real` lists the packages to learn from and, apart from them, those to test on. Signs are
photos here, for there are too few real ones to test on. Needs the extras ``torch`` and ``pdf``, ``apt-get`` and
``dpkg``; the packages are 1.1 GB. docs/decisions.md has the outcome.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from kinds import camera, real
from kinds.dataset import KINDS, draw_set, squash
from kinds.report import section
from kinds.world import TRAINING
from PIL import Image, ImageOps
from train_example_classifier import confusion, export

FIVE = tuple(kind for kind in KINDS if kind != "sign")
SMALLEST_CROP = {"photo": 0.35, "screen": 0.45, "document": 0.5, "chart": 0.85, "line drawing": 0.6}
"""How much of each side remains at least, so that a crop is still of its kind."""


def varied(image: Image.Image, kind: str, rng: np.random.Generator) -> Image.Image:
    """A part of ``image``, as an unlucky camera or program leaves it."""
    share, stretch = rng.uniform(SMALLEST_CROP[kind], 1), rng.uniform(0.85, 1.15) ** 0.5
    width = min(image.width, round(image.width * share * stretch))
    height = min(image.height, round(image.height * share / stretch))
    left, top = int(rng.integers(0, image.width - width + 1)), int(rng.integers(0, image.height - height + 1))
    part = image.crop((left, top, left + width, top + height))
    part.thumbnail((420, 420))
    if rng.random() < 0.7 and min(part.size) > 20:
        part = camera.degrade(part, rng, TRAINING)
    dark = kind in ("document", "chart", "line drawing") and rng.random() < 0.06
    return ImageOps.invert(part.convert("RGB")) if dark else part


def real_set(folder: Path, each: int) -> tuple[Any, Any]:
    """``each`` variations of what there is of every kind to learn from, and their class numbers."""
    found: list[Any] = []
    for number, kind in enumerate(FIVE):
        sources = (source for source in real.TRAINING if source.kind == kind)
        pictures = [picture for source in sources for picture in real.pictures(folder, source)]
        rng = np.random.default_rng(77 + number)
        found += [squash(varied(pictures[place % len(pictures)], kind, rng)) for place in range(each)]
        print(f"{kind}: {len(pictures)} real pictures to learn from", flush=True)
    return np.stack(found), np.repeat(np.arange(len(FIVE)), each)


def main() -> None:
    """Download, draw, train, export, test."""
    parser = argparse.ArgumentParser(description="Train on real pictures, and test on others.")
    parser.add_argument("--folder", type=Path, default=Path("out/real"), help="where the packages are unpacked")
    parser.add_argument("--real", type=int, default=1500, help="variations of real pictures of each kind")
    parser.add_argument("--drawn", type=int, default=900, help="drawn pictures of each kind")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/real-kind.onnx"))
    options = parser.parse_args()

    import torch
    from kinds.network import train

    torch.set_num_threads(options.threads)
    real.fetch(options.folder)
    pictures, classes = real_set(options.folder, options.real)
    drawn, drawn_kinds = draw_set(11, options.drawn, TRAINING, workers=options.threads)
    as_five = np.array([FIVE.index("photo" if kind == "sign" else kind) for kind in KINDS])
    model = train(
        np.concatenate([pictures, drawn]), np.concatenate([classes, as_five[drawn_kinds]]), options.epochs, seed=1
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    export(model, options.out)
    whole: Any = np.zeros((len(FIVE), len(FIVE)), int)
    for source in real.TESTING:
        seen = np.stack([squash(each) for each in real.pictures(options.folder, source)])
        whole += confusion(options.out, seen, np.full(len(seen), FIVE.index(source.kind)), len(FIVE))
    print(section("real pictures", whole, FIVE))


if __name__ == "__main__":
    main()
