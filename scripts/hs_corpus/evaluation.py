"""How well codes are found: recall, precision, calibration, and false alarms against a bare pattern of digits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hs_corpus.calibration import view_of
from hs_corpus.files import Document
from imgtool.analyzers.codes.hs.find import find_hs_codes

BARE = re.compile(r"\b\d{6,10}\b")
"""What one would write first."""


@dataclass
class Figures:
    """Counts over documents; ``found`` and ``wanted`` by what stands beside the code: latin, hangul or no label.

    ``rated`` are the confidences of what was given out, with whether each was right.
    """

    documents: int = 0
    found: Counter[str] = field(default_factory=Counter)
    wanted: Counter[str] = field(default_factory=Counter)
    right: int = 0
    wrong: int = 0
    bare_right: int = 0
    bare_wrong: int = 0
    rated: list[tuple[float, bool]] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    def recall(self, *labels: str) -> float:
        """The share of the codes with such labels that was found."""
        return sum(self.found[label] for label in labels) / max(1, sum(self.wanted[label] for label in labels))

    @property
    def precision(self) -> float:
        """The share of what was given out that is right."""
        return self.right / max(1, self.right + self.wrong)


def evaluate(documents: Iterable[Document], view: str, min_confidence: float) -> Figures:
    """Compare what is found in one view of the documents with what stands on them."""
    figures = Figures()
    for document in documents:
        if view == "ocr" and document.read is None:
            continue
        figures.documents += 1
        wanted = Counter((code.digits, code.label) for code in document.codes)
        left = Counter(code.digits for code in document.codes)
        for _, label in wanted.elements():
            figures.wanted[label] += 1
        lines = view_of(document, view)
        for code in find_hs_codes(lines, min_confidence=min_confidence):
            right = left[code.digits] > 0
            figures.rated.append((code.confidence, right))
            figures.right += right
            figures.wrong += not right
            if right:
                left[code.digits] -= 1
                label = next(label for (digits, label), count in wanted.items() if digits == code.digits and count)
                wanted[code.digits, label] -= 1
                figures.found[label] += 1
            else:
                figures.mistakes.append(f"{document.name} {view}: {code.value!r} {code.confidence:.2f} {code.evidence}")
        figures.mistakes += [
            f"{document.name} {view}: missed {digits} ({label})" for digits, label in wanted.elements()
        ]
        _bare(figures, lines, {code.digits for code in document.codes})
    return figures


def _bare(figures: Figures, lines: Sequence[object], codes: set[str]) -> None:
    for line in lines:
        for match in BARE.findall(getattr(line, "text", "")):
            figures.bare_right += match in codes
            figures.bare_wrong += match not in codes


def calibration_error(rated: Sequence[tuple[float, bool]], bins: int = 10) -> float:
    """The expected calibration error: the mean distance of confidence and precision over ``bins`` of equal width."""
    error = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [(c, right) for c, right in rated if low <= c < high or (c == high == 1.0)]
        if inside:
            mean = sum(c for c, _ in inside) / len(inside)
            error += abs(mean - sum(right for _, right in inside) / len(inside)) * len(inside) / len(rated)
    return error
