"""EasyOCR's networks written as ONNX, with the characters and words that belong to them.

Two graphs: ``craft`` takes ``image`` (1, 3, H, W) float32, H and W multiples of 32, and gives ``text`` and ``link``
(1, H / 2, W / 2); ``recogniser`` takes ``image`` (N, 1, 64, W) float32 in [-1, 1] and gives ``logits``
(N, T, classes). Both are fp32, the recogniser too, which upstream quantises to int8 as it loads it on a CPU.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgtool.compiling.easyocr.networks import load_networks
from imgtool.compiling.interface import Export
from imgtool.compiling.onnx_file import OPSET, write_graph
from imgtool.weights.languages import RECOGNISERS
from imgtool.weights.upstream_warnings import quiet

DETECTOR, RECOGNISER = "craft", "recogniser"
HEIGHT = 64
_SHARED_SYMBOLS = "0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ "
"""What EasyOCR reads in every language where its table says nothing else."""


def export(source: Path, into: Path, remedy: str, languages: Sequence[str]) -> Export:
    """Write the graphs for ``languages`` (EasyOCR's codes) into ``into``, from the weights in the folder ``source``;
    ``remedy`` is what to do where a file of them is damaged.

    The compiled model reads every language of the recogniser, alone or together, not only those asked for.

    Raises:
        ImgtoolError: EasyOCR is missing, or the weights are missing or damaged.
        OSError: the folder cannot be written.
    """
    import easyocr
    import torch

    quiet()
    networks = load_networks(source, languages, remedy)
    into.mkdir(parents=True, exist_ok=True)
    write_graph(
        _score_maps(networks.craft),
        torch.zeros(1, 3, 64, 96),
        into / f"{DETECTOR}.onnx",
        {"image": {2: "height", 3: "width"}, "text": {1: "rows", 2: "columns"}, "link": {1: "rows", 2: "columns"}},
    )
    write_graph(
        _logits(networks.recogniser),
        # A batch of one: with another the exporter would fix the LSTM's first state to it.
        torch.zeros(1, 1, HEIGHT, 128),
        into / f"{RECOGNISER}.onnx",
        {"image": {0: "batch", 3: "width"}, "logits": {0: "batch", 1: "steps"}},
    )
    package, recogniser = Path(easyocr.__file__).parent, RECOGNISERS[networks.name]
    # EasyOCR reads a language alone if it has a list of its characters.
    alphabets = {code: package / "character" / f"{code}_char.txt" for code in recogniser.languages}
    settings = {
        "recogniser": networks.name,
        "generation": recogniser.generation,
        "script": networks.row["model_script"],
        "languages": list(languages),
        "characters": "".join(networks.row["characters"]),
        "symbols": networks.row.get("symbols") or _SHARED_SYMBOLS,
        "alphabets": {
            code: "".join(path.read_text(encoding="utf-8-sig").splitlines())
            for code, path in alphabets.items()
            if path.is_file()
        },
        "words": copy_words(package / "dict", recogniser.languages, into),
        "height": HEIGHT,
        "easyocr": easyocr.__version__,
    }
    return Export((DETECTOR, RECOGNISER), settings, f"torch {torch.__version__}, opset {OPSET}", OPSET)


def copy_words(folder: Path, codes: Sequence[str], into: Path) -> dict[str, str]:
    """Copy the word lists for ``wordbeamsearch`` beside the graphs; returns their names by language."""
    found = {code: f"words-{code}.txt" for code in codes if (folder / f"{code}.txt").is_file()}
    for code, name in found.items():
        shutil.copyfile(folder / f"{code}.txt", into / name)
    return found


def _score_maps(craft: Any) -> Any:
    import torch
    from torch import nn

    def enlarged(features: Any) -> Any:
        return nn.functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)

    class ScoreMaps(nn.Module):  # type: ignore[misc]
        """CRAFT as its own ``forward`` computes it, but that features are enlarged by a factor rather than to a size.

        Sides are multiples of 32, so the factor is always two. Where it is a constant, onnxruntime keeps its blocked
        layout from the first convolution to the last; else it would rearrange the largest features six times.
        """

        def __init__(self) -> None:
            super().__init__()
            self.network = craft

        def forward(self, image: Any) -> tuple[Any, Any]:
            network = self.network
            deepest, *sources = network.basenet(image)
            features = network.upconv1(torch.cat([deepest, sources[0]], dim=1))
            for merge, source in zip((network.upconv2, network.upconv3, network.upconv4), sources[1:], strict=True):
                features = merge(torch.cat([enlarged(features), source], dim=1))
            maps = network.conv_cls(features)
            return maps[:, 0], maps[:, 1]

    return ScoreMaps().eval()


def _logits(recogniser: Any) -> Any:
    from torch import nn

    class Logits(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = recogniser

        def forward(self, image: Any) -> Any:
            # Upstream's adaptive pooling to (all, 1) is a mean over the last axis, and has no ONNX of free width.
            features = self.network.FeatureExtraction(image).permute(0, 3, 1, 2).mean(3)
            return self.network.Prediction(self.network.SequenceModeling(features))

    return Logits().eval()
