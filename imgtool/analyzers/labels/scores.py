"""Turns the outputs of a classifier into probabilities and the best classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from imgtool.types import Label, Problem

Scores: TypeAlias = NDArray[np.float64]

SUM_TOLERANCE = 1e-3
"""How far probabilities may lie outside [0, 1], and their sum from 1: float16 outputs need this."""

DEFAULT_TOP_K = 5


def within_range(rows: Scores) -> bool:
    """Whether all values may be probabilities."""
    return bool(rows.min() >= -SUM_TOLERANCE and rows.max() <= 1 + SUM_TOLERANCE)


def activate(row: Scores, activation: str) -> Scores:
    """Probabilities from the (classes,) outputs for one image: by ``softmax``, ``sigmoid`` or ``none``."""
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
    row: Scores, labels: Sequence[str], activation: str, top_k: int | None, threshold: float
) -> tuple[Label, ...] | Problem:
    """The answer for one image from its (classes,) outputs. Without a ``top_k`` it has 5 labels, or all that reach a
    ``threshold`` above 0 if they do not exclude each other."""
    if np.isnan(row).any() or np.isposinf(row).any() or np.isneginf(row).all():
        return Problem(
            "not_finite",
            "the classifier gave no finite scores for this image",
            "check the preprocessing (--classifier mean=..., --classifier std=...) and the model's precision",
        )
    scores = activate(row, activation)
    if not within_range(scores):
        return Problem(
            "not_probabilities",
            f"the classifier's scores range from {scores.min():.3g} to {scores.max():.3g}: they are not probabilities",
            "set --classifier activation=softmax or activation=sigmoid, or leave it out of the JSON file",
        )
    if top_k is None:
        exclusive = activation == "softmax" or abs(scores.sum() - 1) <= SUM_TOLERANCE
        top_k = DEFAULT_TOP_K if exclusive or not threshold else len(scores)
    return best(np.clip(scores, 0, 1), labels, top_k, threshold)
