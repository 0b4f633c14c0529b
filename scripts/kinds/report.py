"""What ``examples/models/README.md`` says about the classifier, with the numbers just measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_HEAD = """# The example classifier: which kind of picture is it?

`image-kind.onnx` tells {kinds} apart.
It is {size:,} bytes large ({weights:,} weights), looks at pictures squashed
to 96 x 96 pixels, and gives one score a class; [`image-kind.txt`](image-kind.txt) names the classes in order,
[`image-kind.json`](image-kind.json) says how a picture is prepared and that a softmax is still to be applied.

```console
imgtool analyze examples/images --tasks labels \\
  --labels-model examples/models/image-kind.onnx --labels-file examples/models/image-kind.txt
```

**An example, not a product.** It has never seen a photograph: all its training pictures were drawn by
[`scripts/train_example_classifier.py`](../../scripts/train_example_classifier.py). It shows how a classifier is
plugged in and does well on drawings like those in `examples/images`. On real pictures it is right much less often:
`python scripts/measure_kinds.py` measured **64.1% of 496** photos, documents, charts, screens and line drawings
under free licences (photos 82%, documents 52%, line drawings 82%, charts 84%, screens 46%). It always answers with
one of its classes, also for a picture that is none of them (the transparent `logo.png`), and pictures between two
classes (a paper on a pin board, a poster) can fall on either side.

## Accuracy on held-out pictures

{each:,} pictures of each kind to train on, {epochs} epochs. The test pictures have other seeds, and other
parameters: fonts, syllables, hues, stronger blur, noise, tilt and JPEG compression
(`TRAINING` and `TESTING` in `scripts/kinds/world.py`). *Familiar layouts* are those that training also draws;
*unseen layouts* (newspaper columns, forms, northern lights, meadows, floor plans, contours, area and stacked
charts, chats, web pages, arrow plates, neon) are never drawn for training.
The exported file was tested, by onnxruntime.
"""

_FOOT = """
## Make it again

```console
pip install -e '.[torch]' onnx
python scripts/train_example_classifier.py
```

It takes ten to fifteen minutes on two cores, and writes the model, its labels, its sidecar and this page. The
drawing is seeded; the sums of the training may round differently on another processor, so that the weights differ
slightly from one machine to another.

The model and its training pictures have the licence of the project.
"""


def describe(tables: dict[str, Any], kinds: Sequence[str], size: int, weights: int, each: int, epochs: int) -> str:
    """The whole page; ``tables`` maps the name of a test set to its confusion matrix ``(K, K)``, truth in rows."""
    named = ", ".join(kinds[:-1]) + " and " + kinds[-1]
    page = _HEAD.format(kinds=named, size=size, weights=weights, each=each, epochs=epochs)
    for name, table in tables.items():
        page += section(f"{name} layouts", table, kinds)
    return page + _FOOT


def section(name: str, table: Any, kinds: Sequence[str]) -> str:
    """One test set: accuracy and confusion matrix as Markdown."""
    right, total = int(table.trace()), int(table.sum())
    lines = [f"\n### {name.capitalize()}: {right / total:.1%} of {total:,}\n"]
    lines.append("| is \\ taken for | " + " | ".join(kinds) + " | right |")
    lines.append("| --- |" + " ---: |" * (len(kinds) + 1))
    for place, (kind, row) in enumerate(zip(kinds, table, strict=True)):
        if not row.any():
            continue
        counts = " | ".join(str(int(count)) for count in row)
        lines.append(f"| {kind} | {counts} | {row[place] / row.sum():.1%} |")
    return "\n".join(lines) + "\n"
