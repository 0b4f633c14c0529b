"""Small BLIPs of random weights, compiled; and the pictures that they are asked about."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SEP = 102
"""The token that ends a caption."""


def make_source(folder: Path, size: str = "tiny", seed: int = 3, eagerness_to_end: float = 0.0) -> Path:
    """Weights; ``eagerness_to_end`` is added to the logit of the token that ends a caption, so that lengths differ."""
    from safetensors.torch import load_file, save_file

    from imgtool.weights.synthetic.networks import make_blip

    make_blip(folder, size, seed=seed)
    if eagerness_to_end:
        path = folder / "model.safetensors"
        tensors = load_file(path)
        for name, tensor in tensors.items():
            if name.startswith("text_decoder.cls.predictions.") and tensor.ndim == 1 and len(tensor) > SEP + 200:
                tensor[SEP] += eagerness_to_end
        save_file(tensors, path, metadata={"format": "pt"})
    return folder


def compiled(source: Path, into: Path) -> Path:
    """``source`` compiled, as it lies in the store of compiled models."""
    from imgtool.compiling.blip.export import export

    made = export(source, into)
    (into / "settings.json").write_text(json.dumps(made.settings))
    return into


def picture(seed: int, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Coloured blocks, all different; ``size`` is width and height."""
    generator = np.random.default_rng(seed)
    width, height = size or (int(generator.integers(40, 500)), int(generator.integers(40, 500)))
    blocks = generator.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST))
