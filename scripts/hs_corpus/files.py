"""The corpus on disk: ``NAME.jpg`` for each document and ``truth.jsonl`` with what stands on them."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path

from hs_corpus.documents import corpus
from hs_corpus.numbers import Code
from hs_corpus.page import Line, aged
from imgtool.types import Box, TextLine

TRUTH, READ = "truth.jsonl", "read.jsonl"


@dataclass(frozen=True)
class Document:
    """A document: its template, what was written on it, and what a recogniser read (``None`` before it did)."""

    name: str
    template: str
    kind: str
    language: str
    lines: tuple[Line, ...]
    read: tuple[TextLine, ...] | None = None

    @property
    def codes(self) -> list[Code]:
        """Its tariff codes."""
        return [code for line in self.lines for code in line.codes]


def draw(folder: Path, split: str, count: int, pictures: int, first_seed: int | None = None) -> None:
    """Write ``count`` documents of a split into ``folder``, the first of them as pictures, too. The same every time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / TRUTH).open("w", encoding="utf-8") as truth:
        for place, (template, seed) in enumerate(corpus(split, count, first_seed)):
            page = template.draw(seed)
            name = f"{template.name}-{seed:03}.jpg"
            if place < pictures:
                (folder / name).write_bytes(aged(page.image, random.Random(name)))
            facts = {"name": name, "template": template.name, "kind": template.kind, "language": template.language}
            truth.write(
                json.dumps({**facts, "lines": [asdict(line) for line in page.lines]}, ensure_ascii=False) + "\n"
            )


def documents(folder: Path) -> list[Document]:
    """The documents in ``folder``, with what was read where ``imgtool analyze`` left ``read.jsonl`` there."""
    read = {}
    if (folder / READ).exists():
        for row in map(json.loads, (folder / READ).read_text(encoding="utf-8").splitlines()):
            lines = row["tasks"]["text"]["value"] or ()
            read[Path(row["path"]).name] = tuple(TextLine(x["text"], x["confidence"], _box(x["box"])) for x in lines)
    found = []
    for row in map(json.loads, (folder / TRUTH).read_text(encoding="utf-8").splitlines()):
        lines = tuple(Line(x["text"], tuple(x["box"]), [Code(**code) for code in x["codes"]]) for x in row.pop("lines"))
        found.append(Document(**row, lines=lines, read=read.get(row["name"])))
    return found


def _box(corners: list[list[float]]) -> Box:
    a, b, c, d = ((float(x), float(y)) for x, y in corners)
    return a, b, c, d


def clean(document: Document) -> tuple[TextLine, ...]:
    """What a perfect recogniser would read: every piece of text as it was written, where it was written."""
    return tuple(TextLine(line.text, 1.0, rectangle(*line.box)) for line in document.lines)


def rows(document: Document) -> tuple[TextLine, ...]:
    """The same with all that stands in one row joined to one line, as recognisers do that look for lines of a page."""
    groups: list[list[Line]] = []
    for line in sorted(document.lines, key=lambda line: line.box[1] + line.box[3]):
        middle, height = (line.box[1] + line.box[3]) / 2, line.box[3] - line.box[1]
        last = groups[-1][0] if groups else None
        if last is not None and abs((last.box[1] + last.box[3]) / 2 - middle) < 0.4 * height:
            groups[-1].append(line)
        else:
            groups.append([line])
    joined = []
    for group in groups:
        group.sort(key=lambda line: line.box[0])
        left, top, right, bottom = zip(*(line.box for line in group), strict=True)
        text = " ".join(line.text for line in group)
        joined.append(TextLine(text, 1.0, rectangle(min(left), min(top), max(right), max(bottom))))
    return tuple(joined)


def rectangle(left: float, top: float, right: float, bottom: float) -> Box:
    """An upright box."""
    return (left, top), (right, top), (right, bottom), (left, bottom)
