"""The documents that confidence is measured on: drawn alike every time, and what is found on them holds the targets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from hs_corpus.calibration import curve, examples, fit
from hs_corpus.documents import TEMPLATES, corpus
from hs_corpus.evaluation import calibration_error, evaluate
from hs_corpus.files import Document, clean, rows

from imgtool.analyzers.codes.hs import MIN_CONFIDENCE, confidence


def drawn(split: str, count: int) -> list[Document]:
    pages = [(template, template.draw(seed)) for template, seed in corpus(split, count)]
    return [Document(t.name, t.name, t.kind, t.language, tuple(page.lines)) for t, page in pages]


@pytest.fixture(scope="module")
def held_out() -> list[Document]:
    return drawn("held-out", 2 * sum(template.split == "held-out" for template in TEMPLATES))


def test_documents_are_the_same_every_time() -> None:
    assert [d.lines for d in drawn("held-out", 6)] == [d.lines for d in drawn("held-out", 6)]


def test_splits_share_no_template() -> None:
    train, held_out = ({t.name for t in TEMPLATES if t.split == split} for split in ("train", "held-out"))
    assert not train & held_out
    assert len(train) + len(held_out) == len(TEMPLATES)


def test_what_is_found_on_documents_that_were_not_trained_on(held_out: list[Document]) -> None:
    figures = evaluate(held_out, "clean", MIN_CONFIDENCE)
    assert figures.wanted.total() > 40
    assert figures.recall("latin", "hangul") >= 0.9
    assert figures.precision >= 0.96  # of 46 documents; docs/hs-codes.md has the figure of all
    assert figures.wrong <= figures.bare_wrong / 10
    assert calibration_error(figures.rated) <= 0.05


def test_rows_are_joined_from_left_to_right(held_out: list[Document]) -> None:
    for document in held_out[:10]:
        assert sorted("".join(line.text for line in clean(document))) == sorted(
            "".join(line.text for line in rows(document)).replace(" ", "")
            + " " * sum(line.text.count(" ") for line in clean(document))
        )


def test_a_model_can_be_fitted_again() -> None:
    given = examples(drawn("train", 56), ["clean", "rows"])
    model = fit(given)
    right = [model.confidence(e.evidence) for e in given if e.right]
    wrong = [model.confidence(e.evidence) for e in given if not e.right]
    assert sum(right) / len(right) > 0.8
    assert sum(right) / len(right) > sum(wrong) / len(wrong) + 0.2
    assert set(model.weights) <= {name for e in given for name in confidence.features(e.evidence)}


def test_the_curve_is_isotonic_and_never_certain() -> None:
    import numpy as np

    scores = np.arange(400.0)
    points = curve(scores, (np.random.default_rng(0).random(400) < scores / 400).astype(float))
    precisions = [precision for _, precision in points]
    assert precisions == sorted(precisions)
    assert 0 < precisions[0] < precisions[-1] < 1
