"""Turns the outputs of a classifier into probabilities and the best classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from imgtool.types import Label, Problem

Scores: TypeAlias = NDArray[np.float64]

SUM_TOLERANCE = 1e-3
"""How far the sum of probabilities may be from 1: float16 outputs need this."""


def activate(row: Scores, activation: str) -> Scores:
    """Probabilities from the (classes,) outputs for one image: by ``softmax``, ``sigmoid`` or ``none``.

    ``auto`` leaves outputs alone that are probabilities already: all in [0, 1], and together 1 within 0.001. A single
    class can be no distribution and gets the sigmoid, anything else softmax.
    """
    if activation == "auto":
        is_distribution = row.min() >= 0 and row.max() <= 1 and abs(row.sum() - 1) <= SUM_TOLERANCE
        activation = "sigmoid" if len(row) == 1 else "none" if is_distribution else "softmax"
    if activation == "softmax":
        # Shifted, so that nothing overflows.
        shares: Scores = np.exp(row - row.max())
        return shares / shares.sum()
    if activation == "sigmoid":
        # Written for either sign, so that nothing overflows.
        small = np.exp(-np.abs(row))
        return np.where(row >= 0, 1 / (1 + small), small / (1 + small))
    return row


def best(scores: Scores, labels: Sequence[str], top_k: int, threshold: float) -> tuple[Label, ...]:
    """At most ``top_k`` labels with a score of ``threshold`` or more, best first, ties in the order of the classes."""
    order = np.argsort(-scores, kind="stable")[:top_k]
    return tuple(Label(labels[index], float(scores[index])) for index in order if scores[index] >= threshold)


def answer(
    row: Scores, labels: Sequence[str], activation: str, top_k: int, threshold: float
) -> tuple[Label, ...] | Problem:
    """The answer for one image from its (classes,) outputs."""
    if np.isnan(row).any() or np.isposinf(row).any() or np.isneginf(row).all():
        return Problem(
            "not_finite",
            "the classifier gave no finite scores for this image",
            "check the preprocessing (--classifier mean=..., --classifier std=...) and the model's precision",
        )
    scores = activate(row, activation)
    if scores.min() < -SUM_TOLERANCE or scores.max() > 1 + SUM_TOLERANCE:
        return Problem(
            "not_probabilities",
            f"the classifier's scores range from {scores.min():.3g} to {scores.max():.3g}: they are not probabilities",
            'set "activation" to "softmax" or "sigmoid" in the JSON file',
        )
    return best(np.clip(scores, 0, 1), labels, top_k, threshold)
