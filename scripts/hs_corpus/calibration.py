"""From documents to a confidence: a weight for each piece of evidence, and a curve from their sum to a precision.

Weights are those of a logistic regression (ridge, Newton's method). The curve comes from documents that the weights did
not see: each template's numbers are scored with weights fitted on the other templates; pooled adjacent violators make
precision rise with the score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hs_corpus.files import Document, clean, rows
from imgtool.analyzers.codes.hs import confidence, table
from imgtool.analyzers.codes.hs.evidence import Evidence, collect
from imgtool.analyzers.codes.hs.layout import Layout
from imgtool.types import TextLine

VIEWS = ("clean", "rows", "ocr")
"""How a document's text is given: as written, as written with rows joined, as a recogniser read it."""

_RIDGE = 1.0
_FEWEST = 40
"""Numbers that a step of the curve rests on at least."""


@dataclass(frozen=True)
class Example:
    """A number of a document, and whether it is one of its tariff codes."""

    template: str
    view: str
    evidence: Evidence
    right: bool


def view_of(document: Document, view: str) -> Sequence[TextLine]:
    """The lines of a document as one of :data:`VIEWS`."""
    if view == "ocr":
        return document.read or ()
    return clean(document) if view == "clean" else rows(document)


def examples(documents: Iterable[Document], views: Sequence[str] = VIEWS) -> list[Example]:
    """Every number that may be a code, of every document in every view."""
    found = []
    for document in documents:
        codes = {code.digits for code in document.codes}
        for view in views:
            for each in collect(Layout(view_of(document, view)), table.load()):
                found.append(Example(document.template, view, each, each.number.digits in codes))
    return found


def fit(train: Sequence[Example]) -> confidence.Model:
    """The model that ``train`` supports."""
    # Numbers of one template with equal evidence are one row, with how many there are and how many of them are codes.
    counted: dict[tuple[str, tuple[tuple[str, float], ...]], list[int]] = {}
    for example in train:
        known = tuple((name, round(value, 1)) for name, value in sorted(confidence.features(example.evidence).items()))
        count = counted.setdefault((example.template, known), [0, 0])
        count[0] += 1
        count[1] += example.right
    names = sorted({name for _, known in counted for name, _ in known})
    place = {name: column for column, name in enumerate(names)}
    design = np.zeros((len(counted), len(names)))
    for row, (_, known) in enumerate(counted):
        for name, value in known:
            design[row, place[name]] = value
    many, right = np.array(list(counted.values()), float).T
    templates = np.array([template for template, _ in counted])
    scores = np.empty(len(counted))
    for template in set(templates):
        away = templates == template
        scores[away] = design[away] @ _weights(design[~away], many[~away], right[~away])
    weights = dict(zip(names, (round(float(w), 3) for w in _weights(design, many, right)), strict=True))
    return confidence.Model(weights, curve(np.repeat(scores, many.astype(int)), _spread(many, right)))


def _spread(many: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([np.arange(m) < r for m, r in zip(many, right, strict=True)]).astype(float)


def _weights(design: NDArray[np.float64], many: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.zeros(design.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (many * p - right) + _RIDGE * weights
        hessian = (design * (many * p * (1 - p))[:, None]).T @ design + _RIDGE * np.eye(len(weights))
        step = np.linalg.solve(hessian, gradient)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def curve(scores: NDArray[np.float64], right: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Precision by score, ascending: isotonic regression, each step with the mean score of its numbers."""
    order = np.argsort(scores, kind="stable")
    size = max(1, min(_FEWEST, len(order)))
    blocks = [
        [scores[part].sum(), right[part].sum(), float(len(part))]
        for part in np.array_split(order, max(1, len(order) // size))
    ]
    pooled: list[list[float]] = []
    for block in blocks:
        pooled.append(list(block))
        while len(pooled) > 1 and pooled[-2][1] / pooled[-2][2] >= pooled[-1][1] / pooled[-1][2]:
            last = pooled.pop()
            pooled[-1] = [a + b for a, b in zip(pooled[-1], last, strict=True)]
    # One right and one wrong more than were seen: no finite number of documents proves a certainty.
    return [(round(s / c, 3), round((r + 1) / (c + 2), 4)) for s, r, c in pooled]
