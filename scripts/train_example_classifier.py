"""Train the example classifier ``examples/models/image-kind.onnx`` on pictures that this script draws.

Needs the ``torch`` extra and the package onnx. Draws, trains, exports, and tests what it exported
with onnxruntime on pictures from another world (:mod:`kinds.world`); the results go into ``examples/models/README.md``.

    python scripts/train_example_classifier.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from kinds.dataset import KINDS, SIDE, draw_set
from kinds.report import describe
from kinds.world import TESTING, TRAINING

MODELS = Path(__file__).resolve().parents[1] / "examples" / "models"
SIDECAR: dict[str, Any] = {
    "size": [SIDE, SIDE],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "scale": 255,
    "layout": "NCHW",
    "resize": "squash",
    "interpolation": "bilinear",
    "channels": "RGB",
    "activation": "softmax",
}
"""How to prepare a picture; ``activation`` is what the caller has to apply to the scores, for the graph has none."""


def export(model: Any, path: Path) -> None:
    """Write ``model`` as ONNX (opset 17, format version at most 10, batch of any size) to ``path``."""
    import onnx
    import torch

    example = torch.zeros(2, 3, SIDE, SIDE)
    names = {"input_names": ["image"], "output_names": ["scores"]}
    axes = {"image": {0: "batch"}, "scores": {0: "batch"}}
    torch.onnx.export(model, (example,), path, opset_version=17, dynamo=False, dynamic_axes=axes, **names)
    graph = onnx.load(path)
    graph.ir_version = min(graph.ir_version, 10)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, path)


def confusion(path: Path, pictures: Any, classes: Any, kinds: int = len(KINDS)) -> Any:
    """How often each of ``kinds`` classes (rows) was taken for each class (columns) by the exported model."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    matrix: Any = np.zeros((kinds, kinds), int)
    for start in range(0, len(pictures), 64):
        images = pictures[start : start + 64].transpose(0, 3, 1, 2).astype(np.float32)
        (scores,) = session.run(None, {"image": (images / 255 - 0.5) / 0.5})
        np.add.at(matrix, (classes[start : start + 64], scores.argmax(axis=1)), 1)
    return matrix


def drawn(cache: Path | None, name: str, **how: Any) -> tuple[Any, Any]:
    """:func:`draw_set`, or what an earlier run left in the folder ``cache``."""
    kept = cache / f"{name}.npz" if cache else None
    if kept and kept.exists():
        with np.load(kept) as arrays:
            return arrays["pictures"], arrays["classes"]
    print(f"drawing {name}", flush=True)
    pictures, classes = draw_set(**how)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, pictures=pictures, classes=classes)
    return pictures, classes


def main() -> None:
    """Draw, train, export, test, write down."""
    parser = argparse.ArgumentParser(description="Train the example classifier.")
    parser.add_argument("--each", type=int, default=2500, help="training pictures of each kind")
    parser.add_argument("--tests", type=int, default=300, help="test pictures of each kind")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="folder that keeps the drawn pictures between runs")
    parser.add_argument("--out", type=Path, default=MODELS)
    options = parser.parse_args()

    import torch
    from kinds.network import train

    torch.set_num_threads(options.threads)
    often: dict[str, Any] = {"workers": options.threads}
    pictures, classes = drawn(options.cache, "training", seed=1, each=options.each, world=TRAINING, **often)
    familiar = drawn(options.cache, "familiar", seed=2, each=options.tests, world=TESTING, **often)
    unseen = drawn(options.cache, "unseen", seed=3, each=options.tests, world=TESTING, unseen=True, **often)
    model = train(pictures, classes, options.epochs, seed=1)

    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "image-kind.onnx"
    export(model, path)
    path.with_suffix(".txt").write_text("\n".join(KINDS) + "\n", encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(SIDECAR, indent=2) + "\n", encoding="utf-8")
    tables = {"familiar": confusion(path, *familiar), "unseen": confusion(path, *unseen)}
    weights = sum(parameter.numel() for parameter in model.parameters())
    text = describe(tables, KINDS, path.stat().st_size, weights, options.each, options.epochs)
    (options.out / "README.md").write_text(text, encoding="utf-8")
    for name, table in tables.items():
        print(f"{name}: {np.trace(table) / table.sum():.3f}")


if __name__ == "__main__":
    main()
