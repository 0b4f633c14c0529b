"""Greedy and beam search with the same results as ``generate`` of transformers 5, token for token.

Its default settings are fixed here: a length penalty of 1, no early stopping, one answer an image. Images do not
influence each other, so finished ones leave the batch. Scores are in single precision, as upstream's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgtool.inference.blip.decoder import DecoderSteps

_IMPOSSIBLE = np.float32(-1e9)
"""Upstream's initial score of all beams but the first."""


@dataclass(frozen=True)
class LengthLimits:
    """Lengths in new tokens, including the end token; ``longest`` is at least 1."""

    shortest: int
    longest: int
    end: int


def greedy(steps: DecoderSteps, prompt: Sequence[int], images: int, limits: LengthLimits) -> list[list[int]]:
    """The new tokens of each image, always the likeliest one. Each ends with ``limits.end`` or is ``longest`` long."""
    answers: list[list[int]] = [[] for _ in range(images)]
    running = np.arange(images)
    tokens = np.tile(np.array(prompt, dtype=np.int64), (images, 1))
    for length in range(limits.longest):
        chosen = _without(steps.step(tokens), limits.end, length < limits.shortest).argmax(axis=1)
        for image, token in zip(running, chosen, strict=True):
            answers[image].append(int(token))
        kept = _closed_up(chosen != limits.end)
        if not len(kept):
            break
        if len(kept) < len(running):
            steps.keep(kept, kept)
        running, tokens = running[kept], chosen[kept, None]
    return answers


def beam_search(
    steps: DecoderSteps, prompt: Sequence[int], images: int, beams: int, limits: LengthLimits
) -> list[list[int]]:
    """The new tokens of each image: its best of ``beams`` hypotheses. ``steps`` has ``beams`` rows an image."""
    all_of_them = [_Hypotheses(beams, limits) for _ in range(images)]
    running = np.arange(images)
    tokens = np.tile(np.array(prompt, dtype=np.int64), (images * beams, 1))
    for _ in range(limits.longest):
        logits = steps.step(tokens)
        shifted = logits - logits.max(axis=1, keepdims=True)
        scores = (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))).reshape(len(running), beams, -1)
        for image, each in zip(running, scores, strict=True):
            all_of_them[image].advance(each)
        kept = _closed_up(np.array([not all_of_them[image].done for image in running]))
        if not len(kept):
            break
        running = running[kept]
        live = [all_of_them[image] for image in running]
        rows = kept[:, None] * beams + np.stack([each.origins for each in live])
        steps.keep(kept, rows.ravel())
        tokens = np.stack([each.tokens[:, -1] for each in live]).reshape(-1, 1)
    return [each.best() for each in all_of_them]


class _Hypotheses:
    """The beams of one image: the running ones, and the best of those that have ended.

    ``tokens`` (beams, length) are the running ones, likeliest first; ``origins`` (beams,) says which former beam each
    continues. It follows transformers' ``GenerationMixin._beam_search``.
    """

    def __init__(self, beams: int, limits: LengthLimits) -> None:
        self._limits = limits
        self._beams = beams
        self._scores: NDArray[np.float32] = np.full(beams, _IMPOSSIBLE, dtype=np.float32)
        # All beams begin with the same prompt: only the first one may be continued, or all would be equal.
        self._scores[0] = 0
        self._ended: list[tuple[np.float32, NDArray[np.int64]]] = []
        self.tokens: NDArray[np.int64] = np.empty((beams, 0), dtype=np.int64)
        self.origins = np.arange(beams)
        self.done = False

    def advance(self, log_probabilities: NDArray[np.float32]) -> None:
        """Continue with the likeliest of all continuations; ``log_probabilities`` is (beams, vocabulary)."""
        length = self.tokens.shape[1] + 1
        allowed = _without(log_probabilities, self._limits.end, length <= self._limits.shortest)
        totals, origins, tokens = self._likeliest(allowed)
        sequences = np.concatenate([self.tokens[origins], tokens[:, None]], axis=1)
        ends = (tokens == self._limits.end) | (length >= self._limits.longest)
        # The second half only replaces beams that end; it never holds answers.
        for place in np.flatnonzero(ends[: self._beams]):
            self._ended.append((totals[place] / np.float32(length), sequences[place]))
        self._ended = sorted(self._ended, key=lambda each: -each[0])[: self._beams]
        going = np.flatnonzero(~ends)[: self._beams]
        self.tokens, self.origins, self._scores = sequences[going], origins[going], totals[going]
        # The likeliest running beam, at its present length, against the worst that has ended.
        full = len(self._ended) == self._beams
        self.done = not len(going) or (full and bool(self._scores[0] / np.float32(length) <= self._ended[-1][0]))

    def best(self) -> list[int]:
        """The best hypothesis that has ended."""
        return [int(token) for token in self._ended[0][1]]

    def _likeliest(
        self, log_probabilities: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """The 2 * beams best continuations, best first: total score, beam it continues, token."""
        vocabulary = log_probabilities.shape[1]
        totals = (log_probabilities + self._scores[:, None]).ravel()
        count = min(2 * self._beams, len(totals))
        places = np.argpartition(totals, len(totals) - count)[len(totals) - count :]
        places = places[np.argsort(-totals[places], kind="stable")]
        return totals[places], places // vocabulary, places % vocabulary


def _without(scores: NDArray[np.float32], token: int, too_early: bool) -> NDArray[np.float32]:
    """``scores`` (rows, vocabulary), in which ``token`` cannot be chosen if it is ``too_early``."""
    if too_early:
        scores = scores.copy()
        scores[:, token] = -np.inf
    return scores


def _closed_up(alive: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The indices that stay ``alive``, with gaps filled from the end, so that few have to be moved."""
    count = int(alive.sum())
    order = np.arange(count)
    order[~alive[:count]] = count + np.flatnonzero(alive[count:])
    return order
