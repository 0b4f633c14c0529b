"""How often a number with the same evidence was a tariff code, as measured on generated documents.

``scripts/measure_hs_codes.py`` writes ``confidence.json``: a weight for each piece of evidence (logistic regression),
and the curve from the sum of the weights to the precision on templates that the weights were not fitted on.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from imgtool.analyzers.codes.hs.evidence import Evidence
from imgtool.analyzers.codes.hs.labels import Kind
from imgtool.analyzers.codes.hs.neighbours import How

FILE = Path(__file__).with_name("confidence.json")


@dataclass(frozen=True)
class Model:
    """``weights`` by feature; ``curve``: pairs of score and precision, both ascending, precision in [0, 1]."""

    weights: Mapping[str, float]
    curve: Sequence[tuple[float, float]]

    def score(self, evidence: Evidence) -> float:
        """The sum of the weights of the evidence. A larger sum means that a code is more likely."""
        return sum(self.weights.get(name, 0.0) * value for name, value in features(evidence).items())

    def confidence(self, evidence: Evidence) -> float:
        """The precision of numbers with this score, in [0, 1]: linear between the points of the curve."""
        score = self.score(evidence)
        place = bisect_right(self.curve, (score, 1.0))
        if place in (0, len(self.curve)):
            return self.curve[max(0, place - 1)][1]
        (x, y), (x2, y2) = self.curve[place - 1 : place + 1]
        return y if x2 == x else y + (y2 - y) * (score - x) / (x2 - x)


@cache
def load() -> Model:
    """The model in :data:`FILE`."""
    stored = json.loads(FILE.read_text(encoding="ascii"))
    return Model(stored["weights"], [(score, precision) for score, precision in stored["curve"]])


def features(evidence: Evidence) -> dict[str, float]:
    """The evidence as numbers: 1 for what is present; what is absent is left out."""
    number, label, form = evidence.number, evidence.label, form_family(evidence)
    if label is not None:
        stands = f"{'label' if label.kind is Kind.CODE else 'vague label'}, {evidence.how.value}"
    else:
        stands = "no label" if evidence.other is None else f"label of something else, {evidence.how.value}"
    if not evidence.alone and evidence.how is not How.BESIDE:
        stands += ", among words"
    of = {
        "bias",
        stands,
        f"form: {form}",
        f"table: {evidence.listing.value}",
        # The label decides how much the form and the table tell.
        f"{stands}: {form}",
        f"{stands}: {evidence.listing.value}",
        f"{stands}: {form}, {evidence.listing.value}",
        *(f"{stands}: looks like {each}" for each in evidence.around),
        *(f"{form}: looks like {each}" for each in evidence.around),
    }
    if evidence.companions:
        of.add("column: other codes" if evidence.companions > 1 else "column: another code")
    if evidence.amounts:
        of.add("column: amounts")
    if evidence.strangers:
        of.add("column: unlisted numbers")
    if number.confused:
        of.add("letters read as digits")
    if any("," in separator for separator in number.separators):
        of.add("comma read as dot")
    if any(len(separator) > 1 for separator in number.separators):
        of.add("space beside a dot")
    doubt = min(3.0, 10.0 * (1.0 - evidence.recogniser))
    return {**dict.fromkeys(of, 1.0), "doubt of the recogniser": doubt}


def form_family(evidence: Evidence) -> str:
    """The form of the number in a few classes: dots with or without national digits, spaces, or the count of digits."""
    number = evidence.number
    if " " in number.separators:
        return "spaces"
    if number.separators:
        return "dots" if len(number.digits) > 6 else "dots, six digits"
    length = len(number.digits)
    return f"{length} digits" if length in (4, 6, 8, 10) else "odd"
