"""Generated results of many kinds, random queries about them, and a linear scan that says what each query must find.

The scan shares nothing with the index but the normalisation of text: it cuts texts into runs by the names of their
characters and compares run by run.
"""

from __future__ import annotations

import hashlib
import random
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from typing import Any

from imgtool.database.entry import Entry, stamps
from imgtool.database.search.words import normalise
from imgtool.types import (
    CaptionResult,
    ImageResult,
    Label,
    LabelsResult,
    Problem,
    Status,
    TaskResults,
    TextLine,
    TextResult,
)
from tests.results import BOX, by

LABELS = ("document", "photo", "screen", "chart", "street sign", "receipt", "harbour", "animal", "표지판", "看板")
FOLDERS = ("photos", "scans/2023", "scans/2024/june", "old", "사진/여름", "Übersicht", "new_york-trip")
FORMATS = ("JPEG", "PNG", "TIFF")
HANGUL = [chr(0xAC00 + step * 37) for step in range(300)]
KANJI = [chr(0x4E00 + step * 29) for step in range(600)]
KANA = [chr(code) for code in range(0x3042, 0x3094)] + [chr(code) for code in range(0x30A2, 0x30F4)]


class Vocabulary:
    """Words of which few are frequent and many are rare, as in any language."""

    def __init__(self, rng: random.Random, characters: list[str], size: int, low: int, high: int) -> None:
        drawn = ("".join(rng.choices(characters, k=rng.randint(low, high))) for _ in range(size))
        self.words = list(dict.fromkeys(drawn))
        self._weights = list(accumulate(1 / (place + 2) for place in range(len(self.words))))

    def draw(self, rng: random.Random, count: int) -> list[str]:
        """``count`` words as they would occur in a text."""
        return rng.choices(self.words, cum_weights=self._weights, k=count)


class Records:
    """Results by number, the same ones every time."""

    def __init__(self, seed: int = 1, words: int = 20_000) -> None:
        rng = random.Random(seed)
        self._seed = seed
        self.latin = Vocabulary(rng, list("etaoinshrdlucmfwypvbgk"), words, 2, 11)
        self.korean = Vocabulary(rng, HANGUL, words // 4, 2, 4)
        self.chinese = Vocabulary(rng, KANJI, words // 4, 2, 4)
        self.japanese = Vocabulary(rng, KANJI + KANA, words // 4, 2, 5)

    def one(self, number: int) -> Entry:
        """The record of that number."""
        rng = random.Random(f"{self._seed}/{number}")
        path = (
            f"/data/{rng.choice(FOLDERS)}/{number // 1000:03}/{rng.choice(('IMG', 'scan', '영수증'))}_{number:06}.png"
        )
        sha256 = hashlib.sha256(f"{self._seed}/{number}".encode()).hexdigest()
        result = (self._failed if rng.random() < 0.02 else self._answered)(rng, path, sha256)
        return Entry(path, result, stamps(result), 1_600_000_000_000_000_000 + number * 10**12, machine="generated")

    def many(self, count: int) -> Iterator[Entry]:
        """The first ``count`` records."""
        return map(self.one, range(count))

    def _failed(self, rng: random.Random, path: str, sha256: str) -> ImageResult:
        code = rng.choice(("truncated", "timeout", "too_large"))
        return ImageResult(
            path=path,
            sha256=sha256,
            file_size=rng.randint(1, 5_000_000),
            status=Status.FAILED,
            tasks=TaskResults(),
            error=Problem(code, "planted"),
            processing_time_ms=1.0,
            cache_enabled=True,
            from_cache=False,
        )

    def _answered(self, rng: random.Random, path: str, sha256: str) -> ImageResult:
        lines = tuple(
            TextLine(text=self.line(rng), confidence=round(rng.random(), 4), box=BOX)
            for _ in range(rng.choice((0, 3, 8, 15, 25)))
        )
        words = " ".join(self.latin.draw(rng, 2))
        named = rng.sample(LABELS, 3)
        pages = rng.choice((1, 1, 1, 1, 5))
        return ImageResult(
            path=path,
            page=rng.randrange(pages),
            pages=pages,
            sha256=sha256,
            format=rng.choice(FORMATS),
            width=rng.randint(100, 6000),
            height=rng.randint(100, 4000),
            file_size=rng.randint(1_000, 5_000_000),
            status=Status.OK,
            tasks=TaskResults(
                caption=CaptionResult(value=f"A bright picture, {words}.", **by("describe")),
                text=TextResult(value=lines, **by("rapidocr")),
                labels=LabelsResult(
                    value=tuple(Label(*each) for each in zip(named, (0.8, 0.15, 0.01), strict=True)), **by("classifier")
                ),
            ),
            processing_time_ms=12.5,
            cache_enabled=True,
            from_cache=False,
        )

    def line(self, rng: random.Random) -> str:
        """A line of text in one of the languages, now and then in two."""
        kind = rng.random()
        count = rng.randint(1, 7)
        if kind < 0.6:
            words = self.latin.draw(rng, count)
            styled = [rng.choice((word, word.upper(), word.capitalize())) for word in words]
            return rng.choice((" ", " ", ", ", "-", " / ")).join(styled)
        if kind < 0.75:
            return " ".join(self.korean.draw(rng, count))
        if kind < 0.85:
            return "".join(self.chinese.draw(rng, count)) + rng.choice(("。", ""))
        if kind < 0.95:
            return "".join(self.japanese.draw(rng, count))
        mixed = self.latin.draw(rng, 1)[0] + self.korean.draw(rng, 1)[0]
        return f"{rng.randint(1, 99999):,} {mixed} ({rng.randint(1, 99)} %)"

    def query(self, rng: random.Random) -> Query:
        """A query as people ask: one to three parts."""
        parts = [self._part(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 3)))]
        if len(parts) > 1 and rng.random() < 0.2:
            return Query(((parts[0],), tuple(parts[1:])))
        if len(parts) > 1 and rng.random() < 0.3:
            parts[-1] = replace(parts[-1], negated=True)
        return Query((tuple(parts),))

    def _part(self, rng: random.Random) -> Part:  # noqa: PLR0911 - one return for each kind
        kind = rng.random()
        if kind < 0.35:
            return Part(rng.choice(("", "", "", "text", "caption")), self.latin.draw(rng, 1)[0])
        if kind < 0.45:
            return Part("", self.latin.draw(rng, 1)[0][: rng.randint(2, 5)], prefix=True)
        if kind < 0.65:
            word = rng.choice((self.korean, self.chinese, self.japanese)).draw(rng, 1)[0]
            return Part("", rng.choice((word[:2], word[:2], word[:2], word, word[0], word[-1])))
        if kind < 0.75:
            line = self.line(rng)
            start = rng.randrange(max(1, len(line) - 6))
            piece = line[start : start + rng.randint(4, 16)]
            return Part("", piece if runs(normalise(piece)) else "bright picture", quoted=True)
        if kind < 0.83:
            return Part("label", rng.choice(LABELS), quoted=True)
        if kind < 0.91:
            return Part(
                "path",
                *rng.choice((("old", False), ("scans/2024", False), ("im", True), ("사진", False), ("영수", False))),
            )
        field, value = rng.choice(tuple(_FACTS))
        return Part(field, value)


# --------------------------------------------------------------------------------------------------------------------
# Queries and the scan


@dataclass(frozen=True)
class Part:
    """One part of a query: words in a field, or one of a few facts."""

    field: str
    value: str
    prefix: bool = False
    quoted: bool = False
    negated: bool = False

    def __str__(self) -> str:
        value = f'"{self.value}"' if self.quoted else self.value
        field = f"{self.field}:" if self.field else ""
        return f"{'-' if self.negated else ''}{field}{value}{'*' if self.prefix else ''}"


@dataclass(frozen=True)
class Query:
    """Parts that must all be met, in groups of which one must be."""

    groups: tuple[tuple[Part, ...], ...]

    def __str__(self) -> str:
        return " OR ".join(" ".join(map(str, group)) for group in self.groups)


_FACTS: dict[tuple[str, str], Callable[[ImageResult], bool]] = {
    ("status", "failed"): lambda result: result.status is Status.FAILED,
    ("has", "text"): lambda result: bool(getattr(result.tasks.text, "value", None)),
    ("pages", ">1"): lambda result: result.pages > 1,
    ("width", ">3000"): lambda result: (result.width or 0) > 3000,
    ("format", "png"): lambda result: result.format == "PNG",
    ("lines", ">=15"): lambda result: len(getattr(result.tasks.text, "value", None) or ()) >= 15,
    ("error", "timeout"): lambda result: result.error is not None and result.error.code == "timeout",
    ("page", "2"): lambda result: result.page == 1,
}


class Scanned:
    """One record as the scan looks at it: its texts in runs, by field."""

    def __init__(self, entry: Entry) -> None:
        self.result = entry.result
        self.path = entry.path or ""
        tasks = entry.result.tasks
        lines: Any = getattr(tasks.text, "value", None) or ()
        labels: Any = getattr(tasks.labels, "value", None) or ()
        likely = [label.label for place, label in enumerate(labels) if label.score >= 0.05 or not place]
        self._runs = {
            "text": runs(normalise("\n".join(line.text for line in lines))),
            "caption": runs(normalise(getattr(tasks.caption, "value", None) or "")),
            "label": [run for label in likely for run in [*runs(normalise(label)), _EDGE]],
            "path": runs(normalise(self.path)),
        }

    def meets(self, query: Query) -> bool:
        """Whether ``query`` is met."""
        return any(all(self._has(part) is not part.negated for part in group) for group in query.groups)

    def _has(self, part: Part) -> bool:
        if (fact := _FACTS.get((part.field, part.value))) is not None:
            return fact(self.result)
        needle = runs(normalise(part.value))
        fields = (part.field,) if part.field else ("text", "caption", "label")
        return any(_contains(self._runs[field], needle, part.prefix) for field in fields)


Run = tuple[str, str]
_EDGE: Run = ("edge", "")


def runs(text: str) -> list[Run]:
    """``text`` as runs of letters and digits (``word``) and of East Asian scripts (``parts``)."""
    found: list[Run] = []
    before = ""
    for character in text:
        kind = _kind(character)
        if kind and kind == before:
            found[-1] = (kind, found[-1][1] + character)
        elif kind:
            found.append((kind, character))
        before = kind
    return found


@cache
def _kind(character: str) -> str:
    if not character.isalnum() and character != "ー":
        return ""
    name = unicodedata.name(character, "")
    return "parts" if name.startswith(("CJK", "HANGUL", "HIRAGANA", "KATAKANA")) else "word"


def _contains(haystack: list[Run], needle: list[Run], prefix: bool) -> bool:
    last = len(needle) - 1
    return any(
        all(
            _agrees(haystack[start + place], run, first=not place, last=place == last, prefix=prefix)
            for place, run in enumerate(needle)
        )
        for start in range(len(haystack) - last)
    )


def _agrees(there: Run, wanted: Run, *, first: bool, last: bool, prefix: bool) -> bool:
    (kind, text), (other, piece) = there, wanted
    if kind != other:
        return False
    if kind == "word":
        return text.startswith(piece) if last and prefix else text == piece
    if first and last:
        return piece in text
    if first:
        return text.endswith(piece)
    return text.startswith(piece) if last else text == piece
