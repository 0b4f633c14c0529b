"""BLIP from a compiled model: two graphs and a tokenizer, without torch. Imported by the worker only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imgtool.artefacts.manifest import SETTINGS
from imgtool.errors import UsageProblem
from imgtool.inference.blip.decoder import DecoderSteps
from imgtool.inference.blip.parameters import Decoding
from imgtool.inference.blip.pixels import PixelSettings, prepare
from imgtool.inference.blip.search import LengthLimits, beam_search, greedy
from imgtool.inference.session_memory import Arena
from imgtool.inference.sessions import Damaged, Feeds, open_graph

_SPACES = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")
"""Spaces that transformers removes from decoded text if the tokenizer's settings say so."""


class BlipGraphs:
    """An opened compiled model. ``caption`` may be called from several threads."""

    def __init__(
        self, folder: Path, threads: int | None = None, precision: str = "exact", share: int | None = None
    ) -> None:
        """Open the compiled model in ``folder``. ``share`` of the threads is its own if others compute at the same
        time.

        Raises:
            Damaged: a file is missing or was changed.
        """
        from tokenizers import Tokenizer

        try:
            self._settings = json.loads((folder / SETTINGS).read_bytes())
        except (OSError, ValueError) as error:
            raise Damaged(f"the settings of the compiled model in {folder} cannot be read: {error}") from error
        needed = {"image", "tokens", "layers", "positions"}
        if not isinstance(self._settings, dict) or not self._settings.keys() >= needed:
            raise Damaged(f"the settings in {folder} are not those of BLIP")
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="open-decoder") as opener:
            # A step is bound by memory, because it reads all weights once: more threads would only take cores from
            # others. Opening goes through packed weights in native code, so the two graphs are opened side by side.
            decoder = opener.submit(open_graph, folder, "decoder", threads=share or threads, precision=precision)
            try:
                self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            except Exception as error:
                raise Damaged(f"the tokenizer in {folder} cannot be opened: {error}") from error
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
            self._pixels = PixelSettings(self._settings["image"])
            self._vision = open_graph(folder, "vision", threads=threads, precision=precision, arena=Arena.OWN)
            self._decoder = decoder.result()

    def caption(self, pictures: Sequence[NDArray[np.uint8]], decoding: Decoding) -> list[str]:
        """One caption a picture ((H, W, 3) uint8 RGB), all in one batch.

        Raises:
            UsageProblem: the prompt is longer than any caption can be.
            MemoryError: the batch does not fit into memory.
        """
        prompt = self._prompt(decoding.prompt)
        return [self.text([*prompt, *answer]) for answer in self.tokens(pictures, decoding)]

    def tokens(self, pictures: Sequence[NDArray[np.uint8]], decoding: Decoding) -> list[list[int]]:
        """The tokens after the prompt, for each picture."""
        if not pictures:
            return []
        prompt = self._prompt(decoding.prompt)
        room = self._settings["positions"] - len(prompt) + 1
        if room < 1:
            raise UsageProblem(
                f"--caption-prompt has {len(prompt)} tokens, and a caption has room for {self._settings['positions']}",
                "shorten it",
            )
        longest = min(decoding.max_new_tokens, room)
        limits = LengthLimits(decoding.min_new_tokens, longest, self._settings["tokens"]["end"])
        seen = self._see(pictures)
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
        """The vision network's features, (N, positions, width), for comparison with the original's."""
        return self._see(pictures)["features"]

    def _see(self, pictures: Sequence[NDArray[np.uint8]]) -> Feeds:
        """The outputs of the vision network, which sees one picture at a time: with the others it would be no faster,
        and in eight bits its numbers have one scale for all that it is given at once."""
        pixels = prepare(pictures, self._pixels)
        first = self._vision.run({"pixel_values": pixels[:1]})
        if len(pictures) == 1:
            return first
        seen = {name: np.empty((len(pictures), *array.shape[1:]), np.float32) for name, array in first.items()}
        for name, array in first.items():
            seen[name][:1] = array
        for one in range(1, len(pictures)):
            into = {name: array[one : one + 1] for name, array in seen.items()}
            self._vision.run({"pixel_values": pixels[one : one + 1]}, into)
        return seen

    def _prompt(self, text: str) -> list[int]:
        """The first token of every caption and those of ``text``, without the end token."""
        ids = self._tokenizer.encode(text).ids[1:-1] if text else []
        return [self._settings["tokens"]["begin"], *ids]
