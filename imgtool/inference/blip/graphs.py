"""BLIP from a compiled model: two graphs, numpy and a tokenizer, and nothing of torch. Imported by the worker only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgtool.errors import UsageProblem
from imgtool.inference.blip.parameters import Decoding
from imgtool.inference.blip.pixels import PixelSettings, prepare
from imgtool.inference.blip.search import Limits, beam_search, greedy
from imgtool.inference.session_memory import Arena
from imgtool.inference.sessions import Damaged, Graph, open_graph

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SPACES = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")
"""Spaces that transformers takes out of decoded text where the tokenizer's settings say so."""


class BlipGraphs:
    """An opened compiled model. ``caption`` may be called from several threads."""

    def __init__(
        self, folder: Path, threads: int | None = None, precision: str = "exact", share: int | None = None
    ) -> None:
        """Open the compiled model in ``folder``. ``share`` of the threads is its own where others compute beside it.

        Raises:
            Damaged: a file is missing or was changed.
        """
        self._settings = _read_settings(folder)
        self._pixels = PixelSettings(self._settings["image"])
        self._tokenizer = _open_tokenizer(folder)
        self._vision = open_graph(folder, "vision", threads=threads, precision=precision, arena=Arena.OWN)
        # Each step reads all weights once and waits for memory: more threads would only take cores from the others.
        self._decoder = open_graph(folder, "decoder", threads=share or threads, precision=precision)

    def caption(self, pictures: Sequence[NDArray[np.uint8]], decoding: Decoding) -> list[str]:
        """One caption a picture ((H, W, 3) uint8 RGB), all in one batch.

        Raises:
            UsageProblem: the prompt is longer than any caption can be.
            MemoryError: the batch does not fit into memory.
        """
        prompt = self._prompt(decoding.prompt)
        return [self.text([*prompt, *answer]) for answer in self.tokens(pictures, decoding)]

    def tokens(self, pictures: Sequence[NDArray[np.uint8]], decoding: Decoding) -> list[list[int]]:
        """The tokens that follow the prompt, for each picture, as :meth:`caption` has them."""
        if not pictures:
            return []
        prompt = self._prompt(decoding.prompt)
        limits = self._limits(prompt, decoding)
        seen = self._vision.run({"pixel_values": prepare(pictures, self._pixels)})
        steps = DecoderSteps(self._decoder, self._settings, seen, decoding.beams)
        if decoding.beams == 1:
            return greedy(steps, prompt, len(pictures), limits)
        return beam_search(steps, prompt, len(pictures), decoding.beams, limits)

    def text(self, tokens: Sequence[int]) -> str:
        """``tokens`` as they are written, special ones left out."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        if self._settings["clean_up_spaces"]:
            for spaced in _SPACES:
                text = text.replace(spaced, spaced.strip())
        return text.strip()

    def features(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """What the vision network sees, (N, positions, width): to be compared with the original's."""
        return self._vision.run({"pixel_values": prepare(pictures, self._pixels)})["features"]

    def _prompt(self, text: str) -> list[int]:
        """The first token of every caption and those of ``text``, without the one that would end it."""
        ids = self._tokenizer.encode(text).ids[1:-1] if text else []
        return [self._settings["tokens"]["begin"], *ids]

    def _limits(self, prompt: Sequence[int], decoding: Decoding) -> Limits:
        room = self._settings["positions"] - len(prompt) + 1
        if room < 1:
            raise UsageProblem(
                f"--caption-prompt has {len(prompt)} tokens, and a caption has room for {self._settings['positions']}",
                "shorten it",
            )
        end = self._settings["tokens"]["end"]
        return Limits(decoding.min_new_tokens, min(decoding.max_new_tokens, room), end)


class DecoderSteps:
    """The decoder's graph with what it remembers: keys and values of the image, and of the tokens so far.

    Those of the image (40 MB an image at full size) are held once however many beams read them. An image that leaves
    is overwritten by the last one, so that what remains stays in one piece without being copied.
    """

    def __init__(self, graph: Graph, settings: Mapping[str, Any], seen: Mapping[str, NDArray[Any]], beams: int) -> None:
        self._graph = graph
        cross = {name: array for name, array in seen.items() if name.startswith("cross_")}
        # A view of what the network gave; a copy only where that may not be written.
        self._cross = {name: np.require(array, requirements=["C", "W"]) for name, array in cross.items()}
        images = len(seen["cross_key_0"])
        empty = np.empty((images * beams, settings["heads"], 0, settings["head_size"]), dtype=np.float32)
        self._names = [f"{kind}_{layer}" for layer in range(settings["layers"]) for kind in ("key", "value")]
        self._past = dict.fromkeys(self._names, empty)

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """``tokens`` (rows, T) -> the logits of what comes next, (rows, vocabulary)."""
        before, new = self._past[self._names[0]].shape[2], tokens.shape[1]
        # Each token sees those before it and itself.
        mask = np.triu(np.full((new, before + new), -np.inf, dtype=np.float32), before + 1)
        given = {"tokens": tokens, "positions": np.arange(before, before + new), "mask": mask}
        past = {f"past_{name}": array for name, array in self._past.items()}
        result = self._graph.run({**given, **past, **self._cross})
        self._past = {name: result[name] for name in self._names}
        logits: NDArray[np.float32] = result["logits"]
        return logits

    def keep(self, images: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Go on with these images and rows. An image either stays in its place or comes from behind those kept."""
        self._cross = {name: _closed_up(array, images) for name, array in self._cross.items()}
        held = len(self._past[self._names[0]])
        if len(rows) != held or np.any(rows != np.arange(held)):
            self._past = {name: array[rows] for name, array in self._past.items()}


def _closed_up(array: NDArray[np.float32], kept: NDArray[np.int64]) -> NDArray[np.float32]:
    """The rows ``kept`` of ``array``, which is overwritten; a view of its beginning."""
    for to, source in enumerate(kept):
        if to != source:
            array[to] = array[source]
    return array[: len(kept)]


def _read_settings(folder: Path) -> dict[str, Any]:
    try:
        settings = json.loads((folder / "settings.json").read_bytes())
    except (OSError, ValueError) as error:
        raise Damaged(f"the settings of the compiled model in {folder} cannot be read: {error}") from error
    if not isinstance(settings, dict) or not settings.keys() >= {"image", "tokens", "layers", "positions"}:
        raise Damaged(f"the settings in {folder} are not those of BLIP")
    return settings


def _open_tokenizer(folder: Path) -> Tokenizer:
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:
        raise Damaged(f"the tokenizer in {folder} cannot be opened: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
