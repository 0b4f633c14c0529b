"""From the outputs of a classifier to probabilities and the best classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from imgtool.types import Label, Problem

Scores: TypeAlias = NDArray[np.float64]

SUM_TOLERANCE = 1e-3
"""How far from 1 the sum of a row may be that is still taken for probabilities: what float16 outputs need."""


def softmax(rows: Scores) -> Scores:
    """Row-wise softmax of (N, classes) logits, shifted by the row's maximum so that nothing overflows."""
    shifted = np.exp(rows - rows.max(axis=1, keepdims=True))
    result: Scores = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def sigmoid(rows: Scores) -> Scores:
    """Element-wise logistic function, written for either sign so that nothing overflows."""
    small = np.exp(-np.abs(rows))
    return np.where(rows >= 0, 1 / (1 + small), small / (1 + small))


def are_probabilities(rows: Scores) -> NDArray[np.bool_]:
    """For each row whether it can be read as probabilities: all in [0, 1], and together 1 within 0.001."""
    inside = (rows >= 0).all(axis=1) & (rows <= 1).all(axis=1)
    result: NDArray[np.bool_] = inside & (np.abs(rows.sum(axis=1) - 1) <= SUM_TOLERANCE)
    return result


def activate(rows: Scores, activation: str) -> Scores:
    """Probabilities from (N, classes) outputs.

    ``auto`` judges each row for itself, so that an answer does not hang on the other images of its batch: a row that
    already is a distribution stays, any other gets softmax. A lone class can be no distribution and gets sigmoid.
    """
    if activation == "auto":
        if rows.shape[1] == 1:
            return sigmoid(rows)
        return np.where(are_probabilities(rows)[:, None], rows, softmax(rows))
    functions: dict[str, Callable[[Scores], Scores]] = {"softmax": softmax, "sigmoid": sigmoid, "none": np.array}
    return functions[activation](rows)


def best(scores: Scores, labels: Sequence[str], top_k: int, threshold: float) -> tuple[Label, ...]:
    """At most ``top_k`` labels with a score of ``threshold`` or more, best first, ties in the order of the classes."""
    order = np.argsort(-scores, kind="stable")[:top_k]
    return tuple(Label(labels[index], float(scores[index])) for index in order if scores[index] >= threshold)


def answer(
    row: Scores, labels: Sequence[str], activation: str, top_k: int, threshold: float
) -> tuple[Label, ...] | Problem:
    """What is said about one image from its (classes,) outputs."""
    if np.isnan(row).any() or np.isposinf(row).any() or np.isneginf(row).all():
        return Problem(
            "not_finite",
            "the classifier gave no finite scores for this image",
            "check the preprocessing (--classifier mean=..., --classifier std=...) and the model's precision",
        )
    scores = activate(row[None], activation)[0]
    if scores.min() < -SUM_TOLERANCE or scores.max() > 1 + SUM_TOLERANCE:
        return Problem(
            "not_probabilities",
            f"the classifier's scores run from {scores.min():.3g} to {scores.max():.3g}, so they are no probabilities",
            'set "activation" to "softmax" or "sigmoid" in the JSON file',
        )
    return best(np.clip(scores, 0, 1), labels, top_k, threshold)
