"""The query language of ``imgtool search``, read into a tree that every database understands.

::

    harbour "one way" label:sign -path:old (status:failed OR pages:>1)

Words that stand side by side must all be there; ``OR`` between two means either, ``-`` or ``NOT`` before one means that
it must be absent; brackets group. ``"..."`` is a phrase, a star at the end stands for any ending. A word may say in
which field it is looked for; without one it is looked for in recognised text, captions, labels and codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from unicodedata import east_asian_width

from imgtool.database.search.words import Phrase, as_kept
from imgtool.errors import UsageProblem
from imgtool.quantities import parse_size


class QueryProblem(UsageProblem):
    """A query that cannot be read; the message shows the place."""


class In(StrEnum):
    """Where words are looked for."""

    ANYTHING = "anything"
    TEXT = "text"
    CAPTION = "caption"
    LABEL = "label"
    CODE = "code"
    PATH = "path"


class Exact(StrEnum):
    """Fields whose value is one of few words, compared whole, without regard to case."""

    STATUS = "status"
    HAS = "has"
    FORMAT = "format"
    ENGINE = "engine"
    MODEL = "model"
    ERROR = "error"
    SHA256 = "sha256"


class Number(StrEnum):
    """Fields that are compared as numbers: pixels, bytes, seconds since 1970; a page counts from 1."""

    PAGE = "page"
    PAGES = "pages"
    WIDTH = "width"
    HEIGHT = "height"
    SIZE = "size"
    LINES = "lines"
    MODIFIED = "modified"


MAX_TOKENS = 200
"""Words, brackets and operators of a query: databases limit how deep an expression may be."""

_SHOWN = 70
"""Characters of a query that are shown around a mistake."""

VALUES = {
    Exact.STATUS.value: ("ok", "partial", "failed", "gone"),
    Exact.HAS.value: ("text", "caption", "labels", "codes", "error"),
}
"""All values of the fields that have few."""

FIELDS: dict[str, In | Exact | Number] = {
    **{each.value: each for each in (*In, *Exact, *Number) if each is not In.ANYTHING},
    "labels": In.LABEL,
    "codes": In.CODE,
}


@dataclass(frozen=True)
class Words:
    """A phrase in a field. ``code`` is what a ``code:`` was given as one run of letters and digits."""

    field: In
    phrase: Phrase
    code: str = ""


@dataclass(frozen=True)
class Equals:
    """A field with one value; ``prefix`` where the value may go on."""

    field: Exact
    value: str
    prefix: bool = False


@dataclass(frozen=True)
class Between:
    """A number from ``low`` to ``high``, both included; ``None`` is no limit."""

    field: Number
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Not:
    """What must not be so."""

    part: Node


@dataclass(frozen=True)
class AllOf:
    """Everything must be so. Without parts it always is."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one of two or more must be so."""

    parts: tuple[Node, ...]


Node = Words | Equals | Between | Not | AllOf | AnyOf


def phrases(node: Node) -> tuple[Phrase, ...]:
    """What a query looks for in what a picture says, for marking it there."""
    if isinstance(node, Words):
        return () if node.field is In.PATH else (node.phrase,)
    if isinstance(node, AllOf | AnyOf):
        return tuple(dict.fromkeys(phrase for part in node.parts for phrase in phrases(part)))
    return ()


def parse(query: str) -> Node:
    """The tree of ``query``; an empty query is met by everything.

    Raises:
        QueryProblem: it cannot be read. The message has the query and a mark below the place.
    """
    return _Parser(as_kept(query)).parse()


# --------------------------------------------------------------------------------------------------------------------


class _Token(NamedTuple):
    """A piece of a query: ``kind`` is the name of a group of :data:`_TOKEN`."""

    kind: str
    text: str
    start: int


_QUOTES = '"\u201c\u201d\u201e\u00ab\u00bb\uff02'
_TOKEN = re.compile(
    rf"""
    (?P<space>\s+)
    |(?P<open>\()|(?P<close>\))
    |(?P<or>OR(?=[\s()]|$)|\|)
    |(?P<and>AND(?=[\s()]|$))
    |(?P<not>NOT(?=[\s()]|$)|[-\u2212\u2013](?=[^\s]))
    |(?P<field>[A-Za-z][A-Za-z0-9_]*:(?!//))
    |(?P<quoted>[{_QUOTES}](?P<inside>[^{_QUOTES}]*)(?P<end>[{_QUOTES}]\*?|$))
    |(?P<word>[^\s(){_QUOTES}|]+)
    """,
    re.VERBOSE,
)


class _Parser:
    """Recursive descent over the tokens of one query."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens = list(self._split())
        self._at = 0
        if len(self._tokens) > MAX_TOKENS:
            raise self._problem(
                self._tokens[MAX_TOKENS].start,
                f"it has more than {MAX_TOKENS} words and signs",
                "search in several steps",
            )

    def parse(self) -> Node:
        if not self._tokens:
            return AllOf(())
        node = self._any()
        if (token := self._next()) is not None:
            raise self._problem(token.start, "this bracket was never opened", "leave it out, or put it in quotes")
        return node

    def _split(self) -> Iterator[_Token]:
        at = 0
        while at < len(self._query):
            found = _TOKEN.match(self._query, at)
            assert found is not None
            kind = "quoted" if found["quoted"] is not None else str(found.lastgroup)
            if kind == "quoted" and not found["end"]:
                raise self._problem(at, "this quotation mark has no second one", "close it, or leave it out")
            if kind != "space":
                yield _Token(kind, found[0], at)
            at = found.end()

    # -- grammar

    def _any(self) -> Node:
        parts = [self._all()]
        while (token := self._peek()) is not None and token.kind == "or":
            self._at += 1
            self._need_more(token)
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self) -> Node:
        parts: list[Node] = []
        while (token := self._peek()) is not None and token.kind not in ("or", "close"):
            if token.kind == "and":
                self._at += 1
                self._need_more(token)
                if not parts:
                    raise self._problem(token.start, "nothing stands before it", 'write "AND" in quotes to look for it')
                continue
            parts.append(self._one())
        if not parts:
            start = token.start if token is not None else len(self._query)
            raise self._problem(start, "a word is missing here", "write one, or leave the operator or bracket out")
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self) -> Node:
        token = self._next()
        assert token is not None
        if token.kind == "not":
            self._need_more(token)
            return Not(self._one())
        if token.kind == "open":
            node = self._any()
            if (end := self._next()) is None or end.kind != "close":
                raise self._problem(token.start, "this bracket is not closed", "close it, or put it in quotes")
            return node
        if token.kind == "field":
            return self._of_field(token)
        return self._words(In.ANYTHING, token)

    def _need_more(self, operator: _Token) -> None:
        token = self._peek()
        if token is None or token.kind in ("or", "and", "close"):
            raise self._problem(
                operator.start, f"nothing follows {operator.text}", "write what it is about, or put it in quotes"
            )

    # -- fields

    def _of_field(self, token: _Token) -> Node:
        name = token.text[:-1].lower()
        field = FIELDS.get(name)
        if field is None:
            raise self._problem(token.start, f"there is no field {name!r}", _nearest(name, token.text))
        value = self._peek()
        if value is not None and value.kind == "not" and value.text != "NOT":
            raise self._problem(value.start, "a value has no minus", f"to leave it out, write -{token.text}...")
        if value is not None and value.kind == "open" and value.start == self._end(token):
            raise self._problem(
                value.start,
                f"{token.text} takes one word or phrase, no brackets",
                f"write it before each: ({token.text}... OR {token.text}...)",
            )
        if value is None or value.kind in ("open", "close") or value.text == "|" or value.start != self._end(token):
            raise self._problem(self._end(token), f"{token.text} has no value", f"for example {_EXAMPLES[field]}")
        # What follows a field's name is its value, whatever it looks like.
        value = self._whole_value(value)
        if isinstance(field, In):
            return self._words(field, value)
        if isinstance(field, Exact):
            return self._exactly(field, value)
        return self._number(field, value)

    def _whole_value(self, first: _Token) -> _Token:
        self._at += 1
        if first.kind == "quoted":
            return first
        text = first.text
        while (more := self._peek()) is not None and more.start == first.start + len(text):
            if more.kind in ("quoted", "open", "close") or more.text == "|":
                break
            text += more.text
            self._at += 1
        return _Token("word", text, first.start)

    def _words(self, field: In, token: _Token) -> Words:
        text, star = token.text, False
        if token.kind == "quoted":
            star = text.endswith("*")
            text = text.rstrip("*")[1:-1]
        if text.endswith("*"):
            text, star = text.rstrip("*"), True
        if "*" in text and token.kind != "quoted":
            place = token.start + token.text.index("*")
            raise self._problem(
                place, "a star can only stand at the end of a word", f"for example {text.split('*')[0]}*"
            )
        phrase = Phrase.of(text, prefix=star)
        if phrase is None:
            raise self._problem(
                token.start,
                "nothing in it can be searched for",
                "use letters or digits: other characters are not indexed",
            )
        return Words(field, phrase, "".join(phrase.runs) if field is In.CODE else "")

    def _exactly(self, field: Exact, token: _Token) -> Equals:
        value = token.text.strip(_QUOTES).lower()
        prefix = value.endswith("*") or field is Exact.SHA256
        value = value.rstrip("*")
        known = VALUES.get(field.value)
        if known is not None:
            value = _SINGULARS.get(value, value)
            if value not in known:
                raise self._problem(
                    token.start, f"{field.value}: does not know {value!r}", f"{field.value}: takes {', '.join(known)}"
                )
        if not value:
            raise self._problem(token.start, f"{field.value}: has no value", f"for example {_EXAMPLES[field]}")
        if field is Exact.SHA256 and re.fullmatch("[0-9a-f]{1,64}", value) is None:
            what = f"{field.value}: {value!r} is no hash: up to 64 of the digits 0-9 and a-f"
            raise self._problem(token.start, what, f"for example {_EXAMPLES[field]}")
        return Equals(field, value, prefix and known is None)

    def _number(self, field: Number, token: _Token) -> Between:
        text = token.text.strip(_QUOTES)
        found = _COMPARISON.fullmatch(text)
        read = _READERS.get(field, _whole)
        try:
            if found is None:
                raise ValueError(f"{text!r} is no number")
            operator, low, high = found["operator"], found["low"], found["high"]
            if high is not None and operator:
                raise ValueError("a range has no comparison before it")
            first, last = read(low)
            if high is not None:
                until = read(high)[1]
                if until < first:
                    raise ValueError(f"{low} is more than {high}")
                return Between(field, first, until)
        except ValueError as error:
            raise self._problem(token.start, f"{field.value}: {error}", f"for example {_EXAMPLES[field]}") from error
        # The largest number below one that is wanted, and the smallest above: all of these fields are whole numbers.
        limits = {
            ">": (last + 1, None),
            ">=": (first, None),
            "<": (None, first - 1),
            "<=": (None, last),
        }
        return Between(field, *limits.get(operator or "=", (first, last)))

    # -- tokens

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> _Token | None:
        token = self._peek()
        self._at += 1
        return token

    @staticmethod
    def _end(token: _Token) -> int:
        return token.start + len(token.text)

    def _problem(self, place: int, what: str, remedy: str) -> QueryProblem:
        one_line = "".join(" " if character.isspace() else character for character in self._query)
        if len(one_line) > _SHOWN:
            start = min(max(0, place - _SHOWN // 2), len(one_line) - _SHOWN)
            before, after = "…" * (start > 0), "…" * (start + _SHOWN < len(one_line))
            one_line, column = f"{before}{one_line[start : start + _SHOWN]}{after}", place - start + len(before)
        else:
            column = place
        mark = " " * sum(1 + (east_asian_width(character) in "WF") for character in one_line[:column]) + "^"
        return QueryProblem(
            f"the query cannot be read at character {place + 1}: {what}\n  {one_line}\n  {mark}", remedy
        )


_SINGULARS = {"label": "labels", "code": "codes", "captions": "caption", "texts": "text", "errors": "error"}
_COMPARISON = re.compile(r"(?P<operator>>=|<=|>|<|=)?\s*(?P<low>[^<>=]+?)(?:\.\.(?P<high>[^<>=]+))?")


def _whole(text: str) -> tuple[float, float]:
    if not re.fullmatch("[0-9]{1,15}", text):
        raise ValueError(f"{text!r} is no whole number")
    return int(text), int(text)


def _bytes(text: str) -> tuple[float, float]:
    size = parse_size(text)
    return size, size


def _moments(text: str) -> tuple[float, float]:
    """The first and the last second of a year, a month or a day, in UTC, as seconds since 1970."""
    if (found := re.fullmatch(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?", text)) is None:
        raise ValueError(f"{text!r} is no date")
    year, month, day = (None if part is None else int(part) for part in found.groups())
    assert year is not None
    try:
        first = datetime(year, month or 1, day or 1, tzinfo=UTC)
        if day is not None:
            after = first + timedelta(days=1)
        elif month is not None:
            after = (first + timedelta(days=31)).replace(day=1)
        else:
            after = first.replace(year=year + 1)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no date") from None
    return first.timestamp(), after.timestamp() - 1


_READERS: dict[Number, Callable[[str], tuple[float, float]]] = {Number.SIZE: _bytes, Number.MODIFIED: _moments}

_EXAMPLES: dict[In | Exact | Number, str] = {
    In.TEXT: 'text:harbour or text:"one way"',
    In.CAPTION: "caption:bright",
    In.LABEL: "label:sign",
    In.CODE: "code:8471.30",
    In.PATH: "path:scans or path:2024/june",
    Exact.STATUS: "status:failed",
    Exact.HAS: "has:text",
    Exact.FORMAT: "format:png",
    Exact.ENGINE: "engine:rapidocr",
    Exact.MODEL: "model:blip*",
    Exact.ERROR: "error:timeout",
    Exact.SHA256: "sha256:9f86d0",
    Number.PAGE: "page:2",
    Number.PAGES: "pages:>1 or pages:2..5",
    Number.WIDTH: "width:>=1000",
    Number.HEIGHT: "height:<600",
    Number.SIZE: "size:>1MB",
    Number.LINES: "lines:>10",
    Number.MODIFIED: "modified:2024-06 or modified:>=2024-06-15",
}


def _nearest(name: str, given: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, FIELDS, n=1, cutoff=0.5)
    known = ", ".join(sorted({field.value for field in FIELDS.values()}))
    hint = f"did you mean {near[0]}:?" if near else f"fields are {known}"
    return f"{hint}; to look for {given!r} itself, put it in quotes"
