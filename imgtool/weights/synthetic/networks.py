"""Random weights with the shapes of the real ones: the cost of a load and a run depends on shapes, not on values.

The answers mean nothing, and a mark beside the weights says so (:mod:`imgtool.weights.synthetic.marker`). ``base`` has
upstream's shapes. ``tiny`` is for tests: a BLIP of a hundred thousand parameters, and EasyOCR's networks, whose shapes
its code fixes, with repeating weights, so that the files take 1 MB instead of 100.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from imgtool.errors import UsageProblem
from imgtool.weights.catalogue import easyocr_models
from imgtool.weights.easyocr_table import table_entry
from imgtool.weights.synthetic.marker import NAME, Marker, write_marker
from imgtool.weights.synthetic.vocabulary import PAD, SEP, make_vocabulary
from imgtool.weights.upstream_warnings import quiet, transformers_silenced

_BLIP: dict[str, dict[str, Any]] = {
    # A wide spread, so that different pictures get different captions.
    "tiny": {"hidden": 32, "inner": 64, "layers": 2, "heads": 4, "patch": 32, "words": 400, "spread": 0.5},
    "base": {"hidden": 768, "inner": 3072, "layers": 12, "heads": 12, "patch": 16, "words": 30522, "spread": 0.02},
}
_BEYOND_TOKENIZER = 2
"""BLIP's network knows two tokens more than its tokenizer: the first of them begins every caption."""


def make_blip(folder: Path | str, size: str = "tiny", seed: int = 0) -> Marker:
    """Write a BLIP captioning model of random weights into ``folder``: safetensors, configuration, tokenizer.

    Raises:
        UsageProblem: ``size`` is neither ``tiny`` nor ``base``.
        OSError: the folder cannot be written.
    """
    shape = _BLIP[_checked(size)]

    def write(into: Path) -> None:
        import torch
        import transformers as upstream

        common = {
            "hidden_size": shape["hidden"],
            "intermediate_size": shape["inner"],
            "num_hidden_layers": shape["layers"],
            "num_attention_heads": shape["heads"],
            "initializer_range": shape["spread"],
        }
        text = {
            "vocab_size": shape["words"] + _BEYOND_TOKENIZER,
            "encoder_hidden_size": shape["hidden"],
            "bos_token_id": shape["words"],
            "eos_token_id": 2,
            "pad_token_id": PAD,
            "sep_token_id": SEP,
        }
        vision = {"image_size": 384, "patch_size": shape["patch"]}
        config = {"text_config": {**common, **text}, "vision_config": {**common, **vision}}
        with torch.random.fork_rng(), transformers_silenced():
            torch.manual_seed(seed)
            settings = upstream.BlipConfig(**config, initializer_range=shape["spread"])
            upstream.BlipForConditionalGeneration(settings).save_pretrained(into)
            tokenizer = upstream.BertTokenizer(vocab=make_vocabulary(shape["words"]))
            upstream.BlipProcessor(upstream.BlipImageProcessor(), tokenizer).save_pretrained(into)

    return _make(Path(folder), size, seed, write)


def make_easyocr(folder: Path | str, languages: Sequence[str], size: str = "tiny", seed: int = 0) -> Marker:
    """Write the detector and the recogniser for ``languages`` into ``folder``, under EasyOCR's file names.

    Raises:
        UsageProblem: ``size`` is neither ``tiny`` nor ``base``, or EasyOCR does not read these languages together.
        imgtool.weights.errors.LibraryMissing: EasyOCR, whose code defines the networks, is not installed.
        OSError: the folder cannot be written.
    """
    small = _checked(size) == "tiny"
    detector, recogniser = easyocr_models(languages)

    def write(into: Path) -> None:
        import torch

        from imgtool.weights.synthetic.easyocr import craft, recognition_network

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for spec, network in ((detector, craft(small)), (recogniser, recognition_network(recogniser, small))):
                state = {f"module.{name}": tensor for name, tensor in network.items()}
                torch.save(state, into / table_entry(spec).filename)

    return _make(Path(folder), size, seed, write)


def _checked(size: str) -> str:
    if size not in _BLIP:
        raise UsageProblem(f"there are no synthetic weights of size {size!r}", f"one of {', '.join(_BLIP)}")
    return size


def _make(folder: Path, size: str, seed: int, write: Callable[[Path], None]) -> Marker:
    """Write into a temporary folder, then move the files into ``folder``, the mark first, so none is ever unmarked."""
    quiet()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".synthetic-", dir=folder) as name:
        made, digests = Path(name), {}
        write(made)
        files = sorted(path for path in made.iterdir() if path.is_file())
        for path in files:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
            digests[path.name] = digest.hexdigest()
        marker = Marker(seed=seed, size=size, files=digests)
        write_marker(made, marker)
        for path in (made / NAME, *files):
            path.replace(folder / path.name)
    return marker
