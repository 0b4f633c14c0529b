"""The program that users would write without imgtool: import everything, load both models, then loop.

It is the reference of comparisons, so it must be fair: the same weights, the same number of threads, no gradients, the
same results printed; nothing slower than in the two libraries' own examples, and EasyOCR's recogniser in 8 bits, which
is its default. ``main`` takes ``--blip DIR --easyocr DIR --languages ko,en IMAGE...`` and writes the same trace as
imgtool does.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from imgtool import trace

Answer = Callable[[str], Any]
"""From the path of an image to a model's answer."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Import everything, load everything, then print one JSON line an image."""
    given = _parser().parse_args(arguments)
    import torch

    if given.easyocr:
        import easyocr  # noqa: F401 - with all else, before anything is loaded
    if given.blip:
        from PIL import Image  # noqa: F401
        from transformers import BlipForConditionalGeneration, BlipProcessor  # noqa: F401
    trace.process_started("parent")
    torch.set_num_threads(given.threads)
    device = given.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    answers: dict[str, Answer] = {}
    if given.easyocr:
        with trace.span("easyocr", "load", task="text", backend="torch"):
            answers["text"] = _load_easyocr(Path(given.easyocr), given.languages.split(","), device)
    if given.blip:
        with trace.span("blip", "load", task="caption", backend="torch"):
            answers["caption"] = _load_blip(given.blip, given.max_new_tokens, device)
    for number, path in enumerate(given.images):
        result = {"path": path}
        for task, answer in answers.items():
            with trace.span(task, "task", images=1):
                result[task] = answer(path)
        with trace.span("write", "parent"):
            print(json.dumps(result, ensure_ascii=False), flush=True)  # noqa: T201 - its data, on stdout
        if not number:
            trace.mark("first result")
    trace.mark("last result")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="eager", description="Captions and text, eagerly.")
    parser.add_argument("--blip", help="folder of a BLIP captioning model")
    parser.add_argument("--easyocr", help="folder of EasyOCR's weights")
    parser.add_argument("--languages", default="ko,en", help="languages of the text, in EasyOCR's codes")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--max-new-tokens", type=int, default=30, help="longest caption")
    parser.add_argument("images", nargs="+", help="image files")
    return parser


def _load_blip(folder: str, max_new_tokens: int, device: str) -> Answer:
    import torch
    from PIL import Image
    from transformers import BlipForConditionalGeneration, BlipProcessor

    processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
    model = BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True).to(device).eval()

    def caption(path: str) -> str:
        with Image.open(path) as opened, torch.inference_mode():
            inputs = processor(images=opened.convert("RGB"), return_tensors="pt").to(device)
            tokens = model.generate(**inputs, max_new_tokens=max_new_tokens)
        return str(processor.decode(tokens[0], skip_special_tokens=True)).strip()

    return caption


def _load_easyocr(folder: Path, languages: list[str], device: str) -> Answer:
    import easyocr

    _accept_synthetic(folder)
    reader = easyocr.Reader(
        languages,
        gpu=device != "cpu" and device,
        model_storage_directory=str(folder),
        user_network_directory=str(folder),
        download_enabled=False,
        verbose=False,
    )

    def text(path: str) -> list[list[Any]]:
        return [[line, float(confidence)] for _, line, confidence in reader.readtext(path)]

    return text


def _accept_synthetic(folder: Path) -> None:
    """Put the MD5 sums of synthetic weights into EasyOCR's table, which has those of the real ones."""
    mark = folder / "SYNTHETIC"
    if not mark.exists():
        return
    from easyocr import config

    stated = json.loads(mark.read_text())["files"]
    tables = (config.detection_models, *config.recognition_models.values())
    for row in (row for table in tables for row in table.values()):
        row["md5sum"] = stated.get(row["filename"], row["md5sum"])
