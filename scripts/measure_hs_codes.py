"""Measure how well HS codes are found in text, on generated trade documents; fit what their confidence rests on.

python scripts/measure_hs_codes.py draw FOLDER                 # FOLDER/train and FOLDER/held-out
imgtool analyze FOLDER/train -t text --text-engine rapidocr -o FOLDER/train/read.jsonl
imgtool analyze FOLDER/held-out -t text --text-engine rapidocr -o FOLDER/held-out/read.jsonl
python scripts/measure_hs_codes.py calibrate FOLDER            # writes confidence.json
python scripts/measure_hs_codes.py evaluate FOLDER [--save docs/hs-codes.json]

``draw FOLDER --first-seed 5000`` draws other held-out documents and no training documents, for a second check.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from hs_corpus.calibration import VIEWS, examples, fit  # noqa: E402
from hs_corpus.evaluation import Figures, calibration_error, evaluate  # noqa: E402
from hs_corpus.files import Document, documents, draw  # noqa: E402

from imgtool.analyzers.codes.hs import MIN_CONFIDENCE, confidence  # noqa: E402

COUNTS = {"train": (2100, 112), "held-out": (552, 552)}
"""How many documents of each split are written, and how many of them drawn to be read by a recogniser."""


def _draw(folder: Path, first_seed: int | None) -> None:
    for split, (count, pictures) in COUNTS.items():
        if first_seed is not None and split == "train":
            continue
        draw(folder / split, split, count, pictures, first_seed)
        print(f"{folder / split}: {count} documents, {pictures} of them as pictures")


def _views(found: list[Document]) -> list[str]:
    return [view for view in VIEWS if view != "ocr" or any(document.read is not None for document in found)]


def _calibrate(folder: Path) -> None:
    train = documents(folder / "train")
    given = examples(train, _views(train))
    model = fit(given)
    stored = {
        "about": f"{len(given)} numbers of {len(train)} generated documents ({', '.join(_views(train))})",
        "weights": model.weights,
        "curve": model.curve,
    }
    confidence.FILE.write_text(json.dumps(stored, indent=1) + "\n", encoding="ascii")
    print(f"{confidence.FILE}: {stored['about']}, {len(model.curve)} steps")


def _evaluate(folder: Path, split: str, save: Path | None, mistakes: bool, min_confidence: float) -> None:
    found = documents(folder / split)
    saved: dict[str, dict[str, object]] = {}
    print(f"{len(found)} documents ({split}), confidence {min_confidence} and more")
    print(
        "view   recall: labelled  latin  hangul  none | precision | ECE, given out  all seen | false: ours  bare digits"
    )
    for view in _views(found):
        figures = evaluate(found, view, min_confidence)
        everything = [(confidence.load().confidence(e.evidence), e.right) for e in examples(found, [view])]
        row = _row(figures, everything)
        saved[view] = {**row, "reliability": _reliability(everything)}
        print(
            f"{view:6} {row['recall_labelled']:15.3f} {row['recall_latin']:7.3f} {row['recall_hangul']:7.3f}"
            f" {row['recall_unlabelled']:6.3f} | {row['precision']:9.4f} | {row['calibration_error']:11.4f}"
            f" {row['calibration_error_all']:12.4f} | {row['false']:11} {row['false_bare']:13}"
        )
        if mistakes:
            print(*figures.mistakes, sep="\n")
    if save is not None:
        save.write_text(json.dumps(saved, indent=1) + "\n", encoding="ascii")


def _row(figures: Figures, everything: list[tuple[float, bool]]) -> dict[str, float]:
    return {
        "documents": figures.documents,
        "codes": figures.wanted.total(),
        "recall_labelled": figures.recall("latin", "hangul"),
        "recall_latin": figures.recall("latin"),
        "recall_hangul": figures.recall("hangul"),
        "recall_unlabelled": figures.recall("none"),
        "precision": figures.precision,
        "calibration_error": calibration_error(figures.rated),
        "calibration_error_all": calibration_error(everything),
        "false": figures.wrong,
        "false_bare": figures.bare_wrong,
    }


def _reliability(rated: list[tuple[float, bool]]) -> list[dict[str, float]]:
    bins = []
    for number in range(10):
        inside = [(c, r) for c, r in rated if number / 10 <= c < (number + 1) / 10 or (number == 9 and c == 1)]
        if inside:
            mean, precision = (sum(x[i] for x in inside) / len(inside) for i in (0, 1))
            bins.append({"confidence": round(mean, 4), "precision": round(precision, 4), "numbers": len(inside)})
    return bins


def main() -> None:
    """Run one of ``draw``, ``calibrate`` and ``evaluate``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("draw", "calibrate", "evaluate"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="held-out")
    parser.add_argument("--first-seed", type=int)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--mistakes", action="store_true")
    parser.add_argument("--min-confidence", type=float, default=MIN_CONFIDENCE)
    given = parser.parse_args()
    if given.do == "draw":
        _draw(given.folder, given.first_seed)
    elif given.do == "calibrate":
        _calibrate(given.folder)
    else:
        _evaluate(given.folder, given.split, given.save, given.mistakes, given.min_confidence)


if __name__ == "__main__":
    main()
